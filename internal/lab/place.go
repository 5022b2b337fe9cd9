package lab

import (
	"net/netip"
	"time"

	"mdalp/internal/sim"
)

// The client's addresses, from which it sends to the addresses that are played.
var (
	client4 = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	client6 = netip.IPv6Loopback()
)

// A place is an address that is played: the orchestrator's at index 0, then those
// of the receivers.
type place struct {
	addr                    netip.Addr
	port                    uint16 // 0 where nothing listens
	forward, backward, ping sim.LinkConfig

	dead, refuse  bool
	dies, revives time.Duration // after the first datagram of a flow; 0 is never
}

// places lists the addresses of a profile.
func (p *Profile) places() []place {
	o := &p.Orchestrator
	ps := []place{{addr: o.Address, forward: o.Forward, backward: o.Backward, ping: o.Ping}}
	for i := range p.Receivers {
		r := &p.Receivers[i]
		ps = append(ps, place{
			addr: r.Address, forward: r.Forward, backward: r.Backward, ping: r.Ping,
			dead: r.Dead, refuse: r.Refuse,
			dies: time.Duration(r.DieAfter), revives: time.Duration(r.ReviveAfter),
		})
	}
	return ps
}

// silent says whether nothing is heard of the place, at a time since the first
// datagram of the flow.
func (p *place) silent(t time.Duration) bool {
	return p.dead || p.dies > 0 && t >= p.dies && (p.revives == 0 || t < p.revives)
}

// standIn is the loopback address that stands for place i where no network of our
// own can be had. All of 127.0.0.0/8 is local without any setting.
func standIn(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{127, 77, byte((i + 1) >> 8), byte(i + 1)})
}
