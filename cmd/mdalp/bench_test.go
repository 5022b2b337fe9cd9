package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mdalp"
	"mdalp/cmd/internal/shape"
)

// newBenchmark prepares a comparison of two ways to balance, with a send of the
// test's own.
func newBenchmark(runs, warmup int, send func(mdalp.Balance, int) (measurement, error)) *benchmark {
	return &benchmark{
		Orchestrator: netip.MustParseAddrPort("192.0.2.1:4650"), Size: 5000, Runs: runs, Warmup: warmup,
		Series: []*series{{Balance: mdalp.BalanceLatency}, {Balance: mdalp.BalanceAdaptive}},
		send:   send, log: slog.New(slog.DiscardHandler),
	}
}

// offered are the receivers of the tests.
var offered = []string{"192.0.2.11:4650", "192.0.2.12:4650"}

// whom gives the receivers that a run goes to.
func whom(server int) []string {
	if server == 0 {
		return offered
	}
	return offered[server-1 : server]
}

func TestBenchOrder(t *testing.T) {
	var order []string
	b := newBenchmark(2, 1, func(balance mdalp.Balance, server int) (measurement, error) {
		order = append(order, fmt.Sprintf("%v %d", balance, server))
		return measurement{Elapsed: time.Duration(len(order)), Receivers: whom(server)}, nil
	})
	if err := b.measure(); err != nil {
		t.Fatal(err)
	}
	round := []string{"icmp 0", "adaptive 0", "none 1", "none 2"}
	want := append(append(append([]string(nil), round...), round...), round...)
	if diff := cmp.Diff(want, order); diff != "" {
		t.Error(diff)
	}
	// The first round was only for warming up.
	if s := b.Series[3].Samples; len(s) != 2 || s[0].Elapsed != 8 || s[1].Elapsed != 12 {
		t.Errorf("the samples of the last series are %+v", s)
	}
}

func TestBenchErrors(t *testing.T) {
	dead := fmt.Errorf("%w: 3 of 50 segments", mdalp.ErrIncomplete)
	tests := []struct {
		name        string
		err         error // of the third run, to receiver 1
		want        error
		code        int
		runs        int // that were tried in all
		interrupted bool
	}{
		{"incomplete", dead, mdalp.ErrIncomplete, exitIncomplete, 8, false},
		{"no such receiver", mdalp.ErrConfig, mdalp.ErrIncomplete, exitIncomplete, 8, false},
		{"no offer", mdalp.ErrNoOffer, mdalp.ErrNoOffer, exitNoOffer, 3, false},
		{"system", os.ErrPermission, os.ErrPermission, exitSystem, 3, false},
		{"interrupted", interrupted{syscall.SIGINT}, interrupted{syscall.SIGINT}, exitInterrupted, 3, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := 0
			b := newBenchmark(2, 0, func(_ mdalp.Balance, server int) (measurement, error) {
				if n++; n == 3 {
					return measurement{}, tt.err
				}
				return measurement{Receivers: whom(server)}, nil
			})
			err := b.measure()
			if !errors.Is(err, tt.want) || exitCode(err) != tt.code || n != tt.runs || b.Interrupted != tt.interrupted {
				t.Errorf("%v, exit code %d, %d runs, interrupted %v", err, exitCode(err), n, b.Interrupted)
			}
			if len(b.Series[0].Samples) == 0 {
				t.Error("what was measured before is lost")
			}
			if s := b.Series[2]; tt.runs == 8 && (s.Failed != 1 || len(s.Samples) != 1) {
				t.Errorf("%d failed, %d samples; want 1 of each", s.Failed, len(s.Samples))
			}
		})
	}
}

func TestSpread(t *testing.T) {
	tests := []struct {
		values []float64 // seconds
		want   shape.Spread
		text   string
	}{
		{nil, shape.Spread{}, "0"},
		{[]float64{2}, shape.Spread{Median: 2, Min: 2, Max: 2}, "2000"},
		{[]float64{3, 1}, shape.Spread{Median: 2, Min: 1, Max: 3}, "2000 (1000..3000)"},
		{[]float64{9, 1, 4}, shape.Spread{Median: 4, Min: 1, Max: 9}, "4000 (1000..9000)"},
		{[]float64{8, 0, 1, 2}, shape.Spread{Median: 1.5, Min: 0, Max: 8}, "1500 (0..8000)"},
	}
	for _, tt := range tests {
		var s series
		for _, v := range tt.values {
			s.Samples = append(s.Samples, measurement{Elapsed: time.Duration(v * 1e9)})
		}
		got := s.spreadOf(ofElapsed)
		if got != tt.want || spreadText(got, 1e3, 0) != tt.text {
			t.Errorf("%v: %v, %q; want %v, %q", tt.values, got, spreadText(got, 1e3, 0), tt.want, tt.text)
		}
	}
}

