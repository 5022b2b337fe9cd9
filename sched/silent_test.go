package sched

import (
	"testing"
	"time"
)

// TestSilent: a receiver of which nothing was heard gets two segments and a probe, and dies
// after as many probe timeouts as any; what is known not to have arrived does not count.
// From its first acknowledgement on it is one like the others.
func TestSilent(t *testing.T) {
	begin := func() *Transfer {
		return NewExtended(at(0), 100_000, 1000, []ExtendedReceiver{{Window: 64, Share: 100, Silent: true}}, ExtendedConfig{})
	}
	// drive sends and expires until the transfer is done or so late, and counts what is sent.
	drive := func(tr *Transfer, astray int) (sent int, end time.Time) {
		for {
			now, ok := tr.Next()
			if !ok || now.After(at(60_000)) {
				return sent, now
			}
			end = now
			tr.Expire(now)
			for {
				if _, _, _, ok := tr.TransmitNum(now); !ok {
					break
				}
				if sent++; sent <= astray {
					tr.Astray(0)
				}
			}
			if tr.Done() {
				return sent, end
			}
		}
	}
	for _, astray := range []int{0, 1, 2, 3} {
		tr := begin()
		sent, end := drive(tr, astray)
		// Probes are due after 1, 3, 7 s: the last of them ends it.
		if most := min(silentTries+astray, 2+astray+1); sent > most || sent < silentTries || tr.Stats(0).Err != ErrSilent {
			t.Errorf("%d astray: %d segments are sent until %v, then it is dead by %v", astray, sent, end.Sub(at(0)), tr.Stats(0).Err)
		}
	}
	tr := begin()
	for k := range int64(2) {
		if _, _, num, ok := tr.TransmitNum(at(0)); !ok || num != k {
			t.Fatalf("NUM %d, %t", num, ok)
		}
	}
	if _, _, _, ok := tr.TransmitNum(at(0)); ok {
		t.Fatal("a third segment is sent at once")
	}
	tr.AckRanges(at(50), 0, []Range{{First: 0, Last: 1}})
	n := 0
	for {
		if _, _, _, ok := tr.TransmitNum(at(50)); !ok {
			break
		}
		n++
	}
	if n < silentTries {
		t.Errorf("after its first ack it gets %d segments at once", n)
	}
}
