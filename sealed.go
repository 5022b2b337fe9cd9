package mdalp

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"mdalp/loop"
	"mdalp/seal"
	"mdalp/wire"
)

// Sealed transactions (PROTOCOL.md, "Sealed transactions"). A seal.Client stands around the
// session, which speaks plain; what it has to know of it is here.

// sealedPatience is how long an answer that opens is waited for. An orchestrator that has the key
// answers at once, with an offer or with how long to wait.
const sealedPatience = 5 * time.Second

// Why there is no offer for a client with a key. They stand beside [ErrNoOffer].
var (
	ErrNotSealed = errors.New("it does not have this key, takes no sealed transactions, or is not there")
	ErrPlain     = errors.New("its answer was not sealed: it takes no sealed transactions, " +
		"or another answered in its place")
)

// handler is the session for its driver: in a sealed transaction inside of what seals.
// random is a source of secrets.
func (s *session) handler(random io.Reader) loop.Handler {
	if !s.sealed() {
		return s
	}
	c := seal.NewClient(s, *s.cfg.Key, s.cfg.Orchestrator, random)
	for _, a := range s.cfg.Orchestrators {
		if a != s.cfg.Orchestrator {
			c.Others = append(c.Others, a)
		}
	}
	if s.cfg.KeyLog != nil {
		c.Opened = func(x *seal.Secret) {
			if _, err := s.cfg.KeyLog.Write(seal.AppendKeyLog(nil, x)); err != nil {
				s.log.Warn("the key log could not be written", "tid", x.TID, "err", err)
			}
		}
	}
	return c
}

func (s *session) sealed() bool { return s.cfg.Key != nil }

// overhead is how much longer a datagram is on the wire than the session wrote it, in bytes.
func (s *session) overhead() int {
	if s.sealed() {
		return seal.Overhead
	}
	return 0
}

// Place implements [seal.Program].
func (s *session) Place(addr netip.AddrPort) (n int, ok bool) {
	i, ok := s.place[addr]
	if !ok {
		return 0, false
	}
	return s.peers[i].place, true
}

// Arrived implements [seal.Program].
func (s *session) Arrived() { s.shed() }

// Wait implements [seal.Program]: the orchestrator has the key, and a queue. An answer counts
// once for each intent.
func (s *session) Wait(now time.Time, d time.Duration) {
	if s.phase != PhaseWaiting {
		return
	}
	w := &s.waiting
	if w.known && w.told == w.intents {
		return // it may be a replay, by which somebody keeps this client from asking
	}
	w.told = w.intents
	if w.known = true; s.cfg.IntentTimeout == 0 {
		s.timers.Arm(timerIntent, now.Add(askGiveUp)) // it may be gone by now
	}
	w.every = d
	s.timers.Arm(timerRetry, now.Add(d))
}

// Drop implements [seal.Program].
func (s *session) Drop(e *loop.Envelope, b []byte, why error) {
	cause := DropUnopened
	switch {
	case errors.Is(why, seal.ErrReplayed):
		cause = DropReplayed
	case errors.Is(why, seal.ErrStranger):
		cause = DropForeign
	case errors.Is(why, seal.ErrMalformed):
		cause = DropMalformed
	case errors.Is(why, seal.ErrUnwanted):
		cause = DropUnwanted
	case errors.Is(why, seal.ErrPlain) && s.phase == PhaseWaiting:
		s.waiting.unsealed = true // anybody may send it: it ends nothing
	}
	s.drop(cause, why.Error(), e.Peer, b)
}

// unanswered is the error of a wait that nothing ended that opens.
func (w *waiting) unanswered() error {
	s := w.s
	why := ErrNotSealed
	switch {
	case w.known:
		why = ErrNoAnswer
	case w.unsealed:
		why = ErrPlain
	}
	return fmt.Errorf("%w: %w (key %s)", ErrNoOffer, &PeerError{s.cfg.Orchestrator, OpIntent, why},
		s.cfg.Key.ID())
}

// unextended says what is wrong with the receivers of a sealed offer: the base protocol is
// never sealed.
func unextended(offer []wire.Receiver) error {
	if len(offer) > 0 && !wire.Extended(offer) {
		return errors.New("it is sealed, and not of the extended protocol")
	}
	return nil
}

// revive goes on in another transaction where a sealed one got no answers: a server that
// was started again has no keys of it, and is silent; of several orchestrators only the one that
// made the offer has them, and the next is asked first. It reports false where that leads nowhere.
func (s *session) revive(now time.Time, why string) bool {
	if !s.sealed() {
		return false
	}
	if s.several() {
		s.onward("it is silent")
	}
	return s.renew(now, s.tid, why)
}

// silent is how many manifests in a row without an answer end a sealed transaction.
func (s *session) silent() int {
	if s.several() {
		return unanswered
	}
	return announcements
}
