package mdalp

import (
	"encoding/binary"
	"math"
	"net/netip"
	"time"

	"mdalp/internal/sim"
	"mdalp/loop"
)

// bulkLinks is what the links of a seed have in common.
type bulkLinks struct {
	base                time.Duration // of the delay
	kind                string
	loss, dup, reorder  float64
	burst, asym, clog   bool
	rate                int64 // bytes a second of the bottlenecks, 0: none
	queue               int64 // bytes
	steps, shared, reno bool
}

// drawLinks draws the paths between the clients and everybody else.
func (sc *bulk) drawLinks() {
	r, f := sc.rng, &sc.links
	f.base = sc.span(50*time.Microsecond, 200*time.Millisecond)
	f.kind = sim.Fixed
	if sc.with("jitter", 0.4) {
		f.kind = []string{sim.Uniform, sim.Normal}[r.IntN(2)]
	}
	if sc.with("loss", 0.45) {
		f.loss = math.Pow(10, -1-2*r.Float64())
		if r.IntN(8) == 0 {
			f.loss = 0.1 + 0.2*r.Float64()
		}
	}
	if sc.with("burst", 0.15) {
		f.burst = true
	}
	if sc.with("dup", 0.25) {
		f.dup = 0.3 * r.Float64()
	}
	if sc.with("reorder", 0.25) {
		f.reorder = 0.2 * r.Float64()
	}
	if sc.with("bottleneck", 0.5) {
		f.rate = int64(sc.span(20_000, 5_000_000))
		f.queue = int64(2+r.IntN(40)) * int64(1000+r.IntN(1000))
		f.queue = max(9500, min(f.queue, f.rate)) // one packet fits, and none waits much longer than a second
		f.steps, f.shared = sc.with("steps", 0.25), sc.with("shared", 0.5)
		f.reno = f.shared && sc.with("reno", 0.5)
	}
	f.asym = sc.with("asym", 0.3)
	f.clog = sc.with("clog", 0.06)
	sc.lossy = f.loss > 0 || f.burst || f.rate > 0 || f.reorder > 0 || f.kind != sim.Fixed || f.clog
	sc.faults = sc.faults || f.burst || f.loss > 0.02 || f.clog || f.rate > 0 && f.rate < 100_000
}

// link draws one direction of a path.
func (sc *bulk) link(base time.Duration, narrow bool) sim.LinkConfig {
	r, f := sc.rng, &sc.links
	if f.asym {
		base = time.Duration(float64(base) * (0.2 + 3*r.Float64()))
	}
	c := sim.LinkConfig{Delay: sim.Delay{Kind: f.kind, Mean: sim.Millis(base)}, Duplicate: f.dup}
	most := base
	if f.kind != sim.Fixed {
		c.Delay.Spread, c.Delay.Max = sim.Millis(float64(base)*r.Float64()/2), sim.Millis(2*base)
		c.InOrder = r.IntN(2) == 0
		most = 2 * base
	}
	c.Loss.P = f.loss * r.Float64()
	if f.reorder > 0 {
		c.Reorder = sim.Reorder{P: f.reorder * r.Float64(), Extra: sim.Millis(float64(base) * 3 * r.Float64())}
		most += time.Duration(c.Reorder.Extra)
	}
	if f.burst && r.IntN(2) == 0 {
		c.Loss.Burst = sim.Burst{Enter: 0.05 * r.Float64(), Leave: 0.05 + 0.5*r.Float64(), Bad: r.Float64()}
	}
	if narrow {
		c.Rate, c.Queue = f.rate, f.queue
		most += time.Duration(float64(f.queue) / float64(f.rate) * 1e9)
		if f.steps {
			for range 2 + r.IntN(4) {
				rate := max(f.rate/4, 20_000)
				c.Rates = append(c.Rates, sim.RateStep{For: sim.Millis(sc.span(10*time.Millisecond, 5*time.Second)), Rate: rate + r.Int64N(f.rate+1)})
				most += time.Duration(float64(f.queue) / float64(rate) * 1e9)
			}
		}
	}
	if f.clog && r.IntN(3) == 0 {
		from := sc.span(time.Millisecond, 10*time.Second)
		c.Clogs = append(c.Clogs, sim.Clog{From: sim.Millis(from), To: sim.Millis(from + sc.span(time.Millisecond, 20*time.Second))})
	}
	sc.trip = max(sc.trip, 2*most)
	return c
}

// paths lays the paths of a client. All its receivers may be behind one link, which
// another flow may use too.
func (sc *bulk) paths(w *bulkWatch) {
	r, f := sc.rng, &sc.links
	var routes []sim.Route
	seen := map[netip.Addr]bool{}
	for _, a := range sc.receivers {
		from, to := w.own(a.Addr()), a.Addr()
		if seen[to] {
			continue
		}
		seen[to] = true
		base := time.Duration(float64(f.base) * math.Pow(10, r.Float64()-0.5))
		if f.shared && r.IntN(5) > 0 {
			routes = append(routes, sim.Route{From: from, To: to})
		} else {
			sc.world.Path(from, to, sc.link(base, f.rate > 0))
		}
		sc.world.Path(to, from, sc.link(base, f.rate > 0 && r.IntN(8) == 0))
		ping := sc.link(base, false)
		ping.Clogs = nil
		sc.world.PingPath(from, to, ping)
	}
	if !seen[sc.home.Addr()] {
		sc.world.Path(w.own(sc.home.Addr()), sc.home.Addr(), sc.link(f.base, false))
		sc.world.Path(sc.home.Addr(), w.own(sc.home.Addr()), sc.link(f.base, false))
	}
	if len(routes) == 0 {
		return
	}
	if f.reno {
		a, b := netip.AddrFrom4([4]byte{10, 9, byte(w.id), 1}), netip.AddrFrom4([4]byte{10, 9, byte(w.id), 2})
		routes = append(routes, sim.Route{From: a, To: b})
		sc.world.Path(b, a, sc.link(f.base, false))
		from, to := netip.AddrPortFrom(a, 1), netip.AddrPortFrom(b, 1)
		sc.world.Add("reno", newReno(to, 30*time.Second), sim.Socket{Addrs: []netip.AddrPort{from}})
		sc.world.Add("reno's peer", new(renoPeer), sim.Socket{Addrs: []netip.AddrPort{to}})
	}
	sc.world.Share(sc.link(f.base, true), routes...)
}

