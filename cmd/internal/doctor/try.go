package doctor

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"mdalp"
	"mdalp/icmp"
)

// read gives a small file, or nothing.
func read(name string) []byte {
	b, _ := os.ReadFile(name)
	return b
}

// sysctl gives a setting of the kernel, "" where it has none such.
func sysctl(name string) string { return strings.TrimSpace(string(read("/proc/sys/" + name))) }

// clocks reads the monotonic clock and that of the day, one right after the other.
func clocks() (mono, day time.Duration) {
	var m, d unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &m)
	unix.ClockGettime(unix.CLOCK_REALTIME, &d)
	return time.Duration(m.Nano()), time.Duration(d.Nano())
}

// tryICMP opens a socket for echoes and closes it again.
func tryICMP(family int, mode icmp.Mode) error {
	c, _, err := icmp.Open(family, mode, 1, netip.Addr{})
	if err != nil {
		return err
	}
	return c.Close()
}

// tryNamespace makes what the lab needs: a user namespace, a network namespace, and
// the right to set up what is in there. AppArmor may grant the first two alone.
func tryNamespace(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	// As the lab does: a program with file capabilities is not dumpable.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl", err)
	}
	c := exec.CommandContext(ctx, "/proc/self/exe", "doctor", "--inside")
	c.Args[0] = "mdalp"
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := c.CombinedOutput()
	if text := strings.TrimSpace(string(out)); err != nil && text != "" {
		return errors.New(strings.TrimPrefix(text, "mdalp: "))
	}
	return err
}

// InsideNamespace is what the process inside does: it brings up lo, which needs
// CAP_NET_ADMIN there, and opens a setting of the network to write it, which containers
// with a read-only /proc/sys refuse. On a host's own network that changes nothing, as
// lo is up.
func InsideNamespace() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	r, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, r); err != nil {
		return os.NewSyscallError("ioctl SIOCGIFFLAGS", err)
	}
	r.SetUint16(r.Uint16() | unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, r); err != nil {
		return os.NewSyscallError("ioctl SIOCSIFFLAGS", err)
	}
	f, err := os.OpenFile("/proc/sys/net/ipv4/icmp_echo_ignore_all", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

// find looks up the route, and the device that it leads through.
func (w *way) find() {
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(w.to, mdalp.Port)))
	if err != nil {
		var se *os.SyscallError
		if errors.As(err, &se) {
			err = se.Err
		}
		w.err = err
		return
	}
	defer c.Close()
	w.local = c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
	if rc, err := c.SyscallConn(); err == nil {
		rc.Control(func(fd uintptr) {
			if w.to.Is4() {
				w.pathMTU, _ = unix.GetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU)
			} else {
				w.pathMTU, _ = unix.GetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_MTU)
			}
		})
	}
	all, _ := net.Interfaces()
	for _, i := range all {
		addrs, _ := i.Addrs()
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil &&
				p.Addr().WithZone("") == w.local.WithZone("") {
				w.device, w.mtu = i.Name, i.MTU
				return
			}
		}
	}
}
