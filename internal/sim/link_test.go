package sim

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"
)

const ms = Millis(time.Millisecond)

// sample sends n datagrams of 100 bytes, gap apart, and gives their fates.
func sample(t *testing.T, cfg LinkConfig, n int, gap time.Duration) []Fate {
	t.Helper()
	l := NewLink(cfg, 7)
	fs := make([]Fate, n)
	for i := range fs {
		fs[i] = l.Send(time.Duration(i)*gap, 100)
	}
	return fs
}

func TestDelayStatistics(t *testing.T) {
	const n = 20000
	tests := []struct {
		name       string
		delay      Delay
		mean, dev  float64 // expected, ms
		least, max float64
	}{
		{"zero", Delay{}, 0, 0, 0, 0},
		{"fixed", Delay{Mean: 30 * ms}, 30, 0, 30, 30},
		{"uniform", Delay{Kind: Uniform, Mean: 30 * ms, Spread: 10 * ms}, 30, 20 / math.Sqrt(12), 20, 40},
		{"normal", Delay{Kind: Normal, Mean: 100 * ms, Spread: 5 * ms}, 100, 5, 70, 130},
		{"clamped", Delay{Kind: Normal, Mean: 100 * ms, Spread: 50 * ms, Min: 99 * ms, Max: 101 * ms}, 100, 1, 99, 101},
		// A Lomax tail of scale s and exponent a has mean s/(a-1) and variance s²a/((a-1)²(a-2)).
		{"pareto", Delay{Kind: Pareto, Mean: 10 * ms, Spread: 30 * ms, Shape: 4}, 20, 10 * math.Sqrt(2), 10, 3600e3},
		{"trace", Delay{Kind: Trace, Trace: []Millis{1 * ms, 2 * ms, 6 * ms, 3 * ms}}, 3, math.Sqrt(3.5), 1, 6},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			gap := time.Second
			var sum, squares float64
			for i, f := range sample(t, LinkConfig{Delay: tt.delay}, n, gap) {
				if f.N != 1 {
					t.Fatalf("datagram %d: %d copies", i, f.N)
				}
				d := float64(f.Copies[0].At-time.Duration(i)*gap) / 1e6
				if d < tt.least || d > tt.max {
					t.Fatalf("datagram %d: delay %v ms is not within %v..%v", i, d, tt.least, tt.max)
				}
				sum += d
				squares += d * d
			}
			mean := sum / n
			dev := math.Sqrt(max(0, squares/n-mean*mean))
			if math.Abs(mean-tt.mean) > 0.02*tt.mean {
				t.Errorf("mean %v ms, want %v", mean, tt.mean)
			}
			if math.Abs(dev-tt.dev) > 0.1*tt.dev+1e-3 {
				t.Errorf("standard deviation %v ms, want %v", dev, tt.dev)
			}
		})
	}
}

func TestTraceDelaysInOrder(t *testing.T) {
	fs := sample(t, LinkConfig{Delay: Delay{Kind: Trace, Trace: []Millis{5 * ms, 1 * ms, 9 * ms}}}, 5, 0)
	want := []time.Duration{5, 1, 9, 5, 1}
	for i, f := range fs {
		if f.Copies[0].At != want[i]*time.Millisecond {
			t.Errorf("datagram %d arrives at %v, want %d ms", i, f.Copies[0].At, want[i])
		}
	}
}

func TestLossStatistics(t *testing.T) {
	const n = 50000
	tests := []struct {
		name string
		loss Loss
		rate float64
		run  float64 // mean length of a run of losses; 0: not looked at
	}{
		{"none", Loss{}, 0, 0},
		{"all", Loss{P: 1}, 1, 0},
		{"independent", Loss{P: 0.083}, 0.083, 1 / (1 - 0.083)},
		{"burst", Loss{Burst: Burst{Enter: 0.02, Leave: 0.2, Bad: 1}}, 0.02 / 0.22, 5},
		{"burst with rest", Loss{Burst: Burst{Enter: 0.1, Leave: 0.1, Good: 0.1, Bad: 0.5}}, 0.3, 0},
		{"trace", Loss{Trace: "..x.."}, 0.2, 1},
		{"sum", Loss{P: 0.5, Trace: ".x"}, 0.75, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			lost, runs, was := 0, 0, false
			for _, f := range sample(t, LinkConfig{Loss: tt.loss}, n, time.Millisecond) {
				is := f.N == 0
				if is && f.Why != Lost {
					t.Fatalf("lost by %v", f.Why)
				}
				if is {
					lost++
					if !was {
						runs++
					}
				}
				was = is
			}
			if rate := float64(lost) / n; math.Abs(rate-tt.rate) > 0.1*tt.rate {
				t.Errorf("lost %v, want %v", rate, tt.rate)
			}
			if tt.run > 0 {
				if run := float64(lost) / float64(runs); math.Abs(run-tt.run) > 0.1*tt.run {
					t.Errorf("mean run %v, want %v", run, tt.run)
				}
			}
		})
	}
}

