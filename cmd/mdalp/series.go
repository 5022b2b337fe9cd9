package main

import (
	"slices"
	"strconv"
	"time"

	"mdalp"
	"mdalp/cmd/internal/shape"
)

// A measurement is what one run measured. It is made of the report, of which nothing
// else is kept: a thousand runs to a thousand receivers would be a lot of memory.
type measurement struct {
	// The phases as in mdalp.Report, and the whole.
	Wait, Ping, Send, Verdict, Elapsed time.Duration
	// Bytes of the payload a second while it was sent.
	Speed    float64
	Extended bool
	// In user and kernel mode, of all threads.
	CPU              time.Duration
	TID              int64
	Segments         int64
	Resent, Timeouts int64
	// ADDR:PORT, in the order of the offer.
	Receivers []string
}

// active is the time that was not spent waiting for the offer.
func (s *measurement) active() time.Duration { return s.Ping + s.Send + s.Verdict }

// cpuPerSegment is in nanoseconds.
func (s *measurement) cpuPerSegment() float64 { return float64(s.CPU) / float64(max(s.Segments, 1)) }

// A series is the runs of one way to send.
type series struct {
	Balance  mdalp.Balance
	Server   int    // the receiver's place in the offer if Balance is None
	Receiver string // its address in the first offer
	Samples  []measurement
	// Half a transfer takes half the time, and would make a way look fast that does not work.
	Failed  int  // runs that were incomplete; they are no samples
	Changed bool // some offer had another receiver in that place
}

// mode is the original's number.
func (s *series) mode() int {
	if s.Balance == mdalp.BalanceNone {
		return 2
	}
	return 1
}

// extended reports whether some run spoke the extended protocol.
func (s *series) extended() bool {
	return slices.ContainsFunc(s.Samples, func(x measurement) bool { return x.Extended })
}

// name tells the series from the others. As key=value, which is what benchstat takes.
func (s *series) name() string {
	if s.mode() == 2 {
		return "server=" + strconv.Itoa(s.Server)
	}
	return "balance=" + s.Balance.String()
}

// add takes a run that ended with err.
func (s *series) add(x measurement, err error) {
	// A run to one receiver has only that one in its report.
	if s.Server > 0 && len(x.Receivers) == 1 && x.Receivers[0] != s.Receiver {
		s.Changed = true
	}
	if err != nil {
		s.Failed++
		return
	}
	s.Samples = append(s.Samples, x)
}

// spreadOf sums up the values that get gives of the samples; all 0 if there are none.
// Median, least and most, because the mean of a few runs is what one bad run makes of
// it.
func (s *series) spreadOf(get func(*measurement) float64) shape.Spread {
	if len(s.Samples) == 0 {
		return shape.Spread{}
	}
	v := make([]float64, len(s.Samples))
	for i := range s.Samples {
		v[i] = get(&s.Samples[i])
	}
	slices.Sort(v)
	n := len(v)
	return shape.Spread{Median: (v[(n-1)/2] + v[n/2]) / 2, Min: v[0], Max: v[n-1]}
}

// The values that are summed up. Times are in seconds.
var (
	ofElapsed  = func(x *measurement) float64 { return x.Elapsed.Seconds() }
	ofActive   = func(x *measurement) float64 { return x.active().Seconds() }
	ofWait     = func(x *measurement) float64 { return x.Wait.Seconds() }
	ofPing     = func(x *measurement) float64 { return x.Ping.Seconds() }
	ofSend     = func(x *measurement) float64 { return x.Send.Seconds() }
	ofSpeed    = func(x *measurement) float64 { return x.Speed }
	ofCPU      = func(x *measurement) float64 { return x.cpuPerSegment() }
	ofResent   = func(x *measurement) float64 { return float64(x.Resent) }
	ofTimeouts = func(x *measurement) float64 { return float64(x.Timeouts) }
)

// fastest gives the series, of those that want allows, with the least median of
// pings and sending; nil if none was measured.
func (b *benchmark) fastest(want func(*series) bool) (best *series) {
	for _, s := range b.Series {
		if len(s.Samples) > 0 && want(s) &&
			(best == nil || s.spreadOf(ofActive).Median < best.spreadOf(ofActive).Median) {
			best = s
		}
	}
	return best
}
