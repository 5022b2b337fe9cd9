package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// loopback is the index of lo, the first device of every network namespace.
const loopback = 1

// setUp makes the new network ready for addresses to be played.
func setUp() (*Network, error) {
	if err := linkUp("lo"); err != nil {
		return nil, err
	}
	// Echoes are ours to answer (icmp(7)).
	if err := sysctl("net/ipv4/icmp_echo_ignore_all", "1"); err != nil {
		return nil, err
	}
	// For those who have given up all capabilities: the group of everyone inside may
	// open ICMP datagram sockets. It is no loss if it can not be set.
	_ = sysctl("net/ipv4/ping_group_range", "0 0")
	n := new(Network)
	// IPv6 only knows addresses of devices as its own. ip_nonlocal_bind lets sockets
	// be bound to, and send from, those that only have a local route.
	if sysctl("net/ipv6/icmp/echo_ignore_all", "1") == nil &&
		sysctl("net/ipv6/ip_nonlocal_bind", "1") == nil {
		n.v6 = true
	}
	return n, nil
}

func sysctl(name, value string) error {
	return os.WriteFile("/proc/sys/"+name, []byte(value+"\n"), 0)
}

// linkUp sets the flag IFF_UP of a device (netdevice(7)).
func linkUp(name string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, ifr); err != nil {
		return os.NewSyscallError("ioctl SIOCGIFFLAGS", err)
	}
	ifr.SetUint16(ifr.Uint16() | unix.IFF_UP)
	return os.NewSyscallError("ioctl SIOCSIFFLAGS", unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr))
}

// play makes addresses local: what is sent to them comes back up here.
func (n *Network) play(addrs []netip.Addr) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	kernel := &unix.SockaddrNetlink{Family: unix.AF_NETLINK}
	buf := make([]byte, 8192)
	for i, a := range addrs {
		if a.Is6() && !n.v6 {
			return fmt.Errorf("%v can not be played: this kernel has no IPv6", a)
		}
		if a.IsLoopback() && a.Is4() {
			continue // all of 127.0.0.0/8 is local
		}
		if err := unix.Sendto(fd, routeRequest(uint32(i+1), a), 0, kernel); err != nil {
			return os.NewSyscallError("sendto", err)
		}
		m, _, err := unix.Recvfrom(fd, buf, 0)
		if err != nil {
			return os.NewSyscallError("recvfrom", err)
		}
		if err := routeAnswer(buf[:m]); err != nil {
			return fmt.Errorf("route for %v: %w", a, err)
		}
	}
	return nil
}

// routeRequest is the message of rtnetlink(7) that adds a local route for a to lo.
// The source that the kernel then chooses is the client's: without it the client
// would send from the address that it sends to.
func routeRequest(seq uint32, a netip.Addr) []byte {
	family, source := byte(unix.AF_INET), client4
	if a.Is6() {
		family, source = unix.AF_INET6, client6
	}
	ne := binary.NativeEndian
	b := make([]byte, unix.SizeofNlMsghdr, 128)
	ne.PutUint16(b[4:], unix.RTM_NEWROUTE)
	ne.PutUint16(b[6:], unix.NLM_F_REQUEST|unix.NLM_F_ACK|unix.NLM_F_CREATE|unix.NLM_F_REPLACE)
	ne.PutUint32(b[8:], seq)
	// struct rtmsg: family, length of the destination and the source in bits, TOS,
	// table, origin, scope, type, flags.
	b = append(b, family, byte(a.BitLen()), 0, 0,
		unix.RT_TABLE_LOCAL, unix.RTPROT_STATIC, unix.RT_SCOPE_HOST, unix.RTN_LOCAL, 0, 0, 0, 0)
	b = attribute(b, unix.RTA_DST, a.AsSlice())
	b = attribute(b, unix.RTA_OIF, ne.AppendUint32(nil, loopback))
	b = attribute(b, unix.RTA_PREFSRC, source.AsSlice())
	ne.PutUint32(b, uint32(len(b)))
	return b
}

// attribute appends an attribute. Those used here have lengths that need no
// padding.
func attribute(b []byte, typ uint16, data []byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(unix.SizeofRtAttr+len(data)))
	b = binary.NativeEndian.AppendUint16(b, typ)
	return append(b, data...)
}

// routeAnswer reads the acknowledgement: a header and a negative error number.
func routeAnswer(b []byte) error {
	ne := binary.NativeEndian
	if len(b) < unix.SizeofNlMsghdr+4 || ne.Uint16(b[4:]) != unix.NLMSG_ERROR {
		return errors.New("no answer of rtnetlink")
	}
	if errno := int32(ne.Uint32(b[unix.SizeofNlMsghdr:])); errno != 0 {
		return os.NewSyscallError("rtnetlink", unix.Errno(-errno))
	}
	return nil
}
