package server

import (
	"time"

	"mdalp/loop"
	"mdalp/wire"
)

// A Server is an orchestrator and its receivers by one ledger, as one program. It
// implements [loop.Handler].
type Server struct {
	Ledger
	orch   Orchestrator
	rcv    Receivers
	streak int // acknowledgements sent since the last offer
}

// New makes a Server. It fails when cfg makes no sense: no receivers, two of the
// same address, more than an offer can carry, or a value out of its range.
func New(cfg Config) (*Server, error) {
	s := new(Server)
	if err := s.orch.init(&s.Ledger, cfg); err != nil {
		return nil, err
	}
	if err := s.rcv.init(s.cfg.Receivers, &s.Ledger, &s.stats); err != nil {
		return nil, err
	}
	return s, nil
}

// Waiting is how many intents are in the queue.
func (s *Server) Waiting() int { return s.orch.Waiting() }

// Receive implements [loop.Handler].
func (s *Server) Receive(now time.Time, e *loop.Envelope, b []byte) {
	if now != s.expired { // once for a batch of datagrams
		s.expire(now)
	}
	s.stats.Datagrams++
	m := &s.rcv.m
	var err error
	if !wire.ParseSegment(b, m) {
		*m, err = wire.Parse(b)
	}
	switch {
	case s.closed:
		s.stats.AfterClose++
	case err != nil, !answerable(e):
		s.stats.Malformed++
	case m.Type == wire.Intent:
		s.orch.intent(now, e, m)
	case m.Type == wire.Data:
		s.rcv.data(now, e, m)
	case m.Type == wire.ManifestType:
		s.orch.manifest(now, e, m, b)
	default:
		s.stats.Unexpected++
	}
	if s.jobs.len() > 0 {
		s.work(now)
	}
}

// Transmit implements [loop.Handler]. Acknowledgements come first, since a client waits
// for each of them, but an offer is not held up by any number of them.
func (s *Server) Transmit(now time.Time, e *loop.Envelope, b []byte) (out []byte, ok bool) {
	s.now = now
	// The base protocol has none of these, and one look says so.
	if len(s.dirty)+s.rcv.blockAcks.len()+s.orch.replies.len() > 0 {
		if out, ok := s.transmitExtended(now, e, b); ok {
			return out, true
		}
	}
	if s.rcv.acks.waits > 0 && (s.streak < offerEvery || s.orch.offers.len() == 0) {
		if out, ok = s.rcv.transmitAck(now, e, b); ok {
			s.streak++
			return out, true
		}
	}
	if s.orch.offers.len() > 0 {
		s.streak = 0
		if out, ok = s.orch.transmitOffer(now, e, b); ok {
			return out, true
		}
	}
	if s.rcv.acks.waits > 0 { // every offer was one of the forgotten
		return s.rcv.transmitAck(now, e, b)
	}
	return b, false
}

// transmitExtended ends the burst, and gives an acknowledgement or a state.
func (s *Server) transmitExtended(now time.Time, e *loop.Envelope, b []byte) ([]byte, bool) {
	s.endBurst(now)
	if out, ok := s.rcv.transmitBlockAck(now, e, b); ok {
		return out, true
	}
	return s.orch.transmitState(now, e, b)
}
