package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"mdalp/cmd/internal/table"
	"mdalp/cmd/internal/usage"
	"mdalp/loop"
)

// mostSegment is the longest IP packet with a segment, in bytes: 160 of message with the
// largest numbers, the UDP header, and IPv6's.
const mostSegment = 160 + 8 + 40

// Judge makes the lines of what was found. It does no I/O, so that tests can show it any
// host. receivers is how many are to be sent to at once.
func (f *Facts) Judge(receivers int) []Check {
	var all []Check
	add := func(c ...Check) { all = append(all, c...) }
	where := "in no container"
	switch {
	case f.container != "":
		where = "in a container (" + f.container + ")"
	case !f.status.known:
		where = "whether in a container is unknown"
	}
	add(Check{"process", fine, fmt.Sprintf("user %d, %s", f.uid, where), ""})
	// What pings need comes first: it is what most hosts lack.
	add(f.judgePings()...)
	add(f.judgeCapabilities()...)
	add(f.judgeGroups(), f.judgeUDP(), f.judgeBuffer(receivers), f.judgeWindows(), f.judgeOffload())
	for i := range f.ways {
		add(f.ways[i].judge())
	}
	add(f.judgeIPv6(), f.judgeClock())
	add(f.judgeNamespaces()...)
	return all
}

// sudo puts sudo in front of a command where it is needed.
func (f *Facts) sudo(command string) string {
	if f.uid == 0 {
		return command
	}
	return "sudo " + command
}

// permission is the command that lets this process ping. Where file capabilities do not
// count, or are out of bounds, it is another. The order is that of what stands in the
// way: where a capability cannot be had, only the groups of ping_group_range are left;
// where the file's do not count, a copy elsewhere may.
func (f *Facts) permission() string {
	// 2147483647 is the greatest that the kernel takes (its GID_T_MAX): all groups.
	const open = `net.ipv4.ping_group_range="0 2147483647"`
	bounded := f.status.known && (f.status.noNewPrivs || f.status.bounding&(1<<unix.CAP_NET_RAW) == 0)
	switch {
	case bounded && f.container != "":
		return "start the container with --cap-add NET_RAW as root, or with --sysctl " + open
	case bounded:
		return f.sudo("sysctl -w " + open)
	case f.nosuid:
		return fmt.Sprintf("sudo install %s /usr/local/bin/mdalp && "+
			"sudo setcap cap_net_raw+ep /usr/local/bin/mdalp", f.path)
	}
	return f.sudo("setcap cap_net_raw+ep " + f.path)
}

// pingChecks are the names of the checks without which a send goes on, as it needs no pings.
var pingChecks = []string{"raw ICMP", "datagram ICMP", "echo"}

// isPing reports whether a check is one of them.
func isPing(c Check) bool { return slices.Contains(pingChecks, c.Name) }

// judgePings looks at the sockets for echoes. One of the two kinds is enough for a
// send, so the one that is refused is no complaint while the other works.
func (f *Facts) judgePings() []Check {
	pings := f.raw[0] == nil || f.dgram[0] == nil
	kind := func(name string, errs [2]error) Check {
		switch {
		case errs[0] == nil && errs[1] == nil:
			return Check{name, fine, "IPv4 and IPv6", ""}
		case errs[0] == nil && noIPv6(errs[1]):
			return Check{name, fine, "IPv4; this host has no IPv6", ""}
		case errs[0] == nil:
			return Check{name, warning, "IPv4; not IPv6: " + kernel(errs[1]), ""}
		case pings:
			return Check{name, fine, kernel(errs[0]) + "; the other kind will do", ""}
		}
		return Check{name, fix, kernel(errs[0]), f.permission()}
	}
	all := []Check{kind(pingChecks[0], f.raw), kind(pingChecks[1], f.dgram)}
	if !pings {
		all[1].Fix = "" // one remedy is enough
	}
	c := Check{Name: pingChecks[2], State: fine}
	switch {
	case !pings:
		c.State, c.Text = fix, "not tried: there is no socket for it"
	case f.echo != nil:
		c.State, c.Text = fix, "127.0.0.1 cannot be pinged: "+f.echo.Error()
		if errors.Is(f.echo, unix.ENETUNREACH) {
			c.Fix = f.sudo("ip link set lo up")
		}
	// Only a warning: receivers are elsewhere, and may answer.
	case f.rtt == 0:
		c.State, c.Text = warning, "127.0.0.1 does not answer"
		c.Fix = f.sudo("sysctl -w net.ipv4.icmp_echo_ignore_all=0")
	default:
		c.Text = "127.0.0.1 answered in " + table.Millis(f.rtt)
	}
	return append(all, c)
}

// noIPv6 reports whether an error means that the kernel has, or was given, no IPv6.
func noIPv6(err error) bool {
	return errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL) ||
		errors.Is(err, unix.EPROTONOSUPPORT)
}

// kernel is what the kernel said, without who asked what for.
func kernel(err error) string {
	var se *os.SyscallError
	if errors.As(err, &se) {
		return se.Error()
	}
	return err.Error()
}

// judgeUDP looks at the socket for segments.
func (f *Facts) judgeUDP() Check {
	if f.udp != nil {
		return Check{"UDP", fix, f.udp.Error(), ""}
	}
	return Check{"UDP", fine, "a socket can be had", ""}
}

