package sim

import (
	"net/netip"
	"testing"
	"time"
)

// A link whose rate changes gives each datagram the rate of its turn.
func TestRates(t *testing.T) {
	l := NewLink(LinkConfig{Queue: 10_000, Rates: []RateStep{{For: Millis(time.Second), Rate: 1000}, {For: Millis(time.Second), Rate: 100}}}, 1)
	for _, tt := range []struct {
		at, size int
		want     time.Duration // of the arrival
	}{
		{0, 500, 500 * time.Millisecond},
		{0, 500, time.Second},
		{0, 100, 2 * time.Second}, // its turn comes in the second step
		{2500, 250, 2750 * time.Millisecond},
	} {
		f := l.Send(time.Duration(tt.at)*time.Millisecond, tt.size)
		if f.N != 1 || f.Copies[0].At != tt.want {
			t.Errorf("%d bytes at %d ms: %+v, want an arrival at %v", tt.size, tt.at, f, tt.want)
		}
	}
	for _, bad := range []RateStep{{For: 0, Rate: 1}, {For: 1, Rate: 0}, {For: -1, Rate: 1}} {
		if err := (&LinkConfig{Rates: []RateStep{bad}}).Validate(); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}

// What one route sends through a shared link delays the other.
func TestShare(t *testing.T) {
	w := New(Config{Seed: 1})
	a, b, c := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("192.0.2.3")
	w.Share(LinkConfig{Rate: 1000, Queue: 1500}, Route{a, c}, Route{b, c})
	first := w.link(w.Host(a), w.Host(c), false).Send(0, 1000)
	second := w.link(w.Host(b), w.Host(c), false).Send(0, 500)
	third := w.link(w.Host(a), w.Host(c), false).Send(0, 1000)
	if first.N != 1 || second.N != 1 || second.Copies[0].At != 1500*time.Millisecond || third.Why != Overflow {
		t.Errorf("%+v, %+v, %+v", first, second, third)
	}
	if back := w.link(w.Host(c), w.Host(a), false).Send(0, 1000); back.N != 1 || back.Copies[0].At != 0 {
		t.Errorf("the way back: %+v", back)
	}
}
