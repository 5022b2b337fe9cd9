package server

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"mdalp/loop"
	"mdalp/wire"
)

func acked(seq int, ranges string) string {
	num := strings.FieldsFunc(ranges, func(c rune) bool { return c == ',' })[0]
	_, last, ok := strings.Cut(num, "-")
	if !ok {
		last = num
	}
	return fmt.Sprintf("Type:3;TID:7;SEQ:%d;NUM:%s;DATA:%s;", seq, last, ranges)
}

// One acknowledgement of each receiver for all of a burst.
func TestBlockAcks(t *testing.T) {
	type step struct {
		in   []dgram
		want []string
	}
	at := func(local, peer int, bs ...string) (ds []dgram) {
		for _, b := range bs {
			ds = append(ds, dgram{b, three[local].Addr, port(peer)})
		}
		return ds
	}
	for _, tt := range []struct {
		name  string
		steps []step
	}{
		{"at once for a single segment", []step{
			{at(0, 1, numbered(0, 0, 100)), []string{acked(0, "0")}},
			{at(0, 1, numbered(1, 1, 100)), []string{acked(1, "0-1")}},
		}},
		{"once for a train", []step{
			{at(0, 1, numbered(5, 0, 100), numbered(6, 1, 100), numbered(7, 2, 100), numbered(8, 3, 100)), []string{acked(0, "0-3")}},
		}},
		{"each receiver has NUMs and acknowledgements of its own", []step{
			{append(at(0, 1, numbered(0, 0, 100)), at(2, 2, numbered(1, 0, 100), numbered(2, 1, 100))...), []string{acked(0, "0"), acked(0, "0-1")}},
			{at(2, 2, numbered(3, 2, 100)), []string{acked(1, "0-2")}},
			{at(0, 1, numbered(4, 1, 100)), []string{acked(1, "0-1")}},
		}},
		{"what is missing is a gap, and the largest stands first", []step{
			{at(0, 1, numbered(0, 3, 100), numbered(1, 0, 100), numbered(2, 9, 100), numbered(3, 8, 100), numbered(4, 1, 100)), []string{acked(0, "8-9,3,0-1")}},
			{at(0, 1, numbered(5, 2, 100)), []string{acked(1, "8-9,0-3")}},
		}},
		{"a NUM that comes twice is acknowledged again", []step{
			{at(0, 1, numbered(0, 0, 100)), []string{acked(0, "0")}},
			{at(0, 1, numbered(0, 0, 100)), []string{acked(1, "0")}},
		}},
		{"a SEQ that comes twice under another NUM is acknowledged", []step{
			{at(0, 1, numbered(0, 0, 100)), []string{acked(0, "0")}},
			{at(0, 1, numbered(0, 4, 100)), []string{acked(1, "4,0")}},
			{at(1, 1, numbered(0, 0, 100)), []string{acked(0, "0")}},
		}},
		{"leading zeros", []step{
			{at(0, 1, "Type:2;TID:7;SEQ:0000;NUM:0000000000000000007;DATA:"+strings.Repeat("a", 100)), []string{acked(0, "7")}},
		}},
		{"the last segment is short, the others are not", []step{
			{at(0, 1, numbered(20, 0, 50)), []string{acked(0, "0")}},
			{at(0, 1, numbered(0, 1, 99), numbered(0, 2, 101), numbered(20, 3, 49), numbered(20, 4, 51), numbered(20, 5, 100), numbered(1, 6, 0)), nil},
			{at(0, 1, numbered(0, 7, 100)), []string{acked(1, "7,0")}},
		}},
		{"SEQ out of bounds", []step{
			{at(0, 1, numbered(21, 0, 100), numbered(21, 1, 50), "Type:2;TID:7;SEQ:9223372036854775807;NUM:2;DATA:x"), nil},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newExtendedRig(t, Config{Store: new(Memory)})
			r.announce(2050, 100)
			for _, s := range tt.steps {
				got := r.in(s.in...)
				r.want(texts(got), s.want...)
				for i, d := range got {
					from := s.in[len(s.in)-1]
					if i == 0 && len(got) > 1 {
						from = s.in[0]
					}
					if d.env.Local != from.local || d.env.Peer != from.peer {
						t.Errorf("it went from %v to %v", d.env.Local, d.env.Peer)
					}
				}
			}
			r.addsUp()
		})
	}
}

