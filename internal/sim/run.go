package sim

import (
	"fmt"
	"math"
	"net/netip"
	"syscall"
	"time"
)

// Run drives the world until the programs of all the given nodes have ended;
// with none given, until all have. A limit that passes first is an *Error, for a
// hang is a failure.
func (w *World) Run(until ...*Node) error {
	if len(until) == 0 {
		until = w.nodes
	}
	for w.err == nil {
		done := true
		for _, n := range until {
			done = done && n.ended
		}
		if done {
			return nil
		}
		if !w.step(int64(w.cfg.Limit)) {
			w.now = max(w.now, int64(w.cfg.Limit))
			w.fail(ErrTime)
		}
	}
	return w.err
}

// Advance drives the world for a span of virtual time, whatever ends or does not
// within it.
func (w *World) Advance(d time.Duration) error {
	end := w.now + int64(d)
	for w.err == nil && w.step(end) {
	}
	if w.err == nil {
		w.now = end
	}
	return w.err
}

// fail ends the run, at the first cause.
func (w *World) fail(err error) {
	if w.err == nil {
		w.err = &Error{Seed: w.cfg.Seed, Event: w.count.Events, At: time.Duration(w.now), Err: err}
	}
}

// step lets the next event happen unless it is later than end. It is false when
// there is none.
func (w *World) step(end int64) bool {
	var alarm bool
	var at int64 = math.MaxInt64
	var seq uint64
	if len(w.events) > 0 {
		at, seq = w.events[0].At, w.events[0].Seq
	}
	if len(w.alarms) > 0 {
		n := w.alarms[0]
		if n.wake < at || n.wake == at && n.asked < seq {
			alarm, at = true, n.wake
		}
	}
	if at > end || at == math.MaxInt64 {
		return false
	}
	w.now = max(w.now, at)
	w.count.Events++
	if w.count.Events > w.cfg.Events {
		w.fail(ErrEvents)
		return true
	}
	if alarm {
		w.woken(w.alarms[0])
	} else {
		w.happen(w.events.Pop())
	}
	if w.cfg.Check != nil && w.err == nil {
		if err := w.cfg.Check(w.Now()); err != nil {
			w.fail(err)
		}
	}
	return true
}

// woken drives a node whose instant has come.
func (w *World) woken(n *Node) {
	w.trace("wake", n.name, netip.AddrPort{}, netip.AddrPort{}, nil)
	if n.at != w.now {
		n.at, n.idle = w.now, 0
	}
	before := w.count.Sent
	w.drive(n)
	if n.idle++; w.count.Sent != before {
		n.idle = 0
	}
	if n.idle > spins {
		w.fail(fmt.Errorf("%s: %w", n.name, ErrSpin))
	}
}

// happen lets an event happen.
func (w *World) happen(e Event) {
	switch e.Kind {
	case call:
		f := w.calls[e.Slot]
		w.calls[e.Slot] = nil
		w.trace("call", "", netip.AddrPort{}, netip.AddrPort{}, nil)
		f(w.Now())
	case arrival:
		w.arrive(e.Slot)
		w.release(e.Slot)
	case echo:
		w.echo(e.Slot)
		w.release(e.Slot)
	case answer:
		w.answer(e.Slot)
		w.release(e.Slot)
	case failure:
		w.failed(e.Slot)
		w.release(e.Slot)
	}
}

// arrive hands a datagram to the program at its address, or does with it what the
// host does.
func (w *World) arrive(i int32) {
	p := &w.slots[i]
	end := w.ends[key{p.to, false}]
	state := Up
	switch host := w.hosts[p.to.Addr()]; {
	case host == nil:
		state = w.cfg.Unknown
	case host.State != Up:
		state = host.State
	case end == nil || end.node.ended:
		state = w.cfg.Closed
	case end.node.dead:
		state = Silent
	}
	if end != nil && state == Up && !end.node.ended {
		w.receive(end, i)
		return
	}
	switch state {
	case Refusing:
		w.refuse(i, syscall.ECONNREFUSED, false)
	case Unreachable:
		w.refuse(i, syscall.EHOSTUNREACH, false)
	default:
		w.count.Dropped++
		w.trace("drop", "silent", p.from, p.to, p.buf)
	}
}

// receive gives a packet to a program and drives it.
func (w *World) receive(end *endpoint, i int32) {
	p := &w.slots[i]
	n := end.node
	w.count.Delivered++
	w.trace("recv", n.name, p.from, p.to, p.buf)
	if n.paused {
		n.hold(end, i)
		return
	}
	w.env = loopEnvelope(end, p.from, w.Now())
	n.idle = 0
	n.prog.Receive(w.Now(), &w.env, p.buf)
	w.drive(n)
}

// echo answers an ICMP message at its host.
func (w *World) echo(i int32) {
	p := &w.slots[i]
	host := w.hosts[p.to.Addr()]
	state := w.cfg.Unknown
	if host != nil {
		state = host.State
	}
	if state == Unreachable {
		w.refuse(i, syscall.EHOSTUNREACH, true)
		return
	}
	var f func([]byte) []byte
	if host != nil && state != Silent {
		if f = host.Echo; f == nil {
			f = w.cfg.Echo
		}
	}
	var b []byte
	if f != nil {
		b = f(p.buf)
	}
	if b == nil {
		w.count.Dropped++
		w.trace("drop", "no echo", p.from, p.to, p.buf)
		return
	}
	w.carry(host, p.src.host, true, 0, answer, p.to, p.from, p.src, 0, b)
}

// answer hands an echo reply to the socket that asked.
func (w *World) answer(i int32) {
	p := &w.slots[i]
	if n := p.src.node; n.dead || n.ended || p.src.host.State == Silent {
		w.count.Dropped++
		w.trace("drop", "gone", p.from, p.to, p.buf)
		return
	}
	w.receive(p.src, i)
}

// refuse sends an error back to who sent packet i. Errors get lost as datagrams
// do.
func (w *World) refuse(i int32, errno syscall.Errno, ping bool) {
	p := &w.slots[i]
	w.count.Refused++
	w.trace("drop", errno.Error(), p.from, p.to, p.buf)
	if p.src == nil {
		return
	}
	w.carry(w.remote(p.to.Addr()), p.src.host, ping, 0, failure, p.from, p.to, p.src, errno, p.buf)
}

// failed hands an error to the program that sent the datagram.
func (w *World) failed(i int32) {
	p := &w.slots[i]
	n := p.src.node
	if n.dead || n.ended || p.src.host.State == Silent {
		return
	}
	w.trace("fail", p.errno.Error(), p.from, p.to, nil)
	if n.paused {
		n.hold(p.src, i)
		return
	}
	n.fail(p)
	w.drive(n)
}
