package sched

import (
	"errors"
	"math"
	"testing"
	"time"
)

// firstRun sends one segment to a receiver that acknowledges nothing, and tells when it
// was sent and when the receiver died. told is called after each transmission.
func firstRun(t *testing.T, cfg TransferConfig, told func(x *Transfer, now time.Time)) (at []time.Duration, dead time.Duration) {
	t.Helper()
	epoch := time.Unix(1, 0)
	x := NewTransfer(epoch, []int64{100}, cfg)
	now := epoch
	for x.Living() > 0 {
		if _, _, ok := x.Transmit(now); ok {
			at = append(at, now.Sub(epoch))
			if told != nil {
				told(x, now)
			}
		}
		if err := x.Audit(); err != nil {
			t.Fatal(err)
		}
		next, ok := x.Next()
		if !ok {
			t.Fatal("nothing is due")
		}
		now = next
		x.Expire(now)
	}
	if err := x.Stats(0).Err; !errors.Is(err, ErrTries) {
		t.Errorf("dead of %v", err)
	}
	return at, now.Sub(epoch)
}

// TestFirst bounds what a receiver gets before it has acknowledged anything, and not how
// long it is waited for.
func TestFirst(t *testing.T) {
	for _, c := range []struct {
		name string
		cfg  TransferConfig
		told func(x *Transfer, now time.Time)
		want []float64 // seconds
		dead float64
	}{
		{"no bound", TransferConfig{}, nil, []float64{0, 3, 9, 15, 21, 27, 33, 39}, 45},
		{"three", TransferConfig{First: 3}, nil, []float64{0, 3, 9}, 45},
		{"two", TransferConfig{First: 2}, nil, []float64{0, 3}, 45},
		{"one", TransferConfig{First: 1}, nil, []float64{0, 3}, 45},
		{"fewer tries", TransferConfig{First: 3, Tries: 2}, nil, []float64{0, 3}, 9},
		{"as many tries", TransferConfig{First: 3, Tries: 3}, nil, []float64{0, 3, 9}, 15},
		{"fixed", TransferConfig{First: 3, Fixed: time.Second}, nil, []float64{0, 1, 2}, 8},
		{"all are lost", TransferConfig{First: 3}, func(x *Transfer, now time.Time) { x.Lost(now, 0) }, []float64{0, 3, 9, 15, 21, 27, 33, 39}, 45},
		{"told twice", TransferConfig{First: 2, Tries: 4}, func(x *Transfer, now time.Time) {
			if now.Sub(time.Unix(1, 0)) < time.Second {
				x.Lost(now, 0)
				x.Lost(now, 0)
			}
		}, []float64{0, 3, 9}, 21},
		{"told too late", TransferConfig{First: 2, Tries: 4}, func(x *Transfer, now time.Time) { x.Lost(now.Add(7*time.Second), 0) }, []float64{0, 3}, 21},
		{"hints", TransferConfig{First: 3}, func(x *Transfer, now time.Time) {
			for range 100 {
				x.Hint(now, 0)
			}
		}, []float64{0, 0.75, 2.25}, 38.25},
		{"hints and no bound", TransferConfig{}, func(x *Transfer, now time.Time) { x.Hint(now, 0) }, []float64{0, 0.75, 2.25, 3.75, 5.25, 6.75, 8.25, 9.75}, 15.75},
	} {
		t.Run(c.name, func(t *testing.T) {
			at, dead := firstRun(t, c.cfg, c.told)
			near := func(d time.Duration, want float64) bool { return math.Abs(d.Seconds()-want) < 0.02 }
			ok := len(at) == len(c.want) && near(dead, c.dead)
			for k := range at {
				ok = ok && near(at[k], c.want[k])
			}
			if !ok {
				t.Errorf("sent at %v, dead at %v; want %v, %v s", at, dead, c.want, c.dead)
			}
		})
	}
}

// TestFirstHeard: who has acknowledged something, if only too late, has all tries.
func TestFirstHeard(t *testing.T) {
	now := time.Unix(1, 0)
	x := NewTransfer(now, []int64{200}, TransferConfig{First: 1, Tries: 4})
	x.Transmit(now)
	x.Ack(now.Add(time.Millisecond), 0, 0)
	now = now.Add(time.Millisecond)
	sent := 0
	for x.Living() > 0 {
		if _, _, ok := x.Transmit(now); ok {
			sent++
		}
		now, _ = x.Next()
		x.Expire(now)
	}
	if sent != 4 {
		t.Errorf("segment 1 is sent %d times, want 4", sent)
	}
}

// TestOut knows the segment that is out, also while it waits to be sent again.
func TestOut(t *testing.T) {
	now := time.Unix(1, 0)
	x := NewTransfer(now, []int64{200}, TransferConfig{})
	if _, ok := x.Out(0); ok {
		t.Error("a segment is out before it is sent")
	}
	x.Hint(now, 0) // of nothing
	x.Lost(now, 0)
	x.Transmit(now)
	if seq, ok := x.Out(0); seq != 0 || !ok {
		t.Errorf("%d, %t is out", seq, ok)
	}
	x.Expire(now.Add(4 * time.Second))
	if seq, ok := x.Out(0); seq != 0 || !ok {
		t.Errorf("%d, %t is out after its timeout", seq, ok)
	}
	x.Ack(now.Add(4*time.Second), 0, 0)
	if _, ok := x.Out(0); ok {
		t.Error("a segment is out that is acknowledged")
	}
}

// TestSpan: the sum of many timeouts takes no time, and does not wrap.
func TestSpan(t *testing.T) {
	var r RTT
	if d := r.timeouts(4); d != 21*time.Second || r.doublings != 0 {
		t.Errorf("four timeouts take %v", d)
	}
	if d := r.timeouts(math.MaxInt); d <= 0 {
		t.Errorf("all of them take %v", d)
	}
	if d := (RTT{Fixed: time.Second}).timeouts(5); d != 5*time.Second {
		t.Errorf("five fixed ones take %v", d)
	}
}
