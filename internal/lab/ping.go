package lab

import (
	"encoding/binary"
	"net/netip"
	"time"

	"mdalp/internal/sim"
	"mdalp/loop"
)

// ping answers an echo request after the round trip of the place.
func (w *wan) ping(at time.Duration, e *loop.Envelope, b []byte) {
	w.stats.Pings++
	// A raw IPv4 socket gives the IP header too, an IPv6 one does not (raw(7)).
	if e.Peer.Addr().Is4() && len(b) >= 20 && b[0]>>4 == 4 {
		b = b[min(int(b[0]&15)*4, len(b)):]
	}
	i, ok := w.byAddr[e.Local.Addr()]
	if !ok || len(b) < 8 || b[0] != 8 && b[0] != 128 {
		// Also the requests that go to the client's own address.
		w.stats.Refused++
		return
	}
	id := netip.AddrPortFrom(e.Peer.Addr(), binary.BigEndian.Uint16(b[4:]))
	f := w.flow(w.pings, id, at)
	if f == nil {
		w.stats.Refused++
		return
	}
	p := &w.places[i]
	if p.silent(at - f.start) {
		w.stats.Silenced++
		return
	}
	l := w.link(&f.paths[i].forward, &p.ping, f, i, seedPing)
	env := loop.Envelope{Sock: e.Sock, Peer: e.Peer, Local: netip.AddrPortFrom(p.addr, 0)}
	w.scratch = append(w.scratch[:0], b...)
	if r := sim.EchoReply(w.scratch); r != nil {
		w.carry(l.Send(at, len(b)), outbound, f, i, &env, r)
	}
}
