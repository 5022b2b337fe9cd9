package sched

import (
	"errors"
	"slices"
	"testing"
	"time"
)

var errRefused = errors.New("refused")

// pair is an extended transfer of 100-byte segments to some receivers of equal shares.
func pair(segments int64, receivers, window int, cfg ExtendedConfig) *Transfer {
	var to []ExtendedReceiver
	for i := range int64(receivers) {
		share := segments*(i+1)/int64(receivers) - segments*i/int64(receivers)
		to = append(to, ExtendedReceiver{Window: window, Share: share})
	}
	return heard(NewExtended(epoch, segments*100, 100, to, cfg))
}

// heard is a transfer whose receivers have each acknowledged something: none is held to what
// a stranger gets.
func heard(tr *Transfer) *Transfer {
	for i := range tr.ext.to {
		tr.ext.to[i].acks = 1
	}
	return tr
}

// sent lists what a transfer sends at an instant: for each receiver its SEQs.
func sent(t *testing.T, tr *Transfer, now time.Time) [][]int64 {
	t.Helper()
	got := make([][]int64, len(tr.ext.to))
	for {
		i, s, _, ok := tr.TransmitNum(now)
		if !ok {
			break
		}
		got[i] = append(got[i], s.Seq)
	}
	if err := tr.Audit(); err != nil {
		t.Fatal(err)
	}
	return got
}

func want(t *testing.T, what string, got, want any) {
	t.Helper()
	g, ok := got.([][]int64)
	if w, also := want.([][]int64); ok && also {
		if !slices.EqualFunc(g, w, slices.Equal) {
			t.Fatalf("%s: %v, want %v", what, g, w)
		}
	} else if got != want {
		t.Fatalf("%s: %v, want %v", what, got, want)
	}
}

func ack(t *testing.T, tr *Transfer, now time.Time, i int, newly int64, o Outcome, ranges ...Range) {
	t.Helper()
	if n, got := tr.AckRanges(now, i, ranges); n != newly || got != o {
		t.Fatalf("ack %v: %d new, outcome %d; want %d, %d", ranges, n, got, newly, o)
	}
	if err := tr.Audit(); err != nil {
		t.Fatal(err)
	}
}

// TestExtendedAcks: what is new counts once; what was never sent, or is no range,
// changes nothing.
func TestExtendedAcks(t *testing.T) {
	tr := pair(10, 1, 4, ExtendedConfig{Window: 3})
	want(t, "first", sent(t, tr, at(0)), [][]int64{{0, 1, 2}})
	ack(t, tr, at(10), 0, 0, Unsent, Range{0, 3})
	ack(t, tr, at(10), 0, 0, Unsent, Range{2, 1})
	ack(t, tr, at(10), 0, 0, Unsent, Range{-1, 1})
	ack(t, tr, at(10), 0, 0, Unsent)
	want(t, "after nothing", sent(t, tr, at(10)), [][]int64{nil})
	ack(t, tr, at(10), 0, 2, Fresh, Range{2, 2}, Range{0, 0})
	ack(t, tr, at(11), 0, 0, Duplicate, Range{2, 2}, Range{0, 0})
	want(t, "next", sent(t, tr, at(11)), [][]int64{{3, 4}})
	if st := tr.Stats(0); st.Acked != 2 || st.Bytes != 200 || st.Duplicate != 1 || st.Samples != 1 || st.AckMax != 10*ms {
		t.Errorf("%+v", st)
	}
	want(t, "left", tr.Left(), int64(8))
}

// TestSpuriousLoss: a NUM that was said to be lost is acknowledged after all, before or
// after its SEQ went out again. Either way the SEQ counts once.
func TestSpuriousLoss(t *testing.T) {
	for _, resent := range []bool{false, true} {
		tr := pair(6, 1, 5, ExtendedConfig{})
		want(t, "first", sent(t, tr, at(0)), [][]int64{{0, 1, 2, 3, 4}})
		ack(t, tr, at(10), 0, 4, Fresh, Range{1, 4})
		if st := tr.Stats(0); st.Lost != 1 {
			t.Fatalf("%+v", st)
		}
		left := int64(2)
		if resent {
			want(t, "again", sent(t, tr, at(10)), [][]int64{{0, 5}})
		}
		ack(t, tr, at(11), 0, 1, Fresh, Range{0, 4})
		want(t, "left", tr.Left(), left-1)
		if resent {
			ack(t, tr, at(12), 0, 2, Fresh, Range{0, 6})
		} else {
			want(t, "not again", sent(t, tr, at(12)), [][]int64{{5}})
			ack(t, tr, at(13), 0, 1, Fresh, Range{0, 5})
		}
		st := tr.Stats(0)
		if st.Spurious != 1 || st.Bytes != 600 || st.Acked != 6 || !tr.Done() || tr.Left() != 0 {
			t.Errorf("resent %t: %+v, left %d", resent, st, tr.Left())
		}
	}
}