// An acknowledgement goes to where the newest segment came from: a translator of addresses
// may change its mind.
func TestAckFollowsPort(t *testing.T) {
	r := newExtendedRig(t, Config{})
	r.announce(2050, 100)
	got := r.in(dgram{b: numbered(0, 0, 100), peer: port(1)}, dgram{b: numbered(1, 1, 100), peer: port(2)})
	r.want(texts(got), acked(0, "0-1"))
	if got[0].env.Peer != port(2) {
		t.Errorf("it went to %v", got[0].env.Peer)
	}
}

// At most 32 ranges are told, at least 256 are remembered, and the lowest are forgotten.
func TestAckRanges(t *testing.T) {
	r := newExtendedRig(t, Config{})
	r.announce(100*20_000, 100)
	parse := func(got []string) []wire.Range {
		t.Helper()
		if len(got) != 1 {
			t.Fatalf("sent %q", got)
		}
		m, err := wire.Parse([]byte(got[0]))
		if err != nil {
			t.Fatal(err)
		}
		rs, err := wire.ParseAckRanges(&m, nil)
		if err != nil {
			t.Fatal(err)
		}
		return rs
	}
	last := 0
	for k := range 300 { // NUMs 0, 2, 4 and so on
		last = 2 * k
		rs := parse(r.to(sao, client, numbered(k, last, 100)))
		if len(rs) != min(k+1, 32) || rs[0].Last != int64(last) || rs[len(rs)-1].First != int64(last-2*(len(rs)-1)) {
			t.Fatalf("NUM %d draws %v", last, rs)
		}
	}
	// The gaps of the last 256 are filled from the highest on: all of it is remembered.
	var rs []wire.Range
	for k := range 255 {
		rs = parse(r.to(sao, client, numbered(1000+k, last-1-2*k, 100)))
	}
	if first := int64(last - 2*255); rs[0] != (wire.Range{First: first, Last: int64(last)}) {
		t.Errorf("%v, want from %d", rs[0], first)
	}
	// Any number of gaps takes a bounded memory.
	for k := range 10_000 {
		parse(r.to(sao, client, numbered(2000+k, 1000+2*k, 100)))
	}
	if n := r.s.byTID[7].arrived[0].nums.set.len(); n < 256 || n > mostNumbers {
		t.Errorf("%d ranges are remembered", n)
	}
}

// A payload whose segments lie scattered takes a bounded memory, and arrives all the same.
func TestScattered(t *testing.T) {
	m := new(Memory)
	r := newExtendedRig(t, Config{Store: m, Receivers: one})
	const total = 2*mostRanges + 10
	r.announce(100*total, 100)
	num := 0
	send := func(seq int) (taken bool) {
		num++
		return len(r.to(sao, client, numbered(seq, num, 100))) == 1
	}
	for k := range mostRanges {
		if !send(2 * k) {
			t.Fatalf("SEQ %d is not taken", 2*k)
		}
	}
	if send(2*mostRanges) || send(total-1) {
		t.Fatal("one more range than may be is taken")
	}
	if !send(1) || !send(2*mostRanges) || send(total-1) {
		t.Fatal("what closes a gap is not taken, or more than that")
	}
	if st := r.s.Stats(); st.TooScattered != 3 || st.Stored != mostRanges+2 {
		t.Errorf("%+v", st)
	}
	for seq := range total {
		send(seq)
	}
	if p, ok := r.verdict(m, 1, total*100); !ok {
		t.Errorf("%d bytes", len(p))
	}
	r.addsUp()
}

// flaw is a store of places that fail where it says so.
type flaw struct {
	*Memory
	write, taken, publish error // while they are not nil
	holds                 int   // a Write fails above so many bytes, unless it is 0
	left                  []wire.Range
	discarded             int
}

func (f *flaw) Place(m Meta, size int64) (Place, error) {
	p, err := f.Memory.Place(m, size)
	return &flawPlace{p, f}, err
}

type flawPlace struct {
	Place
	f *flaw
}

func (p *flawPlace) Write(b []byte, off int64) error {
	if p.f.write != nil || p.f.holds > 0 && off+int64(len(b)) > int64(p.f.holds) {
		return errors.Join(p.f.write, ErrFull)
	}
	return p.Place.Write(b, off)
}

func (p *flawPlace) Taken(rs []wire.Range) error {
	if p.f.taken != nil {
		return p.f.taken
	}
	return p.Place.Taken(rs)
}

