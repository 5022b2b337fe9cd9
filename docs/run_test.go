package docs_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"mdalp/internal/need"
	"mdalp/internal/own"
)

// patience bounds every wait. It is far more than anything takes.
const patience = 5 * time.Minute

// A step is a command of a page, and what it has to print.
type step struct {
	b       *block
	line    int
	command string
	want    []string
	shown   bool // the page shows what it prints
	told    bool // the next command prints its exit code
}

// runPage does with the blocks of a page what their rules say.
func runPage(t *testing.T, blocks []*block) {
	var steps []*step
	for _, b := range blocks {
		r := ruleOf(b)
		switch r.way {
		case parse:
			for _, s := range stepsOf(b) {
				checkLine(t, b, s.command)
			}
		case serve:
			serveBlock(t, b)
		case output:
			last := steps[len(steps)-1]
			last.b, last.line, last.shown, last.want = b, b.line, true, b.lines
		case run:
			if fits(t, b, r) {
				steps = append(steps, stepsOf(b)...)
			}
		}
	}
	if len(steps) > 0 {
		runSteps(t, steps)
	}
}

// fits says whether a block can run on this machine.
func fits(t *testing.T, b *block, r *rule) (ok bool) {
	t.Run(strconv.Itoa(b.line), func(t *testing.T) {
		for _, p := range r.needs {
			if _, err := exec.LookPath(p); err != nil {
				need.Skip(t, b.at(), ": there is no ", p)
			}
		}
		if r.pings && os.Geteuid() != 0 {
			need.Skip(t, b.at(), ": only root is sure to be able to ping")
		}
		ok = true
	})
	return ok
}

// stepsOf takes a block apart: with prompts, what stands between them is output; without, each
// line is a command.
func stepsOf(b *block) (steps []*step) {
	prompts := strings.HasPrefix(b.lines[0], "$ ")
	// A block of prompts alone shows commands; one with some output shows all of it.
	shown := prompts && slices.ContainsFunc(b.lines, func(l string) bool { return !strings.HasPrefix(l, "$ ") })
	for i, l := range b.lines {
		command, is := strings.CutPrefix(l, "$ ")
		switch {
		case prompts && !is:
			steps[len(steps)-1].want = append(steps[len(steps)-1].want, l)
			continue
		case strings.TrimSpace(l) == "":
			continue
		}
		if command == "echo $?" && len(steps) > 0 {
			steps[len(steps)-1].told = true
		}
		steps = append(steps, &step{b: b, line: b.line + i, command: command, shown: shown})
	}
	return steps
}

// runSteps runs the commands of a page in one shell, so that each finds what those before it left.
func runSteps(t *testing.T, steps []*step) {
	dir := t.TempDir()
	fill := scene(t, dir)
	var script strings.Builder
	script.WriteString("exec 2>&1\ntrap 'kill $(jobs -p) 2>/dev/null; wait' EXIT\n")
	for _, s := range steps {
		serves := strings.HasSuffix(s.command, "2>log &")
		if serves {
			script.WriteString("rm -f log\n") // that of a server before says that it listens, too
		}
		fmt.Fprintf(&script, "%s\n", fill.Replace(s.command))
		if serves {
			// Who types is slower than a server that starts.
			script.WriteString("until grep -qs msg=listening log || ! kill -0 $!; do sleep 0.02; done\n")
		}
		// The code stays for the next command, which may ask for it.
		script.WriteString("code=$?; printf '\\n\\036%d\\n' $code; (exit $code)\n")
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := exec.CommandContext(ctx, "bash", "-c", script.String())
	c.Dir = dir
	c.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "XDG_STATE_HOME="+filepath.Join(dir, ".state"),
		"GOBIN="+filepath.Join(dir, ".bin"), "GOFLAGS=-buildvcs=false", "LC_ALL=C.UTF-8", "TZ=UTC")
	// A group of its own, so that nothing outlives the page.
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
	out, err := c.CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("%s: not over after %v; it said:\n%s", steps[0].b.page, patience, out)
	}
	parts := strings.Split(string(out), "\n\x1e")
	if len(parts) != len(steps)+1 {
		t.Fatalf("%s: the shell ended (%v) in or behind line %d:\n%s", steps[0].b.page, err, steps[min(len(parts), len(steps))-1].line, out)
	}
	for i, s := range steps {
		said := parts[i]
		if i > 0 {
			_, said, _ = strings.Cut(said, "\n")
		}
		code, _, _ := strings.Cut(parts[i+1], "\n")
		at := fmt.Sprintf("%s:%d: %s", s.b.page, s.line, s.command)
		if code != "0" && !s.told {
			t.Errorf("%s: exit code %s, and the page does not say so; it printed:\n%s", at, code, said)
		}
		if s.shown {
			compare(t, at, fill.Replace(strings.Join(s.want, "\n")), said, ruleOf(s.b))
		}
	}
}

