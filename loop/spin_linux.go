package loop

import (
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// spinBudget is how long a spin lasts at most: somewhat more than it takes to
	// wake a thread on another core of a virtual machine, 25 to 30 µs.
	spinBudget = 50 * time.Microsecond
	// spinWithin is how long a round, its sleep and wake-up included, may have taken
	// for the next to be worth a spin.
	spinWithin = 3 * spinBudget
	// bulky is how long a datagram is that nobody sends alone. Others are behind it, whether
	// the loop looks for each of them or sleeps and takes them together; and what it burns
	// those may need who hash and write, where processors are few. At 1 Gbit/s on two of
	// them, one of which emulates the network, 87 % of the link are used and not 80 %.
	bulky = 512
	// After two fruitless spins there is none for this many rounds, twice as many
	// each time.
	minPenalty, maxPenalty = 256, 16384
)

// A spinner decides when the loop, before it sleeps, looks for datagrams for a
// short while instead. With one to three peers on the same host, answers come sooner
// than a thread can be put to sleep and woken: spinning there is three times as fast
// and takes a fifth to a half less CPU time, because sleep and wake-up cost more than the
// wait. From ten peers on it changes nothing. Over a wide-area network the penalty
// makes it vanish.
//
// On one CPU a spin would take the time from the very peer that should answer. There a
// socket with [Options.Replies] is looked at once, after everyone else was let run
// (sched_yield(2)): if that was the peer, its answers are there, all of them, and nobody
// had to be woken. If it was a stranger, who may keep the CPU for milliseconds, it counts
// as fruitless. A trial finds out whether it pays, which depends on what the peers on this CPU
// cost: whoever of two programs takes more time for its part than the other is preempted by it at
// every wake-up (sched(7), EEVDF). To yield prevents that for the one, and brings it about for
// the other. Against receivers that cost less than the client it is 7 to 11 % less CPU time with
// up to ten of them; against dearer ones the whole would take 20 % longer.
type spinner struct {
	yields  bool          // one CPU
	within  time.Duration // the longest round that is worth another spin
	misses  int
	off     int // rounds without a spin to come
	penalty int
	trial   trial
}

func newSpinner() spinner {
	// NumCPU goes by the affinity mask.
	if runtime.NumCPU() == 1 {
		return spinner{yields: true, within: shortWait, penalty: minPenalty}
	}
	return spinner{within: spinWithin, penalty: minPenalty}
}

// worth reports whether to spin after a round that took gap.
func (s *spinner) worth(gap time.Duration) bool {
	if gap > s.within {
		return false
	}
	if s.off > 0 {
		s.off--
		return false
	}
	return true
}

// hit and miss report how a spin ended.
func (s *spinner) hit() {
	s.misses = 0
	s.penalty = max(s.penalty-1, minPenalty)
}

func (s *spinner) miss() {
	if s.misses++; s.misses == 2 {
		s.misses, s.off = 0, s.penalty
		s.penalty = min(2*s.penalty, maxPenalty)
	}
}

// spinning tries to receive from the socket that received last, for at most the
// budget and d (none if d < 0). True means that the next round has something to do.
func (r *runner) spinning(d time.Duration) bool {
	s := r.socks[r.hot]
	budget := spinBudget
	soon := d >= 0 && d < budget
	if r.spin.yields && (soon || !s.opts.Replies || !r.spin.trial.round(r.now, r.got)) {
		return false // the timer could be late, nothing is known to come, or sleep costs less
	}
	if soon {
		// A timer ends the spin early, which says nothing against spinning.
		budget = d
	}
	start := time.Now()
	if r.spin.yields {
		syscall.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
	}
	for {
		n, e := s.in.recv(s.fd)
		s.stats.Receives++
		if e == 0 {
			r.caught = n
			s.ready = n == batch
			if r.spin.yields && time.Since(start) > r.spin.within {
				r.spin.misses = 1 // a stranger on this CPU: one such yield is too many
				r.spin.miss()
			} else {
				r.spin.hit()
			}
			return true
		}
		if e != unix.EAGAIN && e != unix.EINTR {
			// fetch knows what to make of it, and hears of the next error at least.
			s.failed, s.ready = true, true
			return true
		}
		if r.spin.yields || time.Since(start) >= budget {
			break
		}
	}
	if budget == spinBudget {
		r.spin.miss()
	}
	return false
}
