package loop

import (
	"net/netip"
	"os"
	"sync/atomic"

	"github.com/mdlayher/socket"
	"golang.org/x/sys/unix"
)

// A Socket is a datagram socket to give to [Run]. Its methods are not for
// concurrent use with a Run, except by the Run's Handler.
type Socket struct {
	fd      int
	family  uint16
	opts    Options
	local   netip.AddrPort
	granted int
	stats   Stats

	closed  atomic.Bool
	running atomic.Bool

	// What follows belongs to the Run.
	in      *inbox
	ready   bool // a receive is worth trying
	failed  bool // the error queue has something
	writing bool // the poller watches for room to send
	// What is known of segmentation offload.
	trains   bool         // datagrams may leave in trains
	merged   bool         // trains are received as they are
	refusing []netip.Addr // hosts to which none can be sent

	whole bool // datagrams that are too long for the path are not sent in fragments
}

// Listen opens a UDP socket bound to addr; port 0 lets the kernel choose. The
// address "0.0.0.0" takes IPv4 alone, "::" takes both families. Errors are
// [os.SyscallError] values: EADDRINUSE, EADDRNOTAVAIL, EACCES for a port below
// 1024, EAFNOSUPPORT for a family that the host lacks or an addr that is not valid.
func Listen(addr netip.AddrPort, opts Options) (*Socket, error) {
	a := addr.Addr().Unmap()
	var family int
	var sa unix.Sockaddr
	switch {
	case a.Is4():
		family, sa = unix.AF_INET, &unix.SockaddrInet4{Port: int(addr.Port()), Addr: a.As4()}
	case a.Is6():
		var z zones
		in6 := &unix.SockaddrInet6{Port: int(addr.Port()), Addr: a.As16()}
		if zone := a.Zone(); zone != "" {
			in6.ZoneId = z.index(zone)
		}
		family, sa = unix.AF_INET6, in6
	default:
		return nil, os.NewSyscallError("bind", unix.EAFNOSUPPORT)
	}
	c, err := socket.Socket(family, unix.SOCK_DGRAM, unix.IPPROTO_UDP, "udp", nil)
	if err != nil {
		return nil, err
	}
	if family == unix.AF_INET6 {
		// The host's default may be otherwise (bindv6only, ipv6(7)).
		if err := c.SetsockoptInt(unix.SOL_IPV6, unix.IPV6_V6ONLY, 0); err != nil {
			_ = c.Close()
			return nil, err
		}
	}
	return prepare(c, opts, func() error { return c.Bind(sa) })
}

// New takes c over, an IPv4 or IPv6 datagram or raw socket, and closes it, also when it
// fails: from here on the Socket is the way to it. Errors are [os.SyscallError]
// values.
func New(c Conn, opts Options) (*Socket, error) {
	return prepare(c, opts, func() error { return nil })
}

// prepare makes a Socket of c: its options are set before it is bound, so that nothing comes
// without them.
func prepare(c Conn, opts Options, bind func() error) (*Socket, error) {
	s := &Socket{fd: -1, opts: opts}
	err := s.take(c)
	for _, f := range []func() error{s.configure, bind, s.name} {
		if err == nil {
			err = f()
		}
	}
	// The Conn's own descriptor goes, and with it the socket's place in the
	// poller of the Go runtime.
	if e := c.Close(); err == nil {
		err = e
	}
	if err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Socket) configure() error {
	if s.opts.MaxDatagram <= 0 {
		s.opts.MaxDatagram = DefaultMaxDatagram
	}
	domain, err := s.option(unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil {
		return err
	}
	if domain != unix.AF_INET && domain != unix.AF_INET6 {
		return os.NewSyscallError("socket", unix.EAFNOSUPPORT)
	}
	s.family = uint16(domain)
	typ, err := s.option(unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return err
	}
	v6 := domain == unix.AF_INET6
	// A raw socket is of one family alone, a datagram socket may be of both.
	v4 := !v6 || typ == unix.SOCK_DGRAM
	for _, o := range []struct {
		want       bool
		level, opt int
	}{
		{s.opts.Stamp, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS},
		// An IPv6 socket tells of IPv4 datagrams in both messages, IPv4's last. IPv6's own
		// knows no address of the interface for one that was broadcast.
		{s.opts.PacketInfo && v4, unix.SOL_IP, unix.IP_PKTINFO},
		{s.opts.PacketInfo && v6, unix.SOL_IPV6, unix.IPV6_RECVPKTINFO},
		{s.opts.Errors && v4, unix.SOL_IP, unix.IP_RECVERR},
		{s.opts.Errors && v6, unix.SOL_IPV6, unix.IPV6_RECVERR},
	} {
		if o.want {
			if err := s.setOption(o.level, o.opt, 1); err != nil {
				return err
			}
		}
	}
	s.offload()
	if s.whole, err = s.wants(v6); err != nil {
		return err
	}
	return s.buffers()
}

// name finds out what the socket is bound to.
func (s *Socket) name() error {
	sa, err := unix.Getsockname(s.fd)
	if err != nil {
		return os.NewSyscallError("getsockname", err)
	}
	var z zones
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		s.local = netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		s.local = netip.AddrPortFrom(z.addr(sa.Addr, sa.ZoneId), uint16(sa.Port))
	}
	typ, err := s.option(unix.SOL_SOCKET, unix.SO_TYPE)
	if typ == unix.SOCK_RAW { // the "port" is the protocol's number there
		s.local = netip.AddrPortFrom(s.local.Addr(), 0)
	}
	return err
}

