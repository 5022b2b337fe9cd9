package fleet

import (
	"context"
	"time"

	"mdalp/fleet/engine"
)

// sayThere says that this one is there.
func (r *Receiver) sayThere(now time.Time) {
	r.saying = true
	r.party.Open = r.Open()
	p, began, then := r.party, now, r.slept(now)
	look := r.cfg.Start != "" && !r.first.IsZero() && now.Sub(r.first) > engine.Lives
	r.cfg.Beside(func() func(time.Time) {
		ctx, cancel := context.WithTimeout(r.cfg.Context, writeFor)
		defer cancel()
		if look {
			if other := r.other(ctx); other != nil {
				return func(time.Time) { r.double(other) }
			}
		}
		if p.Free = r.shared.Room(); r.cfg.Folder.ReadOnly() {
			p.Free = 0
		}
		err := r.cfg.Engine.Say(ctx, &p)
		return func(now time.Time) {
			r.saying = false
			if err == nil && r.first.IsZero() {
				r.first = now
			}
			if err == nil && p.Draining && r.drained.IsZero() {
				r.drained = now
			}
			if err == nil {
				r.lease.renew(now, began, r.slept(now), then)
			}
			r.say = now.Add(engine.SayEvery)
			if p.Draining != r.party.Draining || err != nil {
				r.say = now.Add(againAfter)
			}
			if away := err != nil; away != r.away {
				r.away = away
				if away {
					r.cfg.Log.Error("the engine does not answer, what is open goes on", "err", err)
				} else {
					r.cfg.Log.Info("the engine answers again")
				}
			}
		}
	})
}

// other gives a receiver with this one's ID that was started later, or about as late, if that has said
// so since this one did. What was there before this one's first word is no more: that took its place.
func (r *Receiver) other(ctx context.Context) *engine.Party {
	// An answer may take long: what this one says must not wait for it.
	ctx, cancel := context.WithTimeout(ctx, againAfter)
	defer cancel()
	p, _, err := r.cfg.Engine.Said(ctx, r.cfg.ID)
	// Both find the other one, and the same of them has to go.
	if err != nil || p == nil || p.Start <= r.cfg.Start {
		return nil
	}
	return p
}

// double ends what this one does: its journals are another's, too.
func (r *Receiver) double(other *engine.Party) {
	if r.doubled || r.left {
		return
	}
	r.doubled = true
	r.cfg.Doubled(*other)
}

// Drain has this receiver offered no more. It ends when its transactions have.
func (r *Receiver) Drain(now time.Time) {
	r.now = now
	r.party.Draining = true
	r.say = now
}

// Close ends it at once. What was taken is in its journals.
func (r *Receiver) Close(now time.Time) {
	if r.left {
		return
	}
	r.Burst(now)
	r.left = true
	for _, s := range r.stands { // order does not show
		if s.part != nil && !s.syncing {
			s.part.Close()
		}
	}
	if r.doubled { // what is there is the other's
		return
	}
	p := r.party
	r.cfg.Beside(func() func(time.Time) {
		ctx, cancel := context.WithTimeout(r.cfg.Context, writeFor)
		defer cancel()
		r.cfg.Engine.Leave(ctx, &p)
		return nil
	})
}