// judgeBuffer looks whether the acknowledgements of all receivers fit at once.
func (f *Facts) judgeBuffer(receivers int) Check {
	if f.udp != nil {
		return Check{"receive buffer", fine, "not tried", ""}
	}
	room := f.buffer / loop.ShortDatagram
	c := Check{Name: "receive buffer", State: fine}
	c.Text = fmt.Sprintf("%d bytes, room for %d acknowledgements at once, %d wanted",
		f.buffer, room, receivers)
	if room < receivers {
		c.State = warning
		// A send takes no more receivers at once than fit, as a full buffer drops acknowledgements.
		c.Text += ": the others wait"
		// Else the limit is high enough already, and raising it would not help.
		if f.rmemMax < loop.DefaultReceiveBuffer {
			c.Fix = f.sudo(fmt.Sprintf("sysctl -w net.core.rmem_max=%d", loop.DefaultReceiveBuffer))
		}
	}
	return c
}

// judge looks at one way out.
func (w *way) judge() Check {
	c := Check{Name: "way " + w.name, State: fine}
	switch {
	case w.err != nil && w.wanted:
		c.State, c.Text = fix, w.err.Error()
	case w.err != nil:
		c.State, c.Text = warning, w.err.Error()
		if w.to.Is6() {
			c.State = fine // most receivers have IPv4
		}
	default:
		device := w.device
		if device == "" {
			device = "an unknown device"
		}
		c.Text = fmt.Sprintf("from %v by %s, MTU %d", w.local, device, w.mtu)
		if w.pathMTU != 0 && w.pathMTU != w.mtu {
			c.Text += fmt.Sprintf(", of the path %d", w.pathMTU)
		}
		// One lost fragment loses the segment, and some firewalls let none through.
		if mtu := w.smallest(); mtu > 0 && mtu < mostSegment {
			c.State = warning
			c.Text += fmt.Sprintf(": segments of up to %d bytes go in fragments", mostSegment)
			c.Fix = "sudo ip link set dev " + device + " mtu 1500"
		} else if mtu > 0 {
			w.judgeSize(&c, mtu)
		}
	}
	return c
}

// smallest gives the smaller MTU of those that are known, or 0.
func (w *way) smallest() int {
	if w.mtu == 0 || w.pathMTU != 0 && w.pathMTU < w.mtu {
		return w.pathMTU
	}
	return w.mtu
}

// judgeIPv6 says whether receivers may have IPv6 addresses.
func (f *Facts) judgeIPv6() Check {
	if f.udp6 != nil {
		return Check{"IPv6", warning,
			"no sockets for it: " + kernel(f.udp6) + "; receivers with IPv6 addresses are left out", ""}
	}
	return Check{"IPv6", fine, "sockets for it can be had", ""}
}

// judgeClock looks at what round trips are measured with. Echoes are stamped with
// the clock of the day, so a step of it would be part of a round trip.
func (f *Facts) judgeClock() Check {
	c := Check{"clock", fine,
		fmt.Sprintf("%s, %d ns a reading", f.clockSource, f.clockCost.Nanoseconds()), ""}
	if f.clockSource == "" {
		c.Text = fmt.Sprintf("source unknown, %d ns a reading", f.clockCost.Nanoseconds())
	}
	switch step := f.clockStep.Abs(); {
	// Slewing, as NTP does it, moves a clock by 500 µs a second at most (adjtimex(2)), so a
	// moment like this one does not see that much: the clock was set.
	case step > time.Millisecond:
		c.State = warning
		c.Text += fmt.Sprintf("; the clock of the day moved by %s within %s: pings are wrong while it does",
			table.Millis(f.clockStep), table.Millis(f.clockOver))
	// From the vDSO it takes some 25 ns. More is a system call, as with the sources hpet and
	// acpi_pm, and each echo takes such readings.
	case f.clockCost > time.Microsecond:
		c.State = warning
		c.Text += ": slow"
		if f.clockSource != "tsc" && strings.Contains(" "+f.clockSources+" ", " tsc ") {
			c.Fix = "echo tsc | " +
				f.sudo("tee /sys/devices/system/clocksource/clocksource0/current_clocksource")
		}
	default:
		c.Text += fmt.Sprintf("; no step within %s", table.Millis(f.clockOver))
	}
	return c
}

// judgeNamespaces looks at what the lab needs. It can do without. The settings are
// those of every kernel (namespaces(7)), of Debian's and of Ubuntu's. The first that
// forbids it is named; more may show once that is fixed.
func (f *Facts) judgeNamespaces() []Check {
	user := Check{"user namespaces", fine, "the lab can have a network of its own", ""}
	armor := Check{"AppArmor", fine, "kernel.apparmor_restrict_unprivileged_userns is " + f.appArmor, ""}
	switch {
	case f.appArmor == "" && !f.status.known:
		armor.Text = "unknown: /proc/sys cannot be read"
	case f.appArmor == "":
		armor.Text = "this kernel does not restrict user namespaces by it"
	}
	if f.namespace == nil {
		return []Check{user, armor}
	}
	if !f.status.known { // the program was not found to be started once more
		user.State = warning
		user.Text = "unknown: /proc/self/exe cannot be read; without it the lab runs on plain loopback"
		return []Check{user, armor}
	}
	var path *fs.PathError
	text := f.namespace.Error()
	if errors.As(f.namespace, &path) {
		text = usage.File(path).Error()
	}
	user.State, user.Text = warning, "refused: "+text+"; the lab runs on plain loopback"
	switch {
	case f.userMax == "0":
		user.Fix = f.sudo("sysctl -w user.max_user_namespaces=10000")
	case f.userClone == "0":
		user.Fix = f.sudo("sysctl -w kernel.unprivileged_userns_clone=1")
	case f.appArmor == "1" && f.uid != 0:
		armor.State = warning
		armor.Fix = f.sudo("sysctl -w kernel.apparmor_restrict_unprivileged_userns=0")
	case f.container != "" || f.status.seccomp != 0:
		user.Text += "; the container or its seccomp filter forbids them"
	}
	return []Check{user, armor}
}
