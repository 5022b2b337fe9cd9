package sched

import "time"

const (
	// burstTime and burstSegments bound what leaves at once: the larger of the two.
	// Bursts above 10 segments overflow small queues where the round trip is long.
	// A smaller one is as good as long as the timer that ends the wait is exact.
	// Half a burst must hold a segment.
	burstTime     = time.Millisecond
	burstSegments = 4

	// Gains of the rate over a window each round trip (RFC 9002, section 7.7): more
	// than one, so that the window is used although timers are late, and two in slow
	// start, where the window doubles in a round trip.
	paceGain      = 1.25
	paceSlowStart = 2
)

// A pacer is a token bucket, kept as the instant at which what was sent so far is
// paid for (the virtual scheduling of GCRA, ITU-T I.371): that instant may lie in the
// future by at most the depth of the bucket. A zero price means that nothing is paced.
type pacer struct {
	price float64       // ns a byte
	depth time.Duration // how much may be owed after sending
	owed  time.Duration // the instant at which all that was sent is paid
	until time.Duration // before this instant nothing more is sent
	wait  bool          // until has a meaning

	debt, deep time.Duration // owed and depth after the last send that was paced: for audit
}

// rate sets the bytes a nanosecond, and the size of a segment. What is owed stays the
// same in bytes.
func (p *pacer) rate(now time.Duration, bytes float64, segment int) {
	price := 1 / bytes
	if d := p.owed - now; d > 0 && p.price > 0 {
		p.owed = now + time.Duration(float64(d)*price/p.price)
	}
	p.price = price
	p.depth = max(burstTime, time.Duration(burstSegments*float64(segment)*price))
	p.until = p.owed - p.depth/2
}

// may reports whether size bytes may go now. Who may not is told to wait until a good
// part of the bucket is full again, so that what leaves then is a train and the
// wake-ups are few.
func (p *pacer) may(now time.Duration, size int) bool {
	if p.price == 0 {
		return true
	}
	if p.wait {
		if now < p.until {
			return false
		}
		p.wait = false
	}
	if p.owed-now+time.Duration(float64(size)*p.price) <= p.depth {
		return true
	}
	p.wait, p.until = true, p.owed-p.depth/2
	return false
}

// spend takes size bytes for sent.
func (p *pacer) spend(now time.Duration, size int) {
	if p.price > 0 {
		p.owed = max(p.owed, now) + time.Duration(float64(size)*p.price)
		p.debt, p.deep = p.owed-now, p.depth
	}
}
