package main

import (
	"net/netip"
	"runtime"

	"mdalp/cmd/internal/shape"
)

// json makes the JSON of a comparison that ended with err. One that ended early has fewer
// samples than runs were asked for.
func (b *benchmark) json(err error) shape.Bench {
	j := shape.Bench{
		Head: newHead(shape.BenchSchema, err), GOOS: runtime.GOOS, GOARCH: runtime.GOARCH,
		Size: b.Size, Receivers: b.Receivers, Runs: b.Runs, Warmup: b.Warmup, Series: []shape.Series{},
	}
	if cpu := cpuModel(); cpu != "" {
		j.CPU = &cpu
	}
	if b.Orchestrator.IsValid() {
		j.Orchestrator = shape.Ptr(b.Orchestrator.String())
	}
	for _, s := range b.Series {
		j.Series = append(j.Series, s.json())
	}
	return j
}

// json makes the JSON of one way to send.
func (s *series) json() shape.Series {
	x := shape.Series{Mode: s.mode(), Balance: s.Balance.String(), Changed: s.Changed, Failed: s.Failed,
		Samples: []shape.Sample{}}
	if s.Server > 0 {
		x.Server = &s.Server
	}
	// A series knows its receiver by the text of the table; "" is all of them.
	if a, err := netip.ParseAddrPort(s.Receiver); err == nil {
		x.Address, x.Port = shape.Ptr(a.Addr().String()), shape.Ptr(a.Port())
	}
	sum := func(get func(*measurement) float64) *shape.Spread {
		if len(s.Samples) == 0 {
			return nil
		}
		return shape.Ptr(s.spreadOf(get))
	}
	x.Elapsed, x.Wait, x.Probe = sum(ofElapsed), sum(ofWait), sum(ofPing)
	x.Transfer, x.CPU = sum(ofSend), sum(ofCPU)
	x.Speed = sum(ofSpeed)
	for i := range s.Samples {
		r := &s.Samples[i]
		x.Samples = append(x.Samples, shape.Sample{
			TID: r.TID, Elapsed: r.Elapsed.Seconds(), Wait: r.Wait.Seconds(),
			Probe: r.Ping.Seconds(), Transfer: r.Send.Seconds(),
			CPU: r.CPU.Seconds(), Segments: r.Segments, Resent: r.Resent, Timeouts: r.Timeouts,
			Verdict: r.Verdict.Seconds(), Extended: r.Extended, Speed: r.Speed,
		})
	}
	return x
}
