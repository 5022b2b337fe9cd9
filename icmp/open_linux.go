package icmp

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"

	"github.com/mdlayher/socket"
	"golang.org/x/net/bpf"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// receiveBuffer is the receive buffer asked for, in bytes. A reply of 44 bytes
// weighs more than 1 kB there (socket(7), SO_RCVBUF counts the kernel's own
// bookkeeping), and a round of 10,000 echoes may be answered all at once.
const receiveBuffer = 16 << 20

// Open opens an ICMP socket of the family, 4 or 6, that is ready for a
// [Prober], and tells which mode it came to. [Auto] tries [Raw], then
// [Datagram]. [Off] opens nothing: the Conn is nil and so is the error.
//
// A raw socket delivers echo replies with the identifier id alone; on IPv4 it
// delivers the IP header with them. A datagram socket has an identifier of the
// kernel's choice and delivers no IP header. Either stamps what it receives
// (SO_TIMESTAMPNS) and has its receive buffer raised, beyond net.core.rmem_max
// where the process has CAP_NET_ADMIN; SO_RCVBUF tells how far.
//
// Open it some time before the first echo. When no other socket of the host asks
// for stamps the kernel needs a moment to switch them on, from a work queue
// (net_enable_timestamp in its net/core/dev.c), and stamps at the read until
// then: round trips of the first milliseconds come out too long.
//
// bind, if valid, is the address to send from, of the same family.
//
// The error wraps an [os.SyscallError] and, where a privilege is missing,
// satisfies errors.Is(err, [os.ErrPermission]): grant CAP_NET_RAW (raw(7)) or
// widen net.ipv4.ping_group_range (icmp(7)). When Auto finds no way the error
// holds those of both ways.
func Open(family int, mode Mode, id uint16, bind netip.Addr) (Conn, Mode, error) {
	switch mode {
	case Auto:
		c, _, err := Open(family, Raw, id, bind)
		if err == nil {
			return c, Raw, nil
		}
		// Not only a missing privilege leads on: sandboxes refuse raw sockets with
		// all sorts of errors.
		c, _, err2 := Open(family, Datagram, id, bind)
		if err2 == nil {
			return c, Datagram, nil
		}
		return nil, Off, fmt.Errorf("%w; %w", err, err2)
	case Raw, Datagram:
		c, err := open(family, mode, id, bind)
		if err != nil {
			return nil, Off, fmt.Errorf("%v socket for IPv%d: %w", mode, family, err)
		}
		return c, mode, nil
	case Off:
		return nil, Off, nil
	}
	return nil, Off, fmt.Errorf("ping mode %v: %w", mode, os.NewSyscallError("socket", unix.EINVAL))
}

// open is Open for one of Raw and Datagram.
func open(family int, mode Mode, id uint16, bind netip.Addr) (*socket.Conn, error) {
	domain, typ, proto := unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP
	switch family {
	case 4:
	case 6:
		domain, proto = unix.AF_INET6, unix.IPPROTO_ICMPV6
	default:
		return nil, os.NewSyscallError("socket", unix.EAFNOSUPPORT)
	}
	if mode == Datagram {
		typ = unix.SOCK_DGRAM
	}
	c, err := socket.Socket(domain, typ, proto, "icmp", nil)
	if err != nil {
		return nil, err
	}
	if err := configure(c, family, mode, id, bind); err != nil {
		c.Close() // nothing was sent or received: the first error is the one to tell
		return nil, err
	}
	return c, nil
}

// configure sets everything but the type of the socket. The filters come
// first, since a raw socket receives from its first moment on. What slips in
// before them, replies to others, is thrown away.
func configure(c *socket.Conn, family int, mode Mode, id uint16, bind netip.Addr) error {
	if mode == Raw {
		if err := filterTypes(c, family); err != nil {
			return err
		}
		prog, err := bpf.Assemble(replyFilter(family, id))
		if err != nil {
			panic("icmp: the filter does not assemble: " + err.Error())
		}
		if err := c.SetBPF(prog); err != nil {
			return err
		}
		if err := discard(c); err != nil {
			return err
		}
	}
	if err := c.SetsockoptInt(unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		return err
	}
	if err := c.SetReadBuffer(receiveBuffer); err != nil {
		return err
	}
	// A long echo that does not fit shows what its path takes only if nobody cuts it
	// (ip(7), ipv6(7)); short ones have the don't-fragment flag in any case.
	level, opt := unix.SOL_IP, unix.IP_MTU_DISCOVER
	if family == 6 {
		level, opt = unix.SOL_IPV6, unix.IPV6_MTU_DISCOVER
	}
	if err := c.SetsockoptInt(level, opt, unix.IP_PMTUDISC_DO); err != nil {
		return err
	}
	if !bind.IsValid() {
		return nil
	}
	sa, err := sockaddr(family, bind)
	if err != nil {
		return err
	}
	return c.Bind(sa)
}

// discard empties the receive queue, without waiting.
func discard(c *socket.Conn) error {
	rc, err := c.SyscallConn()
	if err != nil {
		return err
	}
	return rc.Control(func(fd uintptr) {
		for {
			if _, _, err := unix.Recvfrom(int(fd), nil, unix.MSG_DONTWAIT|unix.MSG_TRUNC); err != nil {
				return // EAGAIN: it is empty. Any other error comes again with the next call
			}
		}
	})
}

// filterTypes has the kernel drop all but echo replies, before it makes the
// copy that BPF would look at: ICMP_FILTER (raw(7)) for IPv4, ICMP6_FILTER (RFC
// 3542 section 3.2) for IPv6. In both a bit that is set blocks its type.
func filterTypes(c *socket.Conn, family int) error {
	if family == 6 {
		var f unix.ICMPv6Filter
		for i := range f.Data {
			f.Data[i] = 1<<32 - 1
		}
		const reply = ipv6.ICMPTypeEchoReply
		f.Data[reply>>5] &^= 1 << (reply & 31)
		return c.SetsockoptICMPv6Filter(unix.SOL_ICMPV6, unix.ICMPV6_FILTER, &f)
	}
	block := ^(int32(1) << ipv4.ICMPTypeEchoReply)
	return c.SetsockoptInt(unix.SOL_RAW, unix.ICMP_FILTER, int(block))
}

// sockaddr gives a in the kernel's form, without a port: on a datagram socket
// that leaves the identifier to the kernel.
func sockaddr(family int, a netip.Addr) (unix.Sockaddr, error) {
	a = a.Unmap()
	if a.Is4() != (family == 4) {
		return nil, os.NewSyscallError("bind", unix.EAFNOSUPPORT)
	}
	if family == 4 {
		return &unix.SockaddrInet4{Addr: a.As4()}, nil
	}
	sa := &unix.SockaddrInet6{Addr: a.As16()}
	if z := a.Zone(); z != "" {
		// A zone is the index of an interface or its name (RFC 4007 section 11.2).
		if n, err := strconv.ParseUint(z, 10, 32); err == nil {
			sa.ZoneId = uint32(n)
		} else if ifi, err := net.InterfaceByName(z); err == nil {
			sa.ZoneId = uint32(ifi.Index)
		} else {
			return nil, os.NewSyscallError("bind", unix.ENODEV)
		}
	}
	return sa, nil
}
