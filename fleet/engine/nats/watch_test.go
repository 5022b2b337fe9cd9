package nats

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"mdalp/fleet/engine"
	"mdalp/fleet/internal/engines"
)

// An engine that has lost all that the fleet had there gets it anew from the parts that run: they
// go on without a start, and the directory is still theirs.
func TestStreamsGone(t *testing.T) {
	t.Parallel()
	e := dial(t, engines.Start(t, 1, engines.Options{}), Options{})
	ctx := short(t, patience)
	old := record()
	if _, err := e.Create(ctx, old); err != nil {
		t.Fatal(err)
	}
	if token, err := e.Token(ctx, "mine"); err != nil || token != "mine" {
		t.Fatal(token, err)
	}
	if all, err := e.Unsettled(ctx); err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	for _, c := range e.streams() {
		if err := e.js.DeleteStream(ctx, c.Name); err != nil {
			t.Fatal(err)
		}
	}
	fresh := record()
	for {
		_, err := e.Create(short(t, 5*time.Second), fresh)
		if err == nil || errors.Is(err, engine.ErrExists) {
			break
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
	for e.Say(ctx, someone()) != nil && ctx.Err() == nil {
		pass(pause)
	}
	for living, err := e.Living(ctx); len(living) != 1; living, err = e.Living(ctx) { // it is told a little later
		if ctx.Err() != nil {
			t.Fatal(living, err)
		}
		pass(pause)
	}
	if _, _, err := e.Get(ctx, old.TID); !errors.Is(err, engine.ErrNotFound) {
		t.Error(err)
	}
	for { // by when it was made, as its numbers are as high as before
		all, err := e.Unsettled(ctx)
		if err == nil && len(all) == 1 && all[0].Record.TID == fresh.TID {
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("%v, %v", all, err)
		}
		pass(pause)
	}
	// Another directory is none of this fleet, whoever comes first.
	for ctx.Err() == nil {
		if has, err := e.fixed.Get(ctx, tokenKey); err == nil {
			if string(has.Value()) != "mine" {
				t.Errorf("the token is %s", has.Value())
			}
			break
		}
		pass(pause)
	}
	if token, err := e.Token(ctx, "another"); err != nil || token != "mine" {
		t.Errorf("%s, %v", token, err)
	}
}

// A ledger that was restored from what was kept aside has lower numbers than before: nothing of
// before is told any more.
func TestRestored(t *testing.T) {
	t.Parallel()
	e := dial(t, engines.Start(t, 1, engines.Options{}), Options{})
	ctx := short(t, patience)
	for range 5 {
		if _, err := e.Create(ctx, record()); err != nil {
			t.Fatal(err)
		}
	}
	if all, err := e.Unsettled(ctx); err != nil || len(all) != 5 {
		t.Fatal(all, err)
	}
	ledger := e.streams()[0]
	if err := e.js.DeleteStream(ctx, ledger.Name); err != nil {
		t.Fatal(err)
	}
	if _, err := e.js.CreateStream(ctx, ledger); err != nil {
		t.Fatal(err)
	}
	kept := record()
	if _, err := e.Create(ctx, kept); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		all, err := e.Unsettled(ctx)
		if err != nil || len(all) != 1 || all[0].Record.TID != kept.TID {
			t.Errorf("%d, %v", len(all), err)
		}
	}
}

// A ledger that is made anew between two tries to set all up is the one that counts.
func TestRenewedEarly(t *testing.T) {
	e := &Engine{options: Options{Fleet: DefaultFleet}}
	i := &jetstream.StreamInfo{Config: e.streams()[0]}
	for n := range 2 {
		i.Created, i.State.Bytes = time.Unix(int64(n)+1, 0), uint64(n)
		e.noteStream(i)
	}
	if !e.born.Equal(i.Created) || e.room.held.Load() != 1 {
		t.Errorf("it is of %v, and holds %d bytes", e.born, e.room.held.Load())
	}
}
