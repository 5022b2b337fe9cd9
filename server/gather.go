package server

import (
	"errors"
	"time"

	"mdalp/wire"
)

// abroad is what a transaction of a fleet has beside the others.
type abroad struct {
	offered    []wire.Receiver
	introduced bool      // the other orchestrators know of it
	gathering  bool      // it is being asked what is there,
	again      bool      // and then once more,
	heard      bool      // and its client waits for that,
	repeat     bool      // or has sent an intent once more,
	from       source    // as that source
	closing    bool      // it is over, if nothing has come by the time that nothing is taken any more,
	closed     bool      // and nothing is
	look       time.Time // when to ask next about one of the base protocol
}

// gatherer is what knows of the segments of t; nil where they come here.
func (t *transaction) gatherer() Gatherer {
	if t.ext != nil {
		g, _ := t.ext.place.(Gatherer)
		return g
	}
	g, _ := t.spool.(Gatherer)
	return g
}

// over settles a transaction that has been silent for long enough: in a fleet that is for its
// receivers to say.
func (s *Ledger) over(now time.Time, t *transaction) {
	if s.cfg.Fleet != nil {
		s.gather(now, t)
		return
	}
	s.settle(now, t)
}

// gather asks what is there of a transaction of a fleet, and has the desk judge it then. Who
// asks while that is under way is told what is there afterwards: a client whose last segment
// has just been taken must not hear that it is missing.
func (s *Ledger) gather(now time.Time, t *transaction) {
	if t.gathering {
		t.again = true
		return
	}
	g := t.gatherer()
	if g == nil {
		return
	}
	t.gathering, t.again = true, false
	sure := t.repeat // an offer that is repeated is another client's, unless all is as it was
	final := !sure && (t.closing || t.heard && t.ext != nil && t.ext.dialog.asked && t.refusal == "")
	t.closing = t.closing && final
	s.beside(func() func(time.Time) {
		got, err := g.Gather(sure, final)
		return func(now time.Time) {
			t.gathering = false
			if t.phase != open || t.gatherer() != g {
				return
			}
			s.gathered(now, t, &got, err)
		}
	})
}

// gathered takes what is there, and settles t where it is over.
func (s *Ledger) gathered(now time.Time, t *transaction, g *Gathered, err error) {
	closing := t.closing
	t.closing = false
	switch {
	case errors.Is(err, ErrElsewhere), s.closed:
		if t.repeat {
			s.desk.repeated(now, t, false)
		}
		s.cut(now, t)
		return
	case err != nil:
		// Nothing is known, and what nobody knows of is not over.
		if again := now.Add(s.cfg.Silence); t.limit.Before(again) {
			t.limit = again
		}
		t.look = now.Add(s.cfg.Idle)
	case t.ext != nil:
		s.gatheredBlocks(now, t, g)
	default:
		s.gatheredSegments(now, t, g)
	}
	if t.repeat && !t.again {
		t.repeat = false
		s.desk.repeated(now, t, err == nil)
	}
	switch {
	case t.again:
		s.gather(now, t)
	case t.heard:
		t.heard = false
		s.desk.judge(now, t)
	case err == nil && !now.Before(s.due(t)):
		if t.ext != nil || closing {
			t.closed = closing
			s.settle(now, t)
			return
		}
		// A base segment that is acknowledged is a promise: it must not come behind the verdict.
		t.closing = true
		s.gather(now, t)
	case closing:
		s.gather(now, t) // it goes on, and segments are taken again
	}
	if t.phase == open && !t.gathering {
		s.arm(t, s.due(t))
	}
}

// gatheredBlocks takes what is there of an extended payload.
func (s *Ledger) gatheredBlocks(now time.Time, t *transaction, g *Gathered) {
	x := t.ext
	had := x.bytes()
	x.have.clear()
	for _, r := range g.Have {
		if r.Last < x.total {
			x.have.put(r)
		}
	}
	t.origin.bytes += x.bytes() - had
	s.count(t, g)
	if g.Idle >= 0 {
		x.decided = true
		t.stored = now.Add(-g.Idle)
		if at := t.stored.Add(s.cfg.Silence); t.limit.Before(at) {
			t.limit, t.last = at, t.stored
		}
	}
}

// missing takes back that all of an extended payload was there: it was gathered from
// receivers that are gone since, and what they had not flushed with them.
func (s *Ledger) missing(now time.Time, t *transaction) {
	t.phase, t.busy = open, false
	t.heard = t.ext.dialog.asked
	t.limit = now.Add(s.cfg.Silence)
	s.enter(t)
	s.arm(t, t.limit)
	s.gather(now, t)
}

// gatheredSegments does the same for one of the base protocol, whose index has no
// fingerprints then: receivers compare them.
func (s *Ledger) gatheredSegments(now time.Time, t *transaction, g *Gathered) {
	had := t.index.Bytes()
	for _, r := range g.Have {
		for seq := r.First; seq <= min(r.Last, s.segments-1); seq++ {
			t.index.Add(seq, 0, 0)
		}
	}
	t.index.Note(min(g.High, s.segments) - 1)
	t.over = g.Over // what is missing t.index remembers, which knows of the highest
	s.count(t, g)
	t.index.bytes = 0
	for i := range t.shares {
		t.index.bytes += t.shares[i].Bytes
	}
	t.origin.bytes += t.index.bytes - had
	if t.index.Segments() > 0 && !t.used {
		s.use(t)
	}
	if g.Idle >= 0 {
		t.last, t.stored = now.Add(-g.Idle), now.Add(-g.Idle)
		// Who was told that all of it was taken, shortly before the limit, is not to lose it.
		if at := t.last.Add(s.cfg.Idle); s.quiet(t) && t.limit.Before(at) {
			t.limit = at
		}
	}
	// Once it is whole it is asked for at the end of its silence, and else now and then.
	t.look = now.Add(s.cfg.Idle)
}

// count takes what each receiver has.
func (s *Ledger) count(t *transaction, g *Gathered) {
	for i := range min(len(t.shares), len(g.Shares)) {
		t.shares[i].Segments, t.shares[i].Bytes = g.Shares[i].Segments, g.Shares[i].Bytes
	}
}
