package main

import (
	"math"
	"testing"
	"time"
)

// play offers n packets of a size, one each gap, and gives the instants of the arrivals. Time
// is virtual: it goes from one event to the next.
func play(d *direction, n, size int, gap time.Duration) (arrivals []time.Duration) {
	b := make([]byte, size)
	until := func(now time.Duration) {
		for p := d.arrival(now); p != nil; p = d.arrival(now) {
			arrivals = append(arrivals, p.due)
		}
	}
	for i := range n {
		until(time.Duration(i) * gap)
		d.offer(time.Duration(i)*gap, b, segment{})
	}
	for at, ok := d.next(); ok; at, ok = d.next() {
		until(at)
	}
	return arrivals
}

func constant(rate int64) []step { return []step{{0, rate}} }

func TestRateAndDelay(t *testing.T) {
	d := newDirection(link{rates: constant(8e6), queue: 1e6, delay: 50 * time.Millisecond}, 1, 1)
	got := play(d, 100, 1000, 0)
	if len(got) != 100 {
		t.Fatalf("%d of 100 packets arrived", len(got))
	}
	// A packet of 1,000 bytes takes 1 ms at 8 Mbit/s.
	for i, at := range got {
		if want := time.Duration(i+51) * time.Millisecond; at != want {
			t.Fatalf("packet %d arrived at %v, want %v", i, at, want)
		}
	}
}

func TestQueue(t *testing.T) {
	// Twice the rate: half of it is dropped, and what arrives has no gap.
	d := newDirection(link{rates: constant(8e6), queue: 10_000}, 1, 1)
	got := play(d, 2000, 1000, 500*time.Microsecond)
	if d.overflowed+int64(len(got)) != 2000 || d.offered != 2000 || d.delivered != int64(len(got)) {
		t.Errorf("of %d packets %d were dropped and %d arrived", d.offered, d.overflowed, len(got))
	}
	if n := len(got); n < 1000 || n > 1010 {
		t.Errorf("%d packets arrived, want 1,000 and what was in the queue", n)
	}
	if span := got[len(got)-1] - got[0]; span != time.Duration(len(got)-1)*time.Millisecond {
		t.Errorf("the packets took %v", span)
	}
	if d.waiting != 0 || d.head != d.tail {
		t.Errorf("%d bytes and %d packets are left over", d.waiting, d.tail-d.head)
	}

	// At one instant exactly the queue is taken, and again when one packet has left.
	d = newDirection(link{rates: constant(8e6), queue: 5000}, 1, 1)
	for range 7 {
		d.offer(0, make([]byte, 1000), segment{})
	}
	for range 2 {
		d.offer(time.Millisecond, make([]byte, 1000), segment{})
	}
	if d.overflowed != 3 || d.waiting != 5000 {
		t.Errorf("%d packets were dropped and %d bytes wait, want 3 and 5,000", d.overflowed, d.waiting)
	}
}

func TestRing(t *testing.T) {
	// More under way than the ring first holds, and with its start in the middle.
	d := newDirection(link{rates: constant(8e9), queue: 1 << 30, delay: time.Second}, 1, 1)
	if got := play(d, 10_000, 100, 500*time.Microsecond); len(got) != 10_000 || len(d.ring) != 2048 {
		t.Errorf("%d of 10,000 packets arrived, by a ring of %d", len(got), len(d.ring))
	}
}

func TestLoss(t *testing.T) {
	const n = 100_000
	l := link{rates: constant(8e6), queue: 1e6, loss: 0.1}
	d := newDirection(l, 1, 1)
	play(d, n, 100, time.Millisecond)
	if share := float64(d.lost) / n; math.Abs(share-0.1) > 0.005 {
		t.Errorf("%v of the packets were lost, want 0.1", share)
	}
	again, other := newDirection(l, 1, 1), newDirection(l, 1, 2)
	play(again, n, 100, time.Millisecond)
	play(other, n, 100, time.Millisecond)
	if again.lost != d.lost || other.lost == d.lost {
		t.Errorf("lost %d, with the same seed %d, with another one %d", d.lost, again.lost, other.lost)
	}
}

func TestBurst(t *testing.T) {
	const n = 200_000
	d := newDirection(link{rates: constant(8e6), queue: 1e6, burst: burst{enter: 0.01, leave: 0.25}}, 1, 1)
	got := play(d, n, 100, time.Millisecond)
	if share := float64(d.lost) / n; math.Abs(share-0.01/0.26) > 0.004 {
		t.Errorf("%v of the packets were lost, want %v", share, 0.01/0.26)
	}
	runs := 0
	for i := range got[1:] {
		if got[i+1]-got[i] > time.Millisecond {
			runs++
		}
	}
	if mean := float64(d.lost) / float64(runs); math.Abs(mean-4) > 0.3 {
		t.Errorf("a run of losses has %v packets in the mean, want 4", mean)
	}
}

func TestTrace(t *testing.T) {
	// 1,000 bytes a second, then 500, then 4,000.
	l := link{rates: []step{{0, 8000}, {time.Second, 4000}, {2 * time.Second, 32_000}}}
	for _, c := range []struct {
		at   time.Duration
		size int
		want time.Duration
	}{
		{0, 500, 500 * time.Millisecond},
		{500 * time.Millisecond, 500, time.Second},
		{500 * time.Millisecond, 750, 1500 * time.Millisecond},
		{500 * time.Millisecond, 2000, 2250 * time.Millisecond},
		{9 * time.Second, 4000, 10 * time.Second},
	} {
		if got := l.sent(c.at, c.size); got != c.want {
			t.Errorf("%d bytes from %v have left at %v, want %v", c.size, c.at, got, c.want)
		}
		if got := l.carries(c.at, c.want); math.Abs(got-float64(c.size)) > 1e-6 {
			t.Errorf("from %v to %v it carries %v bytes, want %d", c.at, c.want, got, c.size)
		}
	}
}
