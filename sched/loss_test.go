package sched

import (
	"testing"
	"time"
)

// TestRecoveryRTT follows section 5.3 of RFC 9002 by hand.
func TestRecoveryRTT(t *testing.T) {
	r := newRecovery(FirstRTT)
	// Section 6.2.2: 333 ms and half of it make a PTO of about a second.
	if got := r.pto(); got != 3*FirstRTT {
		t.Errorf("PTO before a sample: %v", got)
	}
	r.sample(1, 100*ms)
	if r.smoothed != 100*ms || r.variance != 50*ms || r.least != 100*ms || r.pto() != 300*ms {
		t.Errorf("first sample: %+v", r)
	}
	r.sample(2, 60*ms)
	// rttvar = 3/4·50 + 1/4·|100-60| = 47.5; smoothed = 7/8·100 + 1/8·60 = 95.
	if r.smoothed != 95*ms || r.variance != 47500*time.Microsecond || r.least != 60*ms || r.latest != 60*ms {
		t.Errorf("second sample: %+v", r)
	}
	if got, want := r.lossDelay(), 95*ms*9/8; got != want {
		t.Errorf("time threshold %v, want %v", got, want)
	}
	if got, want := r.lasting(), 3*(95+190)*ms; got != want {
		t.Errorf("persistent congestion after %v, want %v", got, want)
	}
}

// TestProbeTimeout: it doubles, ends at a second or at one PTO where that is longer,
// and is never below 10 ms.
func TestProbeTimeout(t *testing.T) {
	for _, c := range []struct {
		rtt  time.Duration
		want []time.Duration
	}{
		{100 * time.Microsecond, []time.Duration{10 * ms, 20 * ms, 40 * ms, 80 * ms, 160 * ms, 320 * ms, 640 * ms, 1000 * ms, 1000 * ms}},
		{100 * ms, []time.Duration{300 * ms, 600 * ms, 1000 * ms, 1000 * ms}},
		{600 * ms, []time.Duration{1800 * ms, 1800 * ms, 1800 * ms}},
	} {
		r := newRecovery(FirstRTT)
		r.sample(1, c.rtt)
		for k, want := range c.want {
			r.backoff = k
			if got := r.wait(); got != want {
				t.Errorf("RTT %v, after %d: %v, want %v", c.rtt, k, got, want)
			}
		}
		r.backoff = 1 << 40
		if got := r.wait(); got != c.want[len(c.want)-1] {
			t.Errorf("RTT %v, after many: %v", c.rtt, got)
		}
	}
}

// out is a flight of n segments, sent a millisecond apart from 1 ms on, of which those
// NUMs are acknowledged.
func out(n int, acked ...int64) *flight {
	f := newFlight()
	for k := range n {
		f.push(time.Duration(k+1)*ms, int64(k), 1000, 0)
	}
	for _, num := range acked {
		f.acked(num)
		f.largest = max(f.largest, num)
	}
	return &f
}

// TestLostByThreshold: by packets (section 6.1.1) and by time (6.1.2).
func TestLostByThreshold(t *testing.T) {
	r := newRecovery(FirstRTT)
	r.sample(0, 80*ms)
	f := out(10, 3, 5)
	var got []int64
	for s := r.lost(f, 10*ms); s != nil; s = r.lost(f, 10*ms) {
		got = append(got, s.seq)
	}
	// 5 is acknowledged, so 0, 1 and 2 are lost; 4 was sent at 5 ms and has 9/8 of 80.
	if len(got) != 3 || got[0] != 0 || got[2] != 2 {
		t.Errorf("lost by packets: %v", got)
	}
	if want := 5*ms + 90*ms; r.lossTime != want {
		t.Errorf("the timer is at %v, want %v", r.lossTime, want)
	}
	if at, probe := r.due(f); at != r.lossTime || probe {
		t.Errorf("due at %v, probe %t", at, probe)
	}
	if s := r.lost(f, r.lossTime-1); s != nil {
		t.Error("lost before its time")
	}
	if s := r.lost(f, r.lossTime); s == nil || s.seq != 4 {
		t.Errorf("lost by time: %+v", s)
	}
	// What was sent after the largest acknowledged has only the probe timeout.
	if s := r.lost(f, time.Hour); s != nil || r.lossTime != never {
		t.Errorf("%+v is lost, although nothing later was acknowledged", s)
	}
	r.lastSent = 10 * ms
	if at, probe := r.due(f); at != 10*ms+r.pto() || !probe {
		t.Errorf("due at %v, probe %t", at, probe)
	}
	if f.out != 4 || f.bytes != 4000 {
		t.Errorf("%d are out", f.out)
	}
}

// TestPersistentCongestion is the example of RFC 9002, section 7.6.3, counted from 0: the
// packets that were sent from 1 to 8 s are lost, and a PTO is 2 s, so the congestion is
// persistent. With one ack between, or with a PTO of 4 s, it is not.
func TestPersistentCongestion(t *testing.T) {
	sent := []time.Duration{0, 1, 2, 3, 4, 5, 6, 8, 12}
	for _, c := range []struct {
		acked []int64
		rtt   time.Duration
		want  bool
	}{
		{[]int64{0, 8}, time.Second, true},
		{[]int64{0, 4, 8}, time.Second, false},
		{[]int64{0, 8}, 2 * time.Second, false},
	} {
		r := newRecovery(FirstRTT)
		f := newFlight()
		for k, s := range sent {
			f.push(s*time.Second, int64(k), 1000, 0)
		}
		r.sample(0, c.rtt)
		r.variance = c.rtt / 4
		for _, num := range c.acked {
			f.acked(num)
			f.largest = num
		}
		n := 0
		for r.lost(&f, 12200*ms) != nil {
			n++
		}
		if n != len(sent)-len(c.acked) || r.persistent != c.want {
			t.Errorf("acked %v, RTT %v: %d lost, persistent %t", c.acked, c.rtt, n, r.persistent)
		}
	}
	// Before the first sample nothing is persistent (section 7.6.2).
	r := newRecovery(FirstRTT)
	f := newFlight()
	for k := range 10 {
		f.push(time.Duration(k)*time.Second, int64(k), 1000, 0)
	}
	f.acked(9)
	f.largest = 9
	r.sample(9*time.Second, 100*ms)
	for r.lost(&f, 10*time.Second) != nil {
	}
	if r.persistent {
		t.Error("what was sent before the first sample makes the congestion persistent")
	}
}
