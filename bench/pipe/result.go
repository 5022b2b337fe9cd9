package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A reading is what a network has done until now.
type reading struct {
	up, down  counts          // of all paths
	at        time.Duration   // since the first packet
	began     time.Duration   // the first segment went in
	ended     []time.Duration // the last new one of each path came out
	arrived   int64           // bytes of the payload
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

// String is a line of what came of it.
func (r result) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "  %-5s %5.1f %% of the link: %.1f MB in %.2f s; sent again %d; dropped %d by the queue and %d by chance",
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

// ends tells when the link of each receiver carried its last byte of payload, since the first
// one went in, and how far they are apart.
func (r result) ends() string {
	var at []string
	for _, e := range r.ended {
		at = append(at, fmt.Sprintf("%.2f", max(0, e-r.began).Seconds()))
	}
	first, last := slices.Min(r.ended)-r.began, slices.Max(r.ended)-r.began
	return fmt.Sprintf("        the links carried their last payload byte after %s s: %.1f %% apart",
		strings.Join(at, ", "), 100*float64(last-first)/float64(max(last, 1)))
}
