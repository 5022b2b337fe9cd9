package main

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mdalp/internal/need"
)

// A pair is two hosts with a link between them: this namespace, where a server has the
// address 10.7.0.9, and another one, whose end of the link is c0. A host that is its own
// peer would never choose between source addresses.
type pair struct {
	program string // the client
	pid     string // of a process in the other namespace
	link    string // this end of it
	state   string // the client's records
}

// hosts makes a pair. The other end has no address yet.
func hosts(t *testing.T) *pair {
	t.Helper()
	program, err := exec.LookPath("mdalp")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := exec.LookPath("nsenter"); err != nil {
		need.Skip(t, err)
	}
	// It has its namespace from the start, and ends with its standard input.
	stay := exec.Command("cat")
	stay.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET, Pdeathsig: unix.SIGKILL}
	in, err := stay.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := stay.Start(); err != nil {
		need.Skip(t, err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = stay.Wait()
	})
	pid := strconv.Itoa(stay.Process.Pid)
	p := &pair{program: program, pid: pid, link: "s" + pid, state: t.TempDir()}
	ip(t, "link add "+p.link+" mtu 9000 type veth peer name c0 netns "+pid+" mtu 9000")
	// With the namespace its end of the link goes, and this end with it, but not at once.
	t.Cleanup(func() { ip(t, "link del "+p.link) })
	ip(t, "addr add 10.7.0.9/24 dev "+p.link)
	ip(t, "link set "+p.link+" up")
	p.ip(t, "link set c0 up")
	return p
}

// there is a command of the other host. It becomes the program, so that a signal is its own.
func (p *pair) there(args ...string) *exec.Cmd {
	c := exec.Command("nsenter", append([]string{"--net=/proc/" + p.pid + "/ns/net"}, args...)...)
	c.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0", "XDG_STATE_HOME="+p.state)
	return c
}

// ip runs ip(8) at the other host.
func (p *pair) ip(t *testing.T, args string) {
	t.Helper()
	if out, err := p.there(append([]string{"ip"}, strings.Fields(args)...)...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s", args, err, out)
	}
}

// A running is a program that a test has started.
type running struct {
	cmd  *exec.Cmd
	said sync.WaitGroup // its output is read
	mu   sync.Mutex
	text strings.Builder // what it wrote on standard error
	more chan struct{}   // closed when it has written more
}

// launch starts a program and waits until a line of its standard error, or of its standard
// output if out, matches. What comes later is kept if it is standard error.
func launch(t *testing.T, cmd *exec.Cmd, out bool, until string) *running {
	t.Helper()
	r := &running{cmd: cmd, more: make(chan struct{})}
	outs, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	errs, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = r.end(unix.SIGKILL) })
	found, line := make(chan bool, 2), regexp.MustCompile(until)
	read := func(from io.Reader, mine, keep bool) {
		in := bufio.NewReader(from)
		for {
			text, err := in.ReadString('\n')
			if keep {
				r.mu.Lock()
				r.text.WriteString(text)
				close(r.more)
				r.more = make(chan struct{})
				r.mu.Unlock()
			}
			if mine && line.MatchString(text) {
				found <- true
				mine = false
			}
			if err != nil {
				if mine {
					found <- false
				}
				return
			}
		}
	}
	r.said.Go(func() { read(outs, out, false) })
	r.said.Go(func() { read(errs, !out, true) })
	if !<-found {
		code, said := r.end(0)
		t.Fatalf("%v ended with %d and never wrote %q: %s", cmd.Args, code, until, said)
	}
	return r
}

// says waits until something is in its standard error, and reports whether it is. A program
// may write it after others have seen what it did.
func (r *running) says(what string) bool {
	late := time.After(patience)
	for {
		r.mu.Lock()
		there, more := strings.Contains(r.text.String(), what), r.more
		r.mu.Unlock()
		if there {
			return true
		}
		select {
		case <-more:
		case <-late:
			return false
		}
	}
}

// end sends it a signal, if not 0, waits for its end and gives exit code and standard error.
// Once more it gives the same.
func (r *running) end(s syscall.Signal) (code int, said string) {
	if s != 0 {
		_ = r.cmd.Process.Signal(s)
	}
	r.said.Wait() // Wait closes the pipes
	_ = r.cmd.Wait()
	return r.cmd.ProcessState.ExitCode(), r.text.String()
}

// whole fails unless the only payload in a store is that, and nothing is left of another.
func whole(t *testing.T, store string, payload []byte) {
	t.Helper()
	if n := copies(t, store, payload); n != 1 {
		t.Errorf("the payload is in the store %d times", n)
	}
}

// copies fails unless all that a store has is that payload, under a final name. It gives how
// many names it has.
func copies(t *testing.T, store string, payload []byte) int {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(store, "[0-9]*"))
	if err != nil || len(files) == 0 {
		t.Errorf("in the store is %v, %v", files, err)
	}
	for _, f := range files {
		if b, err := os.ReadFile(f); err != nil || string(b) != string(payload) || filepath.Ext(f) != ".bin" {
			t.Errorf("%s: %v, %d bytes, and the payload has %d", f, err, len(b), len(payload))
		}
	}
	return len(files)
}
