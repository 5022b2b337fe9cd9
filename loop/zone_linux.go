package loop

import (
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

// ifindex looks an interface up (netdevice(7), SIOCGIFINDEX).
func ifindex(name string) uint32 {
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return 0
	}
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0
	}
	defer unix.Close(fd)
	if unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, ifr) != nil {
		return 0
	}
	return ifr.Uint32()
}
