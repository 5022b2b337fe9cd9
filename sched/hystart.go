package sched

import (
	"math"
	"time"
)

// The constants of RFC 9406, section 4.3. Its L has none: who paces needs no bound on
// how much one ack may let out.
const (
	minThresh    = 4 * time.Millisecond  // MIN_RTT_THRESH
	maxThresh    = 16 * time.Millisecond // MAX_RTT_THRESH
	threshShare  = 8                     // MIN_RTT_DIVISOR
	roundSamples = 8                     // N_RTT_SAMPLE
	cautious     = 4                     // CSS_GROWTH_DIVISOR

	// leaveRoom is by how much the window is smaller, beside what was put into the queue, when
	// slow start is over: the last round still grew. A link of its own stays busy. Of one that
	// is shared with a TCP, 20 Mbit/s at 200 ms, it takes 51 to 61 %, and 65 % without.
	leaveRoom = 1.15
)

const noRTT = time.Duration(math.MaxInt64)

// A hystart leaves slow start before the queue overflows (HyStart++, RFC 9406): when the
// round trip has grown it goes on carefully, and at the end of that round it has seen
// enough.
//
// It differs from the RFC in three things, for a paced sender beside others that are not. A
// round's window goes out in half a round trip, so that the queue is there at the end of a
// round before the next one's least round trip shows it: samples are looked at in blocks
// of roundSamples all through the round. CSS_ROUNDS is 1 and not 5, as the growth is what
// a whole block shows, and no single sample. And who leaves takes what it had put into the
// queue out of the window, and somewhat more. As the RFC has it, a flow took three quarters
// of a link that it shared with a TCP of Linux, which leaves at once; so it takes half.
type hystart struct {
	last    time.Duration // lastRoundMinRTT
	current time.Duration // currentRoundMinRTT
	samples int           // rttSampleCount
	block   time.Duration // the least of the block that is not full yet
	peak    time.Duration // the largest of the round's blocks
	grown   bool          // the round trip has grown
	least   time.Duration // the least round trip of all
}

func newHystart() hystart {
	return hystart{last: noRTT, current: noRTT, block: noRTT, least: noRTT}
}

func (h *hystart) careful() bool { return h.grown }

// round begins the next round, and reports whether slow start is over, and by how much
// the last round's peak was above the least round trip: 1 or more.
func (h *hystart) round() (excess float64, over bool) {
	if h.grown {
		return max(1, float64(h.peak)/float64(h.least)), true
	}
	h.last, h.current, h.samples, h.block, h.peak = h.current, noRTT, 0, noRTT, 0
	return 1, false
}

// sample takes a round trip of the current round.
func (h *hystart) sample(rtt time.Duration) {
	h.current, h.block, h.least = min(h.current, rtt), min(h.block, rtt), min(h.least, rtt)
	if h.samples++; h.samples%roundSamples > 0 {
		return
	}
	h.peak = max(h.peak, h.block)
	if least := min(h.last, h.current); h.last != noRTT {
		h.grown = h.grown || h.block >= least+min(max(least/threshShare, minThresh), maxThresh)
	}
	h.block = noRTT
}
