package server

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"mdalp/loop"
	"mdalp/wire"
)

// chaos is a server that is met by whatever comes in whatever order, from a store that
// fails now and then and may be slow.
type chaos struct {
	*rig
	d     *rapid.T
	later later
	store *flaw
	came  map[chaosNum]int64 // SEQ
	acked map[int64]map[int64]bool
}

// chaosNum is one transmission.
type chaosNum struct {
	tid      int64
	receiver int
	num      int64
}

var (
	chaosNumber = rapid.Int64Range(0, 12)
	chaosError  = rapid.SampledFrom([]error{nil, nil, nil, errors.New("broken")})
)

// TestExtendedAnything holds what the server sends against what came: it must acknowledge
// nothing that it does not have, and call complete only what is whole and there.
func TestExtendedAnything(t *testing.T) {
	rapid.Check(t, func(d *rapid.T) {
		c := &chaos{d: d, store: &flaw{Memory: new(Memory)}, came: map[chaosNum]int64{}, acked: map[int64]map[int64]bool{}}
		cfg := Config{Store: c.store, Receivers: three[:2], RoomPerOffer: -1, IntentRate: -1, Concurrent: 2, Remember: 2, MaxBytes: 2000}
		if rapid.Bool().Draw(d, "beside") {
			cfg.Beside = c.later.beside
		}
		c.rig = newExtendedRig(t, cfg)
		for range rapid.IntRange(1, 60).Draw(d, "steps") {
			c.step()
			c.addsUp()
		}
		c.store.write, c.store.taken, c.store.publish = nil, nil, nil
		c.look(c.drain())
		c.s.Close(c.now)
		for len(c.later.jobs) > 0 {
			c.later.do(c.rig)
		}
		if c.s.open > 0 || c.s.running > 0 || c.store.Used() != c.store.kept() {
			d.Fatalf("%d transactions are open, %d jobs under way, %d bytes held", c.s.open, c.s.running, c.store.Used())
		}
		c.addsUp()
	})
}

// kept is how many bytes of payloads are kept.
func (f *flaw) kept() int64 { return f.Memory.kept }

// step does one thing.
func (c *chaos) step() {
	d := c.d
	e := loop.Envelope{Peer: port(rapid.IntRange(1, 2).Draw(d, "client")), Local: orch, At: c.now}
	tid := 7 + rapid.Int64Range(0, 3).Draw(d, "tid")
	switch rapid.SampledFrom([]string{"intent", "manifest", "segment", "segment", "segment", "whole", "base", "send", "time", "jobs", "flaw", "close"}).Draw(d, "step") {
	case "intent":
		c.s.Receive(c.now, &e, []byte("Type:0;"))
	case "manifest":
		c.manifest(&e, tid)
	case "segment":
		i, num := rapid.IntRange(0, 1).Draw(d, "receiver"), int64(len(c.came))
		if rapid.Bool().Draw(d, "repeated") {
			num = chaosNumber.Draw(d, "num")
		}
		c.segment(e, chaosNum{tid, i, num}, chaosNumber.Draw(d, "seq"), rapid.SampledFrom([]int{100, 100, 50, 1}).Draw(d, "bytes"))
	case "whole":
		for seq, n := range []int{100, 100, 50} {
			c.segment(e, chaosNum{tid, 0, int64(len(c.came))}, int64(seq), n)
		}
		c.to7(&e, tid, asks(12, 250, 100, letters(250)))
	case "base":
		e.Local = sao
		c.s.Receive(c.now, &e, fmt.Appendf(nil, "Type:2;TID:%d;SEQ:%d;DATA:x", tid, chaosNumber.Draw(d, "seq")))
	case "send":
		c.look(c.drain())
	case "time":
		c.look(c.drain())
		c.look(c.pass(time.Duration(rapid.IntRange(1, 40).Draw(d, "seconds")) * time.Second))
	case "jobs":
		c.later.do(c.rig)
	case "flaw":
		f := c.store
		f.write, f.taken, f.publish = chaosError.Draw(d, "write"), chaosError.Draw(d, "taken"), chaosError.Draw(d, "publish")
	case "close":
		if rapid.IntRange(0, 9).Draw(d, "really") == 0 {
			c.s.Close(c.now)
		}
	}
}

// to7 hands over a datagram of transaction 7 as one of tid.
func (c *chaos) to7(e *loop.Envelope, tid int64, b string) {
	c.s.Receive(c.now, e, []byte(strings.Replace(b, "TID:7", fmt.Sprint("TID:", tid), 1)))
}

func (c *chaos) manifest(e *loop.Envelope, tid int64) {
	size, seq := rapid.SampledFrom([]int{250, 950, 1000}).Draw(c.d, "size"), int(chaosNumber.Draw(c.d, "seq"))
	b := manifest(seq, fmt.Sprintf("'bytes': %d, 'seg': 100", size))
	if rapid.Bool().Draw(c.d, "ask") {
		b = asks(seq, size, 100, letters(size))
	} else if rapid.Bool().Draw(c.d, "from") {
		b = manifest(seq, fmt.Sprintf("'bytes': %d, 'seg': 100, 'from': 3", size))
	}
	c.to7(e, tid, b)
}

// segment hands over a segment. A NUM is never used for two SEQs.
func (c *chaos) segment(e loop.Envelope, k chaosNum, seq int64, n int) {
	if old, ok := c.came[k]; ok {
		seq = old
	}
	c.came[k] = seq
	e.Local = three[k.receiver].Addr
	c.to7(&e, k.tid, numbered(int(seq), int(k.num), n))
}

// look holds what was sent against what came.
func (c *chaos) look(out []sent) {
	for _, o := range out {
		m, err := wire.Parse([]byte(o.b))
		if err != nil {
			c.d.Fatalf("sent %q: %v", o.b, err)
		}
		switch {
		case m.Type == wire.Ack && m.Num != wire.Absent:
			c.ack(&o, &m)
		case m.Type == wire.StateType:
			c.state(&o, &m)
		}
	}
}

func (c *chaos) ack(o *sent, m *wire.Message) {
	i, _ := c.s.rcv.receiver(&loop.Envelope{Local: o.env.Local})
	rs, err := wire.ParseAckRanges(m, nil)
	if err != nil {
		c.d.Fatalf("sent %q: %v", o.b, err)
	}
	if c.acked[m.TID] == nil {
		c.acked[m.TID] = map[int64]bool{}
	}
	for _, x := range rs {
		for num := x.First; num <= x.Last; num++ {
			seq, ok := c.came[chaosNum{m.TID, i, num}]
			if !ok {
				c.d.Fatalf("%q: receiver %d never got NUM %d", o.b, i, num)
			}
			c.acked[m.TID][seq] = true
		}
	}
}

func (c *chaos) state(o *sent, m *wire.Message) {
	st, err := wire.ParseState(m.Data)
	if err != nil || len(o.b) > wire.MaxManifest {
		c.d.Fatalf("sent %q: %v", o.b, err)
	}
	if t := c.s.byTID[m.TID]; st.Told && st.Upto == wire.Absent && t != nil && t.ext.dialog.from == 0 {
		for seq := range c.acked[m.TID] { // order does not show
			if !slices.ContainsFunc(st.Have, func(x wire.Range) bool { return x.First <= seq && seq <= x.Last }) {
				c.d.Fatalf("%q lacks %d, which was acknowledged", o.b, seq)
			}
		}
	}
	if p, ok := c.store.Payload(m.TID); st.Standing == wire.Complete && (!ok || string(p) != letters(len(p))) {
		c.d.Fatalf("%q, and there is %q", o.b, p)
	}
}