func TestDuplicateReorderCorrupt(t *testing.T) {
	const n = 20000
	cfg := LinkConfig{
		Delay:     Delay{Mean: 10 * ms},
		Duplicate: 0.2,
		Reorder:   Reorder{P: 0.1, Extra: 50 * ms},
		Corrupt:   0.05,
	}
	var copies, doubled, late, damaged int
	for i, f := range sample(t, cfg, n, time.Millisecond) {
		if f.N == 2 {
			doubled++
		}
		for _, c := range f.Copies[:f.N] {
			copies++
			if c.At-time.Duration(i)*time.Millisecond == 60*time.Millisecond {
				late++
			}
			b := make([]byte, 100)
			if c.Damage(b); !bytes.Equal(b, make([]byte, 100)) {
				damaged++
				if len(bytes.Trim(b, "\x00")) != 1 {
					t.Fatalf("damage to more than a byte: %x", b)
				}
			}
		}
	}
	near := func(what string, got int, want float64) {
		if math.Abs(float64(got)-want) > 0.1*want {
			t.Errorf("%s: %d, want about %v", what, got, want)
		}
	}
	near("doubled", doubled, 0.2*n)
	near("late", late, 0.1*float64(copies))
	near("damaged", damaged, 0.05*float64(copies))
}

func TestInOrder(t *testing.T) {
	delay := Delay{Kind: Uniform, Mean: 50 * ms, Spread: 50 * ms}
	overtakes := func(cfg LinkConfig) (n int) {
		var last time.Duration
		for _, f := range sample(t, cfg, 1000, time.Millisecond) {
			if f.Copies[0].At < last {
				n++
			}
			last = max(last, f.Copies[0].At)
		}
		return n
	}
	if n := overtakes(LinkConfig{Delay: delay, InOrder: true}); n != 0 {
		t.Errorf("%d datagrams overtook on a link in order", n)
	}
	if n := overtakes(LinkConfig{Delay: delay}); n < 500 {
		t.Errorf("%d of 1000 datagrams overtook under jitter", n)
	}
}

func TestRateAndQueue(t *testing.T) {
	// 1,000 bytes a second and room for 250: of three at once the third is dropped.
	l := NewLink(LinkConfig{Rate: 1000, Queue: 250, Delay: Delay{Mean: 5 * ms}}, 1)
	want := []struct {
		now  time.Duration
		at   time.Duration
		fate Cause
	}{
		{0, 105 * time.Millisecond, Arrives},
		{0, 205 * time.Millisecond, Arrives},
		{0, 0, Overflow},
		{50 * time.Millisecond, 305 * time.Millisecond, Arrives},
		{60 * time.Millisecond, 0, Overflow},
		{time.Second, 1105 * time.Millisecond, Arrives},
	}
	for i, w := range want {
		f := l.Send(w.now, 100)
		if f.Why != w.fate || f.N > 0 && f.Copies[0].At != w.at {
			t.Errorf("datagram %d: %v at %v, want %v at %v", i, f.Why, f.Copies[0].At, w.fate, w.at)
		}
	}
}

func TestClogHeals(t *testing.T) {
	l := NewLink(LinkConfig{Clogs: []Clog{{From: 10 * ms, To: 20 * ms}, {From: 40 * ms}}}, 1)
	for _, s := range []struct {
		at   int
		want Cause
	}{{9, Arrives}, {10, Clogged}, {19, Clogged}, {20, Arrives}, {39, Arrives}, {40, Clogged}, {1e6, Clogged}} {
		if f := l.Send(time.Duration(s.at)*time.Millisecond, 1); f.Why != s.want {
			t.Errorf("at %d ms: %v, want %v", s.at, f.Why, s.want)
		}
	}
}

