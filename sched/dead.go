package sched

import "time"

// Kill declares receiver i dead because of err, which is not nil, and lets the
// living take over what it has not acknowledged.
func (t *Transfer) Kill(now time.Time, i int, err error) {
	if t.ext != nil {
		t.ext.kill(i, err)
		return
	}
	s := &t.to[i]
	if s.dead() {
		return
	}
	s.stats.Err = err
	t.living--
	if s.out {
		t.wheel.Stop(i)
		s.out = false
		t.out--
	}
	if t.cfg.NoFailover || t.living == 0 || s.backlog() == 0 {
		return
	}
	at := t.since(now)
	t.share(at, s.strip())
}

// revive takes a receiver that was thought dead and has acknowledged something
// back among the living.
func (t *Transfer) revive(now time.Time, i int) {
	s := &t.to[i]
	if !s.dead() {
		return
	}
	s.stats.Err = nil
	s.pardon = true
	t.living++
	if s.tries > 0 { // it may try again from the start, but the segment has been out
		s.remember(s.span.Seq, s.span.Seq+1)
		s.tries = 0
	}
	if t.living > 1 {
		t.proceed(t.since(now), i)
		return
	}
	// It is the only one that lives: what the dead could not hand on is its.
	var all []Span
	for j := range t.to {
		if d := &t.to[j]; d.dead() && !t.cfg.NoFailover && d.backlog() > 0 {
			all = append(all, d.strip()...)
		}
	}
	t.share(t.since(now), all)
	t.proceed(t.since(now), i)
}
