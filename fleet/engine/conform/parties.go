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

// A roll is the registry, and who said when that he is there.
type roll struct {
	Subject
	t    *testing.T
	ctx  context.Context
	said map[string]time.Time
}

// party is the orchestrator b, or a receiver.
func party(id string) *engine.Party {
	role := engine.Receiver
	if id == "b" {
		role = engine.Orchestrator
	}
	return &engine.Party{Role: role, ID: id, Addr: netip.MustParseAddrPort("192.0.2.7:4650"),
		Zone: "z", Token: "token", Seg: 8192, Win: 64, Free: 1 << 40, Open: 3, Name: "name"}
}

func (r *roll) say(id string) {
	r.t.Helper()
	var at time.Time
	r.again(r.t, r.ctx, func() error {
		at = r.Now()
		return r.Say(r.ctx, party(id))
	})
	r.said[id] = at
}

// gone asks whether one is. Who said so a moment ago is not.
func (r *roll) gone(id string) (is bool) {
	r.t.Helper()
	var asked time.Time
	r.again(r.t, r.ctx, func() (err error) {
		asked = r.Now()
		is, err = r.Gone(r.ctx, id)
		return err
	})
	if age := asked.Sub(r.said[id]); is && age < engine.Lives {
		r.t.Errorf("%s is gone, and was there %v before", id, age)
	}
	return is
}

// there waits until these are there, and those are not. Those that are to be say so again when it is
// time, as on a busy machine they may be gone before they are looked for.
func (r *roll) there(what string, are, not []string) {
	r.t.Helper()
	var ids []string
	for r.ctx.Err() == nil {
		for _, id := range are {
			if r.Now().Sub(r.said[id]) >= engine.SayEvery {
				r.say(id)
			}
		}
		var all []engine.Party
		r.again(r.t, r.ctx, func() (err error) { all, err = r.Living(r.ctx); return err })
		ids = ids[:0]
		for _, p := range all {
			ids = append(ids, p.ID)
			if p.ID == "a" && !reflect.DeepEqual(p, *party("a")) {
				r.t.Fatalf("%+v is told", p)
			}
		}
		if !slices.IsSorted(ids) {
			r.t.Fatalf("%v are in no order", ids)
		}
		has := func(id string) bool { return slices.Contains(ids, id) }
		missing := slices.ContainsFunc(are, func(id string) bool { return !has(id) })
		if !missing && !slices.ContainsFunc(not, has) {
			return
		}
		r.Pass(100 * time.Millisecond)
	}
	r.t.Fatalf("%s: there are %v", what, ids)
}

// last waits until what a receiver said last is another word than that of the revision, and gives that.
func (r *roll) last(id string, before uint64) (p *engine.Party, revision uint64) {
	r.t.Helper()
	for {
		r.again(r.t, r.ctx, func() (err error) { p, revision, err = r.Said(r.ctx, id); return err })
		if revision != before || r.ctx.Err() != nil {
			return p, revision
		}
		r.Pass(100 * time.Millisecond)
	}
}

// registry: who says so is there, who leaves is not, and who is silent is not for long.
func registry(t *testing.T, ctx context.Context, s Subject) {
	r := &roll{Subject: s, t: t, ctx: ctx, said: make(map[string]time.Time)}
	for _, id := range []string{"c", "a", "b"} {
		r.say(id)
	}
	r.there("said", []string{"a", "b", "c"}, nil)
	left := s.Now()
	s.again(t, ctx, func() error { return s.Leave(ctx, party("c")) })
	delete(r.said, "c")
	r.there("left", []string{"a", "b"}, []string{"c"})
	r.gone("a")
	for !r.gone("c") {
		if s.Now().Sub(left) < engine.Lives || ctx.Err() != nil {
			t.Fatal("who left is not gone")
		}
	}
	for range 4 { // longer than it lives, in all
		s.Pass(engine.SayEvery)
		r.say("a")
		r.there("said again", []string{"a"}, nil)
	}
	r.say("a")
	p, revision := r.last("a", 0)
	if !reflect.DeepEqual(p, party("a")) {
		t.Errorf("a has said %+v", p)
	}
	s.Pass(engine.SayEvery)
	r.say("a")
	if _, next := r.last("a", revision); next == revision {
		t.Errorf("a has said nothing since %d", revision)
	}
	if p, _ := r.last("c", 1<<63); p != nil {
		t.Errorf("c has left, and has said %+v", p)
	}
	r.there("silent", []string{"a"}, []string{"b"})
	r.say("c")
	r.there("back", []string{"c"}, nil)
	for !r.gone("a") && ctx.Err() == nil {
		s.Pass(100 * time.Millisecond)
		r.say("c")
		r.gone("c")
	}
	r.there("gone", []string{"c"}, []string{"a"})
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
	// hears asks until those answer who serve, with more patience each time: it takes a while until all
	// serve, and a question may be lost. Others never do.
	hears := func(ids ...string) (a []engine.Answer) {
		t.Helper()
		for wait := 300 * time.Millisecond; ; wait = min(2*wait, time.Minute) {
			a = ask(wait, ids...)
			silent := false
			for i, id := range ids {
				silent = silent || (id == "m1" || id == "m2") && a[i].Err != nil
			}
			if !silent {
				return a
			}
			if ctx.Err() != nil {
				t.Fatalf("%v are asked: %+v", ids, a)
			}
			s.Pass(10 * time.Millisecond)
		}
	}
	hears("m1", "m2")
	a := hears("m2", "nobody", "m1")
	for i, id := range []string{"m2", "", "m1"} {
		if a[i].Problem != id || id == "" != errors.Is(a[i].Err, engine.ErrNoAnswer) {
			t.Errorf("answer %d: %+v", i, a[i])
		}
	}
	if len(a[0].Have) != 1 || a[0].Have[0].Last != 2 || a[0].Idle != -1 {
		t.Errorf("%+v", a[0])
	}
	a = hears("mute", "m1")
	if !errors.Is(a[0].Err, engine.ErrNoAnswer) {
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
