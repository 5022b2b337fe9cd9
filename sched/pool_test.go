package sched

import (
	"testing"
)

// TestPool: receivers draw blocks from the front of the payload, each of the size that it
// carries in a while. So the payload comes about in order, whatever their rates are.
func TestPool(t *testing.T) {
	const segments = 100_000
	rates := []int{64, 16, 4} // acknowledged at once, each 10 ms
	tr := pair(segments, len(rates), 64, ExtendedConfig{})
	x := tr.ext
	if a, b := tr.Stats(0).Assigned, tr.Stats(2).Assigned; a != 33_333 || b != 33_334 {
		t.Fatalf("assigned are %d and %d", a, b)
	}
	done := make([]bool, segments)
	front, most := int64(0), int64(0) // of the SEQs that are there, and how far ahead others were
	acked := make([]int64, len(rates))
	for step := 1; !tr.Done(); step++ {
		if step > 1e6 {
			t.Fatal("it does not end")
		}
		now := at(int64(step) * 10)
		sent(t, tr, now)
		now = now.Add(5 * ms)
		for i, n := range rates {
			l := &x.to[i]
			n := min(int64(n), l.flight.next-acked[i])
			for num := acked[i]; num < acked[i]+n; num++ {
				seq := l.flight.at(num).seq
				done[seq] = true
				most = max(most, seq-front)
			}
			if n > 0 {
				tr.AckRanges(now, i, []Range{{acked[i], acked[i] + n - 1}})
				acked[i] += n
			}
		}
		for front < segments && done[front] {
			front++
		}
	}
	// Blocks of 100 ms at each, or a train, and what the quickest carries meanwhile.
	if most > 64*40 {
		t.Errorf("the first hole is %d segments behind", most)
	}
}

// TestPoolHave: claims stay in proportion, and add up to what is left of the pool.
func TestPoolHave(t *testing.T) {
	tr := pair(1000, 3, 8, ExtendedConfig{})
	tr.Have([]Range{{200, 499}, {700, 999}})
	x := tr.ext
	if err := tr.Audit(); err != nil {
		t.Fatal(err)
	}
	// Each has a train, 0 to 191, and a third of what is left of the rest.
	if a, b, c := x.to[0].claim, x.to[1].claim, x.to[2].claim; a+b+c != 208 || max(a, b, c)-min(a, b, c) > 1 {
		t.Errorf("claims are %d, %d, %d", a, b, c)
	}
}
