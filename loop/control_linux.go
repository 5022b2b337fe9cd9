package loop

import (
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What stands beside a datagram in a message: addresses and control messages, as the
// kernel lays them out.

// outWords is the room for what is sent: a source address of either family, and the size
// of a train's datagrams.
const outWords = 8

// control is what the control messages of one datagram tell.
type control struct {
	local netip.Addr // zero when not told
	stamp int64      // CLOCK_REALTIME in ns; 0 when not told
	train int        // bytes of each datagram of a train but the last; 0 when it is none
	err   unix.SockExtendedErr
}

// parse reads the control messages of h; z names IPv6 zones. See cmsg(3), ip(7),
// ipv6(7) and socket(7).
func (c *control) parse(h *unix.Msghdr, z *zones) {
	*c = control{}
	n := int(h.Controllen)
	if h.Control == nil || n == 0 {
		return
	}
	b := unsafe.Slice(h.Control, n)
	for len(b) >= unix.SizeofCmsghdr {
		m := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
		l := int(m.Len)
		if l < unix.CmsgLen(0) || l > len(b) {
			return
		}
		data := b[unix.CmsgLen(0):l]
		switch {
		case m.Level == unix.SOL_SOCKET && m.Type == unix.SCM_TIMESTAMPNS &&
			len(data) >= int(unsafe.Sizeof(unix.Timespec{})):
			c.stamp = (*unix.Timespec)(unsafe.Pointer(&data[0])).Nano()
		case m.Level == unix.SOL_IP && m.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
			c.local = answered((*unix.Inet4Pktinfo)(unsafe.Pointer(&data[0])))
		case m.Level == unix.SOL_IPV6 && m.Type == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
			p := (*unix.Inet6Pktinfo)(unsafe.Pointer(&data[0]))
			c.local = z.addr(p.Addr, p.Ifindex)
		case m.Level == unix.SOL_UDP && m.Type == unix.UDP_GRO && len(data) >= 4:
			c.train = int(*(*int32)(unsafe.Pointer(&data[0]))) // an int, where UDP_SEGMENT has 16 bits
		case (m.Level == unix.SOL_IP && m.Type == unix.IP_RECVERR ||
			m.Level == unix.SOL_IPV6 && m.Type == unix.IPV6_RECVERR) &&
			len(data) >= int(unsafe.Sizeof(c.err)):
			c.err = *(*unix.SockExtendedErr)(unsafe.Pointer(&data[0]))
		}
		b = b[min(unix.CmsgSpace(l-unix.CmsgLen(0)), len(b)):]
	}
}

// answered is the address from which a datagram is to be answered. For one to a broadcast or
// multicast address Spec_dst is the interface's own; for any other it is where it went to. It
// is 0 for what came before the option was set, as to a socket that systemd had opened: then
// the header's address has to do, unless the socket could not send from it.
func answered(p *unix.Inet4Pktinfo) netip.Addr {
	to := netip.AddrFrom4(p.Addr)
	if p.Spec_dst != [4]byte{} || to.IsMulticast() || p.Addr == [4]byte{255, 255, 255, 255} {
		return netip.AddrFrom4(p.Spec_dst)
	}
	return to
}

// decode reads a socket address; the zero value when it is of no known family.
func decode(sa *unix.RawSockaddrInet6, z *zones) netip.AddrPort {
	p := (*[2]byte)(unsafe.Pointer(&sa.Port)) // network order, same place in both families
	port := uint16(p[0])<<8 | uint16(p[1])
	switch sa.Family {
	case unix.AF_INET:
		return netip.AddrPortFrom(netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(sa)).Addr), port)
	case unix.AF_INET6:
		return netip.AddrPortFrom(z.addr(sa.Addr, sa.Scope_id), port)
	}
	return netip.AddrPort{}
}

