package sched

import "time"

// What a transfer is told of refusals: that a receiver's port is closed. A server that
// starts anew refuses all that comes meanwhile, at all its receivers, and then goes on with
// what it had. So a refusal alone ends no receiver that has worked before.

// A refusal is the first that came after the last acknowledgement of a receiver.
type refusal struct {
	at   time.Duration // when it came, since the epoch
	sent int64         // transmissions until then, 0: there is none
	acks int64         // acknowledgements until then: with another it is over
}

// stands reports whether a receiver has acknowledged nothing since it refused.
func (f *refusal) stands(acks int64) bool { return f.sent > 0 && f.acks == acks }

// answers is how many acknowledgements came, late ones too.
func (s *sender) answers() int64 { return s.stats.Acked + s.stats.Duplicate }

// Refused takes what receiver i answers to the segment that is out there: that nobody
// listens. It reports whether that is to end it: if it never acknowledged anything, or if
// its next try was refused, too, while another acknowledged something and did not refuse.
// Else it may be that all of the other end starts anew, and the tries decide.
func (t *Transfer) Refused(now time.Time, i int) bool {
	s := &t.to[i]
	f := &s.refusal
	switch {
	case s.answers() == 0:
		return true
	case !f.stands(s.answers()):
		*f = refusal{t.since(now), s.stats.Sent, s.answers()}
		return false
	case t.cfg.NoFailover || f.sent == s.stats.Sent:
		return false
	}
	since := t.epoch.Add(f.at)
	for j := range t.to {
		o := &t.to[j]
		if j != i && !o.dead() && !o.refusal.stands(o.answers()) && o.stats.Last.After(since) {
			return true
		}
	}
	return false
}

// RefusedNum is Refused of an extended transfer, of transmission num. The next try is one
// that was sent after the first refusal, and after a probe timeout: what is in flight when
// a port closes draws many refusals.
func (t *Transfer) RefusedNum(now time.Time, i int, num int64) bool {
	x := t.ext
	l := &x.to[i]
	f := &l.refusal
	switch {
	case l.flight.largest < 0:
		return true
	case !f.stands(l.acks):
		*f = refusal{t.since(now), l.flight.next, l.acks}
		return false
	case x.cfg.NoFailover || num < f.sent || l.recovery.backoff == 0:
		return false
	}
	since := t.epoch.Add(f.at)
	for j := range x.to {
		o := &x.to[j]
		if j != i && !o.dead() && !o.refusal.stands(o.acks) && o.stats.Last.After(since) {
			return true
		}
	}
	return false
}
