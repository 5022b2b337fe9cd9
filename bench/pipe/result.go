package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A reading is what a network has done until now, as seen by the links and not by the
// programs.
type reading struct {
	up, down  counts          // of all paths
	at        time.Duration   // since the first packet
	began     time.Duration   // the first segment went in
	ended     []time.Duration // the last new one of each path came out
	arrived   []int64         // bytes of the payload, by path
	repeated  int64           // segments that were sent again
	late      time.Duration   // a delivery was, in the mean
	worst     time.Duration   // and at worst
	near, far int64           // packets that the TUN devices lost
}

// A result is one measurement.
type result struct {
	who   string
	share float64       // of what the links can carry
	bytes int64         // of the payload
	span  time.Duration // in which they came
	again int64         // segments that were sent again, of mdalp or of TCP
	reading
}

// String is a line of what came of it. What speaks against the figure is on the same line: an
// emulation that was late, or that lost packets which no link has dropped.
func (r result) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "  %-5s %5.1f %% of the link: %.1f MB in %.2f s; sent again %d; "+
		"dropped %d by the queue and %d by chance",
		r.who, 100*r.share, float64(r.bytes)/1e6, r.span.Seconds(), r.again, r.up.overflowed, r.up.lost)
	if back := r.down.overflowed + r.down.lost; back > 0 {
		fmt.Fprintf(&b, ", %d on the way back", back)
	}
	fmt.Fprintf(&b, "; late %.2f ms, at worst %.2f ms", r.late.Seconds()*1e3, r.worst.Seconds()*1e3)
	if r.near+r.far > 0 {
		fmt.Fprintf(&b, "; TUN DROPPED %d near and %d far: do not judge by this run", r.near, r.far)
	}
	return b.String()
}

// links tells of each link when it carried its last byte of payload, since the first segment
// went in, and its own share in the time of all; and how far the ends are apart.
func (r result) links(p *profile) string {
	var each []string
	for i, at := range r.ended {
		share := float64(r.arrived[i]) / p.paths[i].up.carries(r.began, r.began+r.span)
		each = append(each, fmt.Sprintf("%.3f s (%.1f %%)", max(0, at-r.began).Seconds(), 100*share))
	}
	first, last := slices.Min(r.ended)-r.began, slices.Max(r.ended)-r.began
	return fmt.Sprintf("        last payload byte of each link, and its share: %s; %.1f %% apart",
		strings.Join(each, ", "), 100*float64(last-first)/float64(max(last, 1)))
}

// total is a sum.
func total(ns []int64) (sum int64) {
	for _, n := range ns {
		sum += n
	}
	return sum
}
