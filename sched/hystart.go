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
	mostCautious = 5                     // CSS_ROUNDS
)

const noRTT = time.Duration(math.MaxInt64)

// A hystart leaves slow start before the queue overflows (HyStart++, RFC 9406): when
// the least round trip of a round has grown, it goes on carefully, and after some
// rounds of that it has seen enough, unless the round trip has shrunk again.
type hystart struct {
	last     time.Duration // lastRoundMinRTT
	current  time.Duration // currentRoundMinRTT
	samples  int           // rttSampleCount
	baseline time.Duration // cssBaselineMinRtt; noRTT while not careful
	rounds   int           // rounds of care, this one too
}

func newHystart() hystart { return hystart{last: noRTT, current: noRTT, baseline: noRTT} }

func (h *hystart) careful() bool { return h.baseline != noRTT }

// round begins the next round, and reports whether slow start is over.
func (h *hystart) round() (over bool) {
	h.last, h.current, h.samples = h.current, noRTT, 0
	if h.careful() {
		h.rounds++
	}
	return h.rounds > mostCautious
}

// sample takes a round trip of the current round.
func (h *hystart) sample(rtt time.Duration) {
	h.current = min(h.current, rtt)
	if h.samples++; h.samples < roundSamples || h.last == noRTT {
		return
	}
	switch {
	case h.careful() && h.current < h.baseline: // the growth was none
		h.baseline, h.rounds = noRTT, 0
	case !h.careful() && h.current >= h.last+min(max(h.last/threshShare, minThresh), maxThresh):
		h.baseline, h.rounds = h.current, 1
	}
}
