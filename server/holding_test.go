package server

import (
	"bytes"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"mdalp/loop"
	"mdalp/wire"
)

// A pair is receivers and their ledger as two programs. What goes from one to the other, the
// test carries.
type pair struct {
	*rig // of the orchestrator, whose server is not used
	o    *Orchestrator
	v    *Receivers
}

func newPair(t testing.TB, cfg Config) *pair {
	t.Helper()
	p := &pair{rig: &rig{t: t, now: epoch}}
	def(&cfg.FirstTID, 7)
	def(&cfg.Segment, 1200)
	def(&cfg.Window, 64)
	cfg.Receivers = three
	cfg.Settled = func(res Result) { p.results = append(p.results, res) }
	var err error
	if p.o, err = NewOrchestrator(cfg); err != nil {
		t.Fatal(err)
	}
	if p.v, err = NewReceivers(three); err != nil {
		t.Fatal(err)
	}
	p.o.Expire(p.now)
	p.v.Expire(p.now)
	return p
}

// all is what a program has to send.
func (p *pair) all(h loop.Handler) (out []string) {
	for {
		var e loop.Envelope
		b, ok := h.Transmit(p.now, &e, nil)
		if !ok {
			return out
		}
		out = append(out, string(b))
	}
}

// tell hands the orchestrator a datagram, and gives what it sends then.
func (p *pair) tell(b string) []string {
	p.o.Receive(p.now, &loop.Envelope{Peer: client, Local: orch}, []byte(b))
	return p.all(p.o)
}

// segment hands the receivers a datagram that must not be acknowledged now.
func (p *pair) segment(peer netip.AddrPort, b string) {
	p.t.Helper()
	p.v.Receive(p.now, &loop.Envelope{Peer: peer, Local: sao}, []byte(b))
	p.want(p.all(p.v))
}

// asks is what the receivers ask.
func (p *pair) asks() (as []Ask) {
	for {
		a, ok := p.v.Ask()
		if !ok {
			return as
		}
		a.Data = bytes.Clone(a.Data)
		as = append(as, a)
	}
}

// answers has the ledger answer.
func (p *pair) answers(as ...Ask) (rs []Reply) {
	for i := range as {
		p.o.Asked(p.now, &as[i])
	}
	for {
		r, ok := p.o.Reply(p.now)
		if !ok {
			return rs
		}
		rs = append(rs, r)
	}
}

// acks is what the receivers send on answers.
func (p *pair) acks(rs ...Reply) []string {
	for i := range rs {
		p.v.Answer(p.now, &rs[i])
	}
	return p.all(p.v)
}

// A whole transfer of the base protocol by two programs.
func TestApart(t *testing.T) {
	p := newPair(t, Config{})
	p.tell("Type:0;")
	p.segment(client, "Type:2;TID:7;SEQ:0;DATA:ab")
	p.segment(client, "Type:2;TID:7;SEQ:1;DATA:c")
	as := p.asks()
	if len(as) != 2 || as[0].TID != 7 || as[0].Num != wire.Absent || string(as[0].Data) != "ab" || as[0].Peer != client {
		t.Fatalf("asked: %+v", as)
	}
	p.want(p.acks(p.answers(as...)...), "Type:3;TID:7;SEQ:0;", "Type:3;TID:7;SEQ:1;")
	p.o.Close(p.now.Add(time.Minute))
	if r := p.result(); !r.Complete || r.Bytes != 3 || r.Receivers[0].Segments != 2 {
		t.Errorf("%+v", r)
	}
}

// An acknowledgement of the extended protocol tells what was answered, and nothing else.
func TestApartExtended(t *testing.T) {
	p := newPair(t, Config{})
	p.tell("Type:0;")
	p.want(p.tell(manifest(0, "'bytes': 250, 'seg': 100")), state(0, "'open', 'win': 64, 'have': ''"))
	for seq, n := range []int{100, 100, 50} {
		p.segment(client, numbered(seq, seq, n))
	}
	rs := p.answers(p.asks()...)
	p.want(p.acks(rs[2], rs[0]), "Type:3;TID:7;SEQ:0;NUM:2;DATA:2,0;")
	p.want(p.acks(rs[1]), "Type:3;TID:7;SEQ:1;NUM:2;DATA:0-2;")
	if st := p.o.Stats(); st.Stored != 3 || st.Datagrams != causes(st) {
		t.Errorf("%+v", st)
	}
}

