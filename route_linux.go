package mdalp

import (
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"
)

// routeMTU is the largest packet in bytes that the kernel sends to a host in one piece: that
// of the interface, or less where it has learned of a narrower place on the way (ip(7),
// IP_MTU; ipv6(7), IPV6_MTU). 0 when it does not know. Nothing is sent.
func routeMTU(to netip.Addr) int {
	family, level, opt := unix.AF_INET, unix.SOL_IP, unix.IP_MTU
	var sa unix.Sockaddr = &unix.SockaddrInet4{Port: Port}
	if to.Is4() {
		sa = &unix.SockaddrInet4{Port: Port, Addr: to.As4()}
	} else {
		// The zone is a number by now.
		n, _ := strconv.ParseUint(to.Zone(), 10, 32)
		zone := uint32(n)
		family, level, opt = unix.AF_INET6, unix.SOL_IPV6, unix.IPV6_MTU
		sa = &unix.SockaddrInet6{Port: Port, Addr: to.As16(), ZoneId: zone}
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0
	}
	defer unix.Close(fd)
	if unix.Connect(fd, sa) != nil {
		return 0
	}
	mtu, err := unix.GetsockoptInt(fd, level, opt)
	if err != nil {
		return 0
	}
	return mtu
}
