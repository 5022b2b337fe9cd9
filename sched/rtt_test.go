package sched_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"mdalp/sched"
)

const ms = time.Millisecond

func TestRTT(t *testing.T) {
	type step struct {
		sample   time.Duration // a sample, or a back-off where it is 0
		smoothed time.Duration // expected after it
		rto      time.Duration
	}
	for _, tt := range []struct {
		name  string
		steps []step
	}{
		{"no sample", []step{
			{0, 0, 6 * time.Second},
			{0, 0, 6 * time.Second},
		}},
		// SRTT = R, RTTVAR = R/2; then RTTVAR = 3/4 RTTVAR + 1/4 |SRTT-R|,
		// SRTT = 7/8 SRTT + 1/8 R.
		{"by the book", []step{
			{800 * ms, 800 * ms, 2400 * ms},
			{800 * ms, 800 * ms, 2000 * ms},
			{1600 * ms, 900 * ms, 2600 * ms}, // var 225+200 = 425
			{100 * ms, 800 * ms, 2875 * ms},  // var 318.75+200 = 518.75
			{800 * ms, 800 * ms, 2356250 * time.Microsecond},
		}},
		{"floor of the variance", []step{
			{1 * ms, 1 * ms, 201 * ms},
			{1 * ms, 1 * ms, 201 * ms},
			{100 * ms, 13375 * time.Microsecond, 213375 * time.Microsecond}, // var 25.125
		}},
		// The captured receivers: 1.7 s would give 5.1 s at first.
		{"ceiling of 3 s", []step{
			{1700 * ms, 1700 * ms, 3 * time.Second},
			{1700 * ms, 1700 * ms, 3 * time.Second},
			{1700 * ms, 1700 * ms, 3 * time.Second},
			{1700 * ms, 1700 * ms, 3 * time.Second},
			{1700 * ms, 1700 * ms, 2775781252}, // 2 ns by truncation
		}},
		{"a round trip that needs more", []step{
			{4 * time.Second, 4 * time.Second, 5200 * ms},
			{0, 4 * time.Second, 6 * time.Second},
			{0, 4 * time.Second, 6 * time.Second},
			{8 * time.Second, 4500 * ms, 5825 * ms},
		}},
		{"longer than any back-off", []step{
			{8 * time.Second, 8 * time.Second, 10200 * ms},
			{0, 8 * time.Second, 10200 * ms},
		}},
		{"back-off doubles and a sample ends it", []step{
			{100 * ms, 100 * ms, 300 * ms},
			{0, 100 * ms, 600 * ms},
			{0, 100 * ms, 1200 * ms},
			{0, 100 * ms, 2400 * ms},
			{0, 100 * ms, 4800 * ms},
			{0, 100 * ms, 6000 * ms},
			{0, 100 * ms, 6000 * ms},
			{100 * ms, 100 * ms, 300 * ms},
		}},
		{"the smallest reaches the cap", []step{
			{1, 1, 200*ms + 1},
			{0, 1, 400*ms + 2}, {0, 1, 800*ms + 4}, {0, 1, 1600*ms + 8}, {0, 1, 3200*ms + 16},
			{0, 1, 6 * time.Second}, {0, 1, 6 * time.Second},
		}},
		{"bad samples are 1 ns", []step{
			{-5 * time.Second, 1, 200*ms + 1},
			{-1 << 63, 1, 200*ms + 1},
		}},
		{"absurd samples are an hour", []step{
			{1<<63 - 1, time.Hour, 75*time.Minute + 200*ms},
			{1<<63 - 1, time.Hour, 75*time.Minute + 200*ms},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var r sched.RTT
			if got := r.RTO(); got != 3*time.Second {
				t.Fatalf("RTO() before the first sample = %v", got)
			}
			if d, ok := r.Smoothed(); ok {
				t.Fatalf("Smoothed() = %v before the first sample", d)
			}
			for i, s := range tt.steps {
				if s.sample == 0 {
					r.Backoff()
				} else {
					r.Sample(s.sample)
				}
				d, ok := r.Smoothed()
				if d != s.smoothed || ok != (s.smoothed > 0) {
					t.Errorf("step %d: Smoothed() = %v, %v; want %v", i, d, ok, s.smoothed)
				}
				if got := r.RTO(); got != s.rto {
					t.Errorf("step %d: RTO() = %v, want %v", i, got, s.rto)
				}
			}
		})
	}
}

func TestRTTFixed(t *testing.T) {
	r := sched.RTT{Fixed: 3 * time.Second}
	for range 3 {
		if got := r.RTO(); got != 3*time.Second {
			t.Fatalf("RTO() = %v, want the fixed 3s", got)
		}
		r.Backoff()
		r.Sample(10 * ms)
		r.Backoff()
	}
	// The estimate goes on below, for the report.
	if d, ok := r.Smoothed(); !ok || d != 10*ms {
		t.Fatalf("Smoothed() = %v, %v", d, ok)
	}
}

// Whatever happens, a timeout is above the smoothed round trip by MinVar or more,
// a ceiling holds, and back-off never shortens it.
func TestRTTBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r sched.RTT
		t.Repeat(map[string]func(*rapid.T){
			"sample": func(t *rapid.T) {
				r.Sample(time.Duration(rapid.Int64().Draw(t, "any")))
			},
			"likely": func(t *rapid.T) {
				r.Sample(time.Duration(rapid.Int64Range(1, int64(10*time.Second)).Draw(t, "likely")))
			},
			"backoff": func(t *rapid.T) {
				before := r.RTO()
				r.Backoff()
				if after := r.RTO(); after < before || after > 2*before {
					t.Fatalf("back-off took %v to %v", before, after)
				}
			},
			"": func(t *rapid.T) {
				rto := r.RTO()
				srtt, ok := r.Smoothed()
				if ok && rto < srtt+sched.MinVar {
					t.Fatalf("RTO() = %v with SRTT %v", rto, srtt)
				}
				if most := max(sched.MaxBackoff, srtt+srtt/4+sched.MinVar); rto > most {
					t.Fatalf("RTO() = %v, above %v", rto, most)
				}
			},
		})
	})
}

func BenchmarkRTT(b *testing.B) {
	var r sched.RTT
	var sum time.Duration
	d := 100 * ms
	b.ReportAllocs()
	for b.Loop() {
		d ^= 1 << 20 // swings by a millisecond
		r.Sample(d)
		sum += r.RTO()
	}
	if sum == 0 {
		b.Fatal("no timeout")
	}
}