// scene makes what the commands of pages take for granted: files in the folder, and a server. It
// gives what stands for the placeholders.
func scene(t *testing.T, dir string) *strings.Replacer {
	t.Helper()
	b := make([]byte, 5000)
	for i := range b {
		b[i] = byte(i * i >> 3)
	}
	for _, f := range []string{"payload.bin", "large_payload", "file", "a", "b", "c"} {
		if err := os.WriteFile(filepath.Join(dir, f), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "hosts"), []byte("127.0.0.1\n127.0.0.2\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"mdalp", "mdalpd"} {
		if err := os.Symlink(filepath.Join(bin, p), filepath.Join(dir, p)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(root, "wireshark"), filepath.Join(dir, "wireshark")); err != nil {
		t.Fatal(err)
	}
	store := filepath.Join(dir, ".store")
	port, other, net := freePort(t), freePort(t), loopback(t)
	start(t, "mdalpd --listen 127.0.0.1:"+port+" --receivers 127.0.0.2:"+port+",127.0.0.3:"+port+
		" --intent-rate -1 --store "+store)
	return strings.NewReplacer(
		"-a 192.0.2.1 -p 4650", "-a 127.0.0.1 -p "+port, "-a ADDR", "-a 127.0.0.1", "-p PORT", "-p "+port, "-f FILE", "-f payload.bin",
		" DIR", " "+store, "192.0.2.1", "127.0.0.1", "receiver.example", "localhost", "5555", other,
		"127.0.0.1,127.0.0.2,127.0.0.3", net+"1:"+port+","+net+"2:"+port+","+net+"3:"+port,
		"127.0.0.1,127.0.0.2", net+"1:"+port+","+net+"2:"+port,
		"go run ./", "go -C '"+root+"' run ./", "go install ./", "go -C '"+root+"' install ./", "go build ./cmd/", "go -C '"+root+"' build -o '"+dir+"/.bin/' ./cmd/",
	)
}

// address is one that pages give to receivers.
var address = regexp.MustCompile(`192\.0\.2\.(\d+)`)

// serveBlock runs a server as a page starts it, at addresses that nobody else has.
func serveBlock(t *testing.T, b *block) {
	t.Helper()
	if len(b.lines) != 1 {
		t.Errorf("%s: one command is expected", b.at())
		return
	}
	net := loopback(t)
	// The usual port may be somebody's, at any address.
	line := address.ReplaceAllString(b.lines[0], net+"$1:"+freePort(t))
	line = strings.NewReplacer("/var/lib/mdalpd", filepath.Join(t.TempDir(), "store"), ":8650", ":"+freePort(t)).Replace(line)
	if !strings.Contains(line, net) {
		line += " --receivers " + net + "1:" + freePort(t)
	}
	start(t, line+" --listen "+net+strconv.Itoa(b.line)+":"+freePort(t))
}

// start starts a server and waits until it listens. At the end of the test it is asked to end,
// which has to be well.
func start(t *testing.T, line string) {
	t.Helper()
	words := strings.Fields(line)
	i := slices.Index(words, "mdalpd") // behind variables, if there are any
	c := exec.Command(filepath.Join(bin, words[i]), words[i+1:]...)
	c.Env = append(os.Environ(), words[:i]...)
	log, err := c.StderrPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(patience, func() { c.Process.Kill() })
	ready := make(chan bool, 1)
	var said strings.Builder
	done := make(chan struct{})
	go func() {
		defer close(done)
		for lines := bufio.NewScanner(log); lines.Scan(); {
			fmt.Fprintln(&said, lines.Text())
			if strings.Contains(lines.Text(), "msg=listening") {
				ready <- true
			}
		}
		close(ready)
	}()
	t.Cleanup(func() {
		c.Process.Signal(syscall.SIGTERM)
		<-done
		timer.Stop()
		if err := c.Wait(); err != nil {
			t.Errorf("%s: %v: %s", line, err, said.String())
		}
	})
	if !<-ready {
		t.Fatalf("%s: it does not listen", line)
	}
}

// loopback is the beginning of addresses that nobody else has: those of a server have a port that
// is not free to choose.
func loopback(t *testing.T) string {
	t.Helper()
	n, err := own.Net()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// freePort gives a UDP port that nobody has.
func freePort(t *testing.T) string {
	t.Helper()
	port, err := own.Port()
	if err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(port)
}
