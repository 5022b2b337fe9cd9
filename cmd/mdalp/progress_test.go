package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"mdalp/internal/need"
)

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
	for began := time.Now(); time.Since(began) < 2*time.Minute; {
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
		`\n +127.0.0.3:\d+        -    500       5/5 .* ok\n(\d+ datagrams dropped:[^=]*\n)?exit=0$`,
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
