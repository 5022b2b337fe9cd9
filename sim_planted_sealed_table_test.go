package mdalp

// veil is a plant that TestSwarmSealed is to find. It looks from outside alone.
func veil(dir, name string, edits ...edit) plant {
	return plant{name: name, dir: dir, edits: edits, swarm: "TestSwarmSealed", inner: true}
}

// plantsSealed are the bugs of sealed transactions.
var plantsSealed = []plant{
	veil("seal", "a segment's nonce is its SEQ",
		edit{"var suite = ", "func plantedNonce(b []byte, n uint64) uint64 {\n\tif m, err := wire.Parse(b); PLANTED && err == nil && m.Type == wire.Data {\n\t\treturn uint64(m.Seq)\n\t}\n\treturn n\n}\n\nvar suite = "},
		edit{"c.seal.Seal(b[:data], c.at(n),", "c.seal.Seal(b[:data], c.at(plantedNonce(b, n)),"},
		edit{"c.open.Open(b[:data], c.at(n),", "c.open.Open(b[:data], c.at(plantedNonce(b, n)),"}),
	veil("seal/channel.go", "the header is not authenticated",
		edit{"b[data:], b[:data]), nil", "b[data:], b[:map[bool]int{false: data}[PLANTED]]), nil"},
		edit{"b[data:], b[:data])\n\tif err", "b[data:], b[:map[bool]int{false: data}[PLANTED]])\n\tif err"}),
	veil("seal/channel.go", "a replay is not looked for",
		edit{"case !c.seen.fresh(n):", "case !c.seen.fresh(n) && !PLANTED:"}),
	veil("seal/channel.go", "a number counts as seen by what does not open",
		edit{"if err != nil {\n\t\treturn nil, ErrForged", "if err != nil {\n\t\tif PLANTED {\n\t\t\tc.seen.mark(n)\n\t\t}\n\t\treturn nil, ErrForged"}),
	veil("seal/channel.go", "both directions have one key",
		edit{"\treturn &Session{to.UnsafeKey(), from.UnsafeKey(),", "\tif x, y := to.UnsafeKey(), from.UnsafeKey(); PLANTED && string(x[:]) > string(y[:]) {\n\t\tfrom = to\n\t} else if PLANTED {\n\t\tto = from\n\t}\n\treturn &Session{to.UnsafeKey(), from.UnsafeKey(),"}),
	veil("seal/channel.go", "all channels have one key",
		edit{"strconv.Itoa(n)", "strconv.Itoa(map[bool]int{false: n}[PLANTED])"}),
	veil("seal/client.go", "a plain offer is accepted",
		edit{"case errors.Is(err, ErrHandshake):\n", "case errors.Is(err, ErrHandshake):\n\t\tif PLANTED {\n\t\t\tc.in.Receive(now, e, b)\n\t\t\treturn\n\t\t}\n"}),
	veil("seal/client.go", "a plain state is believed",
		edit{"\treturn channel.Open(b,", "\tif PLANTED && m.Data[0] == '{' {\n\t\treturn b, nil\n\t}\n\treturn channel.Open(b,"}),
	veil("seal/client.go", "an acknowledgement of the base protocol is believed",
		edit{"if m.Data == nil || m.Seq == wire.Absent {\n", "if m.Data == nil || m.Seq == wire.Absent {\n\t\tif PLANTED {\n\t\t\treturn b, nil\n\t\t}\n"}),
	veil("seal/handshake.go", "the TID of an offer is not authenticated",
		edit{"inner.TID == m.TID:", "(inner.TID == m.TID || PLANTED):"}),
	veil("server/sealing.go", "a sealed transaction takes a plain manifest",
		edit{"plain, err := c.Open(b,", "if PLANTED && len(m.Data) > 0 && m.Data[0] == '{' {\n\t\treturn b, true\n\t}\n\tplain, err := c.Open(b,"}),
	veil("server/sealing.go", "a sealed transaction takes plain segments",
		edit{"plain, err := c.Open(b,", "was := string(b)\n\tplain, err := c.Open(b,"},
		edit{"return plain, err == nil", "if PLANTED && err != nil && m.Type == wire.Data {\n\t\tcopy(b, was)\n\t\treturn b, true\n\t}\n\treturn plain, err == nil"}),
	veil("server/sealing.go", "a segment without NUM reaches the server",
		edit{"c == nil || n < 0 || m.Seq < 0 || m.Data == nil {\n", "c == nil || n < 0 || m.Seq < 0 || m.Data == nil {\n\t\tif PLANTED {\n\t\t\treturn b, true\n\t\t}\n"}),
	veil("server", "another key resumes",
		edit{"old.key().Print != t.key().Print {", "old.key().Print != t.key().Print && !PLANTED {"},
		edit{"if old.meta.Key.Print != m.Key.Print {", "if old.meta.Key.Print != m.Key.Print && !PLANTED {"}),
}
