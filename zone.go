package mdalp

import (
	"net/netip"

	"mdalp/loop"
)

// numbered gives an address as the kernel gives those of peers: a zone is the number of an
// interface, as in fe80::1%2 instead of fe80::1%eth0. Zones are compared as text, so they
// must all be written in one way (RFC 4007, section 11.2).
func numbered(a netip.Addr) (netip.Addr, error) {
	ap, err := loop.Zone(netip.AddrPortFrom(a, 0))
	if err != nil {
		return a, err
	}
	return ap.Addr(), nil
}

// fieldOf names the field, or argument, that an address came from by what it is.
var fieldOf = map[string]string{"orchestrator": "Orchestrator", "source": "Bind", "host": "hosts"}

// errNoZone refuses a link-local address that could be on any link.
func errNoZone(what string, a netip.Addr) error {
	return bad(fieldOf[what], "the %s's address %v is link-local: name its interface too, as in %v%%eth0",
		what, a, a)
}

// onLink gives an address with the number of its zone. A link-local address of IPv6 without
// one is refused: what says what it is.
func onLink(what string, a netip.Addr) (netip.Addr, error) {
	if a.Is6() && a.IsLinkLocalUnicast() && a.Zone() == "" {
		return a, errNoZone(what, a)
	}
	n, err := numbered(a)
	if err != nil {
		return a, bad(fieldOf[what], "the %s's address: %w", what, err)
	}
	return n, nil
}

// atHome completes a configuration by what only this host knows: the numbers of its
// interfaces, and its own addresses.
func (c *run) atHome() error {
	a, err := onLink("orchestrator", c.Orchestrator.Addr())
	if err != nil {
		return err
	}
	c.Orchestrator = netip.AddrPortFrom(a, c.Orchestrator.Port())
	for k, o := range c.Orchestrators {
		if a, err = onLink("orchestrator", o.Addr()); err != nil {
			return err
		}
		c.Orchestrators[k] = netip.AddrPortFrom(a, o.Port())
	}
	if c.Bind.IsValid() {
		if c.Bind, err = onLink("source", c.Bind); err != nil {
			return err
		}
	}
	c.number = numbered
	// A host that is sent to from its own address is this one (ip-route(8), local).
	c.ours = func(a netip.Addr) bool { return localTo(a) == a }
	return nil
}