// A segment that comes again while it is held is asked for once, and acknowledged once, where
// it came from last.
func TestHeldOnce(t *testing.T) {
	p := newPair(t, Config{})
	p.tell("Type:0;")
	other := netip.MustParseAddrPort("192.0.2.99:7")
	p.segment(client, "Type:2;TID:7;SEQ:0;DATA:ab")
	p.segment(other, "Type:2;TID:7;SEQ:0;DATA:ab")
	rs := p.answers(p.asks()...)
	if len(rs) != 1 || !rs[0].Taken {
		t.Fatalf("answers: %+v", rs)
	}
	p.v.Answer(p.now, &rs[0])
	var e loop.Envelope
	if b, ok := p.v.Transmit(p.now, &e, nil); !ok || string(b) != "Type:3;TID:7;SEQ:0;" || e.Peer != other || e.Local != sao {
		t.Errorf("%q to %v from %v", b, e.Peer, e.Local)
	}
	p.want(p.acks(rs[0]))
	if st := p.v.Stats(); st.Held != 2 || st.LateReplies != 1 || st.Acks != 1 || st.Datagrams != causes(st) {
		t.Errorf("%+v", st)
	}
}

// A ledger that does not answer is asked again, each time later, and then the segment is
// as good as lost.
func TestAskedAgain(t *testing.T) {
	p := newPair(t, Config{})
	p.segment(client, "Type:2;TID:7;SEQ:0;DATA:ab")
	var at []time.Duration
	for len(p.v.held.byKey) > 0 {
		for range p.asks() {
			at = append(at, p.now.Sub(epoch).Round(10*time.Millisecond))
		}
		next, ok := p.v.Next()
		if !ok || !next.After(p.now) || next.Sub(epoch) > time.Minute {
			t.Fatalf("it wants to be woken at %v", next)
		}
		p.now = next
		p.v.Expire(p.now)
	}
	want := []time.Duration{0, 100, 300, 700, 1500, 3100}
	if len(at) != len(want) {
		t.Fatalf("asked at %v", at)
	}
	for k := range at {
		if d := at[k] - want[k]*time.Millisecond; d < 0 || d > 100*time.Millisecond {
			t.Errorf("asked at %v, want about %v", at, want)
		}
	}
	if st := p.v.Stats(); st.AcksDropped != 1 || len(p.asks()) != 0 || p.v.held.bytes != 0 {
		t.Errorf("%+v", st)
	}
}

// What names other bytes, another receiver or another transaction than those held is no
// answer, and neither is a refusal.
func TestForeignAnswers(t *testing.T) {
	for name, edit := range map[string]func(*Reply){
		"tid":      func(r *Reply) { r.TID++ },
		"seq":      func(r *Reply) { r.Seq++ },
		"num":      func(r *Reply) { r.Num = 0 },
		"receiver": func(r *Reply) { r.Receiver++ },
		"bytes":    func(r *Reply) { r.Sum++ },
		"refused":  func(r *Reply) { r.Taken = false },
		"too late": func(r *Reply) { r.For = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, Config{})
			p.tell("Type:0;")
			p.segment(client, "Type:2;TID:7;SEQ:0;DATA:ab")
			r := p.answers(p.asks()...)[0]
			edit(&r)
			p.want(p.acks(r))
			if st := p.v.Stats(); st.Acks != 0 || st.AcksDropped+st.LateReplies != 1 {
				t.Errorf("%+v", st)
			}
		})
	}
}

// An answer to an ask of long ago acknowledges no longer than it says, whatever came since.
func TestOldAnswer(t *testing.T) {
	p := newPair(t, Config{Limit: 20 * time.Second})
	p.tell("Type:0;")
	p.segment(client, "Type:2;TID:7;SEQ:0;DATA:ab")
	r := p.answers(p.asks()...)[0]
	p.want(p.acks(r), "Type:3;TID:7;SEQ:0;")
	p.now = p.now.Add(21 * time.Second)
	p.segment(client, "Type:2;TID:7;SEQ:0;DATA:ab")
	p.want(p.acks(r))
	if st := p.v.Stats(); st.Acks != 1 || st.AcksDropped != 1 {
		t.Errorf("%+v", st)
	}
}

// Neither segments nor bytes nor transactions are held without bound.
func TestHeldBounded(t *testing.T) {
	p := newPair(t, Config{})
	in := func(tid, seq int64, n int) {
		p.v.Receive(p.now, &loop.Envelope{Peer: client, Local: sao}, wire.AppendData(nil, tid, seq, make([]byte, n)))
	}
	for seq := range int64(mostHeld + 10) {
		in(7, seq, 1)
	}
	if st := p.v.Stats(); st.Held != mostHeld || st.NotHeld != 10 || len(p.asks()) != mostHeld {
		t.Errorf("%d held, %d not", st.Held, st.NotHeld)
	}
	p = newPair(t, Config{})
	for seq := range int64(300) {
		in(7, seq, 60_000)
	}
	if p.v.held.bytes > mostHeldBytes || p.v.Stats().NotHeld != 300-mostHeldBytes/60_000 {
		t.Errorf("%d bytes, %+v", p.v.held.bytes, p.v.Stats())
	}
	p = newPair(t, Config{})
	for tid := range int64(mostFlows + 10) {
		in(tid, 0, 1)
		for _, a := range p.asks() {
			p.v.Answer(p.now, &Reply{Key: a.Key, Taken: true, At: a.At, For: time.Second})
		}
		p.all(p.v)
	}
	if n := len(p.v.held.flows); n != mostFlows || p.v.Stats().AcksDropped != 10 {
		t.Errorf("%d flows, %+v", n, p.v.Stats())
	}
	p.now = p.now.Add(flowKept)
	for seq := range int64(mostFlows) {
		in(1<<40+seq, 0, 1)
		for _, a := range p.asks() {
			p.v.Answer(p.now, &Reply{Key: a.Key, Taken: true, At: a.At, For: time.Second})
		}
		p.all(p.v)
	}
	if n := len(p.v.held.flows); n != mostFlows || p.v.Stats().AcksDropped != 10 {
		t.Errorf("%d flows, %+v", n, p.v.Stats())
	}
}

