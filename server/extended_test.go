package server

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"mdalp/loop"
	"mdalp/wire"
)

// newExtendedRig is a server that offers the extended protocol: transactions count from 7,
// segments have at most 1,200 bytes, and windows 64 of them.
func newExtendedRig(t testing.TB, cfg Config) *rig {
	t.Helper()
	def(&cfg.FirstTID, 7)
	def(&cfg.Segment, 1200)
	def(&cfg.Window, 64)
	return startRig(t, epoch, cfg)
}

// A dgram is a datagram to the server. In these tables it comes to the first receiver from
// the client where nothing else is said.
type dgram struct {
	b           string
	local, peer netip.AddrPort
}

// in hands the server datagrams as one burst, and returns what it sends when all are read.
func (r *rig) in(ds ...dgram) []sent {
	for _, d := range ds {
		def(&d.local, sao)
		def(&d.peer, client)
		r.s.Receive(r.now, &loop.Envelope{Peer: d.peer, Local: d.local, At: r.now}, []byte(d.b))
	}
	return r.drain()
}

// datagrams makes datagrams of texts.
func datagrams(bs ...string) (ds []dgram) {
	for _, b := range bs {
		ds = append(ds, dgram{b: b})
	}
	return ds
}

// announce opens transaction 7 with a payload of so many bytes.
func (r *rig) announce(size, segment int) {
	r.t.Helper()
	r.to(orch, client, "Type:0;")
	r.want(r.to(orch, client, manifest(0, fmt.Sprintf("'bytes': %d, 'seg': %d", size, segment))), state(0, "'open', 'win': 64, 'have': ''"))
}

func manifest(seq int, keys string) string {
	return fmt.Sprintf("Type:4;TID:7;SEQ:%d;DATA:{%s};", seq, keys)
}

func state(seq int, keys string) string {
	return fmt.Sprintf("Type:5;TID:7;SEQ:%d;DATA:{'state': %s};", seq, keys)
}

// numbered is a segment of transaction 7 with n bytes, those of its SEQ.
func numbered(seq, num, n int) string {
	return fmt.Sprintf("Type:2;TID:7;SEQ:%d;NUM:%d;DATA:%s", seq, num, strings.Repeat(string(rune('a'+seq%26)), n))
}

// An offer has 'seg' and 'win' of every receiver, or of none.
func TestExtendedOffer(t *testing.T) {
	v4 := func(n int, name string) (rs []Receiver) {
		for i := range n {
			rs = append(rs, Receiver{Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}), Port), Name: name})
		}
		return rs
	}
	for _, tt := range []struct {
		name  string
		cfg   Config
		names bool
		win   int
	}{
		{"all", Config{Receivers: v4(3, "A")}, true, 64},
		{"base", Config{Receivers: v4(3, "A"), Base: true}, true, 0},
		{"a store without places", Config{Receivers: v4(3, "A"), Store: &broken{Store: new(Memory)}, RoomPerOffer: -1}, true, 0},
		{"names go first", Config{Receivers: v4(12, "a name of forty characters, no less, A.B.")}, false, 64},
		{"then seg and win", Config{Receivers: v4(20, "A")}, false, 0},
		{"an original client cannot read it in any form", Config{Receivers: v4(40, "A")}, true, 64},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newExtendedRig(t, tt.cfg)
			got := r.to(orch, client, "Type:0;")
			if len(got) != 1 {
				t.Fatalf("sent %q", got)
			}
			m, err := wire.Parse([]byte(got[0]))
			if err != nil {
				t.Fatal(err)
			}
			rs, err := wire.ParseReceivers(m.Data)
			if err != nil || len(rs) != len(tt.cfg.Receivers) {
				t.Fatalf("%d receivers, %v", len(rs), err)
			}
			seg := min(1200, tt.win*1200)
			for i, x := range rs {
				if x.Seg != seg || x.Win != tt.win || (x.Name != "") != tt.names {
					t.Errorf("receiver %d: %+v", i, x)
				}
			}
			if len(rs) < 40 && len(got[0]) > original {
				t.Errorf("%d bytes", len(got[0]))
			}
			extends, room := tt.cfg.Extends()
			if extends != (tt.win > 0) || extends && room != len(rs) {
				t.Errorf("it says extended %t, and room for %d", extends, room)
			}
		})
	}
	r := newExtendedRig(t, Config{Receivers: v4(1, "A")})
	r.want(r.to(orch, client, "Type:0;"), "Type:1;TID:7;DATA:[{'ip_address': '192.0.2.1', 'name': 'A', 'seg': 1200, 'win': 64, 'short': 1}];")
	cfg := Config{Receivers: v4(20, "A")}
	if _, room := cfg.Extends(); room != 16 {
		t.Errorf("there is room for %d", room)
	}
	// More than an extended offer can carry are offered as before.
	if r := newExtendedRig(t, Config{Receivers: port16(1200)}); len(r.to(orch, client, "Type:0;")[0]) > wire.MaxDatagram {
		t.Error("longer than a datagram")
	}
}