func (p *flawPlace) Publish(want *[sha256.Size]byte) (sum [sha256.Size]byte, path string, err error) {
	if p.f.publish != nil {
		return sum, "", p.f.publish
	}
	return p.Place.Publish(want)
}

func (p *flawPlace) Keep(have []wire.Range) string {
	p.f.left = append([]wire.Range{}, have...)
	return p.Place.Keep(have)
}

func (p *flawPlace) Discard() {
	p.f.discarded++
	p.Place.Discard()
}

// A store that fails in the midst of a transfer: the client is told, what was not written is
// not acknowledged, and what was acknowledged before is kept.
func TestStoreFails(t *testing.T) {
	const ask = "'bytes': 2050, 'seg': 100"
	for _, tt := range []struct {
		name  string
		fail  func(f *flaw)
		why   string
		burst []string
		kept  string
	}{
		{"full", func(f *flaw) { f.write = syscall.ENOSPC }, "no room", []string{numbered(4, 4, 100)}, "0-1"},
		{"broken", func(f *flaw) { f.taken = syscall.EIO }, "the store failed", []string{numbered(4, 4, 100)}, "0-1"},
		{"full at the second train of a burst", func(f *flaw) { f.holds = 1000 }, "no room",
			[]string{numbered(4, 4, 100), numbered(5, 5, 100), numbered(12, 6, 100), numbered(3, 7, 100), numbered(2, 8, 100)}, "0-1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := &flaw{Memory: new(Memory)}
			r := newExtendedRig(t, Config{Store: f})
			r.announce(2050, 100)
			// The same, where it takes a while to keep what there is.
			var l later
			slow := newExtendedRig(t, Config{Store: f, Beside: l.beside})
			slow.to(orch, client, "Type:0;")
			slow.to(orch, client, manifest(0, ask))
			l.do(slow)
			slow.want(texts(slow.drain()), state(0, "'open', 'win': 64, 'have': ''"))
			tt.fail(f)
			slow.want(texts(slow.in(datagrams(tt.burst...)...)))
			f.write, f.taken, f.holds = nil, nil, 0
			l.do(slow)
			r.want(texts(r.in(datagrams(numbered(0, 0, 100), numbered(1, 1, 100))...)), acked(0, "0-1"))
			tt.fail(f)
			r.want(texts(r.in(datagrams(tt.burst...)...)))
			if len(r.results) != 1 {
				t.Fatal("it waits for the next datagram")
			}
			f.write, f.taken, f.holds = nil, nil, 0
			r.want(r.to(sao, client, numbered(9, 9, 100)))
			r.want(r.to(orch, client, manifest(1, ask)), state(1, "'refused', 'comment': '"+tt.why+"'"))
			if got := string(wire.AppendRanges(nil, f.left)); got != tt.kept {
				t.Errorf("kept are %q, want %q", got, tt.kept)
			}
			res := r.result()
			if res.Status || res.Bytes != 200 || res.Err == nil || f.Used() != 2050 {
				t.Errorf("%+v, %d bytes are held", res, f.Used())
			}
			st := r.s.Stats()
			if st.Stored != 2 || st.Bytes != 200 || r.s.origins[sourceOf(client.Addr(), false)] != nil {
				t.Errorf("%+v", st)
			}
			r.addsUp()
		})
	}
}

// A segment and its acknowledgement allocate nothing, in a train or alone.
func TestBlocksAllocateNothing(t *testing.T) {
	for _, train := range []int{1, 64} {
		r := newExtendedRig(t, Config{Receivers: one, Store: new(Memory)})
		r.announce(1200*64*2000, 1200)
		e, back, out := &loop.Envelope{Peer: client, Local: sao}, new(loop.Envelope), make([]byte, 0, 2048)
		data, in := []byte(strings.Repeat("x", 1200)), make([]byte, 0, 2048)
		seq := int64(0)
		acks := 0
		n := testing.AllocsPerRun(500, func() {
			for range train {
				in = append(wire.AppendSegmentHeader(in[:0], 7, seq, seq, 6, 7), data...)
				seq++
				r.s.Receive(r.now, e, in)
			}
			for {
				if _, ok := r.s.Transmit(r.now, back, out); !ok {
					break
				}
				acks++
			}
		})
		if st := r.s.Stats(); n != 0 || st.Stored != uint64(seq) || acks != 501 {
			t.Errorf("trains of %d: %v allocations, %d acknowledgements, %+v", train, n, acks, st)
		}
	}
}
