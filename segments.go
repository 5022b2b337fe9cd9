package mdalp

import (
	"net/netip"
	"strconv"
	"time"

	"mdalp/loop"
	"mdalp/sched"
	"mdalp/wire"
)

// firstSegments is how many segments a receiver gets before it has acknowledged any: an
// offer can name hosts that never asked for them.
const firstSegments = 3

// sending is the stage of the segments and their acknowledgements.
type sending struct {
	s        *session
	transfer *sched.Transfer // nil before the split
	source   supply
	peers    []peer // the session's
	place    map[netip.AddrPort]int
	expect   int    // the peer whose acknowledgement is likely the next
	prefix   []byte // of all segments
}

// begin prepares the first segment.
func (x *sending) begin() {
	s := x.s
	x.peers, x.place = s.peers, s.place
	x.prefix = wire.AppendDataPrefix(nil, s.tid)
	x.source.open(s.reader, s.size, len(s.peers), s.cfg.memory)
}

// receive is the hot path: one acknowledgement.
func (x *sending) receive(now time.Time, e *loop.Envelope, b []byte) {
	s := x.s
	if e.Sock != sockUDP {
		return // an echo that came too late
	}
	// Acknowledgements come back in the order of the segments, most of the time.
	i, ok := x.expect, true
	if x.peers[i].addr != e.Peer {
		i, ok = x.place[e.Peer]
	}
	if !ok {
		if s.orchestrates(e.Peer) {
			s.drop(DropUnwanted, "not awaited", e.Peer, b)
			return
		}
		s.drop(DropForeign, "foreign", e.Peer, b)
		return
	}
	m, err := wire.Parse(b)
	if err != nil {
		s.drop(DropMalformed, "malformed", e.Peer, b)
		return
	}
	if m.Type != wire.Ack || m.TID != s.tid || m.Seq == wire.Absent {
		s.drop(DropUnwanted, "not awaited", e.Peer, b)
		return
	}
	if x.expect = i + 1; x.expect == len(x.peers) {
		x.expect = 0
	}
	o := x.transfer.Ack(now, i, m.Seq)
	if s.watched {
		s.tellAck(TraceAck{i, e.Peer, m.TID, m.Seq, wire.Absent, o == sched.Duplicate, o == sched.Unsent})
	}
	switch o {
	case sched.Duplicate:
		s.drop(DropDuplicate, "duplicate", e.Peer, b)
	case sched.Unsent:
		s.drop(DropUnsent, "of a segment never sent", e.Peer, b)
	}
}

// excerpt is the beginning of a datagram, for a log line.
func excerpt(b []byte) string {
	if len(b) > 60 {
		return strconv.QuoteToASCII(string(b[:60])) + "…"
	}
	return strconv.QuoteToASCII(string(b))
}

// fail takes an error that is held against what was sent to a receiver. It kills one that
// refuses, if the error quotes the segment that is out there: who can only guess at our port
// cannot quote it. Where too little is quoted, or where the server may be about to start
// anew, the next try comes sooner, and the tries decide. All that may pass counts as a loss.
func (x *sending) fail(now time.Time, e *loop.Envelope, err error) {
	s := x.s
	i, ok := x.place[e.Peer]
	if e.Sock != sockUDP || !ok || x.transfer.Stats(i).Err != nil {
		return
	}
	seq, out := x.transfer.Out(i)
	agrees, whole := wire.Quotes(e.Quote, s.tid, seq)
	if !out || !agrees {
		return // of what is not out any more, or never was
	}
	if hard(e, err) && whole && x.transfer.Refused(now, i) {
		x.transfer.Kill(now, i, &PeerError{e.Peer, OpData, err})
		x.buried(i)
		return
	}
	r := &s.report.Receivers[i]
	if r.Soft++; r.Soft == 1 {
		s.log.Warn("receiver cannot be reached now; its segment is sent again", "addr", e.Peer, "err", err)
	}
	switch {
	case hard(e, err):
		x.transfer.Hint(now, i)
	case whole || !e.Remote:
		x.transfer.Lost(now, i)
	}
}

// buried says that a receiver is dead.
func (x *sending) buried(i int) {
	st := x.transfer.Stats(i)
	x.s.log.Warn("receiver is dead", "addr", x.peers[i].addr, "err", st.Err, "acknowledged", st.Acked,
		"segments given to others", st.Gave)
	x.s.tellDeath(i, st.Err)
}

// expire takes the retransmission timeouts.
func (x *sending) expire(now time.Time) {
	s, living := x.s, x.transfer.Living()
	x.transfer.Expire(now)
	if x.transfer.Living() == living {
		return
	}
	for i := range x.peers {
		if r, st := &s.report.Receivers[i], x.transfer.Stats(i); st.Err != nil && r.Err == nil {
			x.buried(i)
		}
	}
	s.refresh(now)
}

// due has no timers: every segment has one in the transfer.
func (x *sending) due(time.Time, int) {}

// transmit is the hot path: one segment, header and bytes.
func (x *sending) transmit(now time.Time, e *loop.Envelope, b []byte) ([]byte, bool) {
	s := x.s
	i, seg, ok := x.transfer.Transmit(now)
	if !ok {
		if x.transfer.Done() {
			s.complete(now)
		}
		return b, false
	}
	data, err := x.source.bytes(i, seg.Off, seg.Len)
	if err != nil {
		s.finish(now, err)
		return b, false
	}
	if seg.Try > 1 || s.watched {
		s.tellSegment(TraceSegment{i, x.peers[i].addr, s.tid, seg.Seq, wire.Absent, seg.Off, seg.Len,
			seg.Try})
	}
	e.Sock, e.Peer = sockUDP, x.peers[i].addr
	b = append(b, x.prefix...)
	b = wire.AppendDataRest(b, seg.Seq)
	return append(b, data...), true
}

// next is when the next segment times out.
func (x *sending) next() (at time.Time, ok bool) { return x.transfer.Next() }