// port16 is so many receivers at the ports of some addresses.
func port16(n int) (rs []Receiver) {
	for i := range n {
		a := netip.AddrFrom4([4]byte{192, 0, 2, byte(i / 16)})
		rs = append(rs, Receiver{Addr: netip.AddrPortFrom(a, uint16(5000+i%16))})
	}
	return rs
}

// What a manifest draws. Each line meets a server of its own that has offered transaction 7.
func TestManifest(t *testing.T) {
	const bare = "Type:5;TID:7;SEQ:0;DATA:{'state': 'refused'};"
	open := state(0, "'open', 'win': 64, 'have': ''")
	refused := func(why string) string { return state(0, "'refused', 'comment': \""+why+"\"") }
	plainly := func(why string) string { return state(0, "'refused', 'comment': '"+why+"'") }
	other := netip.AddrPortFrom(client.Addr(), 555)
	for _, tt := range []struct {
		name, b, want string
		peer          netip.AddrPort
		cfg           Config
	}{
		{name: "plain", b: manifest(0, "'bytes': 5000000, 'seg': 1200"), want: open},
		{name: "from another port of the client", b: manifest(0, "'bytes': 5, 'seg': 1200"), want: open, peer: other},
		{name: "keys that nobody knows", b: manifest(0, "'seg': 100, 'x': [1, {}], 'bytes': 9"), want: open},
		{name: "less than the least segment, but all of it", b: manifest(0, "'bytes': 7, 'seg': 7"), want: open},
		{name: "the last of a repeated key", b: manifest(0, "'bytes': 0, 'bytes': 9, 'seg': 100"), want: open},
		{name: "a name", b: manifest(0, "'bytes': 5, 'seg': 1200, 'name': 'räksmörgås.txt'"), want: open},

		{name: "no bytes", b: manifest(0, "'seg': 1200")},
		{name: "no seg", b: manifest(0, "'bytes': 12")},
		{name: "bytes is no number", b: manifest(0, "'bytes': '12', 'seg': 1200")},
		{name: "bytes is no whole number", b: manifest(0, "'bytes': 12.0, 'seg': 1200")},
		{name: "a list", b: "Type:4;TID:7;SEQ:0;DATA:[12, 1200];"},
		{name: "no DATA", b: "Type:4;TID:7;SEQ:0;"},
		{name: "no SEQ", b: "Type:4;TID:7;DATA:{'bytes': 5, 'seg': 1200};"},
		{name: "no TID", b: "Type:4;SEQ:0;DATA:{'bytes': 5, 'seg': 1200};"},
		{name: "too long", b: manifest(0, "'bytes': 5, 'seg': 1200, 'x': '"+strings.Repeat("x", 1200)+"'")},

		{name: "no bytes at all", b: manifest(0, "'bytes': 0, 'seg': 1200"), want: refused("'bytes' is less than 1")},
		{name: "segments too small", b: manifest(0, "'bytes': 500, 'seg': 99"), want: refused("'seg' is not 100 to 65000")},
		{name: "segments too large", b: manifest(0, "'bytes': 500, 'seg': 65001"), want: refused("'seg' is not 100 to 65000")},
		{name: "larger than offered", b: manifest(0, "'bytes': 5, 'seg': 1201"), want: refused("'seg' is more than 1200")},
		{name: "a name that is a path", b: manifest(0, "'bytes': 5, 'seg': 1200, 'name': 'a/b'"), want: refused("'name' is no name")},
		{name: "no digest", b: manifest(0, "'bytes': 5, 'seg': 1200, 'sha256': 'ab'"), want: refused("'sha256' is not 64 hexadecimal digits")},
		{name: "too large", b: manifest(0, "'bytes': 1001, 'seg': 1200"), cfg: Config{MaxBytes: 1000}, want: plainly("too large: 1000 bytes are the most")},
		{name: "beyond any bound", b: manifest(0, "'bytes': 9223372036854775807, 'seg': 100"), want: plainly("too large: 70368744177664 bytes are the most")},
		{name: "no room", b: manifest(0, "'bytes': 1001, 'seg': 1200"), cfg: Config{Store: &Memory{Limit: 1000}, RoomPerOffer: -1}, want: plainly("no room")},
		{name: "another size is expected", b: manifest(0, "'bytes': 5, 'seg': 1200"), cfg: Config{Expect: &Payload{Size: 6}}, want: plainly("a payload of 6 bytes is expected")},
		{name: "base alone", b: manifest(0, "'bytes': 5, 'seg': 1200"), cfg: Config{Base: true}, want: plainly("only the base protocol is spoken here")},

		{name: "another address", b: manifest(0, "'bytes': 5, 'seg': 1200"), peer: stranger, want: bare},
		{name: "unknown transaction", b: "Type:4;TID:8;SEQ:3;DATA:{'bytes': 1, 'seg': 1};", want: "Type:5;TID:8;SEQ:3;DATA:{'state': 'refused'};"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newExtendedRig(t, tt.cfg)
			r.to(orch, client, "Type:0;")
			def(&tt.peer, client)
			before := r.s.Stats()
			got := r.in(dgram{tt.b, orch, tt.peer})
			if tt.want == "" {
				r.want(texts(got))
				if st := r.s.Stats(); st.Malformed != before.Malformed+1 || st.Manifests != 0 {
					t.Errorf("%+v", st)
				}
				return
			}
			r.want(texts(got), tt.want)
			if got[0].env.Peer != tt.peer || got[0].env.Local != orch {
				t.Errorf("it went from %v to %v", got[0].env.Local, got[0].env.Peer)
			}
			if len(bare) >= len(tt.b) {
				t.Errorf("a manifest of %d bytes draws %d in any case", len(tt.b), len(bare))
			}
			r.addsUp()
		})
	}
}

