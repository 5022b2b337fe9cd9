package main

import (
	"math/rand/v2"
	"time"
)

// A link says how one direction of a path treats packets: a drop-tail queue, a transmitter
// with a rate, and a wire with a delay on which packets are lost.
//
// The simulation has a link too (internal/sim). It tells a full queue by the time that a
// packet would wait, which is wrong around a change of the rate; here bytes are counted.
type link struct {
	rates []step
	queue int           // bytes that may wait, those of the packet that is being sent included
	delay time.Duration // from the last bit sent to the arrival, one way
	loss  float64       // probability for each packet by itself
	burst burst         // beside loss
}

// A step is a rate that holds from an instant to that of the next step, and the last one for
// ever. The first one is from 0.
type step struct {
	from time.Duration // since the first packet of the network
	rate int64         // bits a second
}

// A burst is the chain of Gilbert and Elliott with a bad state in which every packet is lost
// and a good one in which none is: enter and leave are the probabilities for each packet to
// come into the bad state and out of it. Of all packets enter/(enter+leave) are lost, in
// runs of 1/leave.
type burst struct{ enter, leave float64 }

// sent is when a packet has left whose transmission starts at an instant.
func (l *link) sent(at time.Duration, size int) time.Duration {
	bits := int64(size) * 8
	for i, s := range l.rates {
		takes := time.Duration(bits * int64(time.Second) / s.rate)
		if i == len(l.rates)-1 {
			return at + takes
		}
		left := l.rates[i+1].from - at
		switch {
		case left <= 0:
		case takes <= left:
			return at + takes
		default:
			// The rate changes under the packet: the rest of it goes at the next one.
			bits -= int64(left) * s.rate / int64(time.Second)
			at += left
		}
	}
	return at
}

// carries is how many bytes the transmitter can send between two instants, headers included.
// It is what a share is of.
func (l *link) carries(from, to time.Duration) float64 {
	bits := 0.0
	for i, s := range l.rates {
		end := to
		if i < len(l.rates)-1 {
			end = min(to, l.rates[i+1].from)
		}
		if span := end - max(from, s.from); span > 0 {
			bits += span.Seconds() * float64(s.rate)
		}
	}
	return bits / 8
}

// A packet is on its way through a link.
type packet struct {
	sent, due time.Duration // when its last bit leaves, and when it arrives
	lost      bool          // on the wire, so its bits take the transmitter's time all the same
	part      segment       // what of a payload it carries
	bytes     []byte
}

// counts are what a link did.
type counts struct {
	offered    int64
	overflowed int64 // found the queue full
	lost       int64 // by chance
	delivered  int64
}

// add adds those of another link: a way has several if there are several paths.
func (c *counts) add(o counts) {
	c.offered += o.offered
	c.overflowed += o.overflowed
	c.lost += o.lost
	c.delivered += o.delivered
}

// A direction is a link at work. It is given the time, reads no clock, and so does the same
// whenever seed and packets are the same.
type direction struct {
	link
	counts
	rng *rand.Rand
	bad bool // the state of the burst chain

	// The packets are ring[i%len] for head <= i < tail: up to wire they have left the
	// transmitter, from there they wait for it. Their buffers are used again and again, so
	// nothing is allocated for a packet.
	ring             []packet
	head, wire, tail int
	waiting          int           // bytes in the queue
	busy             time.Duration // the transmitter is, until then
}

// newDirection makes a link at work. Directions of one seed draw different luck by which.
func newDirection(l link, seed, which uint64) *direction {
	return &direction{link: l, rng: rand.New(rand.NewPCG(seed, which)), ring: make([]packet, 1024)}
}

// at gives the packet of that number. The ring holds it from its offer to its arrival.
func (d *direction) at(i int) *packet { return &d.ring[i%len(d.ring)] }

// offer takes a copy of a packet at an instant, or drops it.
func (d *direction) offer(now time.Duration, b []byte, part segment) {
	d.offered++
	for ; d.wire < d.tail && d.at(d.wire).sent <= now; d.wire++ {
		d.waiting -= len(d.at(d.wire).bytes)
	}
	if d.waiting+len(b) > d.queue {
		d.overflowed++
		return
	}
	if d.tail-d.head == len(d.ring) {
		d.grow()
	}
	d.waiting += len(b)
	// Its turn is when all before it have left, which is known now: none overtakes another.
	d.busy = d.link.sent(max(now, d.busy), len(b))
	p := d.at(d.tail)
	d.tail++
	*p = packet{sent: d.busy, due: d.busy + d.delay, lost: d.loses(), part: part,
		bytes: append(p.bytes[:0], b...)}
}

// grow gives the ring twice the room.
func (d *direction) grow() {
	ring := make([]packet, 2*len(d.ring))
	for i := d.head; i < d.tail; i++ {
		ring[i%len(ring)] = *d.at(i)
	}
	d.ring = ring
}

// loses draws the luck of a packet. What a link does not have draws nothing.
func (d *direction) loses() bool {
	lost := d.loss > 0 && d.rng.Float64() < d.loss
	if d.burst == (burst{}) {
		return lost
	}
	if d.bad {
		d.bad = d.rng.Float64() >= d.burst.leave
	} else {
		d.bad = d.rng.Float64() < d.burst.enter
	}
	return lost || d.bad
}

// arrival gives the next packet that is due by now, or nil. It is valid until the next offer.
func (d *direction) arrival(now time.Duration) *packet {
	for d.head < d.tail && d.at(d.head).due <= now {
		p := d.at(d.head)
		// No offer has come since it left the queue.
		if d.wire == d.head {
			d.waiting -= len(p.bytes)
			d.wire++
		}
		d.head++
		if !p.lost {
			d.delivered++
			return p
		}
		d.lost++
	}
	return nil
}

// next is when the next packet is due, if there is any.
func (d *direction) next() (at time.Duration, ok bool) {
	if d.head == d.tail {
		return 0, false
	}
	return d.at(d.head).due, true
}
