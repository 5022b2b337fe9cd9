// Package bench measures mdalp: each layer by itself, the whole over loopback, and
// both beside what else a Go programmer might take. README.md tells how to run it and
// what came out; peers/ is the part that needs other people's modules.
//
// What is exported here is the receivers' side, so that peers/ can use it too. A whole
// server on the same machine would cost more than the client that is to be measured,
// and hide it; an [Acker] only acknowledges.
package bench

import (
	"net/netip"
	"time"

	"mdalp/loop"
	"mdalp/wire"
)

// never is an instant that no run reaches.
var never = time.Unix(1<<33, 0)

// Address is the address of receiver i, from 0. Every address of 127.0.0.0/8 is the
// host's own, so one socket is as many receivers as are wanted.
func Address(i int) netip.Addr {
	i += 1<<16 + 1
	return netip.AddrFrom4([4]byte{127, byte(i >> 16), byte(i >> 8), byte(i)})
}

// An Acker is orchestrator and receivers in one program, a [loop.Handler] for one
// socket with [loop.Options.PacketInfo]: it answers every intent with an offer and
// every segment with its acknowledgement, from the address that was sent to. It keeps
// no payload and checks nothing.
type Acker struct {
	// Delay is how long a segment waits for its acknowledgement.
	Delay time.Duration
	// Silent leaves intents without an offer.
	Silent bool
	// Segments counts segments, repeated ones too.
	Segments int64

	offer []wire.Receiver
	tid   int64
	// queue holds the answers that are due, the first at head. What is taken out is
	// not moved, and the slice starts over when it is empty: no allocation per segment.
	queue []answer
	head  int
}

// An answer is an acknowledgement, or an offer if it has no sequence number.
type answer struct {
	at          time.Time
	peer, local netip.AddrPort
	tid, seq    int64
}

// NewAcker makes the program of n receivers that share a port.
func NewAcker(n int, port uint16) *Acker {
	a := &Acker{offer: make([]wire.Receiver, n), queue: make([]answer, 0, 2*n+64)}
	for i := range a.offer {
		a.offer[i] = wire.Receiver{Host: Address(i).String(), Port: port}
	}
	return a
}

// Receive implements loop.Handler.
func (a *Acker) Receive(now time.Time, e *loop.Envelope, b []byte) {
	m, err := wire.Parse(b)
	if err != nil {
		return
	}
	switch {
	case m.Type == wire.Data:
		a.Segments++
		a.push(answer{now.Add(a.Delay), e.Peer, e.Local, m.TID, m.Seq})
	case m.Type == wire.Intent && !a.Silent:
		a.tid++
		a.push(answer{now, e.Peer, e.Local, a.tid, wire.Absent})
	}
}

func (a *Acker) push(x answer) {
	if a.head > 0 && len(a.queue) == cap(a.queue) {
		a.queue = a.queue[:copy(a.queue, a.queue[a.head:])]
		a.head = 0
	}
	a.queue = append(a.queue, x)
}

// Transmit implements loop.Handler.
func (a *Acker) Transmit(now time.Time, e *loop.Envelope, b []byte) ([]byte, bool) {
	if a.head == len(a.queue) || a.queue[a.head].at.After(now) {
		return b, false
	}
	x := &a.queue[a.head]
	if a.head++; a.head == len(a.queue) {
		a.queue, a.head = a.queue[:0], 0
	}
	e.Peer, e.Local = x.peer, x.local
	if x.seq == wire.Absent {
		return wire.AppendOffer(b, x.tid, a.offer), true
	}
	return wire.AppendAck(b, x.tid, x.seq), true
}

// Next implements loop.Handler. An Acker never ends.
func (a *Acker) Next() (time.Time, bool) {
	if a.head == len(a.queue) {
		return never, true
	}
	return a.queue[a.head].at, true
}

// Expire implements loop.Handler. What is due goes by Transmit.
func (a *Acker) Expire(time.Time) {}

// Fail implements loop.Handler. A client that is gone is no concern.
func (a *Acker) Fail(time.Time, *loop.Envelope, error) {}
