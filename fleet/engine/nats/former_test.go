package nats

import (
	"errors"
	"sync"
	"testing"

	"mdalp/fleet/engine"
	"mdalp/fleet/internal/engines"
)

// A leader that has stood still goes on in the belief that it leads, and answers from what it
// knew: that a write comes too late, though there is no other. Nobody but one party writes each
// record here, so that no write of it may be said to be another's.
func TestFormerLeader(t *testing.T) {
	t.Parallel()
	c := engines.Start(t, 3, engines.Options{})
	e := dial(t, c, Options{})
	ctx := short(t, patience)
	change := func() {
		r := record()
		rev, err := e.Create(ctx, r)
		for epoch := range uint64(4) {
			if errors.Is(err, engine.ErrAway) {
				return
			}
			if err != nil {
				t.Error(err)
				return
			}
			r.Epoch = epoch + 2
			rev, err = e.Update(ctx, r, rev)
		}
		if got, now, err := e.Get(ctx, r.TID); err != nil || now < rev {
			t.Errorf("revision %d of %+v, %v: %d was told", now, got, err, rev)
		}
	}
	change()
	for range 2 {
		settle(t, e)
		leads := e.look(ctx, "KV_"+e.ledgerName()).Leader
		for _, one := range c.Servers {
			if one.Name != leads {
				continue
			}
			if err := one.Stop(); err != nil {
				t.Fatal(err)
			}
			change() // by the next leader
			if err := one.Go(); err != nil {
				t.Fatal(err)
			}
		}
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 50 {
					change()
				}
			})
		}
		all.Wait()
	}
	t.Logf("%+v", e.Stats())
}
