package main

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mdalp"
	"mdalp/cmd/internal/table"
	"mdalp/internal/need"
)

// halfway is a report of n receivers with 30 segments each. The first has done all, the
// second is dead, the others have done a third.
func halfway(n int, addr string) *mdalp.Report {
	r := &mdalp.Report{
		Phase: mdalp.Sending, Orchestrator: netip.MustParseAddrPort("18.139.29.142:4650"), TID: 3740,
		Size: int64(n) * 3000, Segments: int64(n) * 30, Wait: 12 * time.Second, Transfer: 10 * time.Second, Elapsed: 22 * time.Second,
	}
	a := netip.MustParseAddr(addr)
	for i := range n {
		x := mdalp.ReceiverReport{Addr: netip.AddrPortFrom(a, 4650), Latency: 156857 * time.Microsecond, Assigned: 30, Acked: 10, Bytes: 1000, Sent: 10, Rate: 100}
		switch i {
		case 0:
			x.Acked, x.Bytes, x.Resent, x.AckMin, x.AckMean, x.AckMax = 30, 3000, 3, 600*time.Millisecond, 700*time.Millisecond, 800*time.Millisecond
		case 1:
			x.Err = fmt.Errorf("data: %w", errors.New("connection refused"))
		}
		r.Acked += x.Bytes
		r.Left += 30 - x.Acked
		r.Receivers = append(r.Receivers, x)
		a = a.Next()
	}
	return r
}

// named gives the receivers of a report names.
func named(r *mdalp.Report, names ...string) *mdalp.Report {
	for i, n := range names {
		r.Receivers[i].Name = n
	}
	return r
}