// TestProbeOfFullWindow: a probe that finds the window full repeats the oldest and adds
// nothing; one that does not sends something new.
func TestProbeOfFullWindow(t *testing.T) {
	tr := pair(10, 1, 2, ExtendedConfig{})
	want(t, "first", sent(t, tr, at(0)), [][]int64{{0, 1}})
	due, _ := tr.Next()
	want(t, "due", due, at(999)) // three times 333 ms
	tr.Expire(due)
	want(t, "probe", sent(t, tr, due), [][]int64{{0}})
	want(t, "out", tr.Flow(0).Out, 2)

	tr = pair(200, 1, 100, ExtendedConfig{})
	n := int64(len(sent(t, tr, at(0))[0]))
	tr.Expire(at(999))
	want(t, "probe", sent(t, tr, at(999)), [][]int64{{n}})
	want(t, "out", tr.Flow(0).Out, int(n)+1)
}

// TestExtendedDeath: a receiver is dead after three probes in a row and five seconds;
// what it had goes to others, from the second probe on what is out as well. An ack
// brings it back.
func TestExtendedDeath(t *testing.T) {
	tr := pair(8, 2, 2, ExtendedConfig{Static: true})
	sent(t, tr, at(0))
	ack(t, tr, at(100), 1, 2, Fresh, Range{0, 1})
	sent(t, tr, at(100))
	ack(t, tr, at(200), 1, 2, Fresh, Range{0, 3}) // receiver 1 has done its part
	want(t, "its own", tr.Left(), int64(4))
	var copies []int64
	now := at(200)
	for tr.Living() == 2 {
		next, ok := tr.Next()
		if !ok || next.Sub(epoch) > time.Minute {
			t.Fatalf("it lives at %v", now.Sub(epoch))
		}
		now = next
		tr.Expire(now)
		if tr.Living() == 2 {
			got := sent(t, tr, now)[1]
			if copies = append(copies, got...); len(got) > 0 {
				tr.AckRanges(now, 1, []Range{{0, int64(3 + len(copies))}})
			}
		}
		if tr.Stats(0).Timeouts < doubtful && len(copies) > 0 {
			t.Fatalf("copies %v after %d probes", copies, tr.Stats(0).Timeouts)
		}
	}
	if st := tr.Stats(0); now.Before(at(5000)) || now.After(at(7000)) || st.Err != ErrSilent || st.Timeouts < deadProbes {
		t.Errorf("dead at %v: %+v", now.Sub(epoch), st)
	}
	if len(copies) != 2 {
		t.Errorf("copies of what was out: %v", copies)
	}
	want(t, "the rest", sent(t, tr, now), [][]int64{nil, {2, 3}})
	// What it had out at its end is acknowledged late.
	ack(t, tr, now, 0, 1, Fresh, Range{0, 0})
	if tr.Living() != 2 || tr.Stats(0).Err != nil || tr.Stats(0).Acked != 0 {
		t.Errorf("it is not back, or counts what others delivered: %+v", tr.Stats(0))
	}
	ack(t, tr, now, 1, 2, Fresh, Range{0, 7})
	if !tr.Done() || tr.Left() != 0 {
		t.Errorf("%d are left", tr.Left())
	}
}

