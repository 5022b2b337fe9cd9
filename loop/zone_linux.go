package loop

import (
	"fmt"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"
)

// zones translates between scope ids of sockaddr_in6 (ipv6(7)) and the zones of
// [netip.Addr]. The kernel knows numbers only, so a received address carries the
// number as its zone: names would cost a system call and can change.
type zones struct {
	known map[uint32]zone
	names map[string]uint32
}

// A zone remembers an address as well: netip keeps a zone only while some address
// has it, and without one every datagram would make it anew.
type zone struct {
	name string
	keep netip.Addr
}

// addr makes an address of b: plain IPv4 when it is IPv4-mapped, with a zone only
// where one has a meaning.
func (z *zones) addr(b [16]byte, scope uint32) netip.Addr {
	a := netip.AddrFrom16(b).Unmap()
	if scope == 0 || !a.IsLinkLocalUnicast() && !a.IsLinkLocalMulticast() || a.Is4() {
		return a
	}
	k, ok := z.known[scope]
	if !ok {
		k.name = strconv.FormatUint(uint64(scope), 10)
		k.keep = a.WithZone(k.name)
		if z.known == nil {
			z.known = make(map[uint32]zone)
		}
		z.known[scope] = k
	}
	return a.WithZone(k.name)
}

// index gives the scope id of a zone, a number or an interface's name; 0 when
// there is no such interface, which the kernel then refuses.
func (z *zones) index(name string) uint32 {
	if i, ok := z.names[name]; ok {
		return i
	}
	var i uint32
	if n, err := strconv.ParseUint(name, 10, 32); err == nil {
		i = uint32(n)
	} else {
		i = ifindex(name)
	}
	if i == 0 { // it may come yet
		return 0
	}
	if z.names == nil {
		z.names = make(map[string]uint32)
	}
	z.names[name] = i
	return i
}

// Zone gives ap as a Handler sees it in an [Envelope], so that the two compare equal: the
// zone of a link-local address is the number of the interface, and others have none.
// Addresses that people write have names there; they go through Zone where they come
// in. The error wraps [ErrZone] when there is no interface of that name or number. What has
// no zone is given back as it is.
func Zone(ap netip.AddrPort) (netip.AddrPort, error) {
	name := ap.Addr().Zone()
	if name == "" {
		return ap, nil
	}
	var z zones
	i := z.index(name)
	if i == 0 || !isInterface(i) {
		return ap, fmt.Errorf("%w: %q", ErrZone, name)
	}
	return netip.AddrPortFrom(z.addr(ap.Addr().As16(), i), ap.Port()), nil
}

// ifindex looks an interface up (netdevice(7), SIOCGIFINDEX).
func ifindex(name string) uint32 {
	ifr, err := unix.NewIfreq(name)
	if err != nil || !ioctl(unix.SIOCGIFINDEX, ifr) {
		return 0
	}
	return ifr.Uint32()
}

// isInterface tells whether an interface has that number (SIOCGIFNAME).
func isInterface(index uint32) bool {
	ifr, err := unix.NewIfreq("")
	if err != nil {
		return false
	}
	ifr.SetUint32(index)
	return ioctl(unix.SIOCGIFNAME, ifr)
}

// ioctl asks of interfaces. Any socket can.
func ioctl(req uint, ifr *unix.Ifreq) bool {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		// A host without IPv6 has interfaces all the same.
		if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return false
		}
	}
	defer unix.Close(fd)
	return unix.IoctlIfreq(fd, req, ifr) == nil
}
