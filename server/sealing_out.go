package server

import (
	"time"

	"mdalp/loop"
	"mdalp/seal"
	"mdalp/wire"
)

// Transmit implements [loop.Handler].
func (s *Sealed) Transmit(now time.Time, e *loop.Envelope, b []byte) (out []byte, ok bool) {
	return s.transmit(now, e, b)
}

// transmit gives what the server sends first, but answers to repeated intents are not held up by
// any number of it.
func (s *envelope) transmit(now time.Time, e *loop.Envelope, b []byte) (out []byte, ok bool) {
	if s.row >= offerEvery {
		if out, ok = s.transmitAnswer(e, b); ok {
			return out, true
		}
	}
	for {
		if out, ok = s.in.Transmit(now, e, b); !ok {
			return s.transmitAnswer(e, b)
		}
		if out, ok = s.seal(e, out); ok {
			s.row++
			return out, true
		}
		s.l.stats.Unsealed++
		*e = loop.Envelope{}
	}
}

// seal seals what the server sends, where it is of a sealed transaction. It is false when that
// must not be sent: never is a number used twice, nor anything of it sent in the clear.
func (s *envelope) seal(e *loop.Envelope, b []byte) ([]byte, bool) {
	m, err := wire.Parse(b)
	if err != nil {
		return nil, false // which the server does not send
	}
	k := s.byTID[m.TID]
	if k == nil {
		return b, true
	}
	var c *seal.Channel
	switch m.Type {
	case wire.Offer:
		return s.offer(k, b)
	case wire.Ack:
		if s.rcv == nil {
			return nil, false
		}
		if i, ok := s.rcv.receiver(e); ok && k.session != nil {
			c = k.session.Channel(i)
		}
	case wire.StateType:
		c = k.orch
	}
	if c == nil || m.Seq < 0 || m.Data == nil {
		return nil, false
	}
	b, err = c.Seal(b, len(b)-len(m.Data), uint64(m.Seq))
	return b, err == nil
}

// offer makes the second message of a handshake of a plain offer. It stays what it is for as
// long as its transaction lives.
func (s *envelope) offer(k *sealing, b []byte) ([]byte, bool) {
	if k.responder != nil {
		if k.ready == nil && !k.agree(b) {
			return nil, false
		}
		k.responder, k.answer, k.ready = nil, k.ready, nil
		k.orch = k.session.Channel(seal.Orchestrator)
	}
	return append(b[:0], k.answer...), k.answer != nil
}

// agree makes the second message of a plain offer, and the transaction's keys.
func (k *sealing) agree(plain []byte) bool {
	answer, session, err := k.responder.Offer(nil, k.tid, plain, k.s.random)
	if err != nil {
		return false
	}
	k.ready, k.session = answer, session
	return true
}

// transmitAnswer answers an intent that came again, or that waits.
func (s *envelope) transmitAnswer(e *loop.Envelope, b []byte) ([]byte, bool) {
	s.row = 0
	for s.answers.len() > 0 {
		k := s.answers.pop()
		k.queued = false
		if k.answer == nil && k.responder != nil {
			k.answer, _ = k.responder.Wait(nil, queueWait, s.random) // without randomness there is none
		}
		if k.answer == nil {
			continue // it is over
		}
		if k.responder == nil {
			s.l.stats.Offers++
		}
		k.path.to(e)
		return append(b, k.answer...), true
	}
	return b, false
}
