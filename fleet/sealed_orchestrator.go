package fleet

import (
	"crypto/rand"
	"io"
	"time"

	"mdalp/fleet/engine"
	"mdalp/loop"
	"mdalp/seal"
	"mdalp/server"
)

// Keys are what a part needs for sealed transactions. The zero value is none.
type Keys struct {
	// Fleet is the fleet's own key, the same for all parts; nil takes no sealed transactions.
	Fleet *seal.Key
	// Ring has the clients' keys, which orchestrators need, and Require takes no other client.
	Ring    *seal.Keyring
	Require bool
	// Random is a source of secrets; nil is crypto/rand's.
	Random io.Reader
}

// vault is nil without the fleet's key.
func (k *Keys) vault() *vault {
	if k.Fleet == nil {
		return nil
	}
	if k.Random == nil {
		k.Random = rand.Reader
	}
	return &vault{*k.Fleet, k.Random}
}

// keyed stands around the orchestrator, where there are keys.
func (s *Orchestrator) keyed() (err error) {
	k := &s.cfg.Keys
	if s.store.vault == nil || k.Ring == nil {
		return nil
	}
	s.sealed, err = server.NewSealedOrchestrator(s.Orchestrator, k.Ring, k.Require, k.Random)
	if err == nil {
		s.sealed.Agreed = s.store.agreed
	}
	return err
}

// trusted leaves out the receivers that do not have the fleet's key.
func (s *Orchestrator) trusted(living []engine.Party) (all []engine.Party) {
	for i := range living {
		if living[i].Role != engine.Receiver || s.store.vault.believes(&living[i]) {
			all = append(all, living[i])
		}
	}
	return all
}

// Transmit implements [loop.Handler].
func (s *Orchestrator) Transmit(now time.Time, e *loop.Envelope, b []byte) ([]byte, bool) {
	if s.sealed != nil {
		return s.sealed.Transmit(now, e, b)
	}
	return s.Orchestrator.Transmit(now, e, b)
}