// The ledger takes once what is asked for twice, says no to what it does not take, and to
// what makes no sense nothing.
func TestAsked(t *testing.T) {
	key := func(tid, seq int64, data string) Key {
		return Key{TID: tid, Seq: seq, Num: wire.Absent, Sum: Sum([]byte(data))}
	}
	for name, c := range map[string]struct {
		a     Ask
		want  string // of "no", "yes", or nothing
		count func(*Stats) uint64
	}{
		"new":       {Ask{Key: key(7, 1, "x"), Data: []byte("x")}, "yes", func(s *Stats) uint64 { return s.Stored - 1 }},
		"again":     {Ask{Key: key(7, 0, "ab"), Data: []byte("ab")}, "yes", func(s *Stats) uint64 { return s.Duplicates }},
		"conflict":  {Ask{Key: key(7, 0, "ax"), Data: []byte("ax")}, "no", func(s *Stats) uint64 { return s.Conflicts }},
		"unknown":   {Ask{Key: key(8, 0, "x"), Data: []byte("x")}, "no", func(s *Stats) uint64 { return s.UnknownTID }},
		"too long":  {Ask{Key: key(7, 1, strings.Repeat("x", 101)), Data: []byte(strings.Repeat("x", 101))}, "no", func(s *Stats) uint64 { return s.Oversize }},
		"damaged":   {Ask{Key: key(7, 1, "x"), Data: []byte("y")}, "", func(s *Stats) uint64 { return s.Malformed }},
		"negative":  {Ask{Key: key(-1, 1, "x"), Data: []byte("x")}, "", func(s *Stats) uint64 { return s.Malformed }},
		"elsewhere": {Ask{Key: Key{TID: 7, Seq: 1, Num: wire.Absent, Receiver: 3, Sum: Sum([]byte("x"))}, Data: []byte("x")}, "", func(s *Stats) uint64 { return s.Elsewhere }},
		"kind":      {Ask{Key: Key{TID: 7, Seq: 1, Num: 0, Sum: Sum([]byte("x"))}, Data: []byte("x")}, "no", func(s *Stats) uint64 { return s.WrongKind }},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, Config{})
			p.tell("Type:0;")
			p.answers(Ask{Key: key(7, 0, "ab"), Data: []byte("ab")})
			got := ""
			for _, r := range p.answers(c.a) {
				if got = "no"; r.Taken {
					got = "yes"
				}
				if r.Key != c.a.Key {
					t.Errorf("the answer names %+v", r.Key)
				}
			}
			if st := p.o.Stats(); got != c.want || c.count(&st) != 1 || st.Datagrams != causes(st) {
				t.Errorf("%q, %+v", got, st)
			}
		})
	}
}

// More asks than may wait for their answers are dropped: who asked asks again.
func TestAskedBounded(t *testing.T) {
	p := newPair(t, Config{})
	p.tell("Type:0;")
	for seq := range int64(mostAsked + 10) {
		p.o.Asked(p.now, &Ask{Key: Key{TID: 7, Seq: seq, Num: wire.Absent, Sum: Sum([]byte("x"))}, Data: []byte("x")})
	}
	if n, st := len(p.answers()), p.o.Stats(); n != mostAsked || st.AsksDropped != 10 || st.Stored != mostAsked {
		t.Errorf("%d answers, %+v", n, st)
	}
}

// What cannot be written is not said to be taken, and the client is told why.
func TestApartUnwritten(t *testing.T) {
	p := newPair(t, Config{Store: &flaw{Memory: new(Memory), write: errors.New("no")}})
	p.tell("Type:0;")
	p.tell(manifest(0, "'bytes': 100, 'seg': 100"))
	p.segment(client, numbered(0, 0, 100))
	rs := p.answers(p.asks()...)
	if len(rs) != 1 || rs[0].Taken {
		t.Fatalf("answers: %+v", rs)
	}
	p.want(p.acks(rs...))
}
