package sched

import "fmt"

// Audit checks everything that must hold of a transfer between two calls, and
// says what does not. It is for simulations: it costs time in proportion to the
// receivers and their runs, and a transfer never calls it itself.
//
// What it checks: a timer is armed where, and only where, a segment is out; who
// has something to send and may send it stands in the ready ring, once; the
// counts agree with what they count; every segment is acknowledged or held by
// one receiver, and by a living one where failover is allowed; and the memory
// held is in proportion to the segments.
func (t *Transfer) Audit() error {
	if t.ext != nil {
		return t.ext.audit()
	}
	var out, living, queued int
	var held, acked int64
	for i := range t.to {
		s := &t.to[i]
		armed := t.wheel.Armed(i)
		switch {
		case armed != s.out:
			return fmt.Errorf("receiver %d: timer armed %t, segment out %t", i, armed, s.out)
		case s.out && s.dead():
			return fmt.Errorf("receiver %d is dead and has a segment out", i)
		case s.out && (s.tries < 1 || s.span.Len() == 0):
			return fmt.Errorf("receiver %d: a segment is out after %d tries, of %d", i, s.tries, s.span.Len())
		case s.tries > t.cfg.Tries:
			return fmt.Errorf("receiver %d: %d tries of %d", i, s.tries, t.cfg.Tries)
		case s.span.Len() == 0 && len(s.rest) > 0:
			return fmt.Errorf("receiver %d does not go on to its next run", i)
		case s.span.Len() > 0 && !s.out && !s.dead() && !s.queued:
			return fmt.Errorf("receiver %d has segments to send and is not in the ring", i)
		}
		if err := t.auditSpan(s.span); err != nil {
			return fmt.Errorf("receiver %d: %w", i, err)
		}
		for _, r := range s.rest {
			// No run is empty, so there are no more of them than segments.
			if err := t.auditSpan(r); err != nil || r.Len() == 0 {
				return fmt.Errorf("receiver %d: run %+v: %v", i, r, err)
			}
		}
		n := s.backlog()
		if n > 0 && s.dead() && !t.cfg.NoFailover && t.living > 0 {
			return fmt.Errorf("receiver %d is dead and keeps %d segments", i, n)
		}
		if int64(len(s.past)) > t.total {
			return fmt.Errorf("receiver %d: %d runs are remembered of %d segments", i, len(s.past), t.total)
		}
		held += n
		acked += s.stats.Acked
		out += count(s.out)
		living += count(!s.dead())
		queued += count(s.queued)
	}
	switch {
	case out != t.out || out != t.wheel.Len():
		return fmt.Errorf("%d segments are out, counted are %d, timers %d", out, t.out, t.wheel.Len())
	case t.cfg.Outstanding > 0 && out > t.cfg.Outstanding:
		return fmt.Errorf("%d segments are out, allowed are %d", out, t.cfg.Outstanding)
	case living != t.living:
		return fmt.Errorf("%d receivers live, counted are %d", living, t.living)
	case queued != t.waiting:
		return fmt.Errorf("%d receivers are to stand in the ring, which has %d", queued, t.waiting)
	case held != t.left || acked+held != t.total:
		return fmt.Errorf("%d segments are held and %d acknowledged, of %d; counted are %d left", held, acked,
			t.total, t.left)
	}
	return t.auditRing()
}

// auditSpan checks that a run has as many bytes as its segments can carry.
func (t *Transfer) auditSpan(r Span) error {
	if r.Len() < 0 || r.Lim < r.Off || (r.Lim-r.Off+t.segment-1)/t.segment != r.Len() {
		return fmt.Errorf("segments %d to %d carry bytes %d to %d", r.Seq, r.End, r.Off, r.Lim)
	}
	return nil
}

// auditRing checks that whoever is in the ring knows it. As the counts agree,
// nobody stands there twice then unless another is missing.
func (t *Transfer) auditRing() error {
	for k := range t.waiting {
		i := t.ready[(t.head+k)%len(t.ready)]
		if !t.to[i].queued {
			return fmt.Errorf("receiver %d stands in the ring and does not know it", i)
		}
	}
	return nil
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}
