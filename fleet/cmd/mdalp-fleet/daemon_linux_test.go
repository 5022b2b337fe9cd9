package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mdalp/fleet/internal/engines"
	"mdalp/internal/own"
)

// patience bounds every wait. It is far more than anything takes.
const patience = 5 * time.Minute

// asMain has the test program be the command.
const asMain = "MDALP_FLEET_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asMain) != "" {
		main()
	}
	os.Exit(m.Run())
}

// A process is the command, in a process of its own.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	done chan struct{}

	mu   sync.Mutex
	said []string
	more chan struct{}
}

// launch starts the command.
func launch(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command("/proc/self/exe", args...), done: make(chan struct{}),
		more: make(chan struct{}, 1)}
	p.cmd.Env = append(append(os.Environ(), asMain+"=yes"), env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	r, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		for s := bufio.NewScanner(r); s.Scan(); {
			p.mu.Lock()
			p.said = append(p.said, s.Text())
			p.mu.Unlock()
			select {
			case p.more <- struct{}{}:
			default:
			}
		}
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-p.done
		p.cmd.Wait()
	})
	return p
}

// has gives the groups of the first line of the log that matches, nil where there is none yet.
func (p *process) has(pattern string) []string {
	re := regexp.MustCompile(pattern)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.said {
		if m := re.FindStringSubmatch(l); m != nil {
			return m
		}
	}
	return nil
}

// hears waits for a line of the log that matches, and gives its groups.
func (p *process) hears(pattern string) []string {
	p.t.Helper()
	for late := time.After(patience); ; {
		if m := p.has(pattern); m != nil {
			return m
		}
		select {
		case <-p.more:
		case <-late:
			p.mu.Lock()
			defer p.mu.Unlock()
			p.t.Fatalf("%q does not come; it said:\n%s", pattern, strings.Join(p.said, "\n"))
		}
	}
}

// end waits for its end, and gives the exit code.
func (p *process) end() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Fatal("it does not end")
	}
	p.cmd.Wait()
	return p.cmd.ProcessState.ExitCode()
}

// listen is a service manager's socket, and the variables that tell of it.
func listen(t *testing.T) (*net.UnixConn, []string) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, []string{"NOTIFY_SOCKET=" + name, "WATCHDOG_USEC=200000"}
}

// told waits until the service manager is told that.
func told(t *testing.T, c *net.UnixConn, want string) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(patience))
	b := make([]byte, 2048)
	var all []string
	for {
		n, err := c.Read(b)
		if err != nil {
			t.Fatalf("%q is not told: %v; %q", want, err, all)
		}
		if all = append(all, string(b[:n])); all[len(all)-1] == want {
			return
		}
	}
}

// healthy waits until /healthz answers with that.
func healthy(t *testing.T, addr, want string) {
	t.Helper()
	for late := time.After(patience); ; {
		r, err := http.Get("http://" + addr + "/healthz")
		said := fmt.Sprint(err)
		if err == nil {
			b, _ := io.ReadAll(r.Body)
			r.Body.Close()
			said = fmt.Sprintf("%d %s", r.StatusCode, b)
		}
		if strings.HasPrefix(said, "200 ok, mdalp-fleet ") && strings.HasSuffix(said, ": "+want+"\n") {
			return
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-late:
			t.Fatalf("/healthz says %q, and not %q", said, want)
		}
	}
}

// A part tells a service manager that it waits, is ready, goes on, and ends; /healthz tells how
// it goes, also while the engine is away; a signal has it log its counters, and one ends it with
// 0, before it has begun too.
func TestDaemon(t *testing.T) {
	t.Parallel()
	e := engines.Start(t, 1, engines.Options{})
	e.Ready(t)
	dir := t.TempDir()
	for i, role := range []string{"orchestrator", "receiver"} {
		c, env := listen(t)
		p := launch(t, env, role, "--engine", e.URL(), "--replicas", "1", "--dir", dir, "--drain", "1s",
			"--listen", local(t), "--http", "127.0.0.1:0")
		told(t, c, "STATUS=waits for the engine")
		told(t, c, "READY=1")
		told(t, c, "WATCHDOG=1\nSTATUS=0 open")
		at := p.hears(`msg="status page" http=(\S+)`)[1]
		healthy(t, at, "0 open")
		p.cmd.Process.Signal(syscall.SIGUSR1)
		p.hears("msg=counters " + role + "_datagrams=0 ")
		if i == 1 {
			e.Servers[0].Kill()
			healthy(t, at, "0 open, the engine does not answer")
			told(t, c, "WATCHDOG=1\nSTATUS=0 open, the engine does not answer")
			if err := e.Servers[0].Start(); err != nil {
				t.Fatal(err)
			}
			healthy(t, at, "0 open")
		}
		p.cmd.Process.Signal(syscall.SIGTERM)
		told(t, c, "STOPPING=1")
		if code := p.end(); code != 0 {
			t.Errorf("%s ends with %d: %q", role, code, p.said)
		}
	}
}

// local gives an address to listen on that nobody else has.
func local(t *testing.T) string {
	t.Helper()
	port, err := own.Port()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", port)
}

// A part that waits for the engine goes on to wait when it is asked for counters, and ends with 0
// when it is asked to end.
func TestDaemonBefore(t *testing.T) {
	t.Parallel()
	c, env := listen(t)
	p := launch(t, env, "receiver", "--engine", "nats://127.0.0.1:1", "--dir", t.TempDir(), "--listen", local(t))
	told(t, c, "STATUS=waits for the engine")
	p.hears("none of its servers can be reached")
	p.cmd.Process.Signal(syscall.SIGQUIT)
	p.cmd.Process.Signal(syscall.SIGHUP)
	if code := p.end(); code != 0 {
		t.Errorf("it ends with %d: %q", code, p.said)
	}
}
