package loop

import (
	"time"

	"golang.org/x/sys/unix"
)

const (
	// coalesceFor is how long the loop looks away; the kernel's timer slack (50 µs for most
	// threads, prctl(2), PR_SET_TIMERSLACK) comes on top. At 2 GB/s that is 300 kB, which one
	// receive buffer of the usual size takes. With half of it the receiver spares less.
	coalesceFor = 100 * time.Microsecond
	// coalesceWithin is how long a round may have taken for the next to be worth it: trains of
	// 64 kB are that far apart at 1.3 Gbit/s.
	coalesceWithin = 4 * coalesceFor
)

// A coalescer has the loop look away for a short while before it sleeps: what comes meanwhile is
// taken together, and wakes nobody. It is what a network card's driver does with its
// interrupts (ethtool(8), rx-usecs). Where a train is taken in before the next one is there,
// each costs a wake-up otherwise: of a gigabyte in trains over loopback that is a seventh of
// what the sender computes, and a third at the receiver.
//
// It is for bulk alone, and little else but the acknowledgements of bulk can be late by it. A
// sender with a small window waits for these, and is slower then, so that a trial has to find
// it faster.
type coalescer struct {
	trial trial
	away  bool   // the loop looked away when it was last about to sleep
	got   uint64 // datagrams until then
	wait  unix.Timespec
}

// lookAway waits without a look at anything, and reports whether it did so. The loop may
// sleep for d, forever if d < 0, and its last round took gap.
func (r *runner) lookAway(gap, d time.Duration) bool {
	c := &r.coalesce
	ended := c.away && c.got == r.got // nothing came meanwhile
	// A busy loop waits raw: one wait more that the scheduler does not know of is nothing new.
	c.away = r.bulk && r.poll.busy && !ended && gap <= coalesceWithin && (d < 0 || d >= coalesceWithin) &&
		c.trial.round(r.now, r.got)
	if !c.away {
		return false
	}
	c.got = r.got
	c.wait = unix.NsecToTimespec(int64(coalesceFor))
	nanosleep(&c.wait)
	return true
}
