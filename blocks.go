package mdalp

import (
	"time"

	"mdalp/loop"
	"mdalp/sched"
	"mdalp/seal"
	"mdalp/wire"
)

// blocks is the stage of an extended transfer: segments with NUMs, their
// acknowledgements, and at the end the verdict.
type blocks struct {
	s        *session
	source   supply
	transfer *sched.Transfer
	expect   int // the receiver whose acknowledgement is likely the next
	segment  int // bytes of a segment
	header   wire.SegmentHeader
	ranges   [wire.MaxAckRanges]wire.Range
	taken    [wire.MaxAckRanges]sched.Range

	digest string // of the payload, in hexadecimal; "" while it is computed
	asking bool   // for the verdict
	told   bool   // the server knows the digest
	lacked int    // how often the server lacked something in spite of all acknowledgements
}

// receive is the hot path: one acknowledgement.
func (x *blocks) receive(now time.Time, e *loop.Envelope, b []byte) {
	s := x.s
	if e.Sock != sockUDP {
		return // an echo that came too late
	}
	i, ok := x.expect, true
	if s.peers[i].addr != e.Peer {
		i, ok = s.place[e.Peer]
	}
	if !ok && !s.orchestrates(e.Peer) {
		s.drop(DropForeign, "foreign", e.Peer, b)
		return
	}
	m, err := wire.Parse(b)
	switch {
	case err != nil:
		s.drop(DropMalformed, "malformed", e.Peer, b)
		return
	case m.Type == wire.StateType && s.orchestrates(e.Peer):
		s.dialog.receive(now, e, &m, b)
		return
	case !ok || m.Type != wire.Ack || m.TID != s.tid || m.Seq == wire.Absent || m.Num == wire.Absent:
		s.drop(DropUnwanted, "not awaited", e.Peer, b)
		return
	}
	ranges, err := wire.ParseAckRanges(&m, x.ranges[:0])
	if err != nil {
		s.drop(DropMalformed, "malformed", e.Peer, b)
		return
	}
	nums := x.taken[:0]
	for _, r := range ranges {
		nums = append(nums, sched.Range(r))
	}
	x.expect = i
	_, o := x.transfer.AckRanges(now, i, nums)
	if s.watched {
		s.tellAck(TraceAck{i, e.Peer, m.TID, m.Seq, m.Num, o == sched.Duplicate, o == sched.Unsent})
	}
	switch o {
	case sched.Duplicate:
		s.drop(DropDuplicate, "duplicate", e.Peer, b)
	case sched.Unsent:
		s.drop(DropUnsent, "of a segment never sent", e.Peer, b)
	}
}

// fail takes an error that is held against what was sent to a receiver. One against a
// manifest changes at most who is asked: it is sent again.
func (x *blocks) fail(now time.Time, e *loop.Envelope, err error) {
	s := x.s
	i, ok := s.place[e.Peer]
	if e.Sock == sockUDP {
		s.dialog.refused(e, err)
	}
	if e.Sock != sockUDP || !ok || x.transfer.Stats(i).Err != nil {
		return
	}
	// An error must quote a segment of ours: who can only guess at our port cannot.
	m, quoted := wire.Parse(e.Quote)
	whole := quoted == nil && m.Data != nil
	if whole && (m.TID != s.tid || m.Num == wire.Absent || m.Seq >= x.transfer.Total()) {
		return
	}
	if tooLong(err) && (whole || !e.Remote) && x.segment > safeSegment {
		s.anew(now, "a packet of this size does not fit into the path")
		return
	}
	if hard(e, err) && whole && x.transfer.RefusedNum(now, i, m.Num) {
		x.transfer.Kill(now, i, &PeerError{e.Peer, OpData, err})
		x.buried(i)
		return
	}
	if whole || !e.Remote {
		x.transfer.Astray(i)
	}
	r := &s.report.Receivers[i]
	if r.Soft++; r.Soft == 1 {
		s.log.Warn("receiver cannot be reached now; what is lost is sent again", "addr", e.Peer, "err", err)
	}
}

// buried says that a receiver is dead.
func (x *blocks) buried(i int) {
	s, st := x.s, x.transfer.Stats(i)
	s.log.Warn("receiver is dead", "addr", s.peers[i].addr, "err", st.Err, "acknowledged", st.Acked)
	s.tellDeath(i, st.Err)
}

// silentPTOs is how many probe timeouts in a row make the client ask for the state, as
// the server may have a reason to take nothing. unfit is how many of them, without any
// acknowledgement from a receiver that answered its pings, say that segments are too
// large for the path.
const (
	silentPTOs = 2
	unfit      = 3
)

// expire takes the timeouts.
func (x *blocks) expire(now time.Time) {
	s, living := x.s, x.transfer.Living()
	x.transfer.Expire(now)
	for i := range s.peers {
		st, r := x.transfer.Stats(i), &s.report.Receivers[i]
		if st.Timeouts == r.Timeouts {
			continue
		}
		r.Timeouts = st.Timeouts
		silent := x.transfer.Flow(i).Silent
		if silent >= unfit && st.Acked == 0 && r.Echoes.Received > 0 && x.segment > safeSegment &&
			!s.here(s.peers[i].addr.Addr()) {
			s.anew(now, "the path takes in pings and no segments of this size")
			return
		}
		if silent == silentPTOs && !s.dialog.asked {
			s.dialog.ask(now)
		}
	}
	if x.transfer.Living() < living {
		x.mourn(now)
	}
}

// mourn says which receivers have died by themselves.
func (x *blocks) mourn(now time.Time) {
	s := x.s
	for i := range s.peers {
		if r, st := &s.report.Receivers[i], x.transfer.Stats(i); st.Err != nil && r.Err == nil {
			x.buried(i)
		}
	}
	s.refresh(now)
}

// due has no timers of its own.
func (x *blocks) due(time.Time, int) {}

// transmit is the hot path: a manifest, or one segment, header and bytes.
func (x *blocks) transmit(now time.Time, e *loop.Envelope, b []byte) ([]byte, bool) {
	s := x.s
	if s.dialog.ready {
		return s.dialog.transmit(now, e, b)
	}
	i, seg, num, ok := x.transfer.TransmitNum(now)
	if !ok {
		if x.transfer.Done() {
			x.conclude(now)
			if s.stage != stage(x) || s.dialog.ready {
				return s.Transmit(now, e, b)
			}
		}
		return b, false
	}
	if num >= s.cfg.numbers && s.sealed() {
		if !s.revive(now, "the keys are used up") {
			s.incomplete(now, seal.ErrNumber)
		}
		return s.Transmit(now, e, b)
	}
	data, err := x.source.next(i, seg.Off, seg.Len)
	if err != nil {
		s.finish(now, err)
		return b, false
	}
	if seg.Try > 1 || s.watched {
		s.tellSegment(TraceSegment{i, s.peers[i].addr, s.tid, seg.Seq, num, seg.Off, seg.Len, seg.Try})
	}
	e.Sock, e.Peer = sockUDP, s.peers[i].addr
	return append(x.header.Append(b, seg.Seq, num), data...), true
}

// next is when the transfer wants to be called.
func (x *blocks) next() (at time.Time, ok bool) { return x.transfer.Next() }
