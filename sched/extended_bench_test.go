package sched

import (
	"testing"
	"time"
)

// round sends all that may go and acknowledges it, a train of each receiver with one
// ack. It returns how many segments these were.
func round(tr *Transfer, now *time.Time, first []int64, acks [][]Range) (n int64) {
	for {
		i, _, num, ok := tr.TransmitNum(*now)
		if !ok {
			break
		}
		acks[i][0] = Range{first[i], num}
		n++
	}
	*now = now.Add(100 * time.Microsecond)
	for i := range acks {
		if acks[i][0].Last >= first[i] {
			tr.AckRanges(*now, i, acks[i])
			first[i] = acks[i][0].Last + 1
		}
	}
	return n
}

func steady(loss bool) (step func() int64) {
	const receivers, window = 8, 64
	var to []ExtendedReceiver
	for range receivers {
		to = append(to, ExtendedReceiver{Window: window, Share: 1 << 40 / 1200 / receivers})
	}
	tr := NewExtended(epoch, 1<<40, 1200, to, ExtendedConfig{})
	now, first, acks := epoch, make([]int64, receivers), make([][]Range, receivers)
	for i := range acks {
		acks[i] = []Range{{0, -1}}
	}
	k := 0
	return func() int64 {
		if k++; loss && k%16 == 0 {
			first[k/16%receivers] += 2 // the first two of a train are lost
		}
		return round(tr, &now, first, acks)
	}
}

// TestExtendedAllocations: neither a segment nor an ack allocates, with losses or not.
func TestExtendedAllocations(t *testing.T) {
	for _, loss := range []bool{false, true} {
		step := steady(loss)
		var n int64
		for range 3000 {
			n += step()
		}
		if n < 100_000 {
			t.Fatalf("only %d segments were sent", n)
		}
		if got := testing.AllocsPerRun(3000, func() { step() }); got > 0 {
			t.Errorf("loss %t: %v allocations a round", loss, got)
		}
	}
}

// BenchmarkExtended is what a segment costs here, with 8 receivers that take 64 each and
// acknowledge a train at once.
func BenchmarkExtended(b *testing.B) {
	step := steady(false)
	b.ReportAllocs()
	var n int64
	for b.Loop() {
		n += step()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/segment")
}
