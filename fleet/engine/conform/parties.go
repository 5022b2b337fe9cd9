package conform

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"mdalp/fleet/engine"
	"mdalp/wire"
)

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
	gone := func(id string) bool {
		t.Helper()
		is, err := s.Gone(ctx, id)
		must(t, err)
		return is
	}
	for _, p := range []*engine.Party{party(engine.Receiver, "c"), party(engine.Receiver, "a"),
		party(engine.Orchestrator, "b")} {
		must(t, s.Say(ctx, p))
	}
	there(has("a", "b", "c"), "said")
	must(t, s.Leave(ctx, party(engine.Receiver, "c")))
	there(func(all []string) bool { return has("a", "b")(all) && !has("c")(all) }, "left")
	if gone("a") || !gone("c") {
		t.Errorf("who is there is gone: %v, and who left: %v", gone("a"), gone("c"))
	}
	for range 4 { // longer than it lives, in all
		s.Pass(engine.SayEvery)
		must(t, s.Say(ctx, party(engine.Receiver, "a")))
		there(has("a"), "said again")
	}
	there(func(all []string) bool { return has("a")(all) && !has("b")(all) }, "silent")
	must(t, s.Say(ctx, party(engine.Receiver, "c")))
	there(has("c"), "back")
	for !gone("a") && ctx.Err() == nil {
		s.Pass(100 * time.Millisecond)
		must(t, s.Say(ctx, party(engine.Receiver, "c")))
		if gone("c") {
			t.Error("who says so again is gone")
		}
	}
	there(func(all []string) bool { return has("c")(all) && !has("a")(all) }, "gone")
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
			have := []wire.Range{{First: 0, Last: int64(len(id))}}
			s.Go(func() { answer(engine.Answer{Have: have, Problem: id, Idle: -1}) })
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
	a = ask(300*time.Millisecond, "mute", "m1")
	if !errors.Is(a[0].Err, engine.ErrNoAnswer) || a[1].Err != nil {
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