func TestFrame(t *testing.T) {
	for _, c := range []struct {
		r          *mdalp.Report
		cols, rows int
		want       string
	}{
		{halfway(3, "177.71.168.45"), 79, 23, `
sending  55 %  5000 B of 9000 B  5 segments/s  3 resent  ETA 20 s
1 177.71.168.45:4650  [##############################] 100 %  30/30  3 resent
2 177.71.168.46:4650  [##########....................]  33 %  10/30  dead
3 177.71.168.47:4650  [##########....................]  33 %  10/30
`},
		{halfway(3, "177.71.168.45"), 39, 23, `
sending  55 %  ETA 20 s  5/s  3 resent
1 177.71.168.45:4650  [#########] 100 %
2 177.71.168.46:4650  [###......]  dead
3 177.71.168.47:4650  [###......]  33 %
`},
		{halfway(40, "192.0.2.1"), 60, 5, `
sending  35 %  ETA 20 s  5/s  3 resent
2 192.0.2.2:4650  [#####...........]  33 %  10/30  dead
3 192.0.2.3:4650  [#####...........]  33 %  10/30
4 192.0.2.4:4650  [#####...........]  33 %  10/30
... and 37 more
`},
		{halfway(1, "2001:db8:1111:2222:3333:4444:5555:6666"), 39, 23, `
sending 100 %  ETA 0 s  5/s  3 resent
[2001:db8..666]:4650  [#########] 100 %
`},
		{named(halfway(4, "192.0.2.1"), "Zürich", "a\x1b[31mb", "東京", "東京"), 70, 23, `
sending  50 %  6000 B of 12.0 kB  5 segments/s  3 resent  ETA 20 s
Zürich            [##########################] 100 %  30/30  3 resent
a\x1b[31mb        [########..................]  33 %  10/30  dead
3 192.0.2.3:4650  [########..................]  33 %  10/30
4 192.0.2.4:4650  [########..................]  33 %  10/30
`},
		{named(halfway(3, "192.0.2.1"), strings.Repeat("x", 90), strings.Repeat("\u202e", 9), " "), 50, 23, `
sending  55 %  ETA 20 s  5/s  3 resent
xxxxxxxxxxxxxxxxxxxxxxx..  [####] 100 %  3 resent
\u202e\u202e\u202e\u202..  [#...]  33 %  dead
3 192.0.2.3:4650           [#...]  33 %
`},
		{&mdalp.Report{Phase: mdalp.Waiting, Wait: 12900 * time.Millisecond, Orchestrator: netip.MustParseAddrPort("192.0.2.1:4650")}, 79, 23, `
waiting for the offer  12 s ... (192.0.2.1:4650)
`},
		{&mdalp.Report{Phase: mdalp.Pinging, Probe: 1230 * time.Millisecond, Receivers: make([]mdalp.ReceiverReport, 3)}, 79, 23, `
pinging 3 receivers  1.2 s ...
`},
		{extendedHalf(), 79, 23, `
sending  55 %  5.0 MB of 9.0 MB  12.5 MB/s  3 resent  ETA 0 s
1 177.71.168.45:4650  [##############################] 100 %  30/30  3 resent
2 177.71.168.46:4650  [##########....................]  33 %  10/30  dead
3 177.71.168.47:4650  [##########....................]  33 %  10/30
`},
		{&mdalp.Report{Phase: mdalp.Finishing, Verdict: 1230 * time.Millisecond, SHA256: "00"}, 79, 23, `
finishing  waiting for the verdict  1.2 s ...
`},
		{&mdalp.Report{Phase: mdalp.Finishing, Verdict: 1230 * time.Millisecond}, 79, 23, `
finishing  hashing  1.2 s ...
`},
	} {
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
					f := frame(named(halfway(n, addr), "東京東京東京 \x1b[31m"+strings.Repeat("é", cols)), 123456, cols, rows)
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

func TestSummaryFits(t *testing.T) {
	r := halfway(3, "177.71.168.45")
	r.Phase = mdalp.Finished
	for _, c := range []struct {
		width int
		want  string
	}{
		{80, `
transaction 3740: INCOMPLETE, 5000 of 9000 bytes acknowledged in 22.000 s
waited 12.000 s, pinged 0.000 s, sent 10.000 s
            receiver     latency  bytes  segments  resent  timeouts  state
  177.71.168.45:4650  156.857 ms   3000     30/30       3         0     ok
  177.71.168.46:4650  156.857 ms   1000     10/30       0         0   dead
  177.71.168.47:4650  156.857 ms   1000     10/30       0         0     ok
177.71.168.46:4650 is dead: connection refused
`},
		{40, `
transaction 3740: INCOMPLETE, 5000 of
  9000 bytes acknowledged in 22.000 s
waited 12.000 s, pinged 0.000 s, sent
  10.000 s
            receiver  segments  state
  177.71.168.45:4650     30/30     ok
  177.71.168.46:4650     10/30   dead
  177.71.168.47:4650     10/30     ok
177.71.168.46:4650 is dead: connection refused
`},
		{30, `
transaction 3740: INCOMPLETE,
  5000 of 9000 bytes
  acknowledged in 22.000 s
waited 12.000 s, pinged 0.000
  s, sent 10.000 s
  receiver
  segments  state
  177.71.168.45:4650
     30/30     ok
  177.71.168.46:4650
     10/30   dead
  177.71.168.47:4650
     10/30     ok
177.71.168.46:4650 is dead: connection refused
`},
		{200, `
transaction 3740: INCOMPLETE, 5000 of 9000 bytes acknowledged in 22.000 s
waited 12.000 s, pinged 0.000 s, sent 10.000 s
            receiver     latency  bytes  segments  resent  timeouts  took over            ack min/mean/max  bytes/s  state
  177.71.168.45:4650  156.857 ms   3000     30/30       3         0          0  600.000/700.000/800.000 ms      100     ok
  177.71.168.46:4650  156.857 ms   1000     10/30       0         0          0                           -      100   dead
  177.71.168.47:4650  156.857 ms   1000     10/30       0         0          0                           -      100     ok
177.71.168.46:4650 is dead: connection refused
`},
	} {
		var b bytes.Buffer
		table.Summarize(&b, r, nil, c.width, false)
		if diff := cmp.Diff(c.want, "\n"+b.String()); diff != "" {
			t.Errorf("%d columns:\n%s", c.width, diff)
		}
	}
}

// Lines of progress come after 2, 4, 8... seconds.
func TestLines(t *testing.T) {
	var b bytes.Buffer
	l := &lines{to: slog.NewTextHandler(&b, nil)}
	r := halfway(3, "192.0.2.1")
	r.Phase, r.Segments = mdalp.Waiting, 0
	for at := time.Duration(0); at <= 20*time.Second; at += 100 * time.Millisecond {
		if r.Elapsed = at; at == 5*time.Second {
			r.Phase, r.Segments = mdalp.Sending, 90
		}
		l.see(r)
	}
	r.Phase, r.Elapsed = mdalp.Finished, time.Hour
	l.see(r)
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

// A signal prints the table at once, twice if sent twice, and the transfer goes on.
func TestInterim(t *testing.T) {
	t.Parallel()
	p := newReceivers(t, 2)
	p.hold(1, 1)
	c := exec.Command("mdalp", "-a", "127.0.0.1", "-p", p.port, "-f", payloadFile(t, t.TempDir(), "f", 500), "--balance", "equal", "--rto", "fixed", "-v")
	errs, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	c.Stdout = &out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	var text []byte
	until := func(re string) {
		t.Helper()
		b := make([]byte, 4096)
		for !regexp.MustCompile(re).Match(text) {
			n, err := errs.Read(b)
			if text = append(text, b[:n]...); err != nil {
				t.Fatalf("%v: %s", err, text)
			}
		}
		text = nil
	}
	until(`msg=receiver addr=127.0.0.2`)
	for _, sig := range []os.Signal{syscall.SIGUSR1, syscall.SIGQUIT} {
		c.Process.Signal(sig)
		until(`(?s)transaction 3740: sending, \d+ of 500 bytes acknowledged in .*receiver .*\n  127.0.0.2:\d+ .* ok\n`)
	}
	p.release()
	for b := make([]byte, 4096); err == nil; {
		_, err = errs.Read(b)
	}
	if err := c.Wait(); err != nil || !strings.Contains(out.String(), "complete, 500 of 500") {
		t.Errorf("%v: %s", err, &out)
	}
}

// A terminal is tmux with one window.
type terminal struct {
	t   *testing.T
	dir string
}

// newTerminal runs a shell command in a terminal of that size.
func newTerminal(t *testing.T, cols, rows int, command string) *terminal {
	t.Helper()
	if _, err := exec.LookPath("tmux"); err != nil {
		need.Skip(t, "tmux is needed for a real terminal")
	}
	dir, err := os.MkdirTemp("", "mdalp") // short: it holds a socket
	if err != nil {
		t.Fatal(err)
	}
	x := &terminal{t, dir}
	t.Cleanup(func() {
		x.tmux("kill-server")
		os.RemoveAll(dir)
	})
	x.tmux("new-session", "-d", "-x", fmt.Sprint(cols), "-y", fmt.Sprint(rows), "trap : QUIT; "+command+"; echo exit=$?; exec sleep 600")
	return x
}

// tmux runs one of its commands.
func (x *terminal) tmux(args ...string) string {
	c := exec.Command("tmux", append([]string{"-S", filepath.Join(x.dir, "s"), "-f", "/dev/null"}, args...)...)
	c.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0", "TMUX=", "NO_COLOR=", "SHELL=/bin/sh", "LC_ALL=C.UTF-8")
	out, err := c.CombinedOutput()
	if err != nil && args[0] != "kill-server" {
		x.t.Fatalf("tmux %v: %v: %s", args, err, out)
	}
	return string(out)
}

// until gives the screen, without the empty lines at its end, as soon as re matches it.
func (x *terminal) until(re string) string {
	x.t.Helper()
	return x.poll(re)
}

// history is until, with what has scrolled away.
func (x *terminal) history(re string) string {
	x.t.Helper()
	return x.poll(re, "-S", "-200")
}

func (x *terminal) poll(re string, more ...string) string {
	x.t.Helper()
	capture := append([]string{"capture-pane", "-p"}, more...)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	screen := ""
	for range 400 {
		screen = strings.TrimRight(x.tmux(capture...), "\n")
		if regexp.MustCompile(re).MatchString(screen) {
			return screen
		}
		<-tick.C
	}
	x.t.Fatalf("%q does not come:\n%s", re, screen)
	return ""
}

// fits checks that no line of the screen is wider, and none was broken into two.
func (x *terminal) fits(screen string, cols, lines int) {
	x.t.Helper()
	all := strings.Split(screen, "\n")
	if len(all) != lines {
		x.t.Errorf("%d lines instead of %d:\n%s", len(all), lines, screen)
	}
	for _, l := range all {
		if len(l) > cols {
			x.t.Errorf("%d columns in %q", len(l), l)
		}
	}
}

// TestTerminal looks at a real terminal while a transfer stands still, after it has
// become narrower and wider, and when the transfer has ended.
func TestTerminal(t *testing.T) {
	t.Parallel()
	p := newReceivers(t, 3)
	p.hold(1, 1)
	f := payloadFile(t, t.TempDir(), "f", 1500)
	x := newTerminal(t, 80, 24, "mdalp -a 127.0.0.1 -p "+p.port+" --balance equal --rto fixed -f "+f)
	s := x.until(`(?s)sending +73 %.*receiver 3`)
	x.fits(s, 79, 4)
	for _, re := range []string{
		`^sending  73 %  1100 B of 1500 B  \d+ segments/s(  \d resent)?  ETA .*\n`,
		`\nreceiver 1  \[#{30}\] 100 %  5/5\n`,
		`\nreceiver 2  \[######\.{24}\]  20 %  1/5(  \d resent)?\n`,
		`\nreceiver 3  \[#{30}\] 100 %  5/5$`,
	} {
		if !regexp.MustCompile(re).MatchString(s) {
			t.Errorf("%s is not in\n%s", re, s)
		}
	}
	x.tmux("resize-window", "-x", "40", "-y", "24")
	x.until(`(?m)^sending  73 %  ETA \S+( s)?  \d+/s(  \d resent)?$`)
	s = x.until(`(?s)^sending[^\n]*\nreceiver 1 +\[#{4,20}\] 100 %[^\n]*\nreceiver 2[^\n]*\nreceiver 3 +\[#*\] 100 %[^\n]*$`)
	x.fits(s, 39, 4)
	// tmux takes back what was pushed into its history, so there may be more above it.
	x.tmux("resize-window", "-x", "80", "-y", "24")
	x.until(`(?m)^sending +73 % +1100 B of 1500 B .*\nreceiver 1  \[#{30}\] 100 %  5/5\nreceiver 2  \[#{6}\.{24}\]  20 %  1/5.*\nreceiver 3  \[#{30}\] 100 %  5/5$`)
	p.release()
	s = x.until(`exit=0`)
	for _, re := range []string{
		`(?m)^transaction 3740: complete, 1500 of 1500 bytes acknowledged in \d+\.\d+ s\nwaited `,
		`\n +receiver  latency  bytes  segments  resent  timeouts  .* state\n`,
		`\n +127.0.0.3:\d+        -    500       5/5 .* ok\nexit=0$`,
	} {
		if !regexp.MustCompile(re).MatchString(s) {
			t.Errorf("%s is not in\n%s", re, s)
		}
	}
}

// TestTerminalNarrow does it at 40 columns, with more receivers than lines and log
// lines in between; another signal than the keyboard's asks for the table.
func TestTerminalNarrow(t *testing.T) {
	t.Parallel()
	p := newReceivers(t, 40)
	p.hold(20, 0)
	f := payloadFile(t, t.TempDir(), "f", 8000)
	x := newTerminal(t, 40, 10, "mdalp -a 127.0.0.1 -p "+p.port+" --balance equal --rto fixed -f "+f)
	s := x.until(`(?s)^sending  97 %.*and 38 more$`)
	x.fits(s, 39, 4)
	// Whoever is not done is shown first.
	if !regexp.MustCompile(`^sending  97 %.*\nreceiver 21 +\[\.+\]   0 %`).MatchString(s) {
		t.Errorf("\n%s", s)
	}
	// SIGQUIT by its key: the table goes to the scroll-back, the bars come again below.
	x.tmux("send-keys", `C-\`)
	x.history(`(?s)transaction 3740: sending, 7800 of 8000\n  bytes .*\n +127.0.0.1:\d+ +2/2 +ok\n.*127.0.0.40:\d+ +2/2 +ok\n.*sending  97 %.*and \d+ more`)
	p.release()
	x.until(`exit=0$`)
	all := x.history(`exit=0$`)
	if n := strings.Count(all, "[##"); n != 0 || !strings.Contains(all, "transaction 3740: complete, 8000 of 8000") {
		t.Errorf("bars remain: %d\n%s", n, all)
	}
	// What is over at once shows no bars, and -q nothing at all.
	for _, c := range []struct{ options, want string }{
		{"", `^transaction 3740: complete`},
		{"-q", `^exit=0$`},
		{"--progress off", `^transaction 3740: complete`},
	} {
		x := newTerminal(t, 80, 60, "mdalp -a 127.0.0.1 -p "+p.port+" --balance equal "+c.options+" -f "+f)
		if s := x.until(`exit=\d+$`); !regexp.MustCompile(c.want).MatchString(s) {
			t.Errorf("%s:\n%s", c.options, s)
		}
	}
}

// A terminal that becomes half as wide has no bars in its scroll-back, however many
// receivers there are.
func TestTerminalHalved(t *testing.T) {
	t.Parallel()
	p := newReceivers(t, 40)
	p.hold(20, 0)
	f := payloadFile(t, t.TempDir(), "f", 8000)
	// Below the last line of a screen: tmux keeps the empty ones, and pushes others out for them.
	x := newTerminal(t, 80, 12, "seq 20; mdalp -a 127.0.0.1 -p "+p.port+" --balance equal --rto fixed -f "+f)
	x.until(`(?s)\nsending  97 %  7800 B of .*and 37 more$`)
	x.tmux("resize-window", "-x", "41", "-y", "12")
	x.until(`(?s)\nsending  97 %  ETA .*and 37 more$`)
	if s := x.history(`more$`); strings.Count(s, "sending") != 1 || strings.Count(s, "receiver 21 ") != 1 {
		t.Errorf("bars remain:\n%s", s)
	}
}

// The lab takes ten seconds, in which a terminal says how far it is. Ctrl-\ keeps that, and
// nothing else is left.
func TestTerminalLab(t *testing.T) {
	t.Parallel()
	x := newTerminal(t, 80, 24, "trap : INT; mdalp lab --profile misleading")
	x.until(`(?m)^balanced +\d+ %  server 1 +\d+ %  server 2 +\d+ %$`)
	x.tmux("send-keys", `C-\`)
	x.until(`(?m)^balanced .*\nbalanced .*$`)
	x.tmux("send-keys", "C-c")
	s := x.until(`exit=130$`)
	if regexp.MustCompile(`(?m)^.*mdalp: interrupted \(SIGINT\)\nexit=130$`).FindString(s) == "" || strings.Count(s, "balanced") > 1 || strings.Contains(s, "goroutine") {
		t.Errorf("\n%s", s)
	}
}
