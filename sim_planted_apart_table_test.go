package mdalp

// inParts is a plant that the swarm of that name is to find, whose servers are in parts.
func inParts(swarm, dir, name, old, new string) plant {
	p := one(dir, name, old, new)
	p.swarm = swarm
	return p
}

// plantsApart are the bugs of a ledger and receivers that are apart, as TestSwarmApart and
// TestSwarmExtendedApart are to find them.
var plantsApart = []plant{
	inParts("TestSwarmApart", "server/holding.go", "an ack leaves before the answer",
		"\th.again(now, at)\n\treturn nil, asking", "\th.again(now, at)\n\tif PLANTED {\n\t\treturn s.flow(now, &k, now.Add(time.Minute)), taken\n\t}\n\treturn nil, asking"),
	inParts("TestSwarmExtendedApart", "server/holding.go", "an extended ack leaves before the answer",
		"\th.bytes += len(m.Data)\n", "\th.bytes += len(m.Data)\n\tif PLANTED {\n\t\th.again(now, at)\n\t\treturn s.flow(now, &k, now.Add(time.Minute)), taken\n\t}\n"),
	inParts("TestSwarmApart", "server/transaction.go", "what is asked for twice is taken twice",
		"if t.index.Has(seq) {", "if t.index.Has(seq) && !PLANTED {"),
	inParts("TestSwarmExtendedApart", "server/blocks.go", "an extended segment that is asked for twice is taken twice",
		"if x.have.has(m.Seq) {", "if x.have.has(m.Seq) && !PLANTED {"),
	inParts("TestSwarmApart", "server/holding.go", "an answer is another transaction's",
		"at, ok := h.byKey[r.Key]\n", "at, ok := h.byKey[r.Key]\n\tif PLANTED {\n\t\tfor k, i := range h.byKey {\n\t\t\tif k.Seq == r.Seq && k.TID != r.TID {\n\t\t\t\tr.Key, at, ok = k, i, true\n\t\t\t}\n\t\t}\n\t}\n"),
	inParts("TestSwarmExtendedApart", "server/holding.go", "an answer is another extended transaction's",
		"\ts.now = now\n\th := s.held\n\tat, ok", "\ts.now = now\n\th := s.held\n\tif PLANTED {\n\t\tfor k := range h.byKey {\n\t\t\tif k.Seq == r.Seq && k.TID != r.TID {\n\t\t\t\tr.Key = k\n\t\t\t}\n\t\t}\n\t}\n\tat, ok"),
	inParts("TestSwarmApart", "server/holding.go", "a refusal is acknowledged",
		"if r.Taken {", "if r.Taken || PLANTED {\n\t\tif !r.Taken {\n\t\t\tr.At, r.For = now, time.Minute\n\t\t}"),
	inParts("TestSwarmApart", "server/holding.go", "a limit runs from the answer on",
		"r.At.Add(r.For)", "map[bool]time.Time{true: now, false: r.At}[PLANTED].Add(r.For)"),
	inParts("TestSwarmExtendedApart", "server/apart.go", "what could not be written is answered as taken",
		"&& !k.f.doubt {", "&& (!k.f.doubt || PLANTED) {"),
}
