package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"mdalp"
	"mdalp/icmp"
)

// Facts are what doctor found out about this host, as the running process sees it.
type facts struct {
	uid  int
	path string // of the program
	// Advice for a container is for the one who starts it.
	container string // what kind of container this is in, or ""

	raw, dgram [2]error      // of opening ICMP sockets for IPv4 and IPv6
	echo       error         // of pinging 127.0.0.1
	rtt        time.Duration // of that ping, 0 if there was no answer

	status   status
	fileCaps fileCaps
	nosuid   bool // the program's filesystem is mounted so that file capabilities do not count
	groups   groupRange

	udp     error // of opening the socket for segments
	udp6    error // of the same for IPv6
	buffer  int   // its receive buffer, in bytes
	trains  bool  // the kernel cuts what is sent into segments
	rmemMax int64 // net.core.rmem_max; 0 where it cannot be read

	namespace error // of making a network of our own
	// Settings of the kernel as text, "" where it does not have them.
	appArmor  string
	userClone string
	userMax   string

	ways []way

	clockSource  string
	clockSources string
	clockCost    time.Duration // of one reading
	clockStep    time.Duration // how far the clock of the day moved against the monotonic one
	clockOver    time.Duration // during that time
}

// A way is how datagrams leave this host.
type way struct {
	name    string // "out, IPv4", or "to" the address asked for
	wanted  bool   // it was asked for
	to      netip.Addr
	local   netip.Addr
	device  string
	mtu     int // of the device
	pathMTU int // that the kernel knows of the path
	err     error
}

// mode is the kind of socket that a send would ping IPv4 hosts with.
func (f *facts) mode() string {
	switch {
	case f.raw[0] == nil:
		return icmp.Raw.String()
	case f.dgram[0] == nil:
		return icmp.Datagram.String()
	}
	return icmp.Off.String()
}

// Addresses for documentation (RFC 5737, RFC 3849): nobody has them, and the way
// there is the default route. To connect a UDP socket sends nothing.
var (
	anywhere4 = netip.MustParseAddr("192.0.2.1")
	anywhere6 = netip.MustParseAddr("2001:db8::1")
)

// gather tries and reads everything. to is the host whose way is looked at, or zero.
func gather(ctx context.Context, to netip.Addr) *facts {
	f := &facts{uid: os.Geteuid()}
	mono, day := clocks()

	f.container = container()
	f.status = parseStatus(read("/proc/self/status"))
	var err error
	if f.path, err = os.Executable(); err == nil {
		f.fileCaps = readFileCaps(f.path)
	} else { // without /proc
		f.path, f.fileCaps.err = "mdalp", err
	}
	// nosuid takes the effect of file capabilities away too (mount(8)).
	var fs unix.Statfs_t
	if unix.Statfs(f.path, &fs) == nil {
		f.nosuid = fs.Flags&unix.ST_NOSUID != 0
	}
	f.groups = parseGroups(string(read("/proc/sys/net/ipv4/ping_group_range")))

	for i, family := range []int{4, 6} {
		f.raw[i] = tryICMP(family, icmp.Raw)
		f.dgram[i] = tryICMP(family, icmp.Datagram)
	}
	if f.mode() != icmp.Off.String() {
		r, err := mdalp.Ping(ctx, []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}, &mdalp.PingConfig{Timeout: time.Second})
		f.echo, f.rtt = err, r.Hosts[0].Echoes.Median
		if err == nil {
			f.echo = r.Hosts[0].Err
		}
	}

	f.buffer, f.trains, f.udp = tryUDP(netip.IPv4Unspecified())
	_, _, f.udp6 = tryUDP(netip.IPv6Unspecified())
	f.rmemMax, _ = strconv.ParseInt(sysctl("net/core/rmem_max"), 10, 64)

	f.namespace = tryNamespace(ctx)
	f.appArmor = sysctl("kernel/apparmor_restrict_unprivileged_userns")
	f.userClone = sysctl("kernel/unprivileged_userns_clone")
	f.userMax = sysctl("user/max_user_namespaces")

	if to.IsValid() {
		f.ways = []way{{name: "to " + to.String(), wanted: true, to: to}}
	} else {
		f.ways = []way{{name: "out, IPv4", to: anywhere4}, {name: "out, IPv6", to: anywhere6}}
	}
	for i := range f.ways {
		f.ways[i].find()
	}

	const clock = "/sys/devices/system/clocksource/clocksource0/"
	f.clockSource = strings.TrimSpace(string(read(clock + "current_clocksource")))
	f.clockSources = strings.TrimSpace(string(read(clock + "available_clocksource")))
	// Enough to average over, and a millisecond or so even where a reading is a system call.
	const readings = 1000
	began := time.Now()
	var last time.Time
	for range readings {
		last = time.Now()
	}
	f.clockCost = last.Sub(began) / readings
	// All that was tried lies in between, which is long enough to catch a clock that is being
	// set.
	mono2, day2 := clocks()
	f.clockOver, f.clockStep = mono2-mono, (day2-day)-(mono2-mono)
	return f
}

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

