package server

import "time"

// Drain lets no transaction begin any more: intents are not answered. Those that were
// offered go on to their end, or to their limit; then the program ends, see Drained.
func (s *Ledger) Drain(now time.Time) {
	s.expire(now)
	if s.draining {
		return
	}
	s.draining = true
	s.desk.clearQueue()
	for _, t := range s.slots {
		if t != nil && t.phase < open { // its client knows nothing of it
			s.withdraw(t)
		}
	}
	s.drainUnused(now)
	s.beat(now)
	s.work(now)
}

// Unsettled is how many transactions are whole and have not been silent for Idle yet, and
// when the last of them has been: to close before that leaves them to the next process.
func (s *Ledger) Unsettled() (n int, until time.Time) {
	for _, t := range s.slots {
		if t == nil || t.phase != open || !t.used || t.ext != nil || !s.quiet(t) {
			continue
		}
		n++
		if at := s.due(t); at.After(until) {
			until = at
		}
	}
	return n, until
}

// Stood is how long the loop has stood still so far, in all ([Stats.Stalls] is how often).
// A bound of a time that clients may be silent in is later by what comes to it meanwhile.
func (s *Ledger) Stood() time.Duration { return s.stood }

// Drained reports whether Drain or Close was called, and all transactions have their
// verdict and all jobs are done.
func (s *Ledger) Drained() bool { return s.draining && s.open == 0 && s.running == 0 }

// drainUnused gives up those transactions for which no segment came for Unused.
func (s *Ledger) drainUnused(now time.Time) {
	for _, t := range s.slots {
		if t != nil && t.phase == open && !t.used && now.Sub(t.start) >= s.cfg.Unused {
			s.over(now, t)
		}
	}
}

// Close ends the program, as when a process is told to go. What has been whole and silent
// for Idle at now is settled. What is cut off is not: its segments are kept for the next
// server on the same store, and it has a verdict of its own, see Result.Cut. Nothing is
// waited for; with Config.Beside there are jobs under way until Drained says so. What is
// still to be sent can be fetched with Transmit.
//
// A caller who knows that the clients have ended may give an instant that lies ahead by
// Idle.
func (s *Ledger) Close(now time.Time) {
	s.beats = now // an instant that lies ahead is no stall
	s.expire(now)
	if !s.closed {
		s.draining, s.closed = true, true
		s.desk.clearQueue()
		for _, t := range s.slots {
			s.end(now, t)
		}
		s.flush(now)
	}
	s.work(now)
}

// end ends a transaction at Close.
func (s *Ledger) end(now time.Time, t *transaction) {
	switch {
	case t == nil || t.busy:
	case t.phase < open:
		s.withdraw(t)
	case t.phase == open && s.cfg.Fleet == nil && (!t.used || s.complete(now, t)):
		s.settle(now, t)
	case t.phase == open, t.phase == settling:
		s.cut(now, t)
	}
}

// withdraw does away with a transaction whose offer was not sent.
func (s *Ledger) withdraw(t *transaction) {
	s.unplace(t)
	t.spool.Discard()
	t.origin.live--
	s.release(t.origin)
	s.open--
	s.forget(t)
}
