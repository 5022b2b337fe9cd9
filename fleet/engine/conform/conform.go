// Package conform holds an engine against what package engine says of one. Each engine's tests
// run it.
package conform

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"sync"
	"testing"
	"time"

	"mdalp/fleet/engine"
)

// patience is how long one test may take. It is far more than it takes.
const patience = 5 * time.Minute

// A Subject is an engine that is looked at. Nobody else uses it, but it need not be empty.
type Subject struct {
	engine.Engine
	// Pass has that time pass, by the engine's clock.
	Pass func(time.Duration)
	// Now reads that clock; nil is the machine's.
	Now func() time.Time
	// Stream gives the numbers of what was published so far, in order; nil leaves it out.
	Stream func() []int64
	// Go runs f in a goroutine of its own; nil is by a go statement.
	Go func(f func())
}

// Run runs all.
func Run(t *testing.T, s Subject) {
	if s.Go == nil {
		s.Go = func(f func()) { go f() }
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	for _, c := range []struct {
		name string
		f    func(*testing.T, context.Context, Subject)
	}{
		{"create", create}, {"update", update}, {"race", race}, {"unsettled", unsettled},
		{"registry", registry}, {"token", token}, {"mail", mail}, {"settled", settled},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			c.f(t, ctx, s)
		})
	}
}

// record is one of a number that nothing has.
func record() *engine.Record {
	addr := netip.MustParseAddrPort("192.0.2.1:4650")
	return &engine.Record{
		TID: rand.Int64(), State: engine.Created, Owner: "o1", Epoch: 1, Client: addr,
		Offered:   time.Unix(1700000000, 0).UTC(),
		Receivers: []engine.Station{{ID: "r1", Addr: addr, Seg: 8192, Win: 64}},
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// again calls f until the engine answers.
func (s Subject) again(t *testing.T, ctx context.Context, f func() error) {
	t.Helper()
	err := f()
	for errors.Is(err, engine.ErrAway) && ctx.Err() == nil {
		s.Pass(100 * time.Millisecond)
		err = f()
	}
	must(t, err)
}

func want(t *testing.T, what string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%s: %v, not %v", what, err, target)
	}
}

// create: a number is given once, and who asks is told what was written.
func create(t *testing.T, ctx context.Context, s Subject) {
	r := record()
	_, _, err := s.Get(ctx, r.TID)
	want(t, "get of none", err, engine.ErrNotFound)
	rev, err := s.Create(ctx, r)
	must(t, err)
	other := *r
	other.Owner = "o2"
	for _, again := range []*engine.Record{&other, r} {
		_, err = s.Create(ctx, again)
		want(t, "create again", err, engine.ErrExists)
	}
	got, now, err := s.Get(ctx, r.TID)
	must(t, err)
	if now != rev || !reflect.DeepEqual(got, r) {
		t.Errorf("revision %d of %+v, not %d of %+v", now, got, rev, r)
	}
}

// update: a write counts by the newest revision alone.
func update(t *testing.T, ctx context.Context, s Subject) {
	r := record()
	rev, err := s.Create(ctx, r)
	must(t, err)
	r.State, r.Bytes, r.Segment, r.Name = engine.Open, 1<<40, 8192, "name\x00\xff"
	next, err := s.Update(ctx, r, rev)
	must(t, err)
	if next <= rev {
		t.Errorf("revision %d is followed by %d", rev, next)
	}
	for _, old := range []uint64{rev, next + 1<<40} {
		r.Owner = "o2"
		_, err = s.Update(ctx, r, old)
		want(t, fmt.Sprintf("update of revision %d", old), err, engine.ErrConflict)
	}
	got, now, err := s.Get(ctx, r.TID)
	must(t, err)
	if now != next || got.Owner != "o1" || got.State != engine.Open || got.Bytes != 1<<40 {
		t.Errorf("revision %d of %+v", now, got)
	}
	_, err = s.Update(ctx, record(), 1)
	want(t, "update of none", err, engine.ErrConflict)
}

// race: of those who write at once, one has done so, and all others are told.
func race(t *testing.T, ctx context.Context, s Subject) {
	const parties = 8
	r := record()
	var revision uint64
	for round := range 6 {
		var (
			wg   sync.WaitGroup
			mu   sync.Mutex
			won  []string
			next uint64
		)
		for i := range parties {
			mine := *r
			mine.Owner, mine.Epoch = fmt.Sprint("o", i), uint64(round+1)
			wg.Go(func() {
				var rev uint64
				var err error
				expected := engine.ErrConflict
				if round == 0 {
					rev, err = s.Create(ctx, &mine)
					expected = engine.ErrExists
				} else {
					rev, err = s.Update(ctx, &mine, revision)
				}
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					won, next = append(won, mine.Owner), rev
				} else {
					want(t, "who came late", err, expected)
				}
			})
		}
		wg.Wait()
		if len(won) != 1 {
			t.Fatalf("round %d: %v have all written", round, won)
		}
		got, now, err := s.Get(ctx, r.TID)
		must(t, err)
		if got.Owner != won[0] || now != next || got.Epoch != uint64(round+1) {
			t.Errorf("round %d: %s has written revision %d, there is %d of %s",
				round, won[0], next, now, got.Owner)
		}
		revision = next
	}
}

// unsettled: all that was written before, and has not ended, and nothing else.
func unsettled(t *testing.T, ctx context.Context, s Subject) {
	open := make(map[int64]uint64)
	ended := make(map[int64]bool)
	for _, state := range []engine.State{engine.Created, engine.Open, engine.Settling, engine.Complete,
		engine.Damaged, engine.Kept, engine.Void} {
		r := record()
		rev, err := s.Create(ctx, r)
		must(t, err)
		if state != engine.Created {
			r.State, r.Bytes, r.Segment = state, 5000, 1200
			rev, err = s.Update(ctx, r, rev)
			must(t, err)
		}
		if state.Ended() {
			ended[r.TID] = true
		} else {
			open[r.TID] = rev
		}
	}
	all, err := s.Unsettled(ctx)
	must(t, err)
	for _, e := range all {
		if ended[e.Record.TID] {
			t.Errorf("%+v has ended", e.Record)
		}
		if rev, ours := open[e.Record.TID]; ours && rev != e.Revision {
			t.Errorf("TID %d has revision %d, not %d", e.Record.TID, e.Revision, rev)
		}
		delete(open, e.Record.TID)
	}
	if len(open) > 0 {
		t.Errorf("%d are missing", len(open))
	}
}
