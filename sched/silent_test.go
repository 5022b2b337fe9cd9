package sched

import (
	"testing"
	"time"
)

// TestSilent: until it acknowledges something a receiver gets two segments and a probe, and
// dies after as many probe timeouts as any; what is known not to have arrived does not count.
// After its first acknowledgement the window is what a whole initial window would have made
// of it.
func TestSilent(t *testing.T) {
	begin := func() *Transfer {
		return NewExtended(at(0), 100_000, 1000, []ExtendedReceiver{{Window: 64, Share: 100}}, ExtendedConfig{})
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
		if most := min(firstTries+astray, 2+astray+1); sent > most || sent < firstTries || tr.Stats(0).Err != ErrSilent {
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
	if f := tr.Flow(0); n < firstTries || f.Window != 40*1000 {
		t.Errorf("after its first ack it gets %d segments at once, its window is %d bytes", n, f.Window)
	}
}

// TestStandstill: a receiver is silent only while it could be heard. One that has answered within
// 50 ms outlives three probe timeouts of which each comes a minute late, and dies after 5 s of
// those that do not.
func TestStandstill(t *testing.T) {
	tr := NewExtended(at(0), 100_000, 1000, []ExtendedReceiver{{Window: 64, Share: 100}}, ExtendedConfig{})
	now, late := at(0), time.Duration(0)
	step := func() {
		for {
			_, _, num, ok := tr.TransmitNum(now)
			if !ok {
				break
			}
			if now.Equal(at(0)) && num == 0 {
				tr.AckRanges(at(50), 0, []Range{{First: 0, Last: 0}})
				now = at(50)
			}
		}
		next, ok := tr.Next()
		if !ok {
			t.Fatal("it ends")
		}
		if next = next.Add(late); next.After(now) {
			now = next
		}
		tr.Expire(now)
	}
	for tr.Stats(0).Timeouts == 0 {
		step()
	}
	late = time.Minute
	for tr.Stats(0).Timeouts < 4 && tr.Stats(0).Err == nil {
		step()
	}
	if st := tr.Stats(0); st.Err != nil || now.Before(at(180_000)) {
		t.Fatalf("at %v after %d timeouts: dead by %v", now.Sub(at(0)), st.Timeouts, st.Err)
	}
	late = 0
	since := now
	for tr.Stats(0).Err == nil {
		step()
	}
	if d := now.Sub(since); tr.Stats(0).Err != ErrSilent || d > 10*time.Second {
		t.Errorf("dead by %v after %v", tr.Stats(0).Err, d)
	}
}

// TestProbeHeld: a probe that the cap holds up is not unanswered, and goes before the trains
// of the others.
func TestProbeHeld(t *testing.T) {
	tr := NewExtended(epoch, 100_000, 1000, []ExtendedReceiver{{Window: 64, Share: 50}, {Window: 64, Share: 50}},
		ExtendedConfig{Rate: 1000}) // a segment a second, after the first of them
	heard(tr)
	begun := sent(t, tr, at(0))
	if len(begun[0]) == 0 || len(begun[1]) != 0 {
		t.Fatalf("%v", begun)
	}
	for now := at(0); now.Before(at(30_000)); now = now.Add(100 * ms) {
		tr.Expire(now)
		st := tr.Stats(0)
		i, _, num, ok := tr.TransmitNum(now)
		if ok && i == 1 {
			tr.AckRanges(now, 1, []Range{{First: 0, Last: num}})
		}
		if st.Err != nil && st.Timeouts > st.Sent-int64(len(begun[0]))+1 {
			t.Fatalf("dead after %v, %d timeouts, %d segments", now.Sub(epoch), st.Timeouts, st.Sent)
		}
		if probes := st.Sent - int64(len(begun[0])); st.Timeouts > probes+1 {
			t.Fatalf("after %v: %d timeouts, and %d probes left", now.Sub(epoch), st.Timeouts, probes)
		}
	}
}

// TestSpent: who has had his transmissions, and is waited for no more because all was
// stored, as the orchestrator says, is dead when something must be sent again: it cannot be
// sent to him.
func TestSpent(t *testing.T) {
	tr := NewExtended(at(0), 400_000, 1000, []ExtendedReceiver{{Window: 64, Share: 200}, {Window: 64, Share: 200}}, ExtendedConfig{})
	var nums []int64 // of the first receiver, which answers in the next step
	for ms := int64(0); ms < 60_000 && (tr.Left() > 0 || tr.ext.to[1].flight.out > 0); ms += 10 {
		for _, num := range nums {
			tr.AckRanges(at(ms), 0, []Range{{First: num, Last: num}})
		}
		nums = nums[:0]
		tr.Expire(at(ms))
		for {
			i, _, num, ok := tr.TransmitNum(at(ms))
			if !ok {
				break
			}
			if i == 0 { // the other one never answers
				nums = append(nums, num)
			}
		}
		if ms == 2000 {
			tr.Have([]Range{{0, 399}})
		}
		if err := tr.Audit(); err != nil {
			t.Fatal(err)
		}
	}
	want(t, "living", tr.Living(), 2)
	want(t, "again", tr.Reopen(0, 400, []Range{{0, 398}}), int64(1))
	if err := tr.Audit(); err != nil || tr.Stats(1).Err != ErrSilent || tr.Living() != 1 {
		t.Fatalf("%v; it is dead by %v, %d live", err, tr.Stats(1).Err, tr.Living())
	}
	tr.Kill(at(60_000), 0, ErrSilent)
	if !tr.Done() {
		t.Error("nobody is left, and the transfer is not done")
	}
}
