package trace

import "time"

// setBack is by how much an instant must lie before the one of the datagram before it for
// the clock to have been set. Less is disorder: a capture of several interfaces or queues
// need not be in the order of time.
const setBack = 100 * time.Millisecond

// strays is how many packets with old times may come one after the other without that the
// clock was set: they were written late, as where captures are merged.
const strays = 16

// A clock makes instants that can be subtracted of those of a capture, whose clock may be
// set back in the middle. What passed while it was set nobody knows: as if nothing.
type clock struct {
	prev  time.Time     // as the capture has it
	high  time.Time     // the last before the clock was set, as the capture has it
	shift time.Duration // what is added since
	since int           // packets since it was set
	steps int64
	by    time.Duration // of all steps
}

// set gives the instant of the next datagram. The zero Time stays as it is.
func (c *clock) set(at time.Time) time.Time {
	if at.IsZero() {
		return at
	}
	switch gap := at.Sub(c.prev); {
	case c.prev.IsZero():
	case gap < -setBack:
		if c.shift == 0 || c.since > strays {
			c.high = c.prev
		}
		c.shift -= gap
		c.since = 0
		c.steps, c.by = c.steps+1, c.by-gap
	// It goes on where it was: those before were strays, and the clock was right.
	case c.shift > 0 && c.since < strays && !at.Before(c.high):
		c.shift = 0
		c.since = strays
	}
	c.since++
	c.prev = at
	return at.Add(c.shift)
}

// between is the time from one instant to another, as far as both are known and the
// capture is in order; ok is false if not.
func between(from, to time.Time) (d time.Duration, ok bool) {
	if from.IsZero() || to.IsZero() || to.Before(from) {
		return 0, false
	}
	return to.Sub(from), true
}
