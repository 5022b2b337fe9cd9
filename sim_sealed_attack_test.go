package mdalp

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"mdalp/internal/sim"
	"mdalp/wire"
)

// mostTapped is how many datagrams attackers keep.
const mostTapped = 2000

// A packet is a datagram that attackers have seen.
type packet struct {
	from, to netip.AddrPort
	b        []byte
}

// attacker reports whether an address is one that attackers replay intents from.
func attacker(a netip.AddrPort) bool { return a.Addr().As4()[0] == 100 }

// plain reports whether an address is that of a client without a key.
func (sc *veiled) plain(a netip.AddrPort) bool {
	return slices.ContainsFunc(sc.clients, func(c *veiledClient) bool { return c.addr == a && !c.session.sealed() })
}

// stand puts attackers at some places of the paths: by clients, receivers, the orchestrator.
func (sc *veiled) stand() {
	if sc.attack == 0 {
		return
	}
	var places []netip.AddrPort
	for _, c := range sc.clients {
		places = append(places, c.addr)
	}
	places = append(append(places, sc.home), sc.receivers...)
	some := false
	for _, at := range places {
		if sc.rng.IntN(2) == 0 && some {
			continue
		}
		some = true
		sc.world.Host(at.Addr()).Mutate = func(to netip.AddrPort, b []byte) []byte { return sc.attacks(packet{at, to, b}) }
	}
}

// throw has a datagram arrive after a while.
func (sc *veiled) throw(after time.Duration, p packet) {
	sc.world.Inject(sc.world.Now().Sub(sim.Epoch)+after, p.from, p.to, bytes.Clone(p.b))
}

// attacks gives what becomes of a datagram that passes: the same, another, or nothing.
func (sc *veiled) attacks(p packet) []byte {
	r := sc.rng
	if len(sc.tapped) < mostTapped {
		sc.tapped = append(sc.tapped, packet{p.from, p.to, bytes.Clone(p.b)})
	}
	often := sc.attack
	if bytes.HasPrefix(p.b, []byte("Type:1;")) { // there are few of these
		often = max(often, 0.3)
	}
	if r.Float64() >= often {
		return p.b
	}
	old := sc.tapped[r.IntN(len(sc.tapped))]
	soon := sc.span(time.Microsecond, 10*time.Second)
	bad := packet{p.from, p.to, bytes.Clone(p.b)}
	switch r.IntN(12) {
	case 0:
		bad.b[r.IntN(len(bad.b))] ^= 1 << r.IntN(8)
	case 1:
		bad.b = bad.b[:r.IntN(len(bad.b))]
	case 2: // another header
		at := r.IntN(min(len(bad.b), 30))
		for k := range len(bad.b) {
			if c := &bad.b[(at+k)%len(bad.b)]; '0' <= *c && *c <= '9' {
				*c = '0' + byte(r.IntN(10))
				break
			}
		}
	case 3: // replayed, now or later
		sc.throw(soon, bad)
		return p.b
	case 4: // replayed from long ago
		bad = old
	case 5: // to another place, or back to where it came from
		bad = packet{old.to, old.from, old.b}
		if to := append(slices.Clone(sc.receivers), sc.home); r.IntN(2) == 0 {
			bad.from, bad.to = old.from, to[r.IntN(len(to))]
		}
	case 6: // held back
		if sc.gentle {
			soon = min(soon, time.Millisecond)
		}
		sc.throw(soon, bad)
		return nil
	case 7: // two transactions, or two of one, in one datagram
		bad.b = mixed(p.b, old.b, r.IntN(2) == 0)
	case 8, 9:
		bad = sc.lie(p)
	case 10: // an intent from elsewhere
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{100, 64, 0, byte(r.IntN(4))}), uint16(1+r.IntN(60000)))
		for _, x := range sc.tapped {
			if m, err := wire.Parse(x.b); err == nil && m.Type == wire.Intent && len(x.b) > 1000 {
				sc.throw(soon, packet{from, sc.home, x.b})
				break
			}
		}
		return p.b
	case 11:
		sc.thief(p)
		return p.b
	}
	if !sc.gentle && r.IntN(2) == 0 { // in place of what was sent
		bad.from, bad.to = p.from, p.to
		return bad.b
	}
	sc.throw(0, bad)
	return p.b
}

