package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"

	"mdalp/cmd/internal/usage"
	"mdalp/server"
	"mdalp/wire"
)

// readable is how much of an offer the original client reads, in bytes.
const readable = 1024

// where reads --listen.
func (o *options) where() (netip.AddrPort, error) {
	a, err := address(o.listen, server.Port)
	switch {
	case err != nil:
	case !oneHost(a.Addr()):
		err = errors.New("it is no address of this host")
	case a.Addr().Is6() && a.Addr().IsLinkLocalUnicast() && a.Addr().Zone() == "":
		err = fmt.Errorf("a link-local address needs its interface, as in %s%%eth0", a.Addr())
	}
	if err != nil {
		return a, usage.Errorf("--listen %s: %w", usage.Shown(o.listen), err)
	}
	return a, nil
}

// offered gives the receivers that every client is offered.
func (o *options) offered(listen netip.AddrPort) ([]server.Receiver, error) {
	if len(o.receivers) == 0 {
		// A zone names an interface of this host (RFC 4007), which means nothing to others.
		if listen.Addr().Zone() != "" {
			return nil, usage.Errorf("--listen %s: clients cannot use an address with a zone: "+
				"give others by --receivers",
				o.listen)
		}
		o.receivers = []string{netip.AddrPortFrom(own(listen.Addr()), listen.Port()).String()}
	}
	if len(o.names) > len(o.receivers) {
		return nil, usage.Errorf("--names: %d names for %d receivers", len(o.names), len(o.receivers))
	}
	rs := make([]server.Receiver, 0, len(o.receivers))
	seen := make(map[netip.AddrPort]bool)
	for i, text := range o.receivers {
		a, err := address(text, server.Port)
		switch {
		case err != nil:
			return nil, usage.Errorf("--receivers %s: %w", usage.Shown(text), err)
		case a.Addr().IsUnspecified() || !oneHost(a.Addr()):
			return nil, usage.Errorf("--receivers %s: give an address that clients can send to", text)
		case a.Addr().Is6() && a.Addr().IsLinkLocalUnicast():
			// It would need a zone, and each client's is another.
			return nil, usage.Errorf("--receivers %s: clients cannot use a link-local address: "+
				"give another one", text)
		case seen[a]:
			return nil, usage.Errorf("--receivers: receiver %v is given twice", a)
		}
		seen[a] = true
		r := server.Receiver{Addr: a}
		if i < len(o.names) {
			r.Name = o.names[i]
		}
		rs = append(rs, r)
	}
	return named(rs), nil
}

// named gives names to receivers that have none, if clients can read the offer then:
// some take it apart by position, and break where a name is missing.
func named(rs []server.Receiver) []server.Receiver {
	all := slices.Clone(rs)
	told := make([]wire.Receiver, len(rs))
	for i := range all {
		r := &all[i]
		if r.Name == "" {
			r.Name = fmt.Sprintf("Receiver %d", i+1)
		}
		told[i] = wire.Receiver{Host: r.Addr.Addr().String(), Name: r.Name}
		if r.Addr.Port() != server.Port {
			told[i].Port = r.Addr.Port()
		}
	}
	if len(wire.AppendOffer(nil, wire.MaxNumber, told)) > readable {
		return rs
	}
	return all
}

// oneHost reports whether an address may be a host's, and not that of many.
func oneHost(a netip.Addr) bool {
	return !a.IsMulticast() && a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// address reads ADDR, ADDR:PORT, [ADDR]:PORT or :PORT. A zone becomes the number of its
// interface, since that is what the kernel tells of those who send.
func address(text string, port uint16) (netip.AddrPort, error) {
	a, err := netip.ParseAddr(text)
	if err != nil {
		host, p, err := net.SplitHostPort(text)
		if err != nil {
			return netip.AddrPort{}, errors.New("it is ADDR or ADDR:PORT")
		}
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return netip.AddrPort{}, fmt.Errorf("port %q: it is 1 to 65535", p)
		}
		port, a = uint16(n), netip.IPv6Unspecified()
		if host != "" {
			if a, err = netip.ParseAddr(host); err != nil {
				return netip.AddrPort{}, fmt.Errorf("%q is no address", host)
			}
		}
	}
	a, err = numbered(a.Unmap())
	return netip.AddrPortFrom(a, port), err
}

// numbered gives a with its zone as a number (RFC 4007, section 11).
func numbered(a netip.Addr) (netip.Addr, error) {
	zone := a.Zone()
	switch {
	case zone == "":
		return a, nil
	case !a.IsLinkLocalUnicast() && !a.IsMulticast():
		return a, errors.New("only a link-local address has an interface behind it")
	}
	var i *net.Interface
	n, err := strconv.Atoi(zone)
	if err == nil {
		i, err = net.InterfaceByIndex(n)
	} else {
		i, err = net.InterfaceByName(zone)
	}
	if err != nil {
		return a, fmt.Errorf("this host has no interface %q", zone)
	}
	return a.WithZone(strconv.Itoa(i.Index)), nil
}

// own is the address to offer when none is named: the one that is listened on, or that
// of the way out of this host, or of an interface, or loopback. IPv4 comes first, since
// the original clients know nothing else.
func own(listen netip.Addr) netip.Addr {
	if !listen.IsUnspecified() {
		return listen
	}
	// Addresses for documentation (RFC 5737, RFC 3849): nobody's route leads to them but
	// the default one.
	outs := []string{"192.0.2.1:9"}
	if listen.Is6() {
		outs = append(outs, "[2001:db8::1]:9")
	}
	for _, out := range outs {
		if a, err := localFor(netip.Addr{}, netip.MustParseAddrPort(out)); err == nil && a.IsGlobalUnicast() {
			return a
		}
	}
	// Without a default route.
	for _, a := range interfaces() {
		if a.Is4() {
			return a
		}
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, 1})
}

// interfaces gives the global addresses of interfaces that are up. Bridges are left out:
// those of containers and virtual machines (docker0, virbr0) lead to nobody outside.
func interfaces() (as []netip.Addr) {
	is, _ := net.Interfaces()
	for _, i := range is {
		if i.Flags&net.FlagUp == 0 || bridge(i.Name) {
			continue
		}
		all, _ := i.Addrs()
		for _, x := range all {
			if p, err := netip.ParsePrefix(x.String()); err == nil && p.Addr().IsGlobalUnicast() {
				as = append(as, p.Addr())
			}
		}
	}
	return as
}
