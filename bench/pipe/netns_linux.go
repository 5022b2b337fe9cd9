package main

import (
	"bufio"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	device = "pipe0"
	// room is how many packets wait for the carrier in each TUN device. What finds it full is
	// lost outside of the links, which would spoil the figures.
	room = 20_000
)

// The main goroutine keeps the main thread, so that no namespace gets it: that thread does not
// end with its goroutine, and all of /proc/self is about it.
func init() { runtime.LockOSThread() }

// A namespace is a network namespace of its own with a TUN device. It has no name in the file
// system: it ends with its thread and the programs in it, however this program ends.
type namespace struct {
	tun  int // file descriptor
	work chan func()
	gone chan struct{}
}

// newNamespace makes a namespace whose device has these addresses.
func newNamespace(addresses ...netip.Addr) (*namespace, error) {
	n := &namespace{tun: -1, work: make(chan func()), gone: make(chan struct{})}
	go func() {
		defer close(n.gone)
		// Never unlocked: the thread is no good for other goroutines, and ends with this one.
		runtime.LockOSThread()
		for f := range n.work {
			f()
		}
	}()
	if err := n.do(func() error { return n.setUp(addresses) }); err != nil {
		n.close()
		return nil, err
	}
	return n, nil
}

// do calls f in the namespace. What f opens or starts stays there: a socket, and a program, is
// of the namespace of the thread that made it.
func (n *namespace) do(f func() error) (err error) {
	done := make(chan struct{})
	n.work <- func() { err = f(); close(done) }
	<-done
	return err
}

// start starts a program in the namespace. It is killed when the namespace is closed, or when
// this program dies (prctl(2), PR_SET_PDEATHSIG, which goes by the thread that started it).
func (n *namespace) start(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	return n.do(cmd.Start)
}

// close ends the namespace. Nothing may read the device any more.
func (n *namespace) close() {
	close(n.work)
	<-n.gone
	if n.tun >= 0 {
		unix.Close(n.tun)
	}
}

// setUp makes the namespace and its device. It is called on the namespace's thread.
func (n *namespace) setUp(addresses []netip.Addr) error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("network namespace: unshare: %w: "+
			"run this as root, with CAP_SYS_ADMIN if in a container", err)
	}
	// Without IPv6 the kernel says nothing by itself. Where there is none, that is as well.
	_ = os.WriteFile("/proc/sys/net/ipv6/conf/all/disable_ipv6", []byte("1\n"), 0)
	_ = os.WriteFile("/proc/sys/net/ipv6/conf/default/disable_ipv6", []byte("1\n"), 0)

	var err error
	if n.tun, err = unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0); err != nil {
		return fmt.Errorf("/dev/net/tun: %w: "+
			"load the kernel's module tun, or give the device to the container", err)
	}
	err = request(n.tun, "TUNSETIFF", unix.TUNSETIFF, device, func(r *unix.Ifreq) error {
		r.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		return nil
	})
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	return configure(fd, addresses)
}

// configure sets up the devices by requests of netdevice(7) on a socket. ip(8) could do it, and
// would be one more program that has to be installed.
func configure(fd int, addresses []netip.Addr) error {
	number := func(v uint32) func(*unix.Ifreq) error {
		return func(r *unix.Ifreq) error { r.SetUint32(v); return nil }
	}
	address := func(a netip.Addr) func(*unix.Ifreq) error {
		return func(r *unix.Ifreq) error { return r.SetInet4Addr(a.AsSlice()) }
	}
	up := func(r *unix.Ifreq) error { r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING); return nil }

	if err := request(fd, "SIOCSIFMTU", unix.SIOCSIFMTU, device, number(mtu)); err != nil {
		return err
	}
	if err := request(fd, "SIOCSIFTXQLEN", unix.SIOCSIFTXQLEN, device, number(room)); err != nil {
		return err
	}
	for i, a := range addresses {
		name := device
		if i > 0 {
			name += ":" + strconv.Itoa(i) // one more address of the same device
		}
		if err := request(fd, "SIOCSIFADDR", unix.SIOCSIFADDR, name, address(a)); err != nil {
			return err
		}
		// With one prefix for both sides the other one is on the link, and no route is needed.
		if err := request(fd, "SIOCSIFNETMASK", unix.SIOCSIFNETMASK, name, address(netmask)); err != nil {
			return err
		}
	}
	for _, name := range []string{"lo", device} {
		if err := request(fd, "SIOCSIFFLAGS", unix.SIOCSIFFLAGS, name, up); err != nil {
			return err
		}
	}
	return nil
}

// request makes a request about a device, with an argument that set gives it.
func request(fd int, what string, number uint, name string, set func(*unix.Ifreq) error) error {
	r, err := unix.NewIfreq(name)
	if err == nil {
		err = set(r)
	}
	if err == nil {
		err = unix.IoctlIfreq(fd, number, r)
	}
	if err != nil {
		return fmt.Errorf("network device %s: %s: %w", name, what, err)
	}
	return nil
}

// dropped is how many packets the device could not hold until they were read. The kernel calls
// that its transmit drops, as to it the device is what sends.
func (n *namespace) dropped() (packets int64, err error) {
	err = n.do(func() error {
		// Of the thread: /proc/net is of the process, whose other threads are elsewhere.
		f, err := os.Open("/proc/thread-self/net/dev")
		if err != nil {
			return err
		}
		defer f.Close()
		for lines := bufio.NewScanner(f); lines.Scan(); {
			name, counts, _ := strings.Cut(lines.Text(), ":")
			if strings.TrimSpace(name) != device {
				continue
			}
			// Eight counts of what was received, then bytes, packets, errors and drops.
			if c := strings.Fields(counts); len(c) > 11 {
				packets, err = strconv.ParseInt(c[11], 10, 64)
				return err
			}
		}
		return fmt.Errorf("/proc/thread-self/net/dev: no counts of %s", device)
	})
	return packets, err
}