// mixed has the header of one and the DATA of another, or the TID of another.
func mixed(a, b []byte, tid bool) []byte {
	x, err := wire.Parse(a)
	y, also := wire.Parse(b)
	if err != nil || also != nil || x.Data == nil || y.Data == nil {
		return slices.Concat(a, b)
	}
	if tid {
		return bytes.Replace(a, fmt.Appendf(nil, "TID:%d;", x.TID), fmt.Appendf(nil, "TID:%d;", y.TID), 1)
	}
	return slices.Concat(a[:len(a)-len(x.Data)], y.Data)
}

// lie speaks plain in the name of one side of a datagram that passes.
func (sc *veiled) lie(p packet) packet {
	r := sc.rng
	m, err := wire.Parse(p.b)
	if err != nil {
		return p
	}
	tid, n := max(0, m.TID), max(0, m.Seq)+r.Int64N(3)
	client := slices.IndexFunc(sc.clients, func(c *veiledClient) bool { return c.addr == p.to || c.addr == p.from })
	c := sc.clients[max(0, client)]
	size, seg := int64(len(c.payload)), max(100, c.session.dialog.manifest.Seg)
	where := sc.receivers[r.IntN(len(sc.receivers))]
	digest := fmt.Sprintf("%064x", r.Uint64())
	if r.IntN(2) == 0 { // to the server
		q := packet{c.addr, where, nil}
		if r.IntN(4) == 0 {
			q.from = netip.MustParseAddrPort("10.66.0.1:6666")
		}
		data := bytes.Repeat([]byte{byte(r.Uint32())}, int(min(size, seg))+16*r.IntN(2))
		ask := wire.Manifest{Bytes: size, Seg: seg, Resume: wire.Absent}
		switch r.IntN(4) {
		case 0:
			q.b = wire.AppendData(nil, tid, n, data[:min(len(data), 100)])
		case 1:
			q.b = append(wire.AppendSegmentHeader(nil, tid, n, 1000+r.Int64N(1000), 1, 1), data...)
		case 2:
			ask.SHA256 = digest
			fallthrough
		default:
			q.to = sc.home
			q.b = wire.AppendManifest(nil, tid, 1000+n, &ask)
		}
		return q
	}
	q := packet{sc.home, c.addr, nil}
	offered := []wire.Receiver{{Host: "10.66.0.1"}}
	switch r.IntN(8) {
	case 0: // without the keys that make it extended
		q.b = wire.AppendOffer(nil, 1+r.Int64N(1000), offered)
	case 1:
		offered[0].Seg, offered[0].Win = 1000, 100
		q.b = wire.AppendOffer(nil, tid, offered)
	case 2:
		q.b = wire.AppendCookie(nil, "0123456789abcdef")
	case 3:
		q.b = wire.AppendSealedOffer(nil, tid, bytes.Repeat([]byte{byte(r.Uint32())}, 48+r.IntN(100)))
	case 4:
		q.from, q.b = where, wire.AppendAck(nil, tid, n)
	case 5:
		q.from, q.b = where, wire.AppendAckRanges(nil, tid, n, []wire.Range{{First: 0, Last: n}})
	case 6:
		st := wire.NewState(wire.Complete)
		q.b = wire.AppendState(nil, tid, n, &st)
	case 7:
		st := wire.NewState([]wire.Standing{wire.Refused, wire.Damaged}[r.IntN(2)])
		q.b = wire.AppendState(nil, tid, n, &st)
	}
	return q
}

// thief begins a transfer, with another key or none, that is to take over a transaction.
func (sc *veiled) thief(p packet) {
	m, err := wire.Parse(p.b)
	if err != nil || m.TID < 0 || len(sc.clients) > sc.ours {
		return
	}
	c := sc.clients[0]
	if c.session.tid != m.TID || c.session.dialog.manifest.Seg == 0 {
		return
	}
	k := &sc.keys[1]
	if sc.rng.IntN(2) == 0 {
		k = nil
	}
	was := Transaction{TID: m.TID, Segment: int(c.session.dialog.manifest.Seg)}
	sc.world.At(sc.world.Now().Sub(sim.Epoch)+time.Microsecond, func(now time.Time) { sc.add(k, &was, now) })
}
