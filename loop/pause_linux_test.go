package loop

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// flood has the kernel put n datagrams into the receive buffer of each socket, one after
// the other in turn.
func flood(t *testing.T, n int, to ...netip.AddrPort) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for i := range n {
		for _, a := range to {
			if err := unix.Sendto(fd, strconv.AppendInt(nil, int64(i), 10), 0, &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A call that blocks for too long is no reason for a timer to fire before what came
// meanwhile is handed over, from all sockets and in many batches, with more sockets than
// the poller tells of at once.
func TestPause(t *testing.T) {
	const n, socks = 3*batch + 7, 20
	var ss []*Socket
	var to []netip.AddrPort
	for range socks {
		s := listen(t, "127.0.0.1:0", Options{})
		ss, to = append(ss, s), append(to, s.LocalAddr())
	}
	p := &program{t: t}
	got, quiet := 0, true
	p.receive = func(time.Time, *Envelope, []byte) { got++ }
	p.next = time.Now().Add(time.Millisecond)
	p.say(0, to[0], "x")
	p.sent = func(time.Time) {
		flood(t, n, to...)
		for time.Now().Before(p.next) {
		}
		if quiet {
			quiet = false
			p.say(1, to[1], "once more")
		}
	}
	p.expire = func(now time.Time) {
		if want := 2*n*socks + 2; got != want {
			t.Errorf("expired after %d of %d datagrams", got, want)
		}
		p.end = true
	}
	run(t, p, ss...)
}

// A flood that never ends holds timers up, but not for ever.
func TestPauseFlood(t *testing.T) {
	s := listen(t, "127.0.0.1:0", Options{ReceiveBuffer: 1 << 20})
	p := &program{t: t}
	rounds := 0
	p.next = time.Now()
	p.receive = func(time.Time, *Envelope, []byte) {}
	p.expire = func(time.Time) { p.end = rounds > 1; rounds = max(rounds, 1) }
	h := &hooked{program: p, next: func() {
		if !p.end {
			flood(t, 2*batch, s.LocalAddr())
			rounds++
		}
	}}
	run(t, h, s)
	if most := s.ReceiveBuffer()/leastDatagram/batch + 4; rounds > most {
		t.Errorf("a timer waited for %d rounds", rounds)
	}
}

// A process that is stopped finds its datagrams before its timers: the same test runs
// in a child, which sleeps in the poller when it is stopped, and is let go when its
// time is over.
func TestStopped(t *testing.T) {
	const n = 3*batch + 7
	const mark = "LOOP_STOPPED_TEST"
	if wait := os.Getenv(mark); wait != "" {
		d, err := time.ParseDuration(wait)
		if err != nil {
			t.Fatal(err)
		}
		stopped(t, n, d)
		return
	}
	for wait := 200 * time.Millisecond; wait < time.Minute; wait *= 3 {
		cmd := exec.Command("/proc/self/exe", "-test.v", "-test.count=1", "-test.run=^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), mark+"="+wait.String())
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
		if late, out := interrupt(t, cmd, n); !late {
			if cmd.ProcessState.ExitCode() != 0 {
				t.Errorf("the child: %s", out)
			}
			return
		}
		// This machine was too slow to stop it in time: nothing is known.
	}
	t.Error("the child could not be stopped in time")
}

// stopped is the child. It tells its addresses and when its timer fires, sleeps, and wants
// n datagrams on each socket before the timer.
func stopped(t *testing.T, n int, d time.Duration) {
	tell := os.NewFile(3, "pipe")
	a, b := listen(t, "127.0.0.1:0", Options{}), listen(t, "127.0.0.1:0", Options{Stamp: true})
	p := &program{t: t}
	got := 0
	p.receive = func(time.Time, *Envelope, []byte) { got++ }
	p.expire = func(time.Time) {
		if p.end = true; got != 2*n {
			t.Errorf("the timer fired after %d datagrams, want %d", got, 2*n)
		}
	}
	p.next = time.Now().Add(d)
	at := monotonic(t).Add(d)
	told := false
	run(t, &hooked{program: p, next: func() {
		if !told {
			told = true
			fmt.Fprintln(tell, a.LocalAddr(), b.LocalAddr(), at.UnixNano())
		}
	}}, a, b)
}

// interrupt stops the child until its time is over; late is true when it was too slow.
func interrupt(t *testing.T, cmd *exec.Cmd, n int) (late bool, out []byte) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd.ExtraFiles = []*os.File{w}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	var a, b string
	var ns int64
	if _, err := fmt.Fscan(r, &a, &b, &ns); err != nil {
		t.Fatal(err, cmd.Wait(), said.String())
	}
	if err := cmd.Process.Signal(unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	var info unix.Siginfo
	if err := unix.Waitid(unix.P_PID, cmd.Process.Pid, &info, unix.WSTOPPED|unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	flood(t, n, netip.MustParseAddrPort(a), netip.MustParseAddrPort(b))
	left := time.Unix(0, ns).Sub(monotonic(t))
	if late = left <= 0; !late {
		<-time.After(left + time.Millisecond)
	}
	_ = cmd.Process.Signal(unix.SIGCONT)
	_ = cmd.Wait() // the exit code tells
	return late, said.Bytes()
}

// monotonic is a clock that parent and child share.
func monotonic(t *testing.T) time.Time {
	t.Helper()
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		t.Fatal(err)
	}
	return time.Unix(0, ts.Nano())
}
