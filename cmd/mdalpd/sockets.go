package main

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"mdalp/loop"
	"mdalp/server"
)

// open opens the orchestrator's socket, which is the first, and those of the receivers
// that it is not one for: whoever names an address listens there and nowhere else, so
// that a server on loopback is out of the network's reach. Only a wildcard address
// serves others, all that have its port: thousands may be offered. It fills in which
// receiver has which socket. What is passed is taken instead of opened, and all of it must be.
func open(in *passed, listen netip.AddrPort, rs []server.Receiver) (socks []*loop.Socket, err error) {
	defer func() {
		if err != nil {
			for _, k := range socks {
				k.Close()
			}
		}
	}()
	what := "--listen " + listen.String()
	if _, err := localFor(listen.Addr(), listen); errors.Is(err, syscall.EACCES) {
		return nil, fmt.Errorf("%s: it is the address of a whole network, not of this host", what)
	}
	first, err := in.bind(what, listen)
	if err != nil {
		return nil, err
	}
	socks = append(socks, first)
	for i := range rs {
		r := &rs[i]
		a := r.Addr.Addr()
		what := "--receivers " + r.Addr.String()
		// A socket on the wildcard address would not tell. A dead receiver helps nobody.
		if err := local(a); err != nil {
			return socks, fmt.Errorf("%s: %w", what, err)
		}
		// A socket of its own gets what is for its address, whatever else is open.
		if r.Addr == listen ||
			in.find(r.Addr) == nil && r.Addr.Port() == listen.Port() && covers(first.LocalAddr().Addr(), a) {
			continue
		}
		s, err := in.bind(what, r.Addr)
		if err != nil {
			return socks, err
		}
		r.Sock = len(socks)
		socks = append(socks, s)
	}
	return socks, in.rest()
}

// covers reports whether a socket on the wildcard address w takes what is for a.
func covers(w, a netip.Addr) bool {
	return w == netip.IPv6Unspecified() || w == netip.IPv4Unspecified() && a.Is4()
}

// serving are the settings of a server's socket: PacketInfo because answers must leave from the
// address that was addressed.
var serving = loop.Options{PacketInfo: true, Trains: true}

// bind opens one socket; what names its option.
func bind(what string, a netip.AddrPort) (*loop.Socket, error) {
	s, err := loop.Listen(a, serving)
	// A kernel without IPv6, and ":4650" asked for every address that there is.
	if errors.Is(err, syscall.EAFNOSUPPORT) && a.Addr() == netip.IPv6Unspecified() {
		s, err = loop.Listen(netip.AddrPortFrom(netip.IPv4Unspecified(), a.Port()), serving)
	}
	if err != nil {
		return nil, &portError{what, a, err}
	}
	return s, nil
}

// A portError is the error of a socket that cannot be opened.
type portError struct {
	what string // its option
	addr netip.AddrPort
	err  error
}

func (e *portError) Error() string { return fmt.Sprintf("%s: %v%s", e.what, e.err, advice(e.err)) }

func (e *portError) Unwrap() error { return e.err }

// local refuses what is no address of this host.
func local(a netip.Addr) error {
	_, err := localFor(a, netip.AddrPortFrom(a, server.Port))
	for _, e := range []error{syscall.EADDRNOTAVAIL, syscall.EACCES, syscall.EAFNOSUPPORT} {
		if errors.Is(err, e) {
			return errors.New("it is no address of this host")
		}
	}
	return nil // any other error is not about that
}

// localFor gives the address from which this host sends to another one, which sends
// nothing. from is where to send from, if it is valid; EADDRNOTAVAIL says that it is not
// this host's, and EACCES that to is a broadcast address (connect(2)).
func localFor(from netip.Addr, to netip.AddrPort) (netip.Addr, error) {
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		// Go allows broadcasts on every socket.
		var err error
		e := c.Control(func(fd uintptr) {
			err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_BROADCAST, 0)
		})
		return cmp.Or(e, err)
	}}
	if from.IsValid() {
		d.LocalAddr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
	}
	c, err := d.Dial("udp", to.String())
	if err != nil {
		return netip.Addr{}, err
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap(), nil
}

// advice says what to do about an error of bind(2).
func advice(err error) string {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return ": another program has the port, choose another one"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return ": this host has no such address"
	case errors.Is(err, syscall.EACCES):
		return ": ports below 1024 are root's"
	}
	return ""
}