// encode writes ap as an address of family, gives its length, or 0 when a socket of
// that family cannot reach it.
func encode(sa *unix.RawSockaddrInet6, family uint16, ap netip.AddrPort, z *zones) uint32 {
	a := ap.Addr()
	p := (*[2]byte)(unsafe.Pointer(&sa.Port))
	p[0], p[1] = byte(ap.Port()>>8), byte(ap.Port())
	sa.Family = family
	if family == unix.AF_INET {
		if !a.Is4() && !a.Is4In6() {
			return 0
		}
		(*unix.RawSockaddrInet4)(unsafe.Pointer(sa)).Addr = a.As4()
		return unix.SizeofSockaddrInet4
	}
	if !a.IsValid() {
		return 0
	}
	sa.Flowinfo, sa.Scope_id = 0, 0
	sa.Addr = a.As16()
	if zone := a.Zone(); zone != "" {
		sa.Scope_id = z.index(zone)
	}
	return unix.SizeofSockaddrInet6
}

// from asks for a source address (ip(7), IP_PKTINFO; RFC 3542, section 6.1).
func (o *outbox) from(i int, a netip.Addr, z *zones) {
	m := (*unix.Cmsghdr)(unsafe.Pointer(&o.ctl[i]))
	h := &o.msg[i].hdr
	h.Control = (*byte)(unsafe.Pointer(m))
	clear(o.ctl[i][2:sourceWords]) // for sameSource
	data := unsafe.Add(unsafe.Pointer(m), unix.CmsgLen(0))
	// An IPv4 destination wants an IPv4 source on a dual-stack socket as well.
	if a.Is4() || a.Is4In6() {
		m.Level, m.Type = unix.SOL_IP, unix.IP_PKTINFO
		m.SetLen(unix.CmsgLen(unix.SizeofInet4Pktinfo))
		*(*unix.Inet4Pktinfo)(data) = unix.Inet4Pktinfo{Spec_dst: a.As4()}
		h.SetControllen(unix.CmsgSpace(unix.SizeofInet4Pktinfo))
		return
	}
	m.Level, m.Type = unix.SOL_IPV6, unix.IPV6_PKTINFO
	m.SetLen(unix.CmsgLen(unix.SizeofInet6Pktinfo))
	p := unix.Inet6Pktinfo{Addr: a.As16()}
	if zone := a.Zone(); zone != "" {
		p.Ifindex = z.index(zone)
	}
	*(*unix.Inet6Pktinfo)(data) = p
	h.SetControllen(unix.CmsgSpace(unix.SizeofInet6Pktinfo))
}

// sourceWords is how many words of a control message hold what from wrote, at most.
const sourceWords = 5

// sameSource tells whether two datagrams for which from was called leave from one address.
func (o *outbox) sameSource(i, k int) bool {
	a, b := &o.ctl[i], &o.ctl[k]
	return a[2] == b[2] && a[3] == b[3] && a[4] == b[4] && a[1] == b[1] && a[0] == b[0]
}

// segments makes message m of n datagrams from i on, and asks for it to be cut into datagrams
// of size bytes (udp(7), UDP_SEGMENT), behind what their control messages say already.
func (o *outbox) segments(m, i, n int, size uint16) {
	h := &o.msg[m].hdr
	h.SetIovlen(n)
	c := (*unix.Cmsghdr)(unsafe.Add(unsafe.Pointer(&o.ctl[i]), h.Controllen))
	h.Control = (*byte)(unsafe.Pointer(&o.ctl[i]))
	c.Level, c.Type = unix.SOL_UDP, unix.UDP_SEGMENT
	c.SetLen(unix.CmsgLen(2))
	*(*uint16)(unsafe.Add(unsafe.Pointer(c), unix.CmsgLen(0))) = size
	h.SetControllen(int(h.Controllen) + unix.CmsgSpace(2))
}

// single makes message m the first of its datagrams alone.
func (o *outbox) single(m int) {
	h := &o.msg[m].hdr
	h.SetIovlen(1)
	if h.SetControllen(int(h.Controllen) - unix.CmsgSpace(2)); h.Controllen == 0 {
		h.Control = nil
	}
}

// advance makes the datagram after that of message m its only one.
func (o *outbox) advance(m int) {
	h := &o.msg[m].hdr
	h.Iov = (*unix.Iovec)(unsafe.Add(unsafe.Pointer(h.Iov), unsafe.Sizeof(unix.Iovec{})))
}

// sameStart tells whether two addresses of one socket begin alike: in IPv4 all that they have,
// in IPv6 the family, the port and the flow.
func sameStart(a, b *unix.RawSockaddrInet6) bool {
	return *(*[8]byte)(unsafe.Pointer(a)) == *(*[8]byte)(unsafe.Pointer(b))
}
