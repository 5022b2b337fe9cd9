package loop

import (
	"context"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The share of rounds with a fruitless spin falls until it is next to nothing, and
// a fruitful one brings spinning back.
func TestSpinner(t *testing.T) {
	s := spinner{within: spinWithin, penalty: minPenalty}
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
}

// A trial finds the way that costs less, tries both in equal parts, is not misled by a
// stranger, and begins again after a while.
func TestTrial(t *testing.T) {
	const us = time.Microsecond
	for _, c := range []struct {
		name          string
		sleep, yields time.Duration // what a round costs
		stranger      int           // the round that takes 4 ms more
		want          bool
	}{
		{"yielding is better", 43 * us, 40 * us, -1, true},
		{"sleeping is better", 40 * us, 43 * us, -1, false},
		{"no difference", 40 * us, 40 * us, -1, false},
		{"a stranger while asleep", 40 * us, 43 * us, 10, false},
		{"a stranger while yielding", 43 * us, 40 * us, turnRounds + 10, true},
	} {
		var tr trial
		now, got := time.Unix(1, 0), uint64(0)
		round := func(i int) (yield bool) {
			if yield = tr.round(now, got); yield {
				now = now.Add(c.yields)
			} else {
				now = now.Add(c.sleep)
			}
			if i == c.stranger {
				now = now.Add(4 * time.Millisecond)
			}
			got += 10
			return yield
		}
		for k := range 3 {
			yielded := 0
			for i := range 2 * turns * turnRounds {
				if round(i) {
					yielded++
				}
			}
			if yielded != turns*turnRounds {
				t.Errorf("%s, trial %d: %d rounds of it yielded", c.name, k, yielded)
			}
			for i := range trialLasts {
				if round(-2) != c.want {
					t.Fatalf("%s, trial %d: round %d behind it is not of the better way", c.name, k, i)
				}
			}
		}
	}
	// Where nothing is received, nothing is found.
	var tr trial
	for range 10 * turnRounds {
		if tr.round(time.Unix(1, 0), 0) {
			t.Fatal("yields without a reason")
		}
	}
}

// On one CPU the loop looks once, and finds what has come meanwhile.
func TestYield(t *testing.T) {
	s := listen(t, "127.0.0.1:0", Options{Replies: true})
	p := &program{t: t}
	r, err := newRunner(context.Background(), nil, p, []*Socket{s})
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	r.spin = spinner{yields: true, within: shortWait, penalty: minPenalty}
	r.spin.trial = trial{turn: 2 * turns, left: 100, won: true}
	if r.spinning(-1) || r.spin.misses != 1 {
		t.Errorf("%d datagrams from nowhere, %d misses", r.caught, r.spin.misses)
	}
	if err := unix.Sendto(s.fd, []byte("x"), 0, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: int(s.LocalAddr().Port())}); err != nil {
		t.Fatal(err)
	}
	// A timer that is due soon is not made to wait for strangers.
	if r.spinning(spinBudget-1) || r.spin.misses != 1 || r.caught != 0 {
		t.Errorf("%d datagrams, %d misses with a timer due", r.caught, r.spin.misses)
	}
	// Nor does a server give its turn away.
	if s.opts.Replies = false; r.spinning(-1) || r.spin.misses != 1 || r.caught != 0 {
		t.Errorf("%d datagrams, %d misses where no replies are expected", r.caught, r.spin.misses)
	}
	if s.opts.Replies = true; !r.spinning(-1) || r.caught != 1 {
		t.Errorf("%d datagrams", r.caught)
	}
}

// A loop whose raw waits keep the one from running that it waits for soon has hardly
// any, and a loop that is busy in truth is not held up by one long round.
func TestPace(t *testing.T) {
	p := tempo{need: minBusy}
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
