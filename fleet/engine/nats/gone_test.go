package nats

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mdalp/fleet/engine"
	"mdalp/fleet/internal/engines"
)

// However often it is asked whether one is gone, and by how many, it is when its time is over: each
// who asks writes a mark, and one that replaced another, which is told to nobody then, must not count
// as something that was missed.
func TestGoneAskedOften(t *testing.T) {
	t.Parallel()
	c := engines.Start(t, 3, engines.Options{})
	all := []*Engine{dial(t, c, Options{}), dial(t, c, Options{})}
	settle(t, all[0])
	settle(t, all[1])
	ctx := short(t, patience)
	if err := all[1].ready(ctx); err != nil { // its registry is written to below
		t.Fatal(err)
	}
	p := someone()
	if err := all[0].Say(ctx, p); err != nil {
		t.Fatal(err)
	}
	said := time.Now()
	// Another part that nobody can read, as one of another release, stands for itself alone.
	unread := someone()
	unread.ID = "unread"
	put := func() (at time.Time, err error) {
		at = time.Now()
		_, err = all[1].parties.Put(ctx, partyKey(unread), []byte("{}"))
		return at, err
	}
	go func() {
		for ctx.Err() == nil {
			put()
			pass(engine.SayEvery)
		}
	}()
	var wg sync.WaitGroup
	var asked atomic.Int64
	for _, e := range all {
		for range 16 {
			wg.Go(func() {
				for {
					gone, err := e.Gone(ctx, p.ID)
					asked.Add(1)
					switch {
					case ctx.Err() != nil:
						t.Error("it is never gone")
						return
					case err != nil && !errors.Is(err, engine.ErrAway):
						t.Error(err)
						return
					case gone:
						return
					}
				}
			})
		}
	}
	wg.Wait()
	for ; ; pass(pause) {
		at, err := put()
		asked, gone := time.Now(), false
		if err == nil {
			gone, err = all[0].Gone(ctx, unread.ID)
		}
		if err == nil && asked.Sub(at) < engine.Lives { // on a busy machine it may have been longer ago
			if gone {
				t.Error("who says what nobody can read is gone")
			}
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("who says what nobody can read is gone: %v, %v", gone, err)
		}
	}
	t.Logf("gone %v after it was there, asked %d times, %d marks", time.Since(said).Round(time.Second), asked.Load(),
		all[0].Stats().Syncs+all[1].Stats().Syncs)
}
