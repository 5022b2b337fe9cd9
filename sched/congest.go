package sched

import "time"

// A controller says how many bytes may be in flight at one receiver. There are two
// kinds: a fixed window, which yields to nothing and is fit for a window of one or
// for networks of one's own, and CUBIC.
type controller struct {
	fixed int64 // bytes; 0: CUBIC
	cubic cubic
}

// newController makes one for segments of so many bytes. fixed is a window in
// segments, or 0 for CUBIC.
func newController(segment, fixed int) controller {
	return controller{fixed: int64(fixed) * int64(segment), cubic: newCubic(segment)}
}

// window is how many bytes may be in flight.
func (c *controller) window() int64 {
	if c.fixed > 0 {
		return c.fixed
	}
	return int64(c.cubic.cwnd)
}

// gain is by how much the pacing rate is above a window each round trip. Once the round trip
// has grown, nothing more is put into the queue.
func (c *controller) gain() float64 {
	if c.fixed == 0 && c.cubic.slowStart() && !c.cubic.hystart.careful() {
		return paceSlowStart
	}
	return paceGain
}

// lost takes a loss, and returns the number of the congestion event that it belongs to.
func (c *controller) lost(now, sent time.Duration) (episode uint8) {
	c.cubic.congested(now, sent)
	c.cubic.lost++
	return c.cubic.episode
}
