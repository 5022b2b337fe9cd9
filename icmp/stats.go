package icmp

import (
	"slices"
	"time"
)

// Stats sums up the echoes of one host. The times are round trips, all 0 when
// nothing was received.
//
// The protocol weighs receivers by the mean, which is what the original client
// took from ping. The median stands beside it because it is steadier: one
// pause of this process between stamp and send moves the mean of three echoes
// by a third of its length, and the median not at all.
type Stats struct {
	Sent     int // echoes sent
	Received int // echoes answered; duplicates do not count

	Min, Median, Mean, Max time.Duration
}

// summarize fills in the times from those of the answered echoes. It sorts rtts.
func (s *Stats) summarize(rtts []time.Duration) {
	s.Received = len(rtts)
	if len(rtts) == 0 {
		return
	}
	slices.Sort(rtts)
	n := len(rtts)
	s.Min, s.Max = rtts[0], rtts[n-1]
	// Of an even number the median is halfway between the middle two. The
	// difference is halved, since the sum might overflow.
	low, high := rtts[(n-1)/2], rtts[n/2]
	s.Median = low + (high-low)/2
	// Each is taken apart by n for the same reason.
	var whole, rest time.Duration
	for _, d := range rtts {
		whole += d / time.Duration(n)
		rest += d % time.Duration(n)
	}
	s.Mean = whole + rest/time.Duration(n)
}
