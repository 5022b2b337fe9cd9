package sched

import "time"

// The constants of RFC 9002, appendix A.2, and ours.
const (
	packetThreshold = 3                // kPacketThreshold
	granularity     = time.Millisecond // kGranularity

	// FirstRTT is the round trip before the first sample: kInitialRtt. Real receivers
	// acknowledge five times later than they answer a ping, so a ping alone may only
	// raise it.
	FirstRTT = 333 * time.Millisecond

	// leastPTO is below what RFC 9002 would say where the round trip is short. A
	// receiver that shares a processor is silent for some milliseconds now and then.
	leastPTO = 10 * time.Millisecond

	// mostPTO is where back-off ends, unless one PTO is longer. A transaction may be
	// silent for 30 s at most, so minutes of politeness would end it.
	mostPTO = time.Second

	// A persistent congestion lasts kPersistentCongestionThreshold PTOs.
	persistentThreshold = 3
)

const never = time.Duration(-1) // an instant that is not set

// A recovery finds out what of a flight is lost, as RFC 9002, sections 5 and 6 and
// appendix A, with NUM as the packet number. There is one packet number space, every
// packet elicits an ack and no ack is delayed on purpose, so max_ack_delay is 0.
type recovery struct {
	latest   time.Duration // latest_rtt
	smoothed time.Duration // smoothed_rtt
	variance time.Duration // rttvar
	least    time.Duration // min_rtt
	sampled  time.Duration // first_rtt_sample: when, or never
	backoff  int           // pto_count
	lossTime time.Duration // loss_time: when the oldest may be called lost, or never
	lastSent time.Duration // time_of_last_ack_eliciting_packet

	// run is when the first was sent of the losses without an ack between them that
	// reach up to the oldest in flight, or never.
	run        time.Duration
	persistent bool // they have lasted so long that the congestion is persistent
	renew      bool // the next sample replaces min_rtt
}

// newRecovery begins with a round trip that is guessed (section 6.2.2).
func newRecovery(first time.Duration) recovery {
	return recovery{smoothed: first, variance: first / 2, sampled: never, lossTime: never, run: never}
}

// sample takes a round trip measured at now (section 5). Caller measures it on the
// largest newly acknowledged NUM only, and only if it is the largest of its ack.
func (r *recovery) sample(now, d time.Duration) {
	d = min(max(d, 1), maxSample)
	r.latest = d
	if r.sampled == never {
		r.sampled = now
		r.least, r.smoothed, r.variance = d, d, d/2
		return
	}
	// Section 5.2: after a persistent congestion the path may be another one.
	if r.least = min(r.least, d); r.renew {
		r.least, r.renew = d, false
	}
	r.variance += ((r.smoothed - d).Abs() - r.variance) / 4 // section 5.3
	r.smoothed += (d - r.smoothed) / 8
}

// pto is the probe timeout without back-off (section 6.2.1).
func (r *recovery) pto() time.Duration {
	return max(r.smoothed+max(4*r.variance, granularity), leastPTO)
}

// wait is the probe timeout with back-off.
func (r *recovery) wait() time.Duration {
	one := r.pto()
	return min(one<<min(r.backoff, 10), max(one, mostPTO))
}

// lossDelay is the time threshold (section 6.1.2).
func (r *recovery) lossDelay() time.Duration {
	d := max(r.latest, r.smoothed)
	return max(d+d/8, granularity)
}

// keep is how long after its transmission a loss is remembered: its ack may come
// late, and says then that the loss was none.
func (r *recovery) keep() time.Duration { return 3 * r.pto() }

// due is when the loss detection timer expires (appendix A.8), or never. probe says
// that it is the probe timeout.
func (r *recovery) due(f *flight) (at time.Duration, probe bool) {
	switch {
	case r.lossTime != never:
		return r.lossTime, false
	case f.out > 0:
		return r.lastSent + r.wait(), true
	}
	return never, false
}

// lost takes the next loss out of a flight, or is nil (appendix A.10). As NUM and the
// instants of sending rise together, only the oldest can be next. Call it until it
// is nil, then see persistent.
func (r *recovery) lost(f *flight, now time.Duration) *shot {
	r.advance(f)
	r.lossTime = never
	if f.oldest > f.largest {
		return nil
	}
	s := f.at(f.oldest)
	if delay := r.lossDelay(); f.largest < f.oldest+packetThreshold && s.at+delay > now {
		r.lossTime = s.at + delay
		return nil
	}
	f.leave(s, isLost)
	r.advance(f)
	return s
}

// advance moves over what is not out any more, and sees how long nothing but losses
// came by (section 7.6). Each NUM is passed once.
func (r *recovery) advance(f *flight) {
	for f.oldest < f.next {
		s := f.at(f.oldest)
		switch {
		case s.flags&isOut != 0:
			return
		case s.flags&isAcked != 0:
			r.run = never
		case r.run == never:
			// Section 7.6.2: only what was sent after the first sample counts.
			if r.sampled != never && s.at > r.sampled {
				r.run = s.at
			}
		case s.at-r.run >= r.lasting():
			r.persistent = true
			r.run = s.at
		}
		f.oldest++
	}
}

// lasting is the least duration of a persistent congestion (section 7.6.1).
func (r *recovery) lasting() time.Duration {
	return persistentThreshold * (r.smoothed + max(4*r.variance, granularity))
}
