package sched

import (
	"math"
	"testing"
	"time"
)

// TestInitialWindow: min(10·S, max(2·S, 14,720)) bytes (RFC 9002, section 7.2).
func TestInitialWindow(t *testing.T) {
	for _, c := range []struct{ segment, want int }{
		{100, 1000}, {1200, 12000}, {1472, 14720}, {2000, 14720}, {7360, 14720}, {9000, 18000}, {65000, 130000},
	} {
		c2 := newController(c.segment, 0)
		if got := c2.window(); got != int64(c.want) {
			t.Errorf("S %d: %d bytes, want %d", c.segment, got, c.want)
		}
	}
	if c := newController(1200, 1); c.window() != 1200 {
		t.Errorf("a fixed window of one is %d bytes", c.window())
	}
}

// avoiding is a window of so many segments of 1,000 bytes that has just had a loss.
func avoiding(segments float64) cubic {
	c := newCubic(1000)
	c.cwnd, c.ssthresh = segments*1000, 1
	c.congested(time.Second, time.Second)
	return c
}

// roundTrip acknowledges a window.
func roundTrip(c *cubic, now, rtt time.Duration) {
	for left := c.cwnd; left > 0; left -= c.segment {
		c.acked(now, min(left, c.segment), rtt, true)
	}
}

// TestCubicCurve: after a loss at 100 segments the window is 70, and after K =
// ∛(30/0.4) s it is 100 again; until then it grows ever slower, after it ever faster.
func TestCubicCurve(t *testing.T) {
	const rtt = 200 * ms
	c := avoiding(100)
	if c.cwnd != 70e3 || c.ssthresh != 70e3 {
		t.Fatalf("the window is %.0f after a loss", c.cwnd)
	}
	k := math.Cbrt(30 / .4)
	at := time.Second
	var sizes []float64
	for at < time.Second+time.Duration(2*k*1e9) {
		roundTrip(&c, at, rtt)
		sizes = append(sizes, c.cwnd)
		// The curve is that of one round trip later (section 4.2).
		s := (at + rtt - time.Second).Seconds()
		want := .4*math.Pow(s-k, 3)*1000 + 100e3
		if s > 1 && math.Abs(c.cwnd-want) > .02*want {
			t.Errorf("after %.1f s: %.0f, want %.0f", s, c.cwnd, want)
		}
		at += rtt
	}
	half := int(k / rtt.Seconds())
	if first, mid, last := sizes[4]-sizes[3], sizes[half]-sizes[half-1], sizes[len(sizes)-1]-sizes[len(sizes)-2]; mid >= first || mid >= last {
		t.Errorf("it grows by %.0f, %.0f and %.0f", first, mid, last)
	}
}

// TestCubicAverage holds the mean window against section 5.1's table: with one loss in
// every 1/p segments and 100 ms it is 1.054·(RTT/p)^¾ segments, and somewhat less here:
// where two losses are not equally far apart, fast convergence takes the later for one
// that came early.
func TestCubicAverage(t *testing.T) {
	const rtt = 100 * ms
	for _, p := range []float64{1e-4, 1e-5} {
		c := newCubic(1000)
		c.cwnd, c.ssthresh = 1e3*1.054*math.Pow(.1/p, .75), 1
		now := time.Second
		sum, rounds, until := 0.0, 0.0, 1/p
		for losses := 0; losses < 40; now += rtt {
			if until -= c.cwnd / 1000; until < 0 {
				c.congested(now, now)
				until += 1 / p
				losses++
			}
			if losses >= 20 {
				sum += c.cwnd / 1000
				rounds++
			}
			roundTrip(&c, now, rtt)
		}
		want := math.Pow(cubicC*(3+cubicBeta)/4/(1-cubicBeta), .25) * math.Pow(.1/p, .75)
		if got := sum / rounds; math.Abs(got-want) > .15*want {
			t.Errorf("p = %g: %.0f segments, want %.0f", p, got, want)
		}
	}
}

// TestRenoFriendly: where the round trip is short the curve is below Reno's line, and
// the window grows as section 4.3 says: α segments a round trip up to where it was, one
// from there on.
func TestRenoFriendly(t *testing.T) {
	const rtt = 10 * ms
	c := avoiding(20)
	now := time.Second
	for range 10 {
		before := c.cwnd
		now += rtt
		roundTrip(&c, now, rtt)
		if got := (c.cwnd - before) / 1000; math.Abs(got-cubicAlpha) > .05 {
			t.Errorf("at %.0f it grows by %.2f segments a round trip, want %.2f", before, got, cubicAlpha)
		}
	}
	for c.cwnd < 21e3 {
		now += rtt
		roundTrip(&c, now, rtt)
	}
	before := c.cwnd
	now += rtt
	if roundTrip(&c, now, rtt); c.cwnd-before < 900 || c.cwnd-before > 1100 {
		t.Errorf("above where it was it grows by %.0f bytes a round trip, want 1000", c.cwnd-before)
	}
}

// TestFastConvergence: a second loss before the window was where the first came lets
// the curve aim lower (section 4.7).
func TestFastConvergence(t *testing.T) {
	c := avoiding(100)
	if c.most != 100e3 {
		t.Errorf("W_max is %.0f", c.most)
	}
	c.congested(2*time.Second, 2*time.Second)
	if want := 70e3 * .85; c.most != want {
		t.Errorf("W_max is %.0f after a second loss, want %.0f", c.most, want)
	}
}

