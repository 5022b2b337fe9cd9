package mdalp

import (
	"net"
	"net/netip"
)

// localTo asks the kernel for the address that it would send from to a host. To
// connect a UDP socket looks a route up and sends nothing (connect(2), udp(7)). Where
// there is no route it is the unspecified address.
func localTo(host netip.Addr) netip.Addr {
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(host, Port)))
	if err == nil {
		defer c.Close()
		if a, ok := c.LocalAddr().(*net.UDPAddr); ok {
			return a.AddrPort().Addr().Unmap()
		}
	}
	if host.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}
