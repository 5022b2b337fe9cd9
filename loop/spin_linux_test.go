package loop

import "testing"

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
