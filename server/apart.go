package server

import (
	"net/netip"
	"time"

	"mdalp/loop"
	"mdalp/wire"
)

// Receivers that are another program than their ledger ask it for each segment and hold
// the acknowledgement until it has answered. What is in an [Ask] and a [Reply] is what has to
// go from one to the other; how it does is a matter of those who join them, and no part of the
// protocol. What gets lost is asked again, and what comes twice or late does no harm: the
// ledger takes a segment once, and a reply names the very bytes that were taken.

// A Key names a segment that came to a receiver.
type Key struct {
	TID, Seq, Num int64  // Num is [wire.Absent] in the base protocol
	Receiver      int    // its index in Config.Receivers
	Sum           uint32 // see [Sum]
}

// An Ask is what receivers ask a ledger elsewhere: to take a segment.
type Ask struct {
	Key
	// At is when it came, by the clock of the receivers.
	At   time.Time
	Peer netip.AddrPort // where it came from
	Data []byte
}

// A Reply is what the ledger says to it.
type Reply struct {
	Key
	// Taken says that the segment is stored, now or before; else it is not acknowledged.
	Taken bool
	// At is that of the ask, and For is how long from then on it may be acknowledged. No
	// clock need agree with another: to be asked takes time, so this is never too long.
	At  time.Time
	For time.Duration
}

// asked is a segment that is to be answered once the burst has ended.
type asked struct {
	key Key
	at  time.Time
	f   *flow
	a   answer
}

// mostAsked is how many segments may wait for their answer. Who gets none asks again.
const mostAsked = maxAcks

// Asked takes an ask. It counts as a datagram. What a may hold is valid during the call
// alone.
func (s *Orchestrator) Asked(now time.Time, a *Ask) {
	if now != s.expired {
		s.expire(now)
	}
	st := &s.stats
	st.Datagrams++
	switch {
	case s.closed:
		st.AfterClose++
	case a.TID < 0 || a.Seq < 0 || a.Num < wire.Absent || Sum(a.Data) != a.Sum:
		st.Malformed++
	case a.Receiver < 0 || a.Receiver >= len(s.cfg.Receivers):
		st.Elsewhere++
	case s.asked.len() >= mostAsked:
		st.AsksDropped++
	default:
		e := loop.Envelope{Peer: a.Peer}
		m := wire.Message{Type: wire.Data, TID: a.TID, Seq: a.Seq, Num: a.Num, Data: a.Data}
		f, k := s.put(now, &e, a.Receiver, &m)
		s.asked.push(asked{a.Key, a.At, f, k})
	}
	s.work(now)
}

// Reply gives the next answer to what was asked; ok is false when there is none. It ends the
// burst: what is told to be taken is.
func (s *Orchestrator) Reply(now time.Time) (r Reply, ok bool) {
	s.now = now
	s.endBurst(now)
	if s.asked.len() == 0 {
		return r, false
	}
	k := s.asked.pop()
	r.Key, r.At = k.key, k.at
	if k.a >= taken && !k.f.doubt {
		r.For = k.f.limit.Sub(now)
		r.Taken = r.For > 0
	}
	return r, true
}
