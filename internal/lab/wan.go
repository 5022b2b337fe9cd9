package lab

import (
	"net/netip"
	"time"

	"mdalp/internal/sim"
	"mdalp/loop"
)

// Bounds of memory. What comes beyond them is dropped and counted.
const (
	maxFlows   = 1 << 16 // clients, by address and port
	maxPending = 1 << 18 // datagrams under way
)

// wan is the wide-area network around a program: a [loop.Handler] that hands
// datagrams to the inner one, and the inner one's to the sockets, late, lost,
// doubled or damaged as the links of their paths say. It answers pings itself.
//
// Each flow, which is a client's address and port, has links of its own, seeded
// from the flow's number in order of first appearance. So transfers side by side
// do not change each other's luck, and the same seed plays the same network again.
type wan struct {
	inner  loop.Handler
	seed   uint64
	access *Access // the client's line, or nil
	shared path    // of all clients, if that line is shared
	places []place
	byAddr map[netip.Addr]int
	socks  []int // index of the place of each socket, -1 for ICMP

	begun bool
	epoch time.Time // of the links: the first instant seen
	flows map[netip.AddrPort]*flow
	pings map[netip.AddrPort]*flow // the port is the echo identifier

	due   sim.Agenda
	seq   uint64
	slots []parcel
	free  []int32
	ready []int32 // what may leave now
	head  int     // the first of ready

	// What is handed to the inner program is here so that it is not allocated.
	env     loop.Envelope
	scratch []byte

	stats Stats
}

// Stats counts what the network did.
type Stats struct {
	Datagrams int64 // that entered it, from both sides, without pings
	Pings     int64 // echo requests
	Lost      int64 // by chance, a full queue or a clogged link, both of those
	Silenced  int64 // to or from a receiver that was dead
	Doubled   int64
	Damaged   int64
	Refused   int64 // dropped for want of memory, or in no form we know
}

// A flow is what belongs to one client.
type flow struct {
	number uint64
	start  time.Duration
	paths  []path // by place
	access path   // its own line
}

// path holds the links between a client and a place, made on first use.
type path struct{ forward, backward *sim.Link }

// The kinds of events.
const (
	inbound  uint8 = iota // a datagram reaches the inner program
	outbound              // a datagram reaches the client
	leaving               // a datagram has passed the client's line, on its way to the inner program
	homing                // a datagram from there reaches the client's line
)

// parcel is a datagram under way. Its buffer is used again.
type parcel struct {
	env   loop.Envelope
	buf   []byte
	flow  *flow
	place int
}

// newWan wraps inner. access is the client's line, or nil. socks tells the index of the place
// at each socket of the loop, -1 for an ICMP socket.
func newWan(inner loop.Handler, seed uint64, access *Access, places []place, socks []int) *wan {
	w := &wan{
		inner: inner, seed: seed, access: access, places: places, socks: socks,
		byAddr: map[netip.Addr]int{},
		flows:  map[netip.AddrPort]*flow{},
		pings:  map[netip.AddrPort]*flow{},
	}
	for i, p := range places {
		w.byAddr[p.addr] = i
	}
	return w
}

// since is the instant on the clock of the links.
func (w *wan) since(now time.Time) time.Duration {
	if !w.begun {
		w.begun, w.epoch = true, now
	}
	return now.Sub(w.epoch)
}

// flow finds a flow, or opens it; nil when there are too many.
func (w *wan) flow(of map[netip.AddrPort]*flow, peer netip.AddrPort, now time.Duration) *flow {
	f := of[peer]
	if f == nil && len(of) < maxFlows {
		f = &flow{number: uint64(len(of)), start: now, paths: make([]path, len(w.places))}
		of[peer] = f
	}
	return f
}

// Receive implements [loop.Handler].
func (w *wan) Receive(now time.Time, e *loop.Envelope, b []byte) {
	at := w.since(now)
	i := w.socks[e.Sock]
	if i < 0 {
		w.ping(at, e, b)
		return
	}
	w.stats.Datagrams++
	f := w.flow(w.flows, e.Peer, at)
	if f == nil {
		w.stats.Refused++
		return
	}
	p := &w.places[i]
	env := *e
	// The server knows its receivers by their addresses, whether or not the socket
	// tells them.
	env.Local = netip.AddrPortFrom(p.addr, p.port)
	if w.access != nil {
		l := w.link(&w.line(f).forward, &w.access.Forward, f, 0, seedAccessForward)
		w.carry(l.Send(at, len(b)), leaving, f, i, &env, b)
		return
	}
	w.forward(at, f, i, &env, b)
}

