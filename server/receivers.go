package server

import (
	"errors"
	"net/netip"
	"time"

	"mdalp/loop"
	"mdalp/wire"
)

// Receivers take segments and acknowledge them. What is taken the ledger says: beside them,
// in a [Server], at once; from elsewhere, as those of [NewReceivers] have it, later, and
// until then the acknowledgement is held. They implement [loop.Handler].
type Receivers struct {
	ledger taker
	addrs  []Receiver
	byAddr map[netip.AddrPort]int
	local  netip.AddrPort // of the last datagram that was looked up, and
	last   int            // whose it was: segments come in trains
	stats  *Stats
	held   *holding // nil where the ledger is beside

	acks      acks
	blockAcks fifo[blockAck]
	ackRanges [wire.MaxAckRanges]wire.Range

	// The message at hand. As a variable each would be an allocation: who takes it is
	// behind an interface.
	m   wire.Message
	now time.Time
}

// A taker is the ledger as the receivers see it.
type taker interface {
	// put has segment m taken, which came to receiver i. It is safe from the next burst on
	// if it has a NUM, and else at once. f is valid where it is taken, or was before.
	put(now time.Time, e *loop.Envelope, i int, m *wire.Message) (f *flow, a answer)
	// burst makes safe what was taken before. What it fails to makes its flow doubtful.
	burst(now time.Time)
}

// A flow is what receivers know of a transaction. Where the ledger is beside them, it lies
// in the transaction itself, so that nobody has to look for it.
type flow struct {
	tid     int64
	limit   time.Time  // of the base protocol: nothing is acknowledged from then on
	doubt   bool       // what came may not be stored, and is not acknowledged
	acks    ackList    // of the base protocol
	arrived []arrivals // of the extended one, by receiver; nil when it is over
}

// arrivals is what one receiver has received.
type arrivals struct {
	nums    numbers
	acks    int64  // sent so far
	pending bool   // one is to be sent
	path    intent // where the newest segment came from and to
}

// A blockAck says that a receiver owes an acknowledgement.
type blockAck struct {
	f *flow
	i int
}

// init sets up receivers by a ledger.
func (s *Receivers) init(addrs []Receiver, l taker, st *Stats) error {
	*s = Receivers{
		ledger: l,
		addrs:  addrs,
		byAddr: make(map[netip.AddrPort]int, len(addrs)),
		stats:  st,
		acks:   acks{free: none, share: max(leastAcks, 2*len(addrs))},
	}
	for i, r := range addrs {
		a := canonical(r.Addr)
		if _, twice := s.byAddr[a]; twice {
			return errors.New("server: receiver " + a.String() + " is given twice")
		}
		s.byAddr[a] = i
	}
	return nil
}

// data takes a message of type 2.
func (s *Receivers) data(now time.Time, e *loop.Envelope, m *wire.Message) {
	if m.TID < 0 || m.Seq < 0 {
		s.stats.Malformed++
		return
	}
	i, ok := s.receiver(e)
	if !ok {
		s.stats.Elsewhere++
		return
	}
	f, a := s.ledger.put(now, e, i, m)
	if a < taken {
		return
	}
	if m.Num != wire.Absent {
		s.owe(f, i, m.Num, e)
		return
	}
	if !s.acks.put(f, m.Seq, e, a == known) {
		s.stats.AcksDropped++
	}
}

// owe notes that a transmission came to receiver i, which has its segment acknowledged.
func (s *Receivers) owe(f *flow, i int, num int64, e *loop.Envelope) {
	a := &f.arrived[i]
	a.nums.add(num)
	a.path.from(e)
	if !a.pending {
		a.pending = true
		s.blockAcks.push(blockAck{f, i})
	}
}

// receiver is the index of the receiver that a datagram was sent to.
func (s *Receivers) receiver(e *loop.Envelope) (int, bool) {
	if e.Local.Addr().IsValid() {
		if e.Local == s.local {
			return s.last, true
		}
		i, ok := s.byAddr[canonical(e.Local)]
		if ok {
			s.local, s.last = e.Local, i
		}
		return i, ok
	}
	for i := range s.addrs {
		r := &s.addrs[i]
		if r.Sock == e.Sock && (e.Local.Port() == 0 || e.Local.Port() == r.Addr.Port()) {
			return i, true
		}
	}
	return 0, false
}

// transmitBlockAck gives the acknowledgement that a receiver owes: one for all that came
// since its last. What is acknowledged is safe first.
func (s *Receivers) transmitBlockAck(now time.Time, e *loop.Envelope, b []byte) ([]byte, bool) {
	s.ledger.burst(now)
	for s.blockAcks.len() > 0 {
		k := s.blockAcks.pop()
		f := k.f
		if f.arrived == nil {
			continue
		}
		a := &f.arrived[k.i]
		a.pending = false
		if f.doubt {
			s.stats.AcksDropped++
			continue
		}
		rs := a.nums.newest(s.ackRanges[:0])
		if len(rs) == 0 {
			continue
		}
		seq := a.acks
		a.acks++
		s.stats.Acks++
		a.path.to(e)
		return wire.AppendAckRanges(b, f.tid, seq, rs), true
	}
	return b, false
}

// transmitAck gives an acknowledgement of the base protocol.
func (s *Receivers) transmitAck(now time.Time, e *loop.Envelope, b []byte) ([]byte, bool) {
	for q := &s.acks; q.waits > 0; {
		f, a := q.get()
		if !now.Before(f.limit) {
			s.stats.AcksDropped++
			continue
		}
		s.stats.Acks++
		a.path.to(e)
		return wire.AppendAck(b, f.tid, a.seq), true
	}
	return b, false
}
