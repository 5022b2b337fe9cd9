package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strconv"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/mdlayher/socket"
	"golang.org/x/sys/unix"

	"mdalp/loop"
)

// firstPassed is the first descriptor that is passed (sd_listen_fds(3)), and mostPassed is far
// more than anybody passes.
const (
	firstPassed = 3
	mostPassed  = 4096
)

// passed are the sockets that whoever started the program has opened for it, as systemd does
// for a socket unit. It keeps them open when the program ends: what comes then waits in them
// for the next one, and nothing is lost.
type passed struct {
	socks  []*passedSocket
	others []string // options whose sockets are opened here
}

// A passedSocket is a descriptor, and what it is bound to.
type passedSocket struct {
	file  *os.File
	what  string // as messages have it
	addr  netip.AddrPort
	taken bool
}

// inherit finds the sockets that are passed, nil if there are none. It is called once: the
// variables that tell of them are for this process alone, and are removed.
func inherit() (*passed, error) {
	if n, err := strconv.Atoi(os.Getenv("LISTEN_FDS")); err == nil && n > mostPassed {
		return nil, fmt.Errorf("LISTEN_FDS %d: that many sockets cannot be passed", n)
	}
	files := activation.Files(true)
	if len(files) == 0 {
		return nil, nil
	}
	p := new(passed)
	for i, f := range files {
		k := &passedSocket{file: f, what: fmt.Sprintf("descriptor %d (%s)", firstPassed+i, f.Name())}
		p.socks = append(p.socks, k)
		rc, err := f.SyscallConn()
		if err == nil {
			if e := rc.Control(func(fd uintptr) { k.addr, err = usable(int(fd)) }); e != nil {
				err = e
			}
		}
		if err != nil {
			return nil, fmt.Errorf("%s cannot be used: %w: pass UDP sockets alone, each bound to an address",
				k.what, err)
		}
		for _, other := range p.socks[:i] {
			if other.addr == k.addr {
				return nil, fmt.Errorf("%s listens on %v, as %s does: pass each socket once",
					k.what, k.addr, other.what)
			}
		}
	}
	return p, nil
}

// usable gives what a UDP socket is bound to. The error says why it is none to serve on.
func usable(fd int) (netip.AddrPort, error) {
	none := netip.AddrPort{}
	typ, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	switch {
	case errors.Is(err, unix.ENOTSOCK):
		return none, errors.New("it is no socket")
	case errors.Is(err, unix.EBADF):
		return none, errors.New("it is not open")
	case err != nil:
		return none, os.NewSyscallError("getsockopt", err)
	}
	protocol, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL)
	if err != nil {
		return none, os.NewSyscallError("getsockopt", err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return none, os.NewSyscallError("getsockname", err)
	}
	var a netip.AddrPort
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		a = netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		ip := netip.AddrFrom16(sa.Addr)
		if sa.ZoneId != 0 {
			ip = ip.WithZone(strconv.FormatUint(uint64(sa.ZoneId), 10))
		}
		a = netip.AddrPortFrom(ip, uint16(sa.Port))
		only, err := unix.GetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_V6ONLY)
		if err == nil && only != 0 && ip == netip.IPv6Unspecified() {
			return none, errors.New("it takes IPv6 alone, where both are meant (systemd's BindIPv6Only=both)")
		}
	}
	switch {
	case typ != unix.SOCK_DGRAM || protocol != unix.IPPROTO_UDP || !a.IsValid():
		return none, errors.New("it is no UDP socket")
	case a.Port() == 0:
		return none, errors.New("it is bound to no port")
	}
	if _, err := unix.Getpeername(fd); err == nil {
		return none, errors.New("it is connected to one peer")
	}
	return a, nil
}

// find is the socket that is passed for an address, or nil.
func (p *passed) find(a netip.AddrPort) *passedSocket {
	if p == nil {
		return nil
	}
	for _, k := range p.socks {
		// Without IPv6 the wildcard address of both families is that of IPv4, as in bind.
		any4 := netip.AddrPortFrom(netip.IPv4Unspecified(), a.Port())
		if k.addr == a || a.Addr() == netip.IPv6Unspecified() && k.addr == any4 && !hasIPv6() {
			return k
		}
	}
	return nil
}

// hasIPv6 reports whether the kernel knows of IPv6.
func hasIPv6() bool {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		unix.Close(fd)
	}
	return !errors.Is(err, unix.EAFNOSUPPORT)
}

// bind gives the socket that is passed for a, or opens one.
func (p *passed) bind(what string, a netip.AddrPort) (*loop.Socket, error) {
	k := p.find(a)
	if k == nil {
		if p != nil {
			p.others = append(p.others, what)
		}
		return bind(what, a)
	}
	k.taken = true
	c, err := socket.FileConn(k.file, "udp") // which makes a descriptor of its own
	if err != nil {
		return nil, fmt.Errorf("%s: %w", k.what, err)
	}
	k.file.Close()
	opts := serving
	// Without the privilege the buffer could only become smaller than that it was given.
	opts.KeepBuffers = smaller(c)
	s, err := loop.New(c, opts)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", k.what, err)
	}
	return s, nil
}

// smaller reports whether to ask for the usual receive buffer would give less than a socket
// has: what systemd's ReceiveBuffer= gives is beyond the limits of other processes. It is
// tried with another socket.
func smaller(c *socket.Conn) bool {
	have, err := c.ReadBuffer()
	if err != nil {
		return true
	}
	other, err := socket.Socket(unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_UDP, "udp", nil)
	if err != nil {
		return true
	}
	defer other.Close()
	if err := other.SetReadBuffer(loop.DefaultReceiveBuffer); err != nil {
		return true
	}
	granted, err := other.ReadBuffer()
	return err != nil || granted < have
}

// warn says which sockets end with the process: what comes to those while the next one starts
// is refused.
func (p *passed) warn(log *slog.Logger) {
	if p != nil && len(p.others) > 0 {
		log.Warn("not all sockets are passed on: what comes to these while there is no server is refused",
			"not_passed", p.others)
	}
}

// rest fails if a socket is passed that no option asks for: what comes to it nobody would
// read.
func (p *passed) rest() error {
	if p == nil {
		return nil
	}
	for _, k := range p.socks {
		if !k.taken {
			return fmt.Errorf("%s listens on %v, which is neither --listen nor one of --receivers: "+
				"make them agree",
				k.what, k.addr)
		}
	}
	return nil
}
