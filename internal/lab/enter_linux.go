package lab

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// mark is the environment variable by which a process knows that it was started
// to be inside: it holds the identity of the network outside.
const mark = "MDALP_LAB_OUTSIDE"

// report is the descriptor on which the process inside tells how it went.
const report = 3

// A Network is a network namespace of our own, in which this process is.
type Network struct{ v6 bool }

// Enter brings the program into a network of its own. It starts the running
// program again, with the same arguments, environment and standard streams, in a
// new user and network namespace (user_namespaces(7), network_namespaces(7)), so it
// is best called before anything else was done. It returns in one of three ways:
//
//   - inside, in the new process: with the Network, to be given to [Start];
//   - outside, when the new process has ended: without Network or error, with the
//     exit code for this process to end with (128 and the signal's number if it died of one);
//   - outside, when there can be no such network: with an error that says why. The
//     program may go on without a Network then.
//
// Signals to the process outside are passed on. Those that the terminal sends
// reach both anyway.
func Enter() (n *Network, code int, err error) {
	outside := os.Getenv(mark)
	here, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return nil, 0, fmt.Errorf("no network of our own: %w", err)
	}
	// A mark that someone else set is no proof: to set up the network of the host
	// would be a disaster.
	if outside != "" && outside != here {
		return inside()
	}
	// A program with file capabilities cannot be looked at by its own user, and then
	// nobody can write the new namespace's id maps (prctl(2), PR_SET_DUMPABLE).
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0); err != nil {
		return nil, 0, os.NewSyscallError("prctl", err)
	}
	code, err = outsideOf(here)
	if err != nil {
		return nil, 0, fmt.Errorf("no network of our own: %w", err)
	}
	return nil, code, nil
}

// inside sets up the new network and tells the process outside. If that fails the
// process has no use, and ends.
func inside() (*Network, int, error) {
	os.Unsetenv(mark) // what we start shall not think it was started by Enter
	pipe := os.NewFile(report, "report")
	n, err := setUp()
	if err != nil {
		fmt.Fprintln(pipe, err)
		os.Exit(1)
	}
	fmt.Fprintln(pipe, "ok")
	pipe.Close()
	return n, 0, nil
}

// outsideOf starts the process inside and waits for it.
func outsideOf(here string) (code int, err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer r.Close()
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = os.Args
	cmd.Env = append(os.Environ(), mark+"="+here)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{w}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		// One id is what an ordinary user may map: the own one, as root inside.
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		// If we are killed it shall end too. The signal comes when the thread ends
		// that started it (prctl(2)), so this goroutine keeps its thread.
		Pdeathsig: syscall.SIGTERM,
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	signals := make(chan os.Signal, 16)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2)
	defer signal.Stop(signals)
	err = cmd.Start()
	w.Close()
	if err != nil {
		return 0, refused(err)
	}
	done := make(chan struct{})
	passed := make(chan struct{})
	go func() {
		defer close(passed)
		for {
			select {
			case s := <-signals:
				if !fromTerminal(s) {
					cmd.Process.Signal(s)
				}
			case <-done:
				return
			}
		}
	}()
	line, rerr := bufio.NewReader(io.LimitReader(r, 4096)).ReadString('\n')
	err = cmd.Wait()
	close(done)
	<-passed
	if line = strings.TrimSpace(line); line != "ok" {
		if line == "" {
			line = fmt.Sprintf("the process inside ended at once (%v, %v)", err, rerr)
		}
		return 0, errors.New(line)
	}
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	switch {
	case cmd.ProcessState == nil || !ok:
		return 0, err
	case status.Signaled():
		return 128 + int(status.Signal()), nil
	}
	return status.ExitStatus(), nil
}

// fromTerminal says whether a signal has most likely been typed, and has then
// reached the process inside as well: it is of the same process group.
func fromTerminal(s os.Signal) bool {
	if s != unix.SIGINT && s != unix.SIGQUIT && s != unix.SIGHUP {
		return false
	}
	tty, err := os.OpenFile("/dev/tty", os.O_RDONLY|unix.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	defer tty.Close()
	group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// refused adds to an error of clone(2) what is known of its reason.
func refused(err error) error {
	for _, s := range []struct{ file, bad, why string }{
		{"/proc/sys/user/max_user_namespaces", "0", "user.max_user_namespaces is 0"},
		{"/proc/sys/user/max_net_namespaces", "0", "user.max_net_namespaces is 0"},
		{"/proc/sys/kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone is 0"},
	} {
		b, e := os.ReadFile(s.file)
		if v, e2 := strconv.Atoi(strings.TrimSpace(string(b))); e == nil && e2 == nil &&
			strconv.Itoa(v) == s.bad {
			return fmt.Errorf("%w (%s)", err, s.why)
		}
	}
	return err
}