// TestAllDead: with nobody alive it is over; who acknowledges after all gets everything.
func TestAllDead(t *testing.T) {
	tr := pair(9, 3, 1, ExtendedConfig{})
	sent(t, tr, at(0))
	for i := range 3 {
		tr.Kill(at(1), i, errRefused)
	}
	if !tr.Done() || tr.Left() != 9 {
		t.Fatalf("done %t, left %d", tr.Done(), tr.Left())
	}
	if m := tr.Missing(); len(m) != 1 || m[0] != (Span{0, 9, 0, 900}) {
		t.Errorf("missing: %v", m)
	}
	if _, ok := tr.Next(); ok {
		t.Error("something is to happen yet")
	}
	ack(t, tr, at(2), 1, 1, Fresh, Range{0, 0})
	for k := int64(1); !tr.Done(); k++ {
		got := sent(t, tr, at(2+k))
		if len(got[0])+len(got[2]) > 0 || len(got[1]) != 1 || k > 20 {
			t.Fatalf("sent: %v", got)
		}
		ack(t, tr, at(2+k), 1, 1, Fresh, Range{0, k})
	}
	want(t, "left", tr.Left(), int64(0))
}

// TestNoFailoverExtended: what a dead receiver had stays undelivered.
func TestNoFailoverExtended(t *testing.T) {
	tr := pair(4, 2, 1, ExtendedConfig{NoFailover: true})
	want(t, "first", sent(t, tr, at(0)), [][]int64{{0}, {2}})
	tr.Kill(at(1), 0, errRefused)
	ack(t, tr, at(2), 1, 1, Fresh, Range{0, 0})
	want(t, "next", sent(t, tr, at(2)), [][]int64{nil, {3}})
	if tr.Done() {
		t.Error("done while something is out")
	}
	ack(t, tr, at(3), 1, 1, Fresh, Range{0, 1})
	sent(t, tr, at(3))
	if !tr.Done() || tr.Left() != 2 {
		t.Errorf("done %t, %d left", tr.Done(), tr.Left())
	}
}

// TestHave: what is stored is not sent, whether it waits, is out or is lost, and an ack
// of it counts nothing. What is taken back is sent again.
func TestHave(t *testing.T) {
	tr := pair(20, 1, 5, ExtendedConfig{})
	want(t, "told", tr.Have([]Range{{0, 1}, {4, 9}, {18, 30}}), int64(10))
	want(t, "first", sent(t, tr, at(0)), [][]int64{{2, 3, 10, 11, 12}})
	ack(t, tr, at(10), 0, 4, Fresh, Range{1, 4}) // SEQ 2 is lost
	want(t, "told", tr.Have([]Range{{0, 2}, {10, 10}, {13, 14}}), int64(3))
	want(t, "left", tr.Left(), int64(3))
	want(t, "next", sent(t, tr, at(10)), [][]int64{{15, 16, 17}})
	want(t, "told", tr.Have([]Range{{16, 16}}), int64(1)) // it is out
	ack(t, tr, at(20), 0, 3, Fresh, Range{1, 7})
	if st := tr.Stats(0); !tr.Done() || st.Acked != 6 || st.Bytes != 600 {
		t.Fatalf("done %t, %+v", tr.Done(), st)
	}
	// The other end has lost some of it.
	want(t, "again", tr.Reopen(0, 20, []Range{{0, 2}, {5, 16}, {18, 18}}), int64(4))
	if m := tr.Missing(); tr.Done() || len(m) != 3 || m[0] != (Span{3, 5, 300, 500}) {
		t.Errorf("missing: %v", m)
	}
	want(t, "again", tr.Reopen(0, 20, []Range{{0, 2}, {5, 16}, {18, 18}}), int64(0))
	want(t, "sent", sent(t, tr, at(30)), [][]int64{{3, 4, 17, 19}})
	ack(t, tr, at(40), 0, 4, Fresh, Range{1, 11})
	want(t, "left", tr.Left(), int64(0))
}

// TestReopened: what is taken back is counted in bytes, of which the last segment has fewer.
func TestReopened(t *testing.T) {
	tr := heard(NewExtended(epoch, 250, 100, []ExtendedReceiver{{Window: 5, Share: 3}}, ExtendedConfig{}))
	sent(t, tr, at(0))
	ack(t, tr, at(10), 0, 3, Fresh, Range{0, 2})
	want(t, "again", tr.Reopen(0, 3, []Range{{0, 0}}), int64(2))
	want(t, "bytes", tr.Reopened(), int64(150))
	want(t, "sent", sent(t, tr, at(20)), [][]int64{{1, 2}})
	ack(t, tr, at(30), 0, 2, Fresh, Range{0, 4})
	want(t, "counted", tr.Stats(0).Bytes-tr.Reopened(), int64(250))
}

