package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"mdalp"
	"mdalp/cmd/internal/usage"
)

// resolve looks up the orchestrators and the source address. The orchestrators first, as
// the family of the first decides which of an interface's addresses to take.
func (o *sendOptions) resolve(ctx context.Context, c *mdalp.Config) error {
	family := 0
	switch {
	case o.ipv4:
		family = 4
	case o.ipv6:
		family = 6
	}
	var all []netip.AddrPort
	for _, host := range strings.Split(o.addr, ",") {
		if host == "" {
			return usage.Errorf("-a %s: between the commas an address is missing", o.addr)
		}
		some, err := lookUpAll(ctx, host, o.port, family)
		if err != nil {
			return err
		}
		all = append(all, some...)
	}
	if c.Key != nil && !strings.Contains(o.addr, ",") {
		all = all[:1] // of a name; a sealed transaction has one
	}
	var err error
	c.Orchestrator, c.Orchestrators = all[0], all[1:]
	if o.bind != "" {
		if c.Bind, err = localFor(o.bind, c.Orchestrator.Addr()); err != nil {
			return fmt.Errorf("--bind %s: %w", o.bind, err)
		}
	}
	return nil
}

// broadcast is every host of the network.
var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// lookUp gives the address behind -a; the first, if a name has several.
func lookUp(ctx context.Context, host string, port uint16, family int) (netip.AddrPort, error) {
	all, err := lookUpAll(ctx, host, port, family)
	if err != nil {
		return netip.AddrPort{}, err
	}
	return all[0], nil
}

// lookUpAll gives the addresses behind one host of -a, of which there is one at least.
func lookUpAll(ctx context.Context, host string, port uint16, family int) ([]netip.AddrPort, error) {
	all, err := mdalp.ResolveAll(ctx, bare(host), port, family)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return nil, cause
		}
		return nil, fmt.Errorf("-a %s: %s", host, misread(host, reason(err)))
	}
	for _, to := range all {
		a := to.Addr()
		if a.IsUnspecified() || a.IsMulticast() || a == broadcast {
			// None whose answer could be told from others.
			return nil, fmt.Errorf("-a %s: it is no address of one host", host)
		}
		if err := zoned(a); err != nil {
			return nil, fmt.Errorf("-a %s: %w", host, err)
		}
	}
	return all, nil
}

// bare takes the brackets off an IPv6 address that is written as in a URL.
func bare(host string) string {
	if a, ok := strings.CutPrefix(host, "["); ok && strings.HasSuffix(a, "]") && strings.Contains(a, ":") {
		return a[:len(a)-1]
	}
	return host
}

// misread says what is wrong with a host that has no address for that reason, where it
// looks like what other programs take.
func misread(host, reason string) string {
	if _, rest, ok := strings.Cut(host, "://"); ok {
		rest, _, _ = strings.Cut(rest, "/")
		if h, p, err := net.SplitHostPort(rest); err == nil {
			return fmt.Sprintf("it is no URL that is wanted: -a %s -p %s", h, p)
		}
		return "it is no URL that is wanted: -a " + bare(rest)
	}
	if h, p, err := net.SplitHostPort(host); err == nil {
		return fmt.Sprintf("the port goes behind -p: -a %s -p %s", h, p)
	}
	return reason
}

// zoned says what is wrong with the zone of an address: an IPv6 address that is the same on
// every network needs one, and it must be there.
func zoned(a netip.Addr) error {
	switch z := a.Zone(); {
	case z != "" && !isInterface(z): // the kernel would take another one
		return fmt.Errorf("there is no interface %s", z)
	case z == "" && a.Is6() && a.IsLinkLocalUnicast():
		return fmt.Errorf("name the interface too, as in %s%%eth0", a)
	}
	return nil
}

// isInterface reports whether an interface has that name or number.
func isInterface(zone string) bool {
	_, err := net.InterfaceByName(zone)
	if n, e := strconv.Atoi(zone); err != nil && e == nil {
		_, err = net.InterfaceByIndex(n)
	}
	return err == nil
}

// localFor gives the address that --bind names: an address, or an interface's first of
// the family of to, and of its scope if it can be. It does not look whether this host has
// an address that was spelled out: bind(2) will.
func localFor(name string, to netip.Addr) (netip.Addr, error) {
	if a, err := netip.ParseAddr(bare(name)); err == nil {
		if a.Is4() != to.Is4() && a != netip.IPv6Unspecified() {
			return netip.Addr{}, fmt.Errorf("it is not of the orchestrator's address family")
		}
		if a.IsMulticast() || a == broadcast { // which bind(2) takes, and then nothing comes back
			return netip.Addr{}, fmt.Errorf("it is no address of one host")
		}
		return a, zoned(a)
	}
	i, err := net.InterfaceByName(name)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("it is neither an address nor an interface")
	}
	all, err := i.Addrs()
	if err != nil {
		return netip.Addr{}, err
	}
	var other netip.Addr
	for _, x := range all {
		p, err := netip.ParsePrefix(x.String())
		if err != nil || p.Addr().Is4() != to.Is4() {
			continue
		}
		a := p.Addr()
		local := a.Is6() && a.IsLinkLocalUnicast()
		if local {
			a = a.WithZone(name)
		}
		if local == (to.Is6() && to.IsLinkLocalUnicast()) {
			return a, nil
		}
		other = a
	}
	if !other.IsValid() {
		return netip.Addr{}, fmt.Errorf("the interface has no address of the orchestrator's family")
	}
	return other, nil
}