func TestLinkRepeats(t *testing.T) {
	cfg := LinkConfig{
		Delay: Delay{Kind: Pareto, Mean: 5 * ms, Spread: 5 * ms}, Duplicate: 0.1, Corrupt: 0.1,
		Loss: Loss{P: 0.1, Burst: Burst{Enter: 0.1, Leave: 0.3, Bad: 0.8}},
	}
	a, b, c := NewLink(cfg, 1), NewLink(cfg, 1), NewLink(cfg, 2)
	differ := 0
	for i := range 1000 {
		now := time.Duration(i) * time.Millisecond
		fa := a.Send(now, 50)
		if fb := b.Send(now, 50); fa != fb {
			t.Fatalf("datagram %d: %+v, then %+v with the same seed", i, fa, fb)
		}
		if fa != c.Send(now, 50) {
			differ++
		}
	}
	if differ < 900 {
		t.Errorf("another seed gave %d of 1000 other fates", differ)
	}
}

func TestSendDoesNotAllocate(t *testing.T) {
	l := NewLink(LinkConfig{Delay: Delay{Kind: Normal, Mean: ms, Spread: ms}, Loss: Loss{P: 0.1}, Rate: 1e6}, 1)
	now := time.Duration(0)
	if n := testing.AllocsPerRun(1000, func() { now += 1000; l.Send(now, 100) }); n != 0 {
		t.Errorf("%v allocations a datagram", n)
	}
}

func TestLinkConfigJSON(t *testing.T) {
	const text = `{"delay":{"kind":"uniform","ms":1.5,"spread_ms":0.000001},"loss":{"p":0.083,"burst":{"enter":0.1,"leave":0.5,"bad":1},"trace":".x"},` +
		`"duplicate":0.01,"reorder":{"p":0.02,"extra_ms":20},"corrupt":0.5,"in_order":true,"bytes_per_second":1000,"queue_bytes":100,"clogs":[{"from_ms":1,"to_ms":2}]}`
	var c LinkConfig
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	if c.Delay.Mean != 1500*ms/1000 || c.Delay.Spread != 1 {
		t.Errorf("delay %+v", c.Delay)
	}
	out, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	if string(out) != text {
		t.Errorf("came back as\n%s, went in as\n%s", out, text)
	}
}

func TestValidate(t *testing.T) {
	for _, tt := range []struct {
		json, want string
	}{
		{`{"delay":{"kind":"gauss"}}`, "none of"},
		{`{"delay":{"ms":-1}}`, "below 0"},
		{`{"delay":{"kind":"trace"}}`, "without trace_ms"},
		{`{"delay":{"trace_ms":[1]}}`, "without delay kind trace"},
		{`{"delay":{"kind":"trace","trace_ms":[-1]}}`, "below 0"},
		{`{"delay":{"min_ms":2,"max_ms":1}}`, "above max_ms"},
		{`{"delay":{"kind":"pareto","shape":-1}}`, "shape"},
		{`{"loss":{"p":1.1}}`, "loss p"},
		{`{"loss":{"burst":{"bad":-1}}}`, "burst bad"},
		{`{"loss":{"trace":"..y"}}`, "loss trace"},
		{`{"reorder":{"p":2}}`, "reorder p"},
		{`{"bytes_per_second":-1}`, "below 0"},
		{`{"clogs":[{"from_ms":5,"to_ms":5}]}`, "empty"},
	} {
		var c LinkConfig
		if err := json.Unmarshal([]byte(tt.json), &c); err != nil {
			t.Errorf("%s: %v", tt.json, err)
			continue
		}
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want something with %q", tt.json, err, tt.want)
		}
	}
	for _, bad := range []string{`"1s"`, `1e30`, `null`, `[]`} {
		var m Millis
		if err := m.UnmarshalJSON([]byte(bad)); err == nil {
			t.Errorf("%s was taken for milliseconds", bad)
		}
	}
}
