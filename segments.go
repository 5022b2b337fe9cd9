package mdalp

import (
	"errors"
	"slices"
	"strconv"
	"syscall"
	"time"

	"mdalp/loop"
	"mdalp/sched"
	"mdalp/wire"
)

// receiveAck is the hot path: one acknowledgement.
func (s *session) receiveAck(now time.Time, e *loop.Envelope, b []byte) {
	// Acknowledgements come back in the order of the segments, most of the time.
	i, ok := s.expect, true
	if s.peers[i].addr != e.Peer {
		i, ok = s.place[e.Peer]
	}
	if !ok {
		if e.Peer == s.cfg.Orchestrator {
			s.drop(&s.report.Dropped.Unwanted, "not awaited", e, b)
			return
		}
		s.drop(&s.report.Dropped.Foreign, "foreign", e, b)
		return
	}
	m, err := wire.Parse(b)
	if err != nil {
		s.drop(&s.report.Dropped.Malformed, "malformed", e, b)
		return
	}
	if m.Type != wire.Ack || m.TID != s.tid || m.Seq == wire.Absent {
		s.drop(&s.report.Dropped.Unwanted, "not awaited", e, b)
		return
	}
	if s.expect = i + 1; s.expect == len(s.peers) {
		s.expect = 0
	}
	if s.debug {
		s.log.Debug("received", "peer", e.Peer, "type", 3, "tid", m.TID, "seq", m.Seq)
	}
	switch s.transfer.Ack(now, i, m.Seq) {
	case sched.Duplicate:
		s.drop(&s.report.Dropped.Duplicate, "duplicate", e, b)
	case sched.Unsent:
		s.drop(&s.report.Dropped.Unsent, "of a segment never sent", e, b)
	}
}

// drop counts a datagram that changes nothing.
func (s *session) drop(count *int64, why string, e *loop.Envelope, b []byte) {
	*count++
	if s.debug {
		s.log.Debug("dropped", "why", why, "peer", e.Peer, "data", excerpt(b))
	}
}

// excerpt is the beginning of a datagram, for a log line.
func excerpt(b []byte) string {
	if len(b) > 60 {
		return strconv.QuoteToASCII(string(b[:60])) + "…"
	}
	return strconv.QuoteToASCII(string(b))
}

// fromNetwork reports whether err is something that the network said of a peer,
// and not this host's own refusal.
func fromNetwork(err error) bool {
	return slices.ContainsFunc([]error{syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EHOSTDOWN, syscall.EPROTO},
		func(e error) bool { return errors.Is(err, e) })
}

// kill declares a receiver dead that the network or this host's kernel refuses to
// reach.
func (s *session) kill(now time.Time, i int, err error) {
	s.transfer.Kill(now, i, &PeerError{s.peers[i].addr, "data", err})
	s.buried(i)
}

// buried says that a receiver is dead.
func (s *session) buried(i int) {
	st := s.transfer.Stats(i)
	s.log.Warn("receiver is dead", "addr", s.peers[i].addr, "err", st.Err, "acknowledged", st.Acked, "segments given to others", st.Gave)
}

// expireTransfer takes the retransmission timeouts.
func (s *session) expireTransfer(now time.Time) {
	living := s.transfer.Living()
	s.transfer.Expire(now)
	if s.transfer.Living() == living {
		return
	}
	for i := range s.peers {
		if r, st := &s.report.Receivers[i], s.transfer.Stats(i); st.Err != nil && r.Err == nil {
			s.buried(i)
		}
	}
	s.settle(now)
}

// transmitSegment is the hot path: one segment, header and bytes.
func (s *session) transmitSegment(now time.Time, e *loop.Envelope, b []byte) ([]byte, bool) {
	i, seg, ok := s.transfer.Transmit(now)
	if !ok {
		if s.transfer.Done() {
			s.complete(now)
		}
		return b, false
	}
	data, err := s.source.bytes(i, seg.Off, seg.Len)
	if err != nil {
		s.finish(now, err)
		return b, false
	}
	if seg.Try > 1 || s.debug {
		s.tell(i, seg)
	}
	e.Sock, e.Peer = sockUDP, s.peers[i].addr
	b = append(b, s.prefix...)
	b = strconv.AppendInt(b, seg.Seq, 10)
	b = append(b, ";DATA:"...)
	return append(b, data...), true
}

// tell logs a transmission.
func (s *session) tell(i int, seg sched.Segment) {
	if seg.Try > 1 {
		s.log.Info("timeout: sending again", "addr", s.peers[i].addr, "seq", seg.Seq, "try", seg.Try)
	}
	s.log.Debug("sending", "peer", s.peers[i].addr, "type", 2, "tid", s.tid, "seq", seg.Seq, "bytes", seg.Len)
}
