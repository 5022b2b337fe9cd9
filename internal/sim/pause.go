package sim

import (
	"time"
)

// held is what came to a node that is paused: the copy of a packet, or a call.
type held struct {
	end  *endpoint
	slot int32
	at   time.Time // of its arrival
	call func(now time.Time)
}

// Pause holds a program up, as a stop signal or a suspended machine does: time passes, and
// what comes waits in its sockets. Resume ends it.
func (n *Node) Pause() {
	if !n.dead && !n.ended {
		n.paused = true
		n.world.alarms.clear(n)
	}
}

// Resume lets a paused program go on. As a loop does, it gets all that came in one round,
// in order, and only then is told the time. Sockets for ICMP stamp what comes.
func (n *Node) Resume() {
	if !n.paused {
		return
	}
	w := n.world
	n.paused, n.idle = false, 0
	w.trace("resume", n.name, n.socks[0].Addrs[0], n.socks[0].Addrs[0], nil)
	for _, h := range n.held {
		if h.call != nil {
			h.call(w.Now())
			continue
		}
		p := &w.slots[h.slot]
		if p.errno != 0 {
			n.fail(p)
		} else {
			w.env = loopEnvelope(h.end, p.from, w.Now())
			if n.socks[h.end.sock].ICMP {
				w.env.At = h.at
			}
			n.prog.Receive(w.Now(), &w.env, p.buf)
		}
		w.release(h.slot)
	}
	n.held = n.held[:0]
	w.drive(n)
}

// Post calls f as a program's methods are called, as a loop.Waker does.
func (n *Node) Post(f func(now time.Time)) {
	switch {
	case n.dead || n.ended:
	case n.paused:
		n.held = append(n.held, held{call: f})
	default:
		f(n.world.Now())
		n.world.drive(n)
	}
}

// hold keeps a copy of packet i for a node that is paused.
func (n *Node) hold(end *endpoint, i int32) {
	w := n.world
	j := w.slot()
	p, q := &w.slots[i], &w.slots[j]
	buf := append(q.buf[:0], p.buf...)
	*q = *p
	q.buf = buf
	n.held = append(n.held, held{end: end, slot: j, at: w.Now()})
}

// fail tells a program of an error of what it sent.
func (n *Node) fail(p *packet) {
	w := n.world
	w.env = loopEnvelope(p.src, p.to, w.Now())
	if w.env.Remote = p.remote; p.remote {
		w.env.Quote = p.buf
	}
	n.idle = 0
	n.prog.Fail(w.Now(), &w.env, p.errno)
}
