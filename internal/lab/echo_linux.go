package lab

import (
	"github.com/mdlayher/socket"
	"golang.org/x/sys/unix"

	"mdalp/loop"
)

// families are the address families that have echoes to answer.
func (n *Network) families() []int {
	if n.v6 {
		return []int{unix.AF_INET, unix.AF_INET6}
	}
	return []int{unix.AF_INET}
}

// openEcho opens the raw socket on which the requests for all played addresses
// arrive. Our own replies pass by it too, so a filter keeps all but requests out.
func openEcho(family int) (*loop.Socket, error) {
	proto := unix.IPPROTO_ICMP
	if family == unix.AF_INET6 {
		proto = unix.IPPROTO_ICMPV6
	}
	c, err := socket.Socket(family, unix.SOCK_RAW, proto, "icmp", nil)
	if err != nil {
		return nil, err
	}
	if family == unix.AF_INET6 {
		// RFC 3542, section 3.2: a set bit blocks the type. Linux's values are those
		// of the header, 128 is the echo request.
		f := new(unix.ICMPv6Filter)
		for i := range f.Data {
			f.Data[i] = ^uint32(0)
		}
		f.Data[128>>5] &^= 1 << (128 & 31)
		err = c.SetsockoptICMPv6Filter(unix.SOL_ICMPV6, unix.ICMPV6_FILTER, f)
	} else {
		// raw(7): a set bit blocks the type, 8 is the echo request.
		err = c.SetsockoptInt(unix.SOL_RAW, unix.ICMP_FILTER, ^(1 << 8))
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return loop.New(c, loop.Options{PacketInfo: true})
}