// filled is a comparison that was interrupted, with everything in it that shows.
func filled() *benchmark {
	b := newBenchmark(2, 1, nil)
	b.meet(offered)
	b.meet(offered[:1]) // a later offer changes nothing
	b.Interrupted = true
	ms := func(n float64) time.Duration { return time.Duration(n * 1e6) }
	b.Series[0].add(measurement{Wait: ms(1), Ping: ms(2), Send: ms(10), Elapsed: ms(13), CPU: ms(1), TID: 5, Segments: 50}, nil)
	b.Series[0].add(measurement{Wait: ms(3), Ping: ms(2), Send: ms(14), Elapsed: ms(19), CPU: ms(2), TID: 9, Segments: 50, Resent: 2, Timeouts: 1}, nil)
	b.Series[2].add(measurement{Wait: ms(1), Send: ms(42), Elapsed: ms(43), CPU: ms(1), TID: 6, Segments: 50, Receivers: offered[1:]}, nil)
	b.Series[3].add(measurement{Receivers: offered[1:]}, mdalp.ErrIncomplete)
	return b
}

func TestBenchTable(t *testing.T) {
	const want = `5000 bytes by 192.0.2.1:4650, 2 receivers, 2 runs of each (and 1 before, not measured), interrupted: median (least..most)

  mode                 way          runs               elapsed ms               wait ms  ping ms                  send ms     CPU us/segment    resent  timeouts
     1                icmp             2  16.000 (13.000..19.000)  2.000 (1.000..3.000)    2.000  12.000 (10.000..14.000)  30.0 (20.0..40.0)  1 (0..2)  0 (0..1)
     1            adaptive             0                        -                     -        -                        -                  -         -         -
     2  1: 192.0.2.11:4650             1                   43.000                 1.000    0.000                   42.000               20.0         0         0
     2  2: 192.0.2.12:4650  0 (1 failed)                        -                     -        -                        -                  -         -         -

not every offer had 192.0.2.11:4650 in place 1
icmp is 3.00 times as fast as the best receiver alone (192.0.2.11:4650), without the wait for the offer
`
	var got strings.Builder
	filled().show(&got, "table", nil)
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Error(diff)
	}
}

func TestBenchfmt(t *testing.T) {
	var b strings.Builder
	filled().show(&b, "benchfmt", nil)
	// The machine's own lines, and its number of processors, are left out.
	got := regexp.MustCompile(`(?m)^(goos|goarch|cpu): .*\n`).ReplaceAllString(b.String(), "")
	got = regexp.MustCompile(`-\d+\t1\t`).ReplaceAllString(got, "-N\t1\t")
	want := `pkg: mdalp/cmd/mdalp
payload-bytes: 5000
receivers: 2
BenchmarkMdalp/mode=1/balance=icmp-N	1	13000000 ns/op	0.001000000 wait-sec	0.002000000 ping-sec	0.010000000 send-sec	20000.0 cpu-ns/segment	0 resent/op	0 timeouts/op
BenchmarkMdalp/mode=1/balance=icmp-N	1	19000000 ns/op	0.003000000 wait-sec	0.002000000 ping-sec	0.014000000 send-sec	40000.0 cpu-ns/segment	2 resent/op	1 timeouts/op
BenchmarkMdalp/mode=2/server=1/receiver=192.0.2.11:4650-N	1	43000000 ns/op	0.001000000 wait-sec	0.000000000 ping-sec	0.042000000 send-sec	20000.0 cpu-ns/segment	0 resent/op	0 timeouts/op
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestBenchJSON(t *testing.T) {
	var text bytes.Buffer
	filled().show(&text, "json", interrupted{syscall.SIGINT})
	if f := published(t, "bench").fault(t, text.Bytes()); f != "" {
		t.Errorf("%s\n%s", f, &text)
	}
	d := json.NewDecoder(&text)
	d.DisallowUnknownFields()
	var j shape.Bench
	if err := d.Decode(&j); err != nil {
		t.Fatal(err)
	}
	if j.Schema != "mdalp.bench/1" || j.Size != 5000 || j.Receivers != 2 || j.ExitCode != exitInterrupted || j.Error.Kind != "interrupted" || len(j.Series) != 4 {
		t.Errorf("%+v", j)
	}
	s := j.Series[0]
	if *s.Elapsed != (shape.Spread{Median: 0.016, Min: 0.013, Max: 0.019}) || *s.CPU != (shape.Spread{Median: 30000, Min: 20000, Max: 40000}) || len(s.Samples) != 2 || s.Samples[1].TID != 9 {
		t.Errorf("%+v", s)
	}
	if s := j.Series[1]; s.Elapsed != nil || s.Samples == nil {
		t.Errorf("a series without samples is %+v", s)
	}
	if s := j.Series[2]; *s.Server != 1 || *s.Address != "192.0.2.11" || *s.Port != 4650 || !s.Changed || s.Mode != 2 {
		t.Errorf("%+v", s)
	}
}