// Fail implements [loop.Handler]. Errors belong to the sockets, not to the network
// that is played; the inner program hears of them.
func (w *wan) Fail(now time.Time, e *loop.Envelope, err error) {
	if w.socks[e.Sock] >= 0 {
		w.inner.Fail(now, e, err)
	}
}

// Expire implements [loop.Handler].
func (w *wan) Expire(now time.Time) {
	at := w.since(now)
	for {
		moved := w.deliver(now, at)
		if due, ok := w.inner.Next(); ok && !due.After(now) {
			w.inner.Expire(now)
		}
		// What the inner program sends may be due at once, on a link without delay,
		// and it may have been waiting for nothing else.
		if sent := w.collect(now, at); !moved && !sent {
			return
		}
	}
}

// deliver brings home what is due.
func (w *wan) deliver(now time.Time, at time.Duration) (moved bool) {
	for len(w.due) > 0 && w.due[0].At <= int64(at) {
		e := w.due.Pop()
		moved = true
		p := &w.slots[e.Slot]
		switch e.Kind {
		case outbound:
			w.ready = append(w.ready, e.Slot)
			continue
		case leaving, homing:
			w.cross(e.Kind, time.Duration(e.At), *p)
			w.free = append(w.free, e.Slot)
			continue
		}
		if w.places[p.place].silent(time.Duration(e.At) - p.flow.start) {
			w.stats.Silenced++
		} else {
			p.env.At = w.epoch.Add(time.Duration(e.At))
			w.inner.Receive(now, &p.env, p.buf)
		}
		w.free = append(w.free, e.Slot)
	}
	return moved
}

// cross takes a datagram from one link of its way to the next. p is a copy, as what it is
// carried in may move.
func (w *wan) cross(kind uint8, at time.Duration, p parcel) {
	if kind == leaving {
		w.forward(at, p.flow, p.place, &p.env, p.buf)
		return
	}
	l := w.link(&w.line(p.flow).backward, &w.access.Backward, p.flow, 0, seedAccessBackward)
	w.carry(l.Send(at, len(p.buf)), outbound, p.flow, p.place, &p.env, p.buf)
}

// collect takes what the inner program sends, and puts it on the way back.
func (w *wan) collect(now time.Time, at time.Duration) (sent bool) {
	for {
		e := &w.env
		*e = loop.Envelope{}
		b, ok := w.inner.Transmit(now, e, w.scratch[:0])
		w.scratch = b
		if !ok {
			return sent
		}
		sent = true
		w.stats.Datagrams++
		i := w.socks[e.Sock]
		f := w.flow(w.flows, e.Peer, at)
		if i < 0 || f == nil {
			w.stats.Refused++
			continue
		}
		p := &w.places[i]
		if p.silent(at - f.start) {
			w.stats.Silenced++
			continue
		}
		l := w.link(&f.paths[i].backward, &p.backward, f, i, seedBackward)
		kind := outbound
		if w.access != nil {
			kind = homing
		}
		w.carry(l.Send(at, len(b)), kind, f, i, e, b)
	}
}

// Transmit implements [loop.Handler].
func (w *wan) Transmit(now time.Time, e *loop.Envelope, b []byte) (out []byte, ok bool) {
	if w.head == len(w.ready) {
		w.ready, w.head = w.ready[:0], 0
		return b, false
	}
	s := w.ready[w.head]
	w.head++
	p := &w.slots[s]
	*e = p.env
	w.free = append(w.free, s)
	return append(b, p.buf...), true
}

// Next implements [loop.Handler]. The network ends when the inner program has
// ended and nothing is under way.
func (w *wan) Next() (at time.Time, ok bool) {
	at, ok = w.inner.Next()
	if len(w.due) > 0 {
		if d := w.epoch.Add(time.Duration(w.due[0].At)); !ok || d.Before(at) {
			at, ok = d, true
		}
	}
	return at, ok
}