// A reno is a flow that takes its part of a link: Reno's congestion control (RFC 5681)
// over packets that say their number, without SACK. It sends for a while, and has an
// endless lot to send.
type reno struct {
	to             netip.AddrPort
	until          time.Time
	cwnd, ssthresh float64 // packets
	next, una      int64
	high           int64 // recovery lasts until this is acknowledged
	dups           int
	srtt           time.Duration
	timed          int64 // the packet that is timed, and when it was sent
	at             time.Time
	due            time.Time // of the retransmission timeout
	again          bool      // una is to be sent again
}

const renoPacket = 1200

func newReno(to netip.AddrPort, d time.Duration) *reno {
	return &reno{to: to, until: sim.Epoch.Add(d), cwnd: 2, ssthresh: 1 << 20, srtt: 500 * time.Millisecond, due: sim.Epoch.Add(d)}
}

// Receive implements loop.Handler: a packet says what is awaited next.
func (f *reno) Receive(now time.Time, _ *loop.Envelope, b []byte) {
	ack := int64(binary.BigEndian.Uint64(b))
	switch {
	case ack > f.una:
		if f.timed >= f.una && f.timed < ack {
			f.srtt += (now.Sub(f.at) - f.srtt) / 8
		}
		f.una, f.next = ack, max(f.next, ack)
		f.due = now.Add(2*f.srtt + 200*time.Millisecond)
		if f.dups >= 3 && ack < f.high { // a partial one (RFC 6582)
			f.again = true
			return
		}
		f.dups = 0
		if f.cwnd < f.ssthresh {
			f.cwnd++
		} else {
			f.cwnd += 1 / f.cwnd
		}
	case ack == f.una && f.next > f.una:
		if f.dups++; f.dups == 3 {
			f.ssthresh = max(2, f.cwnd/2)
			f.cwnd, f.high, f.again = f.ssthresh, f.next, true
		}
	}
}

// Fail implements loop.Handler.
func (f *reno) Fail(time.Time, *loop.Envelope, error) {}

// Expire implements loop.Handler.
func (f *reno) Expire(now time.Time) {
	if now.Before(f.due) || f.next == f.una {
		return
	}
	f.ssthresh, f.cwnd, f.next, f.dups = max(2, f.cwnd/2), 1, f.una, 0
	f.due = now.Add(2*f.srtt + time.Second)
}

// Transmit implements loop.Handler.
func (f *reno) Transmit(now time.Time, e *loop.Envelope, b []byte) ([]byte, bool) {
	if now.After(f.until) {
		return b, false
	}
	k := f.next
	switch {
	case f.again:
		k, f.again = f.una, false
	case float64(f.next-f.una) < f.cwnd:
		f.next++
	default:
		return b, false
	}
	if f.timed < f.una {
		f.timed, f.at = k, now
	}
	if f.due.Before(now) || f.next-f.una == 1 {
		f.due = now.Add(2*f.srtt + time.Second)
	}
	e.Peer = f.to
	b = binary.BigEndian.AppendUint64(b, uint64(k))
	return append(b, make([]byte, renoPacket-8)...), true
}

// Next implements loop.Handler.
func (f *reno) Next() (time.Time, bool) {
	if f.next == f.una {
		return f.until.Add(time.Hour), true
	}
	return f.due, f.due.Before(f.until)
}

// A renoPeer acknowledges each packet with the number of the first that is missing.
type renoPeer struct {
	has  map[int64]bool
	next int64
	from []netip.AddrPort
}

// Receive implements loop.Handler.
func (p *renoPeer) Receive(_ time.Time, e *loop.Envelope, b []byte) {
	if p.has == nil {
		p.has = map[int64]bool{}
	}
	if k := int64(binary.BigEndian.Uint64(b)); k >= p.next {
		p.has[k] = true
	}
	for p.has[p.next] {
		delete(p.has, p.next)
		p.next++
	}
	p.from = append(p.from, e.Peer)
}

// Fail implements loop.Handler.
func (p *renoPeer) Fail(time.Time, *loop.Envelope, error) {}

// Expire implements loop.Handler.
func (p *renoPeer) Expire(time.Time) {}

// Transmit implements loop.Handler.
func (p *renoPeer) Transmit(_ time.Time, e *loop.Envelope, b []byte) ([]byte, bool) {
	if len(p.from) == 0 {
		return b, false
	}
	e.Peer = p.from[0]
	p.from = p.from[1:]
	return binary.BigEndian.AppendUint64(b, uint64(p.next)), true
}

// Next implements loop.Handler.
func (p *renoPeer) Next() (time.Time, bool) { return sim.Epoch.Add(10 * time.Hour), true }