// TestOneEventARoundTrip: what was sent before the reduction is no reason for another
// (RFC 9002, section 7.3.2), and the window never falls below two segments.
func TestOneEventARoundTrip(t *testing.T) {
	c := avoiding(100)
	c.congested(2*time.Second, time.Second)
	if c.cwnd != 70e3 {
		t.Errorf("a loss of the same flight makes it %.0f", c.cwnd)
	}
	for k := range 100 {
		at := time.Duration(k+2) * time.Second
		c.congested(at, at)
	}
	if c.cwnd != 2e3 {
		t.Errorf("after many losses it is %.0f", c.cwnd)
	}
}

// TestSpuriousCongestion: when all that was lost is acknowledged, all is as it was
// (section 4.9); when one of two is, nothing changes.
func TestSpuriousCongestion(t *testing.T) {
	c := newController(1000, 0)
	c.cubic.cwnd, c.cubic.ssthresh, c.cubic.most = 100e3, 50e3, 90e3
	before := c.cubic.curve
	e := c.lost(2*time.Second, time.Second)
	c.lost(2*time.Second, time.Second)
	if c.window() != 70e3 {
		t.Fatalf("the window is %d", c.window())
	}
	if c.cubic.mistaken(e); c.window() != 70e3 {
		t.Errorf("one of two: %d", c.window())
	}
	if c.cubic.mistaken(e); c.cubic.curve != before {
		t.Errorf("both: %+v, want %+v", c.cubic.curve, before)
	}
	e = c.lost(4*time.Second, 3*time.Second)
	c.cubic.collapse()
	if c.cubic.mistaken(e); c.window() != 2000 {
		t.Errorf("after a persistent congestion: %d", c.window())
	}
}

// TestUnused: a window that was not used does not grow, and its curve stands still.
func TestUnused(t *testing.T) {
	const rtt = 100 * ms
	a, b := avoiding(100), avoiding(100)
	for k := range 10 {
		roundTrip(&a, time.Second+time.Duration(k)*rtt, rtt)
		roundTrip(&b, time.Second+time.Duration(k)*rtt, rtt)
	}
	size := b.cwnd
	for k := 10; k < 600; k++ {
		b.acked(time.Second+time.Duration(k)*rtt, 1000, rtt, false)
	}
	if b.cwnd != size {
		t.Errorf("it grows from %.0f to %.0f", size, b.cwnd)
	}
	roundTrip(&a, 2*time.Second, rtt)
	roundTrip(&b, time.Second+600*rtt, rtt)
	if math.Abs(a.cwnd-b.cwnd) > 1 {
		t.Errorf("after a minute of little use it is %.0f, without it %.0f", b.cwnd, a.cwnd)
	}
	c := newCubic(1000)
	c.acked(time.Second, 10e3, rtt, false)
	if c.cwnd != 10e3 {
		t.Errorf("slow start grows to %.0f", c.cwnd)
	}
	if c.acked(time.Second, 10e3, rtt, true); c.cwnd != 20e3 {
		t.Errorf("slow start does not double: %.0f", c.cwnd)
	}
}

// TestHyStart goes through the phases of RFC 9406: standard slow start, care when the
// round trip has grown by an eighth (4 to 16 ms) at any place of a round, and congestion
// avoidance after that round, without what stood in the queue.
func TestHyStart(t *testing.T) {
	for _, c := range []struct {
		name      string
		last, now time.Duration
		before    int // samples of last in the round, and then
		samples   int // of now
		careful   bool
	}{
		{"an eighth", 80 * ms, 90 * ms, 0, 8, true},
		{"less", 80 * ms, 90*ms - 1, 0, 8, false},
		{"no whole block", 80 * ms, 90 * ms, 0, 7, false},
		{"late in the round", 80 * ms, 90 * ms, 16, 8, true},
		{"a mixed block", 80 * ms, 90 * ms, 15, 8, false},
		{"never less than 4 ms", 10 * ms, 14 * ms, 0, 8, true},
		{"that is less", 10 * ms, 14*ms - 1, 0, 8, false},
		{"never more than 16 ms", 400 * ms, 416 * ms, 0, 8, true},
		{"that is too", 400 * ms, 416*ms - 1, 0, 8, false},
	} {
		h := newHystart()
		for range 8 {
			h.sample(c.last)
		}
		if h.careful() {
			t.Errorf("%s: careful in the first round, which has none before it", c.name)
		}
		h.round()
		for range c.before {
			h.sample(c.last)
		}
		for range c.samples {
			h.sample(c.now)
		}
		if _, over := h.round(); h.careful() != c.careful || over != c.careful {
			t.Errorf("%s: careful %t, over %t", c.name, h.careful(), over)
		}
	}

	// In the window: a quarter of the growth, and then none of slow start's.
	c := newCubic(1000)
	for _, rtt := range []time.Duration{80 * ms, 100 * ms} {
		c.round()
		for range 8 {
			c.sample(rtt)
		}
	}
	if c.acked(time.Second, 4000, 80*ms, true); c.cwnd != 11e3 {
		t.Errorf("care lets it grow to %.0f, want 11000", c.cwnd)
	}
	// What was put into the queue is a fifth of the round trip.
	if c.round(); c.slowStart() || c.ssthresh != c.cwnd || math.Round(c.cwnd) != math.Round(8800/leaveRoom) {
		t.Errorf("slow start goes on: %.0f of %.0f, want 8800 less the room", c.cwnd, c.ssthresh)
	}
}
