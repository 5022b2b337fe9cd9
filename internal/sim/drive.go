package sim

import (
	"fmt"
	"net/netip"
	"strconv"
	"syscall"
	"time"

	"mdalp/loop"
)

// loopEnvelope fills an envelope as the socket of end would.
func loopEnvelope(end *endpoint, peer netip.AddrPort, at time.Time) loop.Envelope {
	e := loop.Envelope{Sock: end.sock, Peer: peer, At: at}
	if end.node.socks[end.sock].PacketInfo {
		e.Local = end.addr
	}
	return e
}

// drive does for a node what loop.Run does after it has handed over what came:
// expire what is due, send all that there is, ask for the next instant.
func (w *World) drive(n *Node) {
	if n.ended || n.paused {
		return
	}
	now := w.Now()
	if at, ok := n.prog.Next(); ok && !at.After(now) {
		n.prog.Expire(now)
	}
	for sent := 0; w.err == nil; sent++ {
		i := w.slot()
		w.env = loop.Envelope{}
		b, ok := n.prog.Transmit(now, &w.env, w.slots[i].buf[:0])
		if !ok {
			w.free = append(w.free, i)
			break
		}
		w.slots[i].buf = b // it may have grown
		w.transmit(n, i)
		w.release(i)
		// A program that never stops sending would never let time pass.
		if sent > burst {
			w.fail(fmt.Errorf("%s sends without end: %w", n.name, ErrSpin))
		}
	}
	at, ok := n.prog.Next()
	if !ok {
		n.ended = true
		w.alarms.clear(n)
		w.trace("end", n.name, netip.AddrPort{}, netip.AddrPort{}, nil)
		return
	}
	wake := max(int64(at.Sub(Epoch)), w.now)
	if n.place < 0 || wake != n.wake || wake == w.now {
		n.wake, n.asked = wake, w.seq
		w.seq++
		w.alarms.set(n)
	}
}

// burst is the most datagrams that a program may send at one instant.
const burst = 1 << 20

// transmit sends the datagram in slot i on its way.
func (w *World) transmit(n *Node, i int32) {
	env, b := w.env, w.slots[i].buf
	src, err := n.sender(&env)
	if err != nil {
		w.fail(err)
		return
	}
	w.count.Sent++
	w.trace("send", n.name, src.addr, env.Peer, b)
	errno := syscall.Errno(0)
	if len(b) > w.cfg.MaxDatagram {
		errno = syscall.EMSGSIZE
	} else if src.host.Refuse != nil {
		errno = src.host.Refuse(env.Peer)
	}
	if errno != 0 {
		// The kernel refuses it on the spot; the program hears of it next.
		j := w.slot()
		p := &w.slots[j]
		p.buf = p.buf[:0]
		p.from, p.to, p.src, p.errno, p.remote = src.addr, env.Peer, src, errno, false
		w.trace("refuse", errno.Error(), src.addr, env.Peer, b)
		w.push(w.now, failure, j)
		return
	}
	if s := src.host.State; s == Silent || s == Unreachable {
		w.count.Dropped++
		w.trace("drop", "silent", src.addr, env.Peer, b)
		return
	}
	ping := n.socks[env.Sock].ICMP
	if ping {
		w.carry(src.host, w.remote(env.Peer.Addr()), true, 0, echo, src.addr, env.Peer, src, 0, b)
		return
	}
	if src.host.Mutate != nil {
		if b = src.host.Mutate(env.Peer, b); b == nil {
			w.count.Dropped++
			w.trace("drop", "mutated", src.addr, env.Peer, nil)
			return
		}
	}
	w.carry(src.host, w.remote(env.Peer.Addr()), false, src.host.Slow, arrival, src.addr, env.Peer, src, 0, b)
}

// remote is the host of an address for the sake of its link. All unknown
// addresses are one nowhere, so that they stay unknown.
func (w *World) remote(a netip.Addr) *Host {
	if h := w.hosts[a]; h != nil {
		return h
	}
	return &w.nowhere
}

// carry puts b on the link between two hosts: every copy becomes an event.
func (w *World) carry(from, to *Host, ping bool, slow time.Duration, k uint8, src, dst netip.AddrPort,
	end *endpoint, errno syscall.Errno, b []byte) {
	f := w.link(from, to, ping).Send(time.Duration(w.now), len(b))
	switch f.Why {
	case Lost:
		w.count.Lost++
	case Overflow:
		w.count.Overflowed++
	case Clogged:
		w.count.Clogged++
	}
	if f.N == 0 {
		w.trace("drop", f.Why.String(), src, dst, b)
		return
	}
	if f.N == 2 {
		w.count.Doubled++
	}
	for _, c := range f.Copies[:f.N] {
		i := w.slot()
		p := &w.slots[i]
		p.buf = append(p.buf[:0], b...)
		p.from, p.to, p.src, p.errno, p.remote = src, dst, end, errno, k == failure
		if c.Mask != 0 && errno == 0 {
			w.count.Damaged++
			c.Damage(p.buf)
		}
		w.push(int64(c.At+slow), k, i)
	}
}

// trace writes a line: the time, the Event's number, what happened, to whom, and
// the start of the datagram.
func (w *World) trace(what, who string, from, to netip.AddrPort, b []byte) {
	if w.cfg.Trace == nil {
		return
	}
	l := w.line[:0]
	l = strconv.AppendFloat(l, float64(w.now)/1e9, 'f', 9, 64)
	l = append(l, " #"...)
	l = strconv.AppendInt(l, w.count.Events, 10)
	l = append(l, ' ')
	l = append(l, what...)
	if who != "" {
		l = append(l, ' ')
		l = append(l, who...)
	}
	if from.IsValid() {
		l = append(l, ' ')
		l = from.AppendTo(l)
		l = append(l, " > "...)
		l = to.AppendTo(l)
	}
	if b != nil {
		l = append(l, ' ')
		l = strconv.AppendInt(l, int64(len(b)), 10)
		l = append(l, ' ')
		l = strconv.AppendQuote(l, string(b[:min(len(b), 64)]))
	}
	l = append(l, '\n')
	w.line = l
	w.cfg.Trace.Write(l) // a trace that can not be written is no reason to stop
}
