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
	"slices"
	"sync"
	"testing"
	"time"

	"mdalp/fleet/engine"
	"mdalp/wire"
)

// patience is how long any call may take.
const patience = 60 * time.Second

// A Subject is an engine that is looked at. Nobody else uses it, but it need not be empty.
type Subject struct {
	engine.Engine
	// Pass has that time pass, by the engine's clock.
	Pass func(time.Duration)
	// Stream gives the numbers of what was published so far, in order; nil leaves it out.
	Stream func() []int64
}

// Run runs all.
func Run(t *testing.T, s Subject) {
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
	if next == rev {
		t.Error("the revision stays")
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
			t.Errorf("round %d: %s has written revision %d, there is %d of %s", round, won[0], next, now, got.Owner)
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
			r.State = state
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

// registry: who says so is there, who leaves is not, and who is silent is not for long.
func registry(t *testing.T, ctx context.Context, s Subject) {
	party := func(role engine.Role, id string) *engine.Party {
		return &engine.Party{Role: role, ID: id, Addr: netip.MustParseAddrPort("192.0.2.7:4650"),
			Zone: "z", Token: "token", Seg: 8192, Win: 64, Free: 1 << 40, Open: 3, Name: "name"}
	}
	there := func(condition func([]string) bool, what string) {
		t.Helper()
		var ids []string
		for ctx.Err() == nil {
			all, err := s.Living(ctx)
			must(t, err)
			ids = ids[:0]
			for _, p := range all {
				ids = append(ids, p.ID)
				if p.ID == "a" && !reflect.DeepEqual(p, *party(engine.Receiver, "a")) {
					t.Fatalf("%+v is told", p)
				}
			}
			if !slices.IsSorted(ids) {
				t.Fatalf("%v are in no order", ids)
			}
			if condition(ids) {
				return
			}
			s.Pass(100 * time.Millisecond)
		}
		t.Fatalf("%s: there are %v", what, ids)
	}
	has := func(ids ...string) func([]string) bool {
		return func(all []string) bool {
			return !slices.ContainsFunc(ids, func(id string) bool { return !slices.Contains(all, id) })
		}
	}
	for _, p := range []*engine.Party{party(engine.Receiver, "c"), party(engine.Receiver, "a"),
		party(engine.Orchestrator, "b")} {
		must(t, s.Say(ctx, p))
	}
	there(has("a", "b", "c"), "said")
	must(t, s.Leave(ctx, party(engine.Receiver, "c")))
	there(func(all []string) bool { return has("a", "b")(all) && !has("c")(all) }, "left")
	for range 4 { // longer than it lives, in all
		s.Pass(engine.SayEvery)
		must(t, s.Say(ctx, party(engine.Receiver, "a")))
		there(has("a"), "said again")
	}
	there(func(all []string) bool { return has("a")(all) && !has("b")(all) }, "silent")
	must(t, s.Say(ctx, party(engine.Receiver, "c")))
	there(has("c"), "back")
}

// token: there is one, of whoever came first.
func token(t *testing.T, ctx context.Context, s Subject) {
	tokens := make([]string, 8)
	var wg sync.WaitGroup
	for i := range tokens {
		wg.Go(func() {
			var err error
			if tokens[i], err = s.Token(ctx, fmt.Sprint("token", i)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if slices.Sort(tokens); tokens[0] != tokens[7] || tokens[0] == "" {
		t.Errorf("%q", tokens)
	}
}

// mail: answers come in the order of those who were asked, and silence is an error of its own.
func mail(t *testing.T, ctx context.Context, s Subject) {
	serving, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	serve := func(id string, f func(engine.Ask, func(engine.Answer))) {
		wg.Go(func() {
			if err := s.Serve(serving, id, f); err != nil {
				t.Errorf("serve %s: %v", id, err)
			}
		})
	}
	for _, id := range []string{"m1", "m2"} {
		serve(id, func(a engine.Ask, answer func(engine.Answer)) {
			if a.TID != 7 || !a.Flush || a.Close {
				t.Errorf("%s is asked %+v", id, a)
			}
			go answer(engine.Answer{Have: []wire.Range{{First: 0, Last: int64(len(id))}}, Problem: id, Idle: -1})
		})
	}
	serve("mute", func(engine.Ask, func(engine.Answer)) {})
	ask := func(patience time.Duration, ids ...string) []engine.Answer {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		return s.Ask(ctx, &engine.Ask{TID: 7, Flush: true}, ids)
	}
	for ctx.Err() == nil { // until all serve
		if a := ask(patience, "m1", "m2"); a[0].Err == nil && a[1].Err == nil {
			break
		}
		s.Pass(10 * time.Millisecond)
	}
	a := ask(patience, "m2", "nobody", "m1")
	for i, id := range []string{"m2", "", "m1"} {
		if a[i].Problem != id || id == "" != errors.Is(a[i].Err, engine.ErrNoAnswer) {
			t.Errorf("answer %d: %+v", i, a[i])
		}
	}
	if len(a[0].Have) != 1 || a[0].Have[0].Last != 2 || a[0].Idle != -1 {
		t.Errorf("%+v", a[0])
	}
	if a := ask(300*time.Millisecond, "mute", "m1"); !errors.Is(a[0].Err, engine.ErrNoAnswer) || a[1].Err != nil {
		t.Errorf("%+v", a)
	}
	if a := ask(patience); len(a) != 0 {
		t.Errorf("%+v", a)
	}
	stop()
	wg.Wait()
	if a := ask(300*time.Millisecond, "m1"); !errors.Is(a[0].Err, engine.ErrNoAnswer) {
		t.Errorf("who serves no more answers %+v", a)
	}
}

// settled: what is published is in the stream once, in order.
func settled(t *testing.T, ctx context.Context, s Subject) {
	var tids []int64
	for range 4 {
		r := record()
		r.State = engine.Complete
		tids = append(tids, r.TID)
		for range 2 {
			must(t, s.Publish(ctx, r))
		}
	}
	if s.Stream == nil {
		return
	}
	if got := s.Stream(); !slices.Equal(got, tids) {
		t.Errorf("%v were published, %v are there", tids, got)
	}
}
