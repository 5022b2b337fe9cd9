package fleet

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"time"

	"mdalp/fleet/engine"
)

// mostSwept is about how many transactions at once the engine is asked whether they are over.
const mostSwept = 16

// sweepStands flushes what has come, and forgets what is over. Of what has been silent for
// long the engine is asked.
func (r *Receiver) sweepStands(now time.Time) {
	var idle []*stand
	after := idleFor
	if r.party.Draining {
		after = drainIdle
	}
	for _, tid := range r.known() {
		s := r.stands[tid]
		switch {
		case s.state == extended && s.part.Astray():
			r.correct(now, s)
		case s.unsynced:
			r.flush(now, s)
		}
		if s.live() && now.Sub(s.used) >= after && len(idle) < mostSwept && !s.asking {
			idle = append(idle, s)
		}
	}
	r.forget(now, forgetFor)
	for _, s := range idle {
		s.asking = true
		tid := s.tid
		r.cfg.Beside(func() func(time.Time) {
			ctx, cancel := context.WithTimeout(r.cfg.Context, writeFor)
			defer cancel()
			rec, _, err := r.cfg.Engine.Get(ctx, tid)
			gone := errors.Is(err, engine.ErrNotFound) || err == nil && rec.State.Ended()
			return func(now time.Time) {
				s.asking = false
				if gone {
					r.end(now, s, over)
				} else if !r.party.Draining {
					s.used = now // asked again after as long
				}
			}
		})
	}
}

// known is the transactions in an order that is the same in every run.
func (r *Receiver) known() []int64 {
	tids := make([]int64, 0, len(r.stands))
	for tid := range r.stands { // order does not show
		tids = append(tids, tid)
	}
	slices.Sort(tids)
	return tids
}

// live reports whether segments of a transaction are taken.
func (s *stand) live() bool { return s.state == extended || s.state == base }

// end lets go of a transaction that is over, or that the engine is to be asked about again.
func (r *Receiver) end(now time.Time, s *stand, next state) {
	if !s.live() || s.syncing {
		return
	}
	r.Burst(now)
	s.state, s.used, s.shut = next, now, false
	if s.part != nil {
		s.part.Close()
	}
	if s.spool != nil {
		s.spool.Close()
	}
	s.part, s.spool, s.flow = nil, nil, nil
}

// forget forgets what was over, or never known, for so long. What an orchestrator is settling
// is let go of when it has been silent for as long: whoever asks once more has it opened again.
func (r *Receiver) forget(now time.Time, after time.Duration) {
	for _, tid := range r.known() {
		s := r.stands[tid]
		if s.shut && now.Sub(s.used) >= min(after, 10*time.Second) {
			r.keep(now, s)
			r.end(now, s, unknown)
		}
		idle := now.Sub(s.used) >= after
		if idle && (s.state == over || s.state == unknown && !s.asking) {
			delete(r.stands, tid)
		}
	}
}

// keep has the journal say what is there of a transaction that was flushed without, unless it is
// whole by now. Until then it is not let go of.
func (r *Receiver) keep(now time.Time, s *stand) {
	if !s.bare || s.syncing || !s.live() {
		return
	}
	s.bare, s.syncing = false, true
	p := s.part
	r.cfg.Beside(func() func(time.Time) {
		err := p.Sync()
		return func(now time.Time) {
			if errors.Is(err, fs.ErrNotExist) { // it has its name
				err = nil
			}
			r.flushed(now, s, nil, engine.Answer{}, err)
		}
	})
}

// correct has the journal say no more than is there, where that could not be done when a flush had
// failed.
func (r *Receiver) correct(now time.Time, s *stand) {
	if s.syncing {
		return
	}
	s.syncing = true
	p := s.part
	r.cfg.Beside(func() func(time.Time) {
		err := p.Sync()
		return func(now time.Time) { r.flushed(now, s, nil, engine.Answer{}, err) }
	})
}

// broken ends what is acknowledged of a transaction: its store failed.
func (r *Receiver) broken(s *stand, err error) {
	r.counts.Failed++
	s.flow.Doubt()
	if s.problem == "" {
		s.problem = "the store failed"
		r.cfg.Log.Error("store failed, nothing more of it is acknowledged", "tid", s.tid, "err", err)
	}
}

// outdate refuses what former owners of a transaction ask, which do not know yet that they are none:
// one of them could have it taken again after it was settled.
func (s *stand) outdate(epoch uint64) {
	if s.newest.Epoch < epoch {
		s.newest = engine.Ask{Epoch: epoch}
	}
	s.asks = slices.DeleteFunc(s.asks, func(k asked) bool {
		if k.Epoch < epoch {
			k.answer(engine.Answer{Idle: -1, Problem: laterAsked})
		}
		return k.Epoch < epoch
	})
}

// laterAsked is what an orchestrator is told whose question comes behind another's.
const laterAsked = "it was asked about later, or by another, before"
