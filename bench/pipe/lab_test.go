package main

import (
	"testing"
	"time"
)

// TestOfLab: the lab's networks with a rate are the same links here; what has none is refused.
func TestOfLab(t *testing.T) {
	for _, c := range []struct {
		name     string
		up, down int64 // bits a second
		trip     time.Duration
		queue    int
		loss     float64
	}{
		{"broadband", 20 * mbit, 100 * mbit, 26 * ms, 250_000, 0},
		{"satellite", 20 * mbit, 50 * mbit, 600 * ms, 1_500_000, 0.0005},
		{"shared", 50 * mbit, 50 * mbit, 40 * ms, 250_000, 0},
		{"datacentre", 1000 * mbit, 1000 * mbit, ms / 2, 131_072, 0},
	} {
		p, err := named(c.name)
		if err != nil {
			t.Error(err)
			continue
		}
		up, down := &p.paths[0].up, &p.paths[0].down
		if up.rates[0].rate != c.up || down.rates[0].rate != c.down || up.delay+down.delay != c.trip || up.queue != c.queue {
			t.Errorf("%s: up %+v, down %+v", c.name, up, down)
		}
		if d := up.loss - c.loss; d > 1e-9 || d < -1e-9 {
			t.Errorf("%s: %g of the packets are lost, want %g", c.name, up.loss, c.loss)
		}
	}
	for _, name := range []string{"continents", "nowhere"} {
		if _, err := named(name); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
