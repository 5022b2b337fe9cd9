package mdalp

import (
	"math"
	"time"

	"mdalp/internal/sim"
)

// drawLinks draws what the paths have in common.
func (sc *scenario) drawLinks() {
	f := &sc.links
	f.base = sc.span(50*time.Microsecond, 500*time.Millisecond)
	f.kind = sim.Fixed
	if sc.with("jitter", 0.6) {
		f.kind = []string{sim.Uniform, sim.Normal, sim.Pareto, sim.Trace}[sc.rng.IntN(4)]
		sc.varies = true
	}
	if sc.with("loss", 0.5) {
		f.loss = math.Pow(10, -3*sc.rng.Float64()) * 0.3
		if sc.rng.IntN(10) == 0 {
			f.loss *= 3
		}
	}
	if sc.with("impatient", 0.1) { // receivers die and come back by acks that were late
		sc.cfg.Tries = 1 + sc.rng.IntN(3)
		sc.cfg.RTO = RTO(max(time.Millisecond, sc.span(f.base/4, 2*f.base)))
	}
	f.burst = sc.with("burst", 0.15)
	if sc.with("dup", 0.3) {
		f.dup = 0.3 * sc.rng.Float64()
	}
	if sc.with("reorder", 0.3) {
		f.reorder = 0.3 * sc.rng.Float64()
	}
	f.rate = sc.with("rate", 0.15)
	f.asym = sc.with("asym", 0.3)
	f.clog = sc.with("clog", 0.15)
	f.cut = sc.with("cut", 0.03)
	f.wet = sc.with("damage", 0.15)
	sc.lossy = f.loss > 0 || f.burst || f.dup > 0 || f.rate || f.wet
	sc.varies = sc.varies || f.reorder > 0 || f.rate
	sc.faults = sc.faults || f.burst || f.clog || f.cut
}

// link draws one direction of a path.
func (sc *scenario) link(base time.Duration, size int64) sim.LinkConfig {
	r, f := sc.rng, &sc.links
	if f.asym {
		base = time.Duration(float64(base) * (0.2 + 3*r.Float64()))
	}
	c := sim.LinkConfig{Delay: sim.Delay{Kind: f.kind, Mean: sim.Millis(base)}}
	spread := sim.Millis(float64(base) * r.Float64())
	most := base
	switch f.kind {
	case sim.Uniform:
		c.Delay.Spread = spread
		most += time.Duration(spread)
	case sim.Normal, sim.Pareto:
		c.Delay.Spread, c.Delay.Max = spread, sim.Millis(base*time.Duration(2+r.IntN(20)))
		most = time.Duration(c.Delay.Max)
	case sim.Trace:
		c.Delay.Mean = 0
		for range 1 + r.IntN(20) {
			d := time.Duration(float64(base) * (0.5 + r.Float64()))
			c.Delay.Trace = append(c.Delay.Trace, sim.Millis(d))
			most = max(most, d)
		}
	}
	c.Loss.P = f.loss * r.Float64()
	c.Duplicate = f.dup
	if f.reorder > 0 {
		c.Reorder = sim.Reorder{P: f.reorder, Extra: sim.Millis(base * time.Duration(1+r.IntN(5)))}
		most += time.Duration(c.Reorder.Extra)
	}
	if f.burst && r.IntN(2) == 0 {
		c.Loss.Burst = sim.Burst{Enter: 0.1 * r.Float64(), Leave: 0.05 + 0.5*r.Float64(), Bad: r.Float64()}
	}
	if f.rate {
		c.Rate = int64(5000 * math.Pow(200, r.Float64()))
		c.Queue = size + int64(r.IntN(64<<10))
		most += time.Duration(float64(c.Queue) / float64(c.Rate) * 1e9)
	}
	if f.clog && r.IntN(2) == 0 {
		from := sc.span(time.Millisecond, 20*time.Second)
		c.Clogs = append(c.Clogs, sim.Clog{From: sim.Millis(from), To: sim.Millis(from + sc.span(time.Millisecond, 20*time.Second))})
	}
	if f.cut && r.IntN(4) == 0 {
		c.Clogs = append(c.Clogs, sim.Clog{From: sim.Millis(sc.span(time.Millisecond, 10*time.Second))})
	}
	sc.trip = max(sc.trip, 2*most) // of the slowest path; both ways are about alike, times 2 with asym
	return c
}

// features are what the links of a seed have in common. Their amounts are drawn
// for each link.
type features struct {
	base                              time.Duration
	kind                              string
	loss, dup, reorder                float64
	burst, rate, asym, clog, cut, wet bool
}
