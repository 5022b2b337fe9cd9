package fleet

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"mdalp/fleet/engine"
	"mdalp/fleet/engine/model"
	"mdalp/internal/sim"
	"mdalp/server"
	"mdalp/wire"
)

// What a journal said to be taken is not told any more once its flush has failed, also where the
// directory has no room for another journal; and where the old one cannot be removed either, it is
// put right as soon as that can be.
func TestJournalOfFailedFlush(t *testing.T) {
	first := []wire.Range{{First: 0, Last: 0}}
	for name, x := range map[string]struct {
		fails  []string
		astray bool
		want   []wire.Range
	}{
		"flush":               {[]string{"sync 7.part"}, false, first},
		"flush, no room":      {[]string{"sync 7.part", "make", "rename"}, false, first},
		"flush, no write":     {[]string{"sync 7.part", "write 7.a.journal"}, false, nil},
		"flush, nothing goes": {[]string{"sync 7.part", "write 7.a.journal", "remove"}, true, first},
	} {
		t.Run(name, func(t *testing.T) {
			d := sim.NewDisk()
			s, err := server.NewShared(d, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.MakePart(7, 2000); err != nil {
				t.Fatal(err)
			}
			p, err := s.OpenPart(server.Meta{TID: 7, Segment: 1000}, 2000, "a")
			if err != nil {
				t.Fatal(err)
			}
			told := func() []wire.Range {
				rs, err := s.Journal(7, "a", p.File())
				if err != nil {
					t.Fatal(err)
				}
				return rs
			}
			take := func(seq int64) {
				if taken, _ := p.Take(seq, make([]byte, 1000)); !taken {
					t.Fatal(seq)
				}
				s.Burst()
			}
			take(0)
			if err := p.Sync(); err != nil {
				t.Fatal(err)
			}
			take(1)
			if got := told(); !slices.Equal(got, []wire.Range{{First: 0, Last: 1}}) {
				t.Fatalf("before: %v", got)
			}
			d.Fail = func(op, name string) error {
				if slices.ContainsFunc(x.fails, func(f string) bool { return strings.HasPrefix(op+" "+name, f) }) {
					return syscall.ENOSPC
				}
				return nil
			}
			if err := p.Sync(); !errors.Is(err, syscall.ENOSPC) {
				t.Fatal(err)
			}
			if p.Astray() != x.astray {
				t.Errorf("the journal is astray: %v", p.Astray())
			}
			d.Fail = nil
			if err := p.Sync(); !errors.Is(err, syscall.ENOSPC) || p.Astray() {
				t.Errorf("once more: %v, %v", err, p.Astray())
			}
			if got := told(); !slices.Equal(got, x.want) {
				t.Errorf("it says %v, and not %v", got, x.want)
			}
		})
	}
}

// A receiver that could not flush a base payload acknowledges nothing more of it, and says up to where
// it had: who settles it may read less.
func TestFailedFlushOfBase(t *testing.T) {
	now, d := sim.Epoch, sim.NewDisk()
	r, err := NewReceiver(ReceiverConfig{Folder: d, ID: "a", Addr: netip.MustParseAddrPort("10.0.0.1:4650"),
		Beside: func(job func() func(time.Time)) {
			if back := job(); back != nil {
				back(now)
			}
		}})
	if err != nil {
		t.Fatal(err)
	}
	s := r.stand(now, 7)
	s.state, s.flow = base, server.NewFlow(7, now.Add(time.Minute), 1, false)
	if s.spool, err = r.shared.OpenSpool(server.Meta{TID: 7, Segment: 100}, "a"); err != nil {
		t.Fatal(err)
	}
	acknowledged := func(seq int64) bool {
		flow, _ := r.segment(now, s, &wire.Message{Type: wire.Data, TID: 7, Seq: seq, Data: make([]byte, 100)})
		return flow != nil
	}
	if !acknowledged(0) || !acknowledged(1) {
		t.Fatal("nothing is acknowledged")
	}
	d.Fail = func(op, name string) error {
		if op == "sync" {
			return syscall.ENOSPC
		}
		return nil
	}
	var a engine.Answer
	r.asked(now, engine.Ask{TID: 7, Flush: true, Epoch: 1, Turn: 1}, func(b engine.Answer) { a = b })
	if a.Problem == "" || a.High != 2 {
		t.Errorf("it says %+v", a)
	}
	if acknowledged(2) || acknowledged(1) {
		t.Error("it acknowledges what it may not have")
	}
	if err := d.Remove("7.a.spool"); err != nil { // nobody else sees anything of it
		t.Fatal(err)
	}
	settles := &trans{s: &store{shared: r.shared, log: orLog(nil)}, rec: engine.Record{TID: 7}}
	if err := settles.dead(&a, "a"); err != nil || len(a.Have) > 0 || a.High != 2 {
		t.Errorf("who settles reads %+v, %v", a, err)
	}
	// It is over some time later, and was never flushed.
	s.unsynced = true
	r.end(now, s, over)
	r.sweepStands(now.Add(forgetFor))
	if len(r.stands) > 0 {
		t.Error("it is not forgotten")
	}
}

// What a receiver took that is gone is flushed before a journal says that it was: whoever resumes it
// would go on with what a loss of power has taken.
func TestResumedIsFlushed(t *testing.T) {
	w, d := sim.New(sim.Config{Seed: 1}), sim.NewDisk()
	m := model.New(w, sim.Epoch, 1, model.Faults{})
	defer m.Close()
	life := m.Life(func(func(time.Time)) {})
	shared, err := server.NewShared(d, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := shared.MakePart(7, 2000); err != nil {
		t.Fatal(err)
	}
	p, err := shared.OpenPart(server.Meta{TID: 7, Segment: 1000}, 2000, "a")
	if err != nil {
		t.Fatal(err)
	}
	payload := bytes.Repeat([]byte("x"), 2000)
	take := func(seq int64) {
		p.Take(seq, payload[:1000])
		shared.Burst()
		if err := p.Err(); err != nil {
			t.Fatal(err)
		}
	}
	take(0)
	if err := p.Sync(); err != nil {
		t.Fatal(err)
	}
	take(1) // is in the journal, and not flushed
	p.Close()
	s := &store{engine: m.Client(life), folder: d, shared: shared, ctx: t.Context(), log: orLog(nil)}
	old := &trans{s: s, rec: engine.Record{TID: 7, Bytes: 2000, Segment: 1000, State: engine.Kept,
		Receivers: []engine.Station{{ID: "a"}}}}
	var have []wire.Range
	life.Beside(func() func(time.Time) {
		have, err = s.move(&trans{s: s}, old, server.Meta{TID: 8, Segment: 1000})
		return nil
	})
	if werr := w.Advance(time.Minute); werr != nil {
		t.Fatal(werr)
	}
	if err != nil || !slices.Equal(have, []wire.Range{{First: 0, Last: 1}}) {
		t.Fatal(have, err)
	}
	if b := d.Unplugged(func() bool { return false }).Files()["8.part"]; !bytes.Equal(b, payload) {
		t.Errorf("a loss of power leaves %d bytes, %d of them right", len(b), bytes.Count(b, []byte("x")))
	}
}