// A refused announcement decides nothing; sizes never change; answers go to where the newest
// manifest came from, with its number, and an old one draws none.
func TestManifests(t *testing.T) {
	r := newExtendedRig(t, Config{})
	r.to(orch, client, "Type:0;")
	r.want(r.to(orch, client, manifest(0, "'bytes': 250, 'seg': 1201")), state(0, "'refused', 'comment': \"'seg' is more than 1200\""))
	r.want(r.to(orch, client, manifest(1, "'bytes': 250, 'seg': 100")), state(1, "'open', 'win': 64, 'have': ''"))
	r.want(r.to(orch, client, manifest(1, "'bytes': 250, 'seg': 100")), state(1, "'open', 'win': 64, 'have': ''"))
	r.want(r.to(orch, client, manifest(0, "'bytes': 250, 'seg': 100")))
	for _, keys := range []string{"'bytes': 251, 'seg': 100", "'bytes': 250, 'seg': 101"} {
		r.want(r.to(orch, client, manifest(2, keys)), state(2, "'refused', 'bytes': 250, 'seg': 100, 'comment': 'sizes that differ from those announced'"))
	}
	r.want(r.to(orch, client, manifest(2, "'bytes': 250, 'seg': 100, 'name': 'a/b'")), state(2, "'refused', 'comment': \"'name' is no name\""))
	r.to(sao, client, numbered(1, 0, 100))
	r.want(r.to(orch, client, manifest(3, "'bytes': 250, 'seg': 100")), state(3, "'open', 'win': 64, 'have': '1'"))
	r.want(r.to(orch, client, manifest(4, "'bytes': 250, 'seg': 100, 'from': 2")), state(4, "'open', 'win': 64, 'have': ''"))

	// One answer to several, and it goes to the port of the newest.
	port := netip.AddrPortFrom(client.Addr(), 555)
	got := r.in(dgram{manifest(9, "'bytes': 250, 'seg': 100"), orch, client}, dgram{manifest(11, "'bytes': 250, 'seg': 100"), orch, port},
		dgram{manifest(10, "'bytes': 250, 'seg': 100"), orch, client})
	r.want(texts(got), state(11, "'open', 'win': 64, 'have': '1'"))
	if got[0].env.Peer != port {
		t.Errorf("it went to %v", got[0].env.Peer)
	}
	if st := r.s.Stats(); st.Announced != 1 || st.Manifests != 12 {
		t.Errorf("%+v", st)
	}
	r.addsUp()
}