// TestNobodyWaits: once all is delivered, no receiver falls silent over copies that are
// still out, and no timer is left.
func TestNobodyWaits(t *testing.T) {
	tr := pair(1, 1, 5, ExtendedConfig{})
	sent(t, tr, at(0))
	tr.Expire(at(999))
	want(t, "probe", sent(t, tr, at(999)), [][]int64{{0}})
	ack(t, tr, at(1000), 0, 1, Fresh, Range{0, 0})
	for now := range int64(10) {
		tr.Expire(at(1000 * (now + 2)))
	}
	if _, ok := tr.Next(); ok || tr.Living() != 1 || tr.Stats(0).Timeouts != 1 || tr.Flow(0).Out != 0 {
		t.Errorf("a timer: %t, %d receivers live, %+v", ok, tr.Living(), tr.Stats(0))
	}
	// What is taken back begins as if nothing had been.
	want(t, "again", tr.Reopen(0, 1, nil), int64(1))
	want(t, "sent", sent(t, tr, at(20000)), [][]int64{{0}})
	ack(t, tr, at(20010), 0, 1, Fresh, Range{2, 2})
	want(t, "left", tr.Left(), int64(0))
}

// TestBackups: an idle receiver copies what is out at a slow one, and of all never more
// than a hundredth.
func TestBackups(t *testing.T) {
	n := newNet(t, 1)
	fast := &bottleneck{rate: 50 * mbit, queue: 100e3, delay: 5 * ms}
	slow := &bottleneck{rate: .2 * mbit, queue: 100e3, delay: 200 * ms}
	tr := NewExtended(epoch, 2_000_000, 1000, []ExtendedReceiver{
		{Window: 1000, Latency: 10 * ms, Share: 1000}, {Window: 1000, Latency: 400 * ms, Share: 1000}}, ExtendedConfig{})
	f := n.add(0, tr, fast, slow)
	n.run(time.Minute)
	if b := tr.ext.backups; b == 0 || b > 20 {
		t.Errorf("%d backups", b)
	}
	if !tr.Done() || f.ended > 2*time.Second {
		t.Errorf("done %t after %v", tr.Done(), f.ended)
	}
	t.Logf("%d backups, %v", tr.ext.backups, f.ended)
}

// TestTrains: a receiver's segments come in a row, as many as one message holds with their
// headers, and never one more, which would be a message of its own.
func TestTrains(t *testing.T) {
	for _, tt := range []struct{ segment, overhead, train int }{
		{1000, 0, 64}, {1200, 67, 51}, {1023, 0, 64}, {1024, 0, 63}, {8192, 67, 7}, {8192, 0, 7}, {65000, 67, 1},
	} {
		var to []ExtendedReceiver
		for range 3 {
			to = append(to, ExtendedReceiver{Window: 200, Share: 200})
		}
		tr := heard(NewExtended(epoch, 600*int64(tt.segment), tt.segment, to, ExtendedConfig{Window: 200, Fixed: true, Overhead: tt.overhead}))
		last, row, longest, switches := -1, 0, 0, 0
		for {
			i, _, _, ok := tr.TransmitNum(epoch)
			if !ok {
				break
			}
			if i != last {
				last, row = i, 0
				switches++
			}
			row++
			longest = max(longest, row)
		}
		if want := 3 * ((200 + tt.train - 1) / tt.train); longest != tt.train || switches != want {
			t.Errorf("%d bytes and %d: %d trains of up to %d segments, not %d of %d", tt.segment, tt.overhead, switches, longest, want, tt.train)
		}
	}
}

// TestCap: the cap holds over all receivers together, headers counted, probes too.
func TestCap(t *testing.T) {
	n := newNet(t, 1)
	var links []*bottleneck
	var to []ExtendedReceiver
	for range 3 {
		links = append(links, &bottleneck{rate: 100 * mbit, queue: 1e5, delay: 10 * ms, loss: .01})
		to = append(to, ExtendedReceiver{Window: 1000, Latency: 20 * ms, Share: 1000})
	}
	tr := NewExtended(epoch, 3_000_000, 1000, to, ExtendedConfig{Rate: 10 * mbit, Overhead: wireOverhead})
	f := n.add(0, tr, links...)
	n.run(time.Minute)
	rate := float64(f.sent*(1000+wireOverhead)) / f.ended.Seconds()
	if !tr.Done() || rate > 10.1*mbit || rate < 9.5*mbit {
		t.Errorf("done %t: %.2f Mbit/s", tr.Done(), rate/mbit)
	}
}
