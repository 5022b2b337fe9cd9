package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"mdalp/loop"
)

// ask is the variable by which a test binary learns that it is to be the receivers.
const ask = "MDALP_BENCH_RECEIVERS"

// Receivers are an [Acker] in a process of its own, so that what the client uses of
// CPU and memory is all that its own process uses. They share the first CPU that this
// process may use; the client is free.
type Receivers struct {
	// Addr is where the orchestrator takes intents. The receivers have the same port,
	// at Address(0) and on.
	Addr netip.AddrPort

	cmd *exec.Cmd
	in  io.WriteCloser
}

// StartReceivers starts n receivers by running this program once more; its main
// function must call [Serve] first. delay and silent are those of [Acker].
func StartReceivers(n int, delay time.Duration, silent bool) (*Receivers, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	r := &Receivers{cmd: exec.Command(self)}
	r.cmd.Env = append(os.Environ(), fmt.Sprint(ask, "=", n, ",", int64(delay), ",", silent),
		"GORACE=atexit_sleep_ms=0") // built with the race detector, it would take a second to end
	r.cmd.Stderr = os.Stderr
	if r.in, err = r.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := OnOneCPU(r.cmd.Start); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	port, bad := strconv.ParseUint(strings.TrimSpace(line), 10, 16)
	if err := errors.Join(err, bad); err != nil {
		return nil, fmt.Errorf("receivers: %w", errors.Join(err, r.Close()))
	}
	r.Addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(port))
	return r, nil
}

// Receiver is the address of receiver i.
func (r *Receivers) Receiver(i int) netip.AddrPort {
	return netip.AddrPortFrom(Address(i), r.Addr.Port())
}

// Close ends them.
func (r *Receivers) Close() error {
	r.in.Close()
	return r.cmd.Wait()
}

// OnOneCPU calls start with the calling thread bound to the first CPU that it may
// use. A process started by it is bound from its first instruction, which matters: Go
// counts the CPUs when it starts, and the loop spins only if there are two.
func OnOneCPU(start func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return os.NewSyscallError("sched_getaffinity", err)
	}
	cpu := 0
	for !before.IsSet(cpu) {
		cpu++
	}
	one.Set(cpu)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return os.NewSyscallError("sched_setaffinity", err)
	}
	return errors.Join(start(), unix.SchedSetaffinity(0, &before))
}

// Serve is the process of the receivers. It does nothing in a process that is not,
// and else ends it when the standard input does.
func Serve() {
	var n int
	var delay time.Duration
	var silent bool
	asked, ok := os.LookupEnv(ask)
	if !ok {
		return
	}
	if _, err := fmt.Sscanf(asked, "%d,%d,%t", &n, &delay, &silent); err != nil {
		fmt.Fprintln(os.Stderr, ask, err)
		os.Exit(2)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	s, err := loop.Listen(netip.AddrPortFrom(netip.IPv4Unspecified(), 0),
		loop.Options{PacketInfo: true, MaxDatagram: 2048})
	if err == nil {
		a := NewAcker(n, s.LocalAddr().Port())
		a.Delay, a.Silent = delay, silent
		fmt.Println(s.LocalAddr().Port())
		err = loop.Run(ctx, a, s)
	}
	if !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "receivers:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// CPU is the processor time that this process has used, user and system.
func CPU() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic(err) // with these arguments it cannot fail
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