// What is stored is told in several answers where it is long.
func TestHaveInParts(t *testing.T) {
	r := newExtendedRig(t, Config{})
	r.announce(100*1000, 100)
	for k := range 500 {
		r.to(sao, client, numbered(2*k+1, k, 100))
	}
	told := map[int64]bool{}
	for from, seq := int64(0), 1; ; seq++ {
		keys := "'bytes': 100000, 'seg': 100"
		if from > 0 {
			keys += fmt.Sprintf(", 'from': %d", from)
		}
		got := r.to(orch, client, manifest(seq, keys))
		if len(got) != 1 || len(got[0]) > wire.MaxManifest {
			t.Fatalf("sent %q", got)
		}
		m, _ := wire.Parse([]byte(got[0]))
		st, err := wire.ParseState(m.Data)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range st.Have {
			told[x.First] = x.First == x.Last && x.First%2 == 1 && x.First >= from
		}
		if st.Upto == wire.Absent {
			break
		}
		if st.Upto <= from || seq > 10 {
			t.Fatalf("from %d up to %d", from, st.Upto)
		}
		from = st.Upto
	}
	for k := range int64(500) {
		if !told[2*k+1] {
			t.Fatalf("%d is not told", 2*k+1)
		}
	}
	if len(told) != 500 {
		t.Errorf("%d told", len(told))
	}
}

// The first segment decides which protocol a transaction is of.
func TestKinds(t *testing.T) {
	const plain = "Type:2;TID:7;SEQ:0;DATA:x"
	open := state(0, "'open', 'win': 64, 'have': ''")
	announcement := dgram{manifest(0, "'bytes': 250, 'seg': 100"), orch, client}
	for _, tt := range []struct {
		name  string
		in    []dgram
		want  []string
		wrong uint64 // datagrams of the wrong kind
	}{
		{"a segment with NUM before any manifest decides nothing",
			append(datagrams(numbered(0, 0, 100), plain), announcement), []string{"", "Type:3;TID:7;SEQ:0;", ""}, 1},
		{"a base segment after an announcement", append([]dgram{announcement}, datagrams(plain, numbered(0, 0, 100))...),
			[]string{open, "Type:3;TID:7;SEQ:0;", ""}, 1},
		{"a base segment after one with NUM", append([]dgram{announcement}, datagrams(numbered(1, 0, 100), plain)...),
			[]string{open, "Type:3;TID:7;SEQ:0;NUM:0;DATA:0;", ""}, 1},
		{"a segment with NUM that is dropped decides nothing", append([]dgram{announcement}, datagrams(numbered(1, 0, 99), plain)...),
			[]string{open, "", "Type:3;TID:7;SEQ:0;"}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newExtendedRig(t, Config{Store: new(Memory)})
			r.to(orch, client, "Type:0;")
			for i, d := range tt.in {
				if got := strings.Join(texts(r.in(d)), " "); got != tt.want[i] {
					t.Errorf("%q draws %q, want %q", d.b, got, tt.want[i])
				}
			}
			if st := r.s.Stats(); st.WrongKind != tt.wrong {
				t.Errorf("%d of the wrong kind, want %d", st.WrongKind, tt.wrong)
			}
			r.addsUp()
		})
	}
}

// What was announced and is sent in base has the base protocol's limit and verdict, and its
// room back.
func TestBaseAfterAll(t *testing.T) {
	m := new(Memory)
	r := newExtendedRig(t, Config{Store: m, Receivers: one})
	r.announce(120, 100)
	if m.Used() < 120 {
		t.Errorf("%d bytes are held", m.Used())
	}
	r.now = r.now.Add(20 * time.Second)
	r.want(r.to(sao, client, "Type:2;TID:7;SEQ:0;DATA:base"), "Type:3;TID:7;SEQ:0;")
	for range 3 { // beyond 30 s after the announcement
		r.pass(8 * time.Second)
		r.want(r.to(sao, client, "Type:2;TID:7;SEQ:0;DATA:base"), "Type:3;TID:7;SEQ:0;")
	}
	r.pass(DefaultIdle + time.Second)
	if res := r.result(); !res.Status || res.Extended || res.Bytes != 4 {
		t.Errorf("%+v", res)
	}
	if p, _ := m.Payload(7); string(p) != "base" || m.Used() != 4 {
		t.Errorf("payload %q, %d bytes are held", p, m.Used())
	}
}
