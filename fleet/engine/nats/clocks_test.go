package nats

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"mdalp/fleet/engine"
	"mdalp/fleet/internal/apart"
	"mdalp/fleet/internal/engines"
)

// lead has a server take the lead of the registry.
func lead(t *testing.T, e *Engine, server string) {
	t.Helper()
	name := "KV_" + e.partiesName()
	ctx := short(t, patience)
	var leads string
	for ctx.Err() == nil {
		s := Stream{Name: name}
		if err := e.inspect(ctx, &s); err == nil && s.Leader == server {
			return
		}
		leads = s.Leader
		ask, _ := json.Marshal(map[string]any{"placement": map[string]string{"preferred": server}})
		if _, err := e.conn.Request("$JS.API.STREAM.LEADER.STEPDOWN."+name, ask, attempt); err != nil {
			t.Log(err) // one that is about to lead says no
		}
		pass(pause)
	}
	t.Fatalf("%q leads, and not %s", leads, server)
}

// The servers' clocks are minutes apart, and the lead goes from one to the other, forwards and back,
// and one's clock is set while it leads: who says that he is there stays so, and who says it no more is
// gone, when his time is over by the clock of who asks.
func TestClocks(t *testing.T) {
	t.Parallel()
	bin := t.TempDir()
	if err := engines.BuildApart(bin); err != nil {
		t.Fatal(err)
	}
	o := engines.Options{Apart: bin}
	for _, by := range []time.Duration{-5 * time.Minute, 7 * time.Minute, time.Minute} {
		o.Clocks = append(o.Clocks, apart.NewClock(t, by))
	}
	c := engines.Start(t, 3, o)
	c.Apart(t)
	e := dial(t, c, Options{})
	id := func(name string) *engine.Party {
		p := someone()
		p.ID = name
		return p
	}
	// holds asks for one that was said last at that time.
	holds := func(name string, said time.Time) {
		t.Helper()
		for ctx := short(t, patience); ; pass(pause) {
			asked := time.Now()
			gone, err := e.Gone(ctx, name)
			var all []engine.Party
			if err == nil {
				all, err = e.Living(ctx)
			}
			if errors.Is(err, engine.ErrAway) && ctx.Err() == nil { // nobody leads for a moment
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			there := slices.ContainsFunc(all, func(p engine.Party) bool { return p.ID == name })
			if gone && asked.Sub(said) < engine.Lives {
				t.Errorf("%s is gone, and was there %v before", name, asked.Sub(said))
			}
			if age := time.Since(said); !there && age < engine.Lives {
				t.Errorf("%s is not there, and was %v before", name, age)
			}
			return
		}
	}
	say := func(name string) (at time.Time) {
		t.Helper()
		for ctx := short(t, patience); ; pass(pause) {
			at = time.Now()
			err := e.Say(ctx, id(name))
			if err == nil {
				return at
			}
			if !errors.Is(err, engine.ErrAway) || ctx.Err() != nil {
				t.Fatal(err)
			}
		}
	}
	for n, server := range []int{0, 1, 0, 2} {
		once, again := say("once"), say("again")
		lead(t, e, c.Servers[server].Name)
		if n == 3 {
			if err := o.Clocks[server].Set(20 * time.Minute); err != nil {
				t.Fatal(err)
			}
		}
		for range 6 { // who leads looks for what is over every second or so
			holds("once", once)
			holds("again", again)
			pass(300 * time.Millisecond)
			again = say("again")
		}
	}
	// A clock that is behind lets the engine have for minutes what nobody says any more.
	lead(t, e, c.Servers[0].Name)
	// What is said so seldom is told before it is replaced, also on a busy machine: what was replaced
	// before may have been anybody's, and who may have said something is not known to be gone.
	for ctx := short(t, patience); ; pass(engine.SayEvery) {
		again := say("again")
		gone, err := e.Gone(ctx, "once")
		if err != nil && !errors.Is(err, engine.ErrAway) || ctx.Err() != nil {
			t.Fatalf("gone %v, %v", gone, err)
		}
		if all, err := e.Living(ctx); err == nil && gone {
			if slices.ContainsFunc(all, func(p engine.Party) bool { return p.ID == "once" }) {
				t.Errorf("who is gone is there: %v", all)
			}
			holds("again", again)
			return
		}
	}
}
