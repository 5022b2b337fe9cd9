package loop

import (
	"testing"
	"time"
)

// The share of rounds with a fruitless spin falls until it is next to nothing, and
// a fruitful one brings spinning back.
func TestSpinner(t *testing.T) {
	s := spinner{allowed: true, penalty: minPenalty}
	count := func(rounds int) (spins int) {
		for range rounds {
			if s.worth(spinBudget) {
				spins++
				s.miss()
			}
		}
		return spins
	}
	if n := count(minPenalty + 2); n != 2 {
		t.Errorf("%d spins at first, want 2", n)
	}
	count(10 * maxPenalty)
	if n := count(10 * (maxPenalty + 2)); n != 20 {
		t.Errorf("%d spins in the long run, want 20", n)
	}
	for range maxPenalty {
		s.hit()
	}
	if s.penalty != minPenalty {
		t.Errorf("penalty %d after hits", s.penalty)
	}
	if s.off = 0; s.worth(spinWithin+1) || !s.worth(spinWithin) {
		t.Error("the length of a round does not decide")
	}
	if s.allowed = false; s.worth(0) {
		t.Error("spins on one CPU")
	}
}

// A loop whose raw waits keep the one from running that it waits for soon has hardly
// any, and a loop that is busy in truth is not held up by one long round.
func TestPace(t *testing.T) {
	p := pace{need: minBusy}
	count := func(rounds int, raw time.Duration) (busy int) {
		for range rounds {
			if p.round(20 * time.Microsecond) {
				busy++
				if raw > 0 {
					p.round(raw)
				}
			}
		}
		return busy
	}
	if n := count(minBusy-1, 0); n != 0 {
		t.Errorf("busy in %d of too few rounds", n)
	}
	if n := count(100, 0); n != 100 {
		t.Errorf("busy in %d of 100 rounds", n)
	}
	p.round(rawWait)
	if n := count(4*minBusy, 0); n != 2*minBusy+1 || p.need != minBusy {
		t.Errorf("after one long round: busy in %d, needs %d", n, p.need)
	}
	for range 5 * minBusy {
		if p.round(shortWait + 1); p.round(0) {
			t.Fatal("busy though every other round is long")
		}
	}
	if n := count(20*maxBusy, rawWait); n > 30 {
		t.Errorf("%d raw waits were in vain", n)
	}
}