// insideNamespace is what the process inside does: it brings up lo, which needs
// CAP_NET_ADMIN there, and opens a setting of the network to write it, which containers
// with a read-only /proc/sys refuse. On a host's own network that changes nothing, as
// lo is up.
func insideNamespace() error {
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
			if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().WithZone("") == w.local.WithZone("") {
				w.device, w.mtu = i.Name, i.MTU
				return
			}
		}
	}
}

// container tells what kind of container this process is in, by the marks that each
// kind leaves, or gives "".
func container() string {
	for _, m := range []struct{ file, name string }{
		{"/.dockerenv", "Docker"},
		{"/run/.containerenv", "Podman"},
		{"/var/run/secrets/kubernetes.io", "Kubernetes"},
	} {
		if _, err := os.Stat(m.file); err == nil {
			return m.name
		}
	}
	// What systemd and others tell their children, and what systemd notes of that.
	for _, s := range []string{os.Getenv("container"), strings.TrimSpace(string(read("/run/systemd/container")))} {
		if s != "" {
			return s
		}
	}
	cgroup := read("/proc/self/cgroup")
	for _, k := range []string{"kubepods", "docker", "libpod", "lxc", "containerd"} {
		if bytes.Contains(cgroup, []byte(k)) {
			return k
		}
	}
	return ""
}

// A status is what proc(5) tells of this process's privileges.
type status struct {
	known                          bool   // without /proc the rest is not
	effective, permitted, bounding uint64 // sets of capabilities
	noNewPrivs                     bool
	seccomp                        int // 0: none, 1: strict, 2: a filter
}

// parseStatus reads the lines of /proc/self/status that matter here.
func parseStatus(b []byte) (s status) {
	for line := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		set, _ := strconv.ParseUint(value, 16, 64)
		switch key {
		case "CapEff":
			s.effective, s.known = set, true
		case "CapPrm":
			s.permitted = set
		case "CapBnd":
			s.bounding = set
		case "NoNewPrivs":
			s.noNewPrivs = value == "1"
		case "Seccomp":
			s.seccomp, _ = strconv.Atoi(value)
		}
	}
	return s
}

// fileCaps are the capabilities of the program's file.
type fileCaps struct {
	permitted uint64
	effective bool // they are in force from the start
	err       error
}

// readFileCaps reads the extended attribute that setcap(8) writes. Any user may read it
// (xattr(7)).
func readFileCaps(path string) fileCaps {
	b := make([]byte, 64)
	n, err := unix.Getxattr(path, "security.capability", b)
	switch {
	case errors.Is(err, unix.ENODATA):
		return fileCaps{}
	case err != nil:
		return fileCaps{err: os.NewSyscallError("getxattr", err)}
	}
	return parseFileCaps(b[:n])
}

// parseFileCaps reads a struct vfs_cap_data (linux/capability.h): a word with the
// revision and the flag "effective", then pairs of words, permitted and inheritable.
func parseFileCaps(b []byte) fileCaps {
	if len(b) < 12 {
		return fileCaps{err: fmt.Errorf("%d bytes are no capabilities", len(b))}
	}
	head := binary.LittleEndian.Uint32(b)
	c := fileCaps{permitted: uint64(binary.LittleEndian.Uint32(b[4:])), effective: head&1 != 0}
	if revision := head >> 24; revision >= 2 && len(b) >= 20 {
		c.permitted |= uint64(binary.LittleEndian.Uint32(b[12:])) << 32
	}
	return c
}

// A groupRange is net.ipv4.ping_group_range: the groups that may open ICMP datagram
// sockets (icmp(7)).
type groupRange struct {
	first, last uint64
	known       bool
}

// parseGroups reads two numbers.
func parseGroups(s string) groupRange {
	f := strings.Fields(s)
	if len(f) != 2 {
		return groupRange{}
	}
	first, err := strconv.ParseUint(f[0], 10, 32)
	last, err2 := strconv.ParseUint(f[1], 10, 32)
	return groupRange{first, last, err == nil && err2 == nil}
}

// String names the groups.
func (g groupRange) String() string {
	switch {
	case !g.known:
		return "unknown: it cannot be read"
	case g.first > g.last:
		return fmt.Sprintf("%d %d: nobody", g.first, g.last)
	}
	return fmt.Sprintf("groups %d to %d", g.first, g.last)
}
