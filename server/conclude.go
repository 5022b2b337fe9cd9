package server

import (
	"crypto/sha256"
	"errors"
	"time"

	"mdalp/wire"
)

// concludeBlocks has an extended payload checked and published, or what there is of it
// kept.
func (s *Ledger) concludeBlocks(t *transaction) {
	x := t.ext
	if t.busy {
		return // the digest goes on; it comes back here
	}
	t.busy = true
	if !x.dialog.held {
		s.wheel.Stop(t.slot)
	}
	place := x.place
	var want *[sha256.Size]byte
	if x.dialog.asked {
		w := x.dialog.want
		want = &w
	}
	if e := s.cfg.Expect; e != nil && t.goal == whole {
		if want != nil && *want != e.SHA256 {
			t.goal = keep
			t.deny("another payload is expected")
		}
		want = &e.SHA256
	}
	have, _ := x.have.from(nil, 0, mostRanges+1)
	goal := t.goal
	s.beside(func() func(time.Time) {
		var d outcome
		if goal == keep && len(have) == 0 {
			place.Discard()
		} else if goal == whole {
			d.sum, d.path, d.err = place.Publish(want)
		} else {
			d.kept = place.Keep(have)
		}
		return func(now time.Time) { s.concludedBlocks(now, t, d) }
	})
}

// concludedBlocks takes what the job has done.
func (s *Ledger) concludedBlocks(now time.Time, t *transaction, d outcome) {
	x := t.ext
	v := &x.dialog
	switch {
	case errors.Is(d.err, ErrElsewhere):
		t.busy = false
		s.verdict(now, t, outcome{cut: true})
		return
	case errors.Is(d.err, ErrMissing) && !s.closed:
		s.missing(now, t)
		return
	}
	if t.goal == whole && d.err != nil && !errors.Is(d.err, ErrDamaged) {
		if d.path != "" {
			// It is there, but a loss of power may take it.
			t.deny(reason(d.err))
		} else if v.asked {
			// The client is there and wants to know. What arrived is kept.
			t.deny(reason(d.err))
			t.err, t.goal, t.busy = d.err, keep, false
			s.tell(now, tellPublish, "the payload cannot be published, it is kept",
				"tid", t.tid, "err", d.err)
			s.concludeBlocks(t)
			return
		}
		s.concluded(now, t, d)
		return
	}
	switch {
	case errors.Is(d.err, ErrDamaged):
		v.verdict, t.goal, t.err = wire.Damaged, keep, d.err
		d.err = nil
	case t.goal == whole && v.asked && (d.sum == [sha256.Size]byte{} || d.sum == v.want):
		v.verdict = wire.Complete
	case t.goal == whole && v.asked: // its digest came when the payload was published already
		v.verdict = wire.Damaged
	case t.goal == whole:
		// It was silent, and all is there and has its name. Who asks later is answered then.
	case v.verdict == wire.Unknown:
		t.deny("it was silent for too long")
		v.resumable = t.goal == keep && x.have.n > 0 && !x.unkept
	}
	s.concluded(now, t, d)
}
