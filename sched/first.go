package sched

import "time"

// What a transfer is told of segments that are out: that one is lost, or perhaps.

// hintPart is the part of a timeout after which a segment is sent again that is perhaps lost.
const hintPart = 4

// Out gives the segment that receiver i was sent and has not acknowledged; ok is false when
// there is none.
func (t *Transfer) Out(i int) (seq int64, ok bool) {
	s := &t.to[i]
	return s.span.Seq, s.tries > 0
}

// Hint says that what is out at receiver i may be lost for good, as an error does that
// could be anybody's. The next try comes sooner: after a quarter of the timeout. The tries
// decide, as ever: the last of them is waited for in full.
func (t *Transfer) Hint(now time.Time, i int) {
	s := &t.to[i]
	if !s.out || s.judged == s.stats.Sent || s.tries >= t.most(s) {
		return
	}
	s.judged = s.stats.Sent
	t.wheel.arm(i, max(t.since(now), s.sent+s.rtt.RTO()/hintPart))
}

// Lost says that the last transmission to receiver i is known not to have reached it. It
// does not count as one of the First; the timeout decides when the next comes. What is told
// later than that changes nothing.
func (t *Transfer) Lost(now time.Time, i int) {
	s := &t.to[i]
	due := s.sent + s.rtt.RTO()
	if !s.out || s.judged == s.stats.Sent || t.since(now) > due {
		return
	}
	s.judged = s.stats.Sent
	last := s.tries >= t.most(s)
	if s.lost++; last && s.tries < t.most(s) {
		t.wheel.arm(i, due)
	}
}

// most is how often the segment that is out may be sent before its receiver is dead.
func (t *Transfer) most(s *sender) int {
	if t.cfg.First <= 0 || s.stats.Acked > 0 || s.stats.Duplicate > 0 {
		return t.cfg.Tries
	}
	return min(t.cfg.Tries, t.cfg.First+s.lost)
}

// patience is how long the transmission that was the last is waited for: one timeout, and
// after the last of the First those that are left.
func (t *Transfer) patience(s *sender) time.Duration {
	if n := t.cfg.Tries - s.tries; n > 0 && s.tries >= t.most(s) {
		return s.rtt.timeouts(n + 1)
	}
	return s.rtt.RTO()
}
