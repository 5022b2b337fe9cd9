package sched

import "time"

const (
	// FirstRTO is the timeout before the first sample, and the ceiling after it
	// unless the round trip itself needs more. It is the protocol's own timer:
	// the original client waits 3 s for every acknowledgement.
	FirstRTO = 3 * time.Second

	// MinVar is the least that is added to the smoothed round trip, as Linux does
	// (tcp_rto_min, 200 ms): a receiver as steady as a clock must still be
	// allowed one hiccup.
	MinVar = 200 * time.Millisecond

	// MaxBackoff is the most that back-off alone raises the timeout to.
	MaxBackoff = 6 * time.Second
)

const (
	// maxSample keeps the arithmetic far from overflow. No sample comes near it:
	// a transaction lives 90 s.
	maxSample = time.Hour

	// maxDoublings is enough to bring the smallest timeout, MinVar, to MaxBackoff.
	maxDoublings = 5
)

// An RTT estimates the round trip to one receiver and from it the retransmission
// timeout (RFC 6298). The zero value is ready. It holds no instant: the caller
// measures, and by Karn's algorithm (RFC 6298, section 3) must not sample a
// segment that was sent more than once.
//
// Where it departs from RFC 6298, the reason is the same: a transaction is over
// 90 s after its offer, so one minute of politeness is a transaction lost, and
// with one segment outstanding per receiver there is no congestion to make worse.
//
//   - Section 2.1: the first timeout is 3 s, not 1 s, since the receivers take up
//     to 1.7 s to acknowledge a segment that arrived.
//   - Section 2.3: the variance term is at least [MinVar], which also stands for
//     the clock granularity G.
//   - Section 2.4: there is no floor of 1 s under the whole. MinVar is the floor.
//   - Section 2.5: the ceiling is not 60 s or more but [FirstRTO], so that no
//     timeout is slower than the original's, or SRTT·1.25 + MinVar where that is
//     more. And section 5.5: back-off ends at [MaxBackoff].
//   - Section 5.5 and Karn's algorithm keep the back-off until a round trip is
//     measured, so that of two losses in a row the second costs twice the time.
//     Here one acknowledgement that measured nothing ends it as well, but not two
//     in a row (see [RTT.Forgive]).
//   - Section 5.7 speaks of TCP's handshake and has no meaning here.
type RTT struct {
	// Fixed, when positive, is what RTO always returns: no adapting, no back-off.
	Fixed time.Duration

	srtt      time.Duration // 0 before the first sample
	rttvar    time.Duration
	doublings uint8
	forgiven  bool // since the last sample
}

// Sample takes a measured round trip and ends the back-off. A sample that is not
// positive comes from a clock that stood still, and counts as 1 ns.
func (r *RTT) Sample(d time.Duration) {
	d = min(max(d, 1), maxSample)
	r.doublings = 0
	r.forgiven = false
	if r.srtt == 0 { // section 2.2
		r.srtt, r.rttvar = d, d/2
		return
	}
	// Section 2.3: beta is 1/4 and alpha 1/8, and RTTVAR takes the old SRTT. In
	// nanoseconds the truncation of the divisions is nothing, and it never takes
	// srtt below 1.
	r.rttvar += ((d - r.srtt).Abs() - r.rttvar) / 4
	r.srtt += (d - r.srtt) / 8
}

// Backoff doubles the timeout, up to [MaxBackoff] or, where the timeout is longer
// than that without it, not at all. Call it when a timer has expired (RFC 6298,
// section 5.5).
func (r *RTT) Backoff() {
	r.doublings = min(r.doublings+1, maxDoublings)
}

// Forgive ends the back-off when a segment was acknowledged that was sent more
// than once. A second call before the next sample does nothing: if it was not a
// loss but a round trip that has become longer than the timeout, the next segment
// but one waits long enough to measure it.
func (r *RTT) Forgive() {
	if !r.forgiven {
		r.forgiven, r.doublings = true, 0
	}
}

// RTO returns how long to wait for the acknowledgement of a segment sent now. It
// is always positive.
func (r *RTT) RTO() time.Duration {
	if r.Fixed > 0 {
		return r.Fixed
	}
	rto := FirstRTO
	if r.srtt > 0 {
		ceiling := max(FirstRTO, r.srtt+r.srtt/4+MinVar)
		rto = min(r.srtt+max(MinVar, 4*r.rttvar), ceiling)
	}
	return min(rto<<r.doublings, max(MaxBackoff, rto))
}

// Smoothed returns the smoothed round trip, SRTT; ok is false before the first
// sample.
func (r *RTT) Smoothed() (d time.Duration, ok bool) { return r.srtt, r.srtt > 0 }

// timeouts is the sum of the next n timeouts if none is answered, n at least 1.
func (r RTT) timeouts(n int) (sum time.Duration) {
	for ; n > 0; n-- {
		d, before := r.RTO(), r.doublings
		if r.Backoff(); r.doublings == before { // from here on all are alike
			return sum + time.Duration(min(float64(d)*float64(n), 1<<61))
		}
		sum += d
	}
	return sum
}
