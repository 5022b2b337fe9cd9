package progress

import (
	"bytes"
	"log/slog"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mdalp"
	"mdalp/cmd/internal/halfway"
	"mdalp/cmd/internal/table"
)

// named gives the receivers of a report names.
func named(r *mdalp.Report, names ...string) *mdalp.Report {
	for i, n := range names {
		r.Receivers[i].Name = n
	}
	return r
}

// frames are reports, and how they show on a terminal.
var frames = []struct {
	r          *mdalp.Report
	cols, rows int
	want       string
}{
	{halfway.Report(3, "177.71.168.45"), 79, 23, `
sending  55 %  5000 B of 9000 B  5 segments/s  3 resent  ETA 20 s
1 177.71.168.45:4650  [##############################] 100 %  30/30  3 resent
2 177.71.168.46:4650  [##########....................]  33 %  10/30  dead
3 177.71.168.47:4650  [##########....................]  33 %  10/30
`},
	{halfway.Report(3, "177.71.168.45"), 39, 23, `
sending  55 %  ETA 20 s  5/s  3 resent
1 177.71.168.45:4650  [#########] 100 %
2 177.71.168.46:4650  [###......]  dead
3 177.71.168.47:4650  [###......]  33 %
`},
	{halfway.Report(40, "192.0.2.1"), 60, 5, `
sending  35 %  ETA 20 s  5/s  3 resent
2 192.0.2.2:4650  [#####...........]  33 %  10/30  dead
3 192.0.2.3:4650  [#####...........]  33 %  10/30
4 192.0.2.4:4650  [#####...........]  33 %  10/30
... and 37 more
`},
	{halfway.Report(1, "2001:db8:1111:2222:3333:4444:5555:6666"), 39, 23, `
sending 100 %  ETA 0 s  5/s  3 resent
[2001:db8..666]:4650  [#########] 100 %
`},
	{named(halfway.Report(4, "192.0.2.1"), "Zürich", "a\x1b[31mb", "東京", "東京"), 70, 23, `
sending  50 %  6000 B of 12.0 kB  5 segments/s  3 resent  ETA 20 s
Zürich            [##########################] 100 %  30/30  3 resent
a\x1b[31mb        [########..................]  33 %  10/30  dead
3 192.0.2.3:4650  [########..................]  33 %  10/30
4 192.0.2.4:4650  [########..................]  33 %  10/30
`},
	{named(halfway.Report(3, "192.0.2.1"), strings.Repeat("x", 90), strings.Repeat("\u202e", 9), " "), 50, 23, `
sending  55 %  ETA 20 s  5/s  3 resent
xxxxxxxxxxxxxxxxxxxxxxx..  [####] 100 %  3 resent
\u202e\u202e\u202e\u202..  [#...]  33 %  dead
3 192.0.2.3:4650           [#...]  33 %
`},
	{&mdalp.Report{Phase: mdalp.PhaseWaiting, Wait: 12900 * time.Millisecond, Orchestrator: netip.MustParseAddrPort("192.0.2.1:4650")}, 79, 23, `
waiting for the offer  12 s ... (192.0.2.1:4650)
`},
	{&mdalp.Report{Phase: mdalp.PhasePinging, Probe: 1230 * time.Millisecond, Receivers: make([]mdalp.ReceiverReport, 3)}, 79, 23, `
pinging 3 receivers  1.2 s ...
`},
	{halfway.Extended(), 79, 23, `
sending  55 %  5.0 MB of 9.0 MB  12.5 MB/s  3 resent  ETA 0 s
1 177.71.168.45:4650  [##############################] 100 %  30/30  3 resent
2 177.71.168.46:4650  [##########....................]  33 %  10/30  dead
3 177.71.168.47:4650  [##########....................]  33 %  10/30
`},
	{&mdalp.Report{Phase: mdalp.PhaseFinishing, Verdict: 1230 * time.Millisecond, SHA256: "00"}, 79, 23, `
finishing  waiting for the verdict  1.2 s ...
`},
	{&mdalp.Report{Phase: mdalp.PhaseFinishing, Verdict: 1230 * time.Millisecond}, 79, 23, `
finishing  hashing  1.2 s ...
`},
}

func TestFrame(t *testing.T) {
	for _, c := range frames {
		rate := 5.0
		if c.r.Extended {
			rate = 12.5e6
		}
		got := "\n" + strings.Join(frame(c.r, rate, c.cols, c.rows), "\n") + "\n"
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%d columns:\n%s", c.cols, diff)
		}
	}
}

// No frame is larger than the terminal, however small that is.
func TestFrameFits(t *testing.T) {
	for _, n := range []int{1, 2, 3, 40} {
		for _, addr := range []string{"10.0.0.1", "2001:db8:1111:2222:3333:4444:5555:1", "fe80::1%\x1b[31m"} {
			for cols := 19; cols < 130; cols++ {
				for _, rows := range []int{2, 3, 10, 100} {
					f := frame(named(halfway.Report(n, addr), "東京東京東京 \x1b[31m"+strings.Repeat("é", cols)), 123456, cols, rows)
					for _, l := range f {
						if table.Columns(l) > cols || strings.Contains(l, "\x1b") {
							t.Fatalf("%d columns: %q", cols, l)
						}
					}
					if len(f) > rows || len(f) != min(rows, n+1) {
						t.Fatalf("%d lines for %d receivers on %d", len(f), n, rows)
					}
				}
			}
		}
	}
}

// Lines of progress come after 2, 4, 8... seconds.
func TestLines(t *testing.T) {
	var b bytes.Buffer
	l := NewLines(slog.NewTextHandler(&b, nil))
	r := halfway.Report(3, "192.0.2.1")
	r.Phase, r.Segments = mdalp.PhaseWaiting, 0
	for at := time.Duration(0); at <= 20*time.Second; at += 100 * time.Millisecond {
		if r.Elapsed = at; at == 5*time.Second {
			r.Phase, r.Segments = mdalp.PhaseSending, 90
		}
		l.See(r)
	}
	r.Phase, r.Elapsed = mdalp.PhaseFinished, time.Hour
	l.See(r)
	got := regexp.MustCompile(`(?m)^time=\S+ `).ReplaceAllString("\n"+b.String(), "")
	want := `
level=INFO msg=progress phase=waiting elapsed=2s
level=INFO msg=progress phase=sending elapsed=6s acknowledged_bytes=5000 bytes=9000 segments_per_second=5 resent=3 eta="20 s"
level=INFO msg=progress phase=sending elapsed=14s acknowledged_bytes=5000 bytes=9000 segments_per_second=5 resent=3 eta="20 s"
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// The pace of an extended transfer is in bytes, and so is what is left.
func TestPaceOfBytes(t *testing.T) {
	var p speed
	r := halfway.Extended()
	for r.Transfer, r.Acked = 0, 0; r.Transfer < 10*time.Second; r.Transfer += 100 * time.Millisecond {
		r.Acked = int64(r.Transfer.Seconds() * 500_000)
		p.see(r)
	}
	if p.rate < 499_000 || p.rate > 501_000 {
		t.Errorf("%v bytes a second", p.rate)
	}
	r.Acked = 8_000_000
	for _, c := range []struct {
		rate float64
		want string
	}{{500_000, "2 s"}, {10_000, "1m40s"}, {0, "?"}, {2, "138h53m20s"}} {
		if got := eta(r, c.rate); got != c.want {
			t.Errorf("at %v: %q instead of %q", c.rate, got, c.want)
		}
	}
}