// wants tells whether a socket was told, before it came here, to send datagrams whole or
// not at all, as one that finds out what a path takes is (ip(7), IP_MTU_DISCOVER).
func (s *Socket) wants(v6 bool) (whole bool, err error) {
	level, opt := unix.SOL_IP, unix.IP_MTU_DISCOVER
	if v6 {
		level, opt = unix.SOL_IPV6, unix.IPV6_MTU_DISCOVER
	}
	// The numbers mean the same in both families.
	v, err := s.option(level, opt)
	return v == unix.IP_PMTUDISC_DO || v == unix.IP_PMTUDISC_PROBE, err
}

// fragment has the kernel send what is too long for a path in fragments from now on; false
// when it does already, or must not. A path that got narrower than it was then costs no
// datagram.
func (s *Socket) fragment() bool {
	if s.whole {
		return false
	}
	s.whole = true // once is enough
	ok := unix.SetsockoptInt(s.fd, unix.SOL_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DONT) == nil
	if s.family == unix.AF_INET6 {
		// A socket of both families has both settings.
		ok = unix.SetsockoptInt(s.fd, unix.SOL_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_DONT) == nil
		_ = unix.SetsockoptInt(s.fd, unix.SOL_IPV6, unix.IPV6_DONTFRAG, 0)
	}
	return ok
}

// buffers raises the kernel's buffers, above the limits of the host where the
// privilege allows (socket(7), SO_RCVBUFFORCE). What a full receive buffer drops
// costs a retransmission timeout each. The kernel reports twice what it was asked.
func (s *Socket) buffers() error {
	have, err := s.option(unix.SOL_SOCKET, unix.SO_RCVBUF)
	if err != nil {
		return err
	}
	s.granted = have
	if s.opts.KeepBuffers {
		return nil
	}
	want := s.opts.ReceiveBuffer
	if want <= 0 && have < 2*DefaultReceiveBuffer {
		want = DefaultReceiveBuffer
	}
	if want > 0 {
		if err = s.raise(unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, want); err != nil {
			return err
		}
		if s.granted, err = s.option(unix.SOL_SOCKET, unix.SO_RCVBUF); err != nil {
			return err
		}
	}
	if have, err = s.option(unix.SOL_SOCKET, unix.SO_SNDBUF); err == nil && have < 2*DefaultReceiveBuffer {
		err = s.raise(unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, DefaultReceiveBuffer)
	}
	return err
}

// raise sets the size of a buffer: beyond the host's limit, or up to it.
func (s *Socket) raise(force, within, n int) error {
	if s.setOption(unix.SOL_SOCKET, force, n) == nil {
		return nil
	}
	return s.setOption(unix.SOL_SOCKET, within, n)
}

// option gives an option of the socket (getsockopt(2)).
func (s *Socket) option(level, name int) (int, error) {
	v, err := unix.GetsockoptInt(s.fd, level, name)
	return v, os.NewSyscallError("getsockopt", err)
}

// setOption sets one (setsockopt(2)).
func (s *Socket) setOption(level, name, v int) error {
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(s.fd, level, name, v))
}

// take makes the Socket's own descriptor. The Conn's cannot be used as it is: it is
// registered with the poller of the Go runtime, which then takes part in the
// arrival of every datagram (2 % of all CPU time with 64 peers), and wakes a thread
// for each whenever some goroutine of the program waits for the network. Nothing
// takes it out but closing, which leaves a duplicate (dup(2)) alive.
func (s *Socket) take(c Conn) error {
	rc, err := c.SyscallConn()
	if err != nil {
		return err
	}
	e := rc.Control(func(fd uintptr) {
		s.fd, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
	})
	if err != nil {
		s.fd = -1
		return os.NewSyscallError("fcntl", err)
	}
	return e
}

// LocalAddr is the bound address. Its port is 0 on a raw socket.
func (s *Socket) LocalAddr() netip.AddrPort { return s.local }

// ReceiveBuffer is the size in bytes of the receive buffer that the kernel granted:
// twice what was asked, for its own bookkeeping (socket(7), SO_RCVBUF), or less
// where the host's limit rmem_max is lower.
func (s *Socket) ReceiveBuffer() int { return s.granted }

// Stats gives the counters so far.
func (s *Socket) Stats() Stats {
	if !s.closed.Load() {
		s.stats.Drops = uint64(memory(s.fd)[8])
	}
	return s.stats
}

// Close closes the socket. Closing again does nothing. A socket in a [Run] is not
// closed: the error is EBUSY.
func (s *Socket) Close() error {
	if s.running.Load() {
		return os.NewSyscallError("close", unix.EBUSY)
	}
	s.Stats() // the last chance to know what was dropped
	if s.closed.Swap(true) || s.fd < 0 {
		return nil
	}
	return os.NewSyscallError("close", unix.Close(s.fd))
}
