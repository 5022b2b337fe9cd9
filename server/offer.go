package server

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"mdalp/wire"
)

// offered is the receivers as an offer names them. Names are left out where that
// is what lets an original client read the whole offer, for it needs addresses
// alone.
func (c *Config) offered() ([]wire.Receiver, error) {
	if c.Fleet != nil {
		return nil, nil // each transaction has its own
	}
	if len(c.Receivers) == 0 {
		return nil, errors.New("server: no receivers")
	}
	named := make([]wire.Receiver, len(c.Receivers))
	bare := make([]wire.Receiver, len(c.Receivers))
	for i, r := range c.Receivers {
		if !r.Addr.IsValid() || r.Addr.Addr().IsUnspecified() || r.Addr.Port() == 0 {
			return nil, fmt.Errorf("server: no client can send to receiver %s", r.Addr)
		}
		bare[i].Host = canonical(r.Addr).Addr().String()
		if r.Addr.Port() != Port {
			bare[i].Port = r.Addr.Port()
		}
		named[i] = bare[i]
		named[i].Name = r.Name
	}
	// The most that an original client reads; where nothing helps, the most that is a
	// datagram.
	forms := [][]wire.Receiver{c.extend(named, true), c.extend(bare, true), c.extend(bare, false), bare}
	offer := fitting(forms, original)
	if offer == nil {
		offer = fitting(forms, wire.MaxDatagram)
	}
	if offer == nil {
		return nil, fmt.Errorf("server: an offer of %d receivers has %d bytes, more than a datagram",
			len(bare), offerLen(named))
	}
	// What we would not read ourselves we do not send.
	if _, err := wire.ParseReceivers(wire.AppendReceivers(nil, offer)); err != nil {
		return nil, fmt.Errorf("server: receivers cannot be offered: %w", err)
	}
	return offer, nil
}

// Extends reports whether receivers are offered by the extended protocol, and how many of them, from
// the first on, an offer would have room for: a few may leave none for what only that needs.
func (c *Config) Extends() (extends bool, room int) {
	d, err := c.withDefaults()
	if err != nil {
		return false, 0
	}
	for room = len(c.Receivers); room > 0; room-- {
		d.Receivers = c.Receivers[:room]
		if rs, err := d.offered(); err == nil && rs[0].Seg > 0 {
			break
		}
	}
	return room == len(c.Receivers), room
}

// fitting is the first of several offers that has at most so many bytes; nil when none has.
func fitting(offers [][]wire.Receiver, most int) []wire.Receiver {
	for _, rs := range offers {
		if offerLen(rs) <= most {
			return rs
		}
	}
	return nil
}

// extend adds what makes an offer one of the extended protocol, and perhaps that segments
// may be short; the longest window stands for those to come.
func (c *Config) extend(rs []wire.Receiver, short bool) []wire.Receiver {
	if c.Base {
		return rs
	}
	rs = slices.Clone(rs)
	for i := range rs {
		rs[i].Seg, rs[i].Win, rs[i].Short = c.Segment, wire.MaxWindow, short
	}
	return rs
}

// offerLen is how many bytes an offer has: in a fleet about, as each has other receivers.
func (c *Config) offerLen(rs []wire.Receiver) int {
	if c.Fleet != nil {
		return original / 2
	}
	return offerLen(rs)
}

func offerLen(rs []wire.Receiver) int { return len(wire.AppendOffer(nil, wire.MaxNumber, rs)) }

// canonical is an address as it is compared: IPv4 never mapped, and no zone.
func canonical(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}
