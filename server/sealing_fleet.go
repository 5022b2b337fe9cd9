package server

import (
	"errors"
	"io"
	"time"

	"mdalp/loop"
	"mdalp/seal"
)

// A SealedOrchestrator is an [Orchestrator] of a [Fleet] that takes sealed transactions too.
// Their segments are opened by the fleet's receivers. It implements [loop.Handler].
type SealedOrchestrator struct {
	*Orchestrator
	*envelope
	// Agreed is told the keys of each transaction, right before Fleet.Create, and before each
	// try of it: the last ones hold. A receiver's channel is its place in what Choose gave.
	Agreed func(tid int64, k Identity, keys *seal.Session)
}

// NewSealedOrchestrator stands around an orchestrator, as [NewSealed] does around a server. The
// fleet's Choose must give offers that are extended and fit: at most a kilobyte does.
func NewSealedOrchestrator(o *Orchestrator, ring *seal.Keyring, require bool, random io.Reader) (
	*SealedOrchestrator, error) {
	if o.cfg.Base {
		return nil, errors.New("server: sealed transactions are of the extended protocol, " +
			"which is not spoken")
	}
	s := &SealedOrchestrator{Orchestrator: o}
	s.envelope = newEnvelope(o, o.Ledger, nil, ring, require, random)
	s.agreed = func(k *sealing) { s.Agreed(k.tid, k.key, k.session) }
	return s, nil
}

// Receive implements [loop.Handler].
func (s *SealedOrchestrator) Receive(now time.Time, e *loop.Envelope, b []byte) { s.receive(now, e, b) }

// Transmit implements [loop.Handler].
func (s *SealedOrchestrator) Transmit(now time.Time, e *loop.Envelope, b []byte) ([]byte, bool) {
	return s.transmit(now, e, b)
}

// Offered implements [Seal]. The offer must not leave before the receivers have their keys, so it
// is made first.
func (k *sealing) Offered(plain []byte) bool {
	if k.responder == nil || !k.agree(plain) {
		return false
	}
	k.s.agreed(k)
	return true
}
