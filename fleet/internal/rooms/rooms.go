// Package rooms gives tests several machines on one: network namespaces, each with an address
// of its own, at one switch. A room can be cut off, as by a firewall that drops everything.
package rooms

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"mdalp/internal/need"
)

// mark is the environment variable by which a test knows that it is inside.
const mark = "MDALP_FLEET_INSIDE"

// Network is what all addresses begin with.
const Network = "10.77.0."

// Inside runs the test in a network namespace of its own, where the switch is: it starts the
// test program anew, for this test alone. Without the right to do that, or the programs that
// it takes, the test is skipped.
func Inside(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	inside(t, 0, f)
}

// InsideAlone is Inside with processes and mounts of its own: when the test has ended, however
// it does, nothing is left of what it has started or mounted.
func InsideAlone(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	inside(t, unix.CLONE_NEWPID, func(t *testing.T) {
		if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
			t.Fatal(os.NewSyscallError("mount", err))
		}
		f(t)
	})
}

func inside(t *testing.T, processes uintptr, f func(t *testing.T)) {
	t.Helper()
	if os.Getenv(mark) != "" {
		f(t)
		return
	}
	if os.Geteuid() != 0 {
		need.Skip(t, "network namespaces need root")
	}
	for _, p := range []string{"ip", "nsenter", "iptables"} {
		if _, err := exec.LookPath(p); err != nil {
			need.Skip(t, err)
		}
	}
	args := append(os.Args[1:len(os.Args):len(os.Args)],
		"-test.v", "-test.count=1", "-test.run=^"+t.Name()+"$")
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), mark+"=yes")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | processes, Pdeathsig: unix.SIGKILL}
	if processes != 0 {
		cmd.SysProcAttr.Unshareflags = unix.CLONE_NEWNS // which Go makes private
	}
	said := &tale{name: t.Name()}
	cmd.Stdout, cmd.Stderr = said, said
	err := cmd.Run()
	out := said.all.Bytes()
	switch exit := (*exec.ExitError)(nil); {
	case errors.As(err, &exit):
		t.Errorf("in the namespace: %v\n%s", err, out)
	case err != nil:
		need.Skip(t, err)
	case bytes.Contains(out, []byte("--- SKIP")):
		need.Skip(t, string(out))
	default:
		t.Logf("in the namespace:\n%s", out)
	}
}

// A tale is what a test says inside. Each line begins with its name, so that nobody takes one for a line
// of go test, which would be another test's: several tell at once.
type tale struct {
	name string
	rest []byte // of a line that is not over
	all  bytes.Buffer
}

// Write implements [io.Writer]. Who asked for it hears at once: a test may take long.
func (s *tale) Write(b []byte) (int, error) {
	s.rest = append(s.rest, b...)
	for {
		i := bytes.IndexByte(s.rest, '\n')
		if i < 0 {
			return len(b), nil
		}
		line := fmt.Appendf(nil, "%s: %s", s.name, s.rest[:i+1])
		s.rest = s.rest[i+1:]
		s.all.Write(line)
		if testing.Verbose() {
			os.Stderr.Write(line)
		}
	}
}

// A Room is one machine.
type Room struct {
	Name string
	Addr string

	holder *exec.Cmd
	pid    string
}

// Open makes the switch, and a room for each name. They are gone when the test has ended.
func Open(tb testing.TB, names ...string) []*Room {
	tb.Helper()
	ip(tb, "link set lo up")
	ip(tb, "link add switch type bridge")
	ip(tb, "addr add "+Network+"254/24 dev switch")
	ip(tb, "link set switch up")
	rooms := make([]*Room, len(names))
	for i, name := range names {
		r := &Room{Name: name, Addr: Network + strconv.Itoa(i+1), holder: exec.Command("cat")}
		// It waits for an end of its input that comes when this process ends, however it does.
		if _, err := r.holder.StdinPipe(); err != nil {
			tb.Fatal(err)
		}
		r.holder.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
		if err := r.holder.Start(); err != nil {
			need.Skip(tb, err)
		}
		tb.Cleanup(func() {
			r.holder.Process.Kill()
			r.holder.Wait()
		})
		r.pid = strconv.Itoa(r.holder.Process.Pid)
		port := "port" + strconv.Itoa(i+1)
		ip(tb, "link add "+port+" type veth peer name eth0 netns "+r.pid)
		ip(tb, "link set "+port+" master switch up")
		for _, s := range []string{
			"link set lo up", "addr add " + r.Addr + "/24 dev eth0", "link set eth0 up",
		} {
			run(tb, r.Command("ip", strings.Fields(s)...))
		}
		rooms[i] = r
	}
	return rooms
}

// Command is a program that runs in the room. Its process is the program's own, so that a
// signal reaches it.
func (r *Room) Command(name string, args ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{"-t", r.pid, "-n", "--", name}, args...)...)
}

// Cut drops all that comes and goes, without a word to either side.
func (r *Room) Cut() error { return r.iptables("-I") }

// Mend takes a Cut back.
func (r *Room) Mend() error { return r.iptables("-D") }

func (r *Room) iptables(how string) error {
	for _, chain := range []string{"INPUT -i", "OUTPUT -o"} {
		args := append([]string{"-w", how}, strings.Fields(chain+" eth0 -j DROP")...)
		if out, err := r.Command("iptables", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("iptables in room %s: %w: %s", r.Name, err, out)
		}
	}
	return nil
}

func ip(tb testing.TB, args string) {
	tb.Helper()
	run(tb, exec.Command("ip", strings.Fields(args)...))
}

func run(tb testing.TB, c *exec.Cmd) {
	tb.Helper()
	if out, err := c.CombinedOutput(); err != nil {
		tb.Fatalf("%s: %v: %s", c, err, out)
	}
}
