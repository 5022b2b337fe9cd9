// Package doctor finds out whether a host lets a send work, and says what is in the way:
// [Gather] tries and reads, [Facts.Judge] judges what was found and does no I/O.
package doctor

import (
	"bytes"
	"context"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"mdalp"
	"mdalp/icmp"
)

// Facts are what doctor found out about this host, as the running process sees it.
type Facts struct {
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
func (f *Facts) mode() string {
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

// Gather tries and reads everything. to is the host whose way is looked at, or zero.
func Gather(ctx context.Context, to netip.Addr) *Facts {
	f := &Facts{uid: os.Geteuid()}
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
		r, err := mdalp.Ping(ctx, []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})},
			&mdalp.PingConfig{Timeout: time.Second})
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
	named := strings.TrimSpace(string(read("/run/systemd/container")))
	for _, s := range []string{os.Getenv("container"), named} {
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
