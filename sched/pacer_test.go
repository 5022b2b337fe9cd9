package sched

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestPacer sends as fast as it may, with timers that are late, at changing rates: no
// span of time carries more than the rate and one burst, and not much less either.
func TestPacer(t *testing.T) {
	const segment = 1000
	for _, c := range []struct {
		rate  float64 // bytes a second
		burst int     // bytes
	}{
		{1e5, burstSegments * segment},
		{1e6, burstSegments * segment},
		{1e8, 1e5},  // a millisecond of it
		{1e10, 1e7}, // also
	} {
		for seed := range uint64(20) {
			rng := rand.New(rand.NewPCG(seed, 0))
			var p pacer
			p.rate(0, c.rate/1e9, segment)
			now, sent := time.Duration(0), 0.0
			var credit float64 // what an ideal bucket owes, in bytes
			last := now
			for now < time.Duration(2000*segment/c.rate*1e9)+100*ms {
				for p.may(now, segment) {
					credit = max(0, credit-(now-last).Seconds()*c.rate)
					last = now
					if credit += segment; credit > float64(c.burst)+1 {
						t.Fatalf("rate %g, seed %d: %g bytes at once, %d are allowed", c.rate, seed, credit, c.burst)
					}
					p.spend(now, segment)
					sent += segment
					if err := p.audit(); err != nil {
						t.Fatal(err)
					}
				}
				if p.until <= now {
					t.Fatalf("it may not send, and waits for %v at %v", p.until, now)
				}
				now = p.until + time.Duration(rng.Int64N(int64(200*time.Microsecond)))
			}
			if want := now.Seconds() * c.rate; sent < .98*want {
				t.Errorf("rate %g, seed %d: %g bytes of %g", c.rate, seed, sent, want)
			}
		}
	}
}

// TestPacerRate: what is owed stays the same in bytes when the rate changes.
func TestPacerRate(t *testing.T) {
	var p pacer
	if !p.may(0, 1<<20) {
		t.Error("without a rate it does not let all go")
	}
	p.rate(0, 1e-3, 1000) // 1 byte a µs
	for range burstSegments {
		if !p.may(0, 1000) {
			t.Fatal("a burst may not go")
		}
		p.spend(0, 1000)
	}
	if p.may(0, 1000) || p.owed != burstSegments*ms {
		t.Errorf("owed is %v", p.owed)
	}
	p.rate(0, 2e-3, 1000)
	if p.owed != burstSegments*ms/2 {
		t.Errorf("at twice the rate %v are owed", p.owed)
	}
	if p.may(p.until-1, 1000) || !p.may(p.until, 1000) {
		t.Errorf("it does not wait until %v", p.until)
	}
}
