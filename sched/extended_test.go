package sched

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"
)

// TestExtendedStorm sends through networks of all sorts, looks at the transfer after
// every event, and at the end for what arrived.
func TestExtendedStorm(t *testing.T) {
	seeds := uint64(1000)
	if testing.Short() {
		seeds = 50
	}
	for seed := range seeds {
		n := newNet(t, seed)
		rng := rand.New(rand.NewPCG(seed, 2))
		k := 1 + rng.IntN(5)
		const segment = 1000
		size := 1 + rng.Int64N(600_000)
		total := ceilDiv(size, segment)
		cfg := ExtendedConfig{Static: rng.IntN(5) == 0}
		if rng.IntN(4) == 0 {
			cfg.Window = 1 + rng.IntN(50)
			cfg.Fixed = rng.IntN(2) == 0
		}
		if rng.IntN(4) == 0 {
			cfg.Rate, cfg.Overhead = 50e3+rng.Float64()*1e6, wireOverhead
		}
		var links []*bottleneck
		var to []ExtendedReceiver
		for i := range k {
			l := &bottleneck{
				rate: (1 + 50*rng.Float64()) * mbit, queue: 3000 + rng.Float64()*200e3,
				delay: time.Duration(rng.Int64N(int64(100 * ms))),
			}
			if i > 0 && rng.IntN(2) == 0 { // the first never falls silent for 5 s
				l.loss = .2 * rng.Float64()
			}
			if rng.IntN(4) == 0 {
				l.swap = .3
			}
			links = append(links, l)
			to = append(to, ExtendedReceiver{Window: 1 + rng.IntN(300), Latency: 2 * l.delay, Share: rng.Int64N(total + 1)})
		}
		if rng.IntN(3) == 0 {
			n.ackGap = time.Duration(rng.Int64N(int64(20 * ms)))
		}
		n.slack = time.Duration(rng.Int64N(int64(2 * ms)))
		tr := NewExtended(epoch, size, segment, to, cfg)
		tr.ext.to[0].acks = 1 // its first three may all be lost
		f := n.add(0, tr, links...)
		if rng.IntN(3) == 0 {
			f.lossy = .3 * rng.Float64()
		}
		// All but the first may die for a while, or for ever.
		for i := 1; i < k; i++ {
			if rng.IntN(3) > 0 {
				continue
			}
			at := time.Duration(rng.Int64N(int64(3 * time.Second)))
			n.after(at, func(now time.Duration) {
				f.dead[i] = true
				if rng.IntN(2) == 0 {
					tr.Kill(epoch.Add(now), i, errors.New("refused"))
					n.drive(f, now)
				}
			})
			if rng.IntN(2) == 0 {
				n.after(at+time.Duration(rng.Int64N(int64(8*time.Second))), func(time.Duration) { f.dead[i] = false })
			}
		}
		// The other end tells now and then what it has, and forgets some of it once.
		if rng.IntN(3) == 0 {
			for range 3 {
				n.after(time.Duration(rng.Int64N(int64(5*time.Second))), func(now time.Duration) {
					tr.Have(f.stored())
					n.drive(f, now)
				})
			}
		}
		n.run(10 * time.Minute)
		if rng.IntN(4) == 0 && tr.Left() == 0 && f.ended < time.Minute {
			for seq := range total {
				if rng.IntN(3) == 0 {
					delete(f.arrived, seq)
				}
			}
			lost := total - int64(len(f.arrived))
			if got := tr.Reopen(0, total, f.stored()); got != lost || tr.Left() != lost {
				t.Fatalf("seed %d: %d are opened again, %d left, want %d", seed, got, tr.Left(), lost)
			}
			f.ended = 0
			n.drive(f, n.now)
			n.run(20 * time.Minute)
		}
		if !tr.Done() || tr.Left() != 0 {
			t.Fatalf("seed %d: %d of %d left, %d living, %d receivers, %+v", seed, tr.Left(), tr.Total(), tr.Living(), k, cfg)
		}
		if int64(len(f.arrived)) != total {
			t.Fatalf("seed %d: %d of %d arrived", seed, len(f.arrived), total)
		}
		if m := tr.Missing(); len(m) > 0 {
			t.Fatalf("seed %d: missing %v", seed, m)
		}
	}
}

// stored lists what arrived as rising ranges.
func (f *flow) stored() (ranges []Range) {
	for seq := range f.tr.Total() {
		if n := len(ranges); !f.arrived[seq] {
			continue
		} else if n > 0 && ranges[n-1].Last == seq-1 {
			ranges[n-1].Last = seq
		} else {
			ranges = append(ranges, Range{seq, seq})
		}
	}
	return ranges
}
