package sched

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestFlightRanges holds the skipping of acknowledged runs against a plain set.
func TestFlightRanges(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 0))
		f := newFlight()
		open := map[int64]bool{}
		for step := range 400 {
			if n := rng.IntN(20); rng.IntN(2) == 0 {
				for range n {
					num := f.push(time.Duration(step), f.next, 10, 0)
					open[num] = true
				}
			}
			if f.next == 0 {
				continue
			}
			last := f.next - 1 - rng.Int64N(min(f.next, 60))
			first := max(0, last-rng.Int64N(40))
			for num := f.unacked(last, first); num >= 0; num = f.unacked(num-1, first) {
				if !open[num] || num < first || num > last {
					t.Fatalf("seed %d: NUM %d is acknowledged again, by %d-%d", seed, num, first, last)
				}
				delete(open, num)
				f.acked(num)
			}
			f.bridge(first, last)
			for num := max(first, f.head); num <= last; num++ {
				if open[num] {
					t.Fatalf("seed %d: NUM %d is passed over, by %d-%d", seed, num, first, last)
				}
			}
			for f.oldest < f.next && f.at(f.oldest).flags&isOut == 0 {
				f.oldest++
			}
			f.retire(0)
			if f.out != len(open) || f.bytes != int64(10*len(open)) {
				t.Fatalf("seed %d: %d of %d bytes are out, want %d", seed, f.out, f.bytes, len(open))
			}
		}
	}
}

// TestFlightBound fills a flight as far as it goes, and the losses before it: what is
// remembered stays bounded, and what is out is never forgotten.
func TestFlightBound(t *testing.T) {
	f := newFlight()
	for range 3 * MaxFlight {
		f.push(0, f.next, 1, 0)
		f.leave(f.at(f.next-1), isLost)
		f.oldest = f.next
	}
	for !f.full() {
		f.push(0, f.next, 1, 0)
	}
	if f.out != MaxFlight || len(f.ring) != 2*MaxFlight {
		t.Errorf("%d are out in %d places", f.out, len(f.ring))
	}
	for num := f.oldest; num < f.next; num++ {
		if s := f.at(num); s.seq != num || s.flags != isOut {
			t.Fatalf("NUM %d is %+v", num, s)
		}
	}
}

// TestRuns moves SEQs through queues and holds them against a plain list.
func TestRuns(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 0))
		var q, other runs
		var want []int64
		var next int64
		for range 200 {
			switch rng.IntN(4) {
			case 0:
				if rng.IntN(2) == 0 {
					next += 3
				}
				n := rng.Int64N(20)
				q.push(next, next+n)
				for k := range n {
					want = append(want, next+k)
				}
				next += n
			case 1:
				for range min(len(want), rng.IntN(10)) {
					if got := q.pop(); got != want[0] {
						t.Fatalf("seed %d: %d, want %d", seed, got, want[0])
					}
					want = want[1:]
				}
			case 2:
				n := rng.IntN(len(want) + 1)
				other = runs{}
				q.cut(int64(n), &other)
				want = want[:len(want)-n]
				if other.n != int64(n) {
					t.Fatalf("seed %d: %d were cut, want %d", seed, other.n, n)
				}
			case 3:
				var gaps []Range
				for at := rng.Int64N(50); at < next && len(gaps) < 5; at += 2 + rng.Int64N(30) {
					gaps = append(gaps, Range{at, at + rng.Int64N(20)})
					at = gaps[len(gaps)-1].Last
				}
				var kept []int64
				for _, k := range want {
					if !within(gaps, k) {
						kept = append(kept, k)
					}
				}
				if gone := q.without(gaps); gone != int64(len(want)-len(kept)) {
					t.Fatalf("seed %d: %d are gone, want %d", seed, gone, len(want)-len(kept))
				}
				want = kept
			}
			if q.n != int64(len(want)) {
				t.Fatalf("seed %d: %d SEQs, want %d", seed, q.n, len(want))
			}
		}
	}
}
