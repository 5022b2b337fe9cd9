package trace

import (
	"math/bits"
	"slices"
	"time"
)

// A Spread is the distribution of some durations.
type Spread struct{ Min, Median, Mean, Max time.Duration }

// SpreadOf gives the distribution of all; zeroes if there are none.
func SpreadOf(all []time.Duration) (s Spread) {
	n := len(all)
	if n == 0 {
		return s
	}
	sorted := slices.Sorted(slices.Values(all))
	var sum float64 // centuries may be in a hostile capture
	for _, d := range sorted {
		sum += float64(d)
	}
	s.Min, s.Max = sorted[0], sorted[n-1]
	s.Median = sorted[(n-1)/2]/2 + sorted[n/2]/2 + (sorted[(n-1)/2]%2+sorted[n/2]%2)/2
	s.Mean = time.Duration(sum / float64(n))
	return s
}

// AckDelays gives the distribution of a receiver's ack delays. The median of more than
// are in the list is right to 1 %.
func (r *Receiver) AckDelays() Spread {
	if r.spread.n > int64(len(r.Delays)) {
		return r.spread.sum()
	}
	all := make([]time.Duration, len(r.Delays))
	for i := range r.Delays {
		all[i] = r.Delays[i].Took
	}
	return SpreadOf(all)
}

// Timed is the number of acks whose delay is known.
func (r *Receiver) Timed() int64 { return r.spread.n }

// fine is how many steps there are from one power of two to the next, as a power of two.
const fine = 6

// A digest sums durations up that are too many to keep.
type digest struct {
	n        int64
	min, max time.Duration
	total    float64
	// Counts by magnitude: 64 steps to the next power of two.
	steps map[int]int64
}

// add takes a duration that is not negative.
func (g *digest) add(d time.Duration) {
	if g.n == 0 {
		g.min, g.steps = d, make(map[int]int64)
	}
	g.n++
	g.min, g.max, g.total = min(g.min, d), max(g.max, d), g.total+float64(d)
	g.steps[step(d)]++
}

// step is the step that d is in.
func step(d time.Duration) int {
	power := bits.Len64(uint64(d)) - 1
	if power < fine {
		return int(d)
	}
	return (power-fine+1)<<fine + int(uint64(d)>>(power-fine))&(1<<fine-1)
}

// middle is the middle of a step.
func middle(s int) time.Duration {
	power := s>>fine - 1
	if power < 0 {
		return time.Duration(s)
	}
	low := uint64(1<<fine+s&(1<<fine-1)) << power
	return time.Duration(low + 1<<power/2)
}

// sum gives the distribution.
func (g *digest) sum() (s Spread) {
	if g.n == 0 {
		return s
	}
	s = Spread{Min: g.min, Max: g.max, Mean: time.Duration(g.total / float64(g.n))}
	left := (g.n + 1) / 2
	for i := step(g.min); ; i++ {
		if left -= g.steps[i]; left <= 0 {
			s.Median = min(max(middle(i), g.min), g.max)
			return s
		}
	}
}

// maxListed bounds a list of delays.
const maxListed = 1 << 16

// A thinner keeps a list within its bound: when it is full every other one goes, and from
// then on every other one comes in.
type thinner struct{ every, skipped int }

// add appends d to list, or leaves it out.
func (t *thinner) add(list *[]Delay, d Delay) {
	if t.skipped++; t.skipped < max(1, t.every) {
		return
	}
	t.skipped = 0
	if len(*list) >= maxListed {
		half := (*list)[:0]
		for i := 0; i < maxListed; i += 2 {
			half = append(half, (*list)[i])
		}
		*list = half
		t.every = 2 * max(1, t.every)
	}
	*list = append(*list, d)
}
