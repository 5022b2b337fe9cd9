package mdalp

import (
	"errors"
	"fmt"
	"time"

	"mdalp/loop"
	"mdalp/wire"
)

// How the wait for the offer goes.
const (
	// remindEvery is how often a long wait is mentioned.
	remindEvery = 30 * time.Second

	// An intent that did not leave, or did not get there, is sent once more after
	// againFirst, and each time after twice as long, up to againMost. Nobody has got it, so
	// it opens no second transaction.
	againFirst = time.Second
	againMost  = 8 * time.Second

	// notSent bounds for how long that goes on where the caller bounds nothing: who has no
	// route is not left waiting for ever.
	notSent = 30 * time.Second
)

// waiting is the stage before the offer: the intent is sent, and perhaps again.
type waiting struct {
	s        *session
	ready    bool          // an intent is to be sent
	intents  int           // sent so far
	failing  time.Time     // when an intent failed first; zero if none did
	last     error         // of the last that did
	remote   bool          // the network said so of one of them, and not only this host
	again    time.Duration // how long after the next failure the intent is sent again
	every    time.Duration // how long after the last intent the next is sent, 0: it is sent once
	repeats  int           // intents that were due since nothing came
	marked   bool          // the next intent asks for a cookie
	asks     bool          // a cookie was asked for and has not come
	cookie   string        // shows the orchestrator that this host is where it says; "": none
	known    bool          // the orchestrator has the key
	told     int           // the intents that were sent when it was told to wait
	unsealed bool          // an answer was not sealed
}

// begin starts the wait.
func (w *waiting) begin(now time.Time) {
	s := w.s
	w.ready, w.again = true, againFirst
	switch {
	case s.cfg.IntentTimeout > 0:
		s.timers.Arm(timerIntent, now.Add(s.cfg.IntentTimeout))
	case s.sealed() && s.given != 0: // it had the key, and may be about to start anew
		s.timers.Arm(timerIntent, now.Add(askGiveUp))
	case s.sealed():
		s.timers.Arm(timerIntent, now.Add(sealedPatience))
	}
	if w.every = s.cfg.IntentRetry; w.every == 0 && (s.given != 0 || s.sealed() || s.several()) {
		// Who speaks the extended protocol with us answers a repeated intent with the same offer.
		// To wait for ever for one that was lost would end a transfer that was well under way. Of a fleet
		// the next is asked instead.
		w.every = againFirst
	}
	if w.every > 0 {
		s.timers.Arm(timerRetry, now.Add(w.every))
	}
	s.timers.Arm(timerRemind, now.Add(remindEvery))
}

// end stops what the wait had armed.
func (w *waiting) end() {
	for _, t := range []int{timerIntent, timerRetry, timerAgain, timerRemind} {
		w.s.timers.Stop(t)
	}
}

// receive takes the offer.
func (w *waiting) receive(now time.Time, e *loop.Envelope, b []byte) {
	s := w.s
	if e.Sock != sockUDP {
		return
	}
	s.shed()
	if !s.fromOrchestrator(e, b) {
		return
	}
	m, err := wire.Parse(b)
	if err != nil && !wire.LooksLikeOffer(b) {
		s.drop(DropMalformed, "malformed", e.Peer, b)
		return
	}
	if err == nil && m.Type != wire.Offer {
		s.drop(DropUnwanted, "not awaited", e.Peer, b)
		return
	}
	if err == nil && m.TID == wire.Absent {
		if cookie, ok := wire.ParseCookie(m.Data); ok {
			w.challenge(e, b, cookie)
			return
		}
	}
	if err == nil && m.TID == s.given && s.given != 0 { // a copy that is late
		s.drop(DropUnwanted, "of the transaction before", e.Peer, b)
		return
	}
	var offer []wire.Receiver
	switch {
	case err != nil:
	case m.TID == wire.Absent:
		err = errors.New("it has no TID")
	case m.Data == nil:
		err = errors.New("it has no DATA")
	default:
		offer, err = wire.ParseReceivers(m.Data)
		if err == nil && s.sealed() {
			err = unextended(offer)
		}
	}
	if err != nil {
		err = fmt.Errorf("%w from %v: %w", ErrBadOffer, e.Peer, err)
		s.tellOffer(TraceOffer{m.TID, 0, err})
		s.finish(now, err)
		return
	}
	s.heard(e.Peer)
	s.accept(now, m.TID, offer)
}

// challenge takes a cookie, which an orchestrator under load gives in place of an offer. The intent
// goes back with it at once, but once for each that was due: no answer makes this client send more than
// it would without.
func (w *waiting) challenge(e *loop.Envelope, b []byte, cookie string) {
	if !w.asks || e.Peer != w.s.cfg.Orchestrator {
		w.s.drop(DropUnwanted, "not awaited", e.Peer, b)
		return
	}
	w.cookie, w.asks, w.ready = cookie, false, true
}

// fail takes an error of the way to the orchestrator. A refusal ends the wait, unless
// the caller wants the intent repeated. All else passes, perhaps (RFC 1122, section
// 4.2.3.9). With several orchestrators the next is asked at once, as long as one of them has not
// refused.
func (w *waiting) fail(now time.Time, e *loop.Envelope, err error) {
	s := w.s
	if e.Sock != sockUDP || e.Peer != s.cfg.Orchestrator {
		return
	}
	w.last, w.remote = err, w.remote || e.Remote
	refused := hard(e, err)
	if s.elsewhere() {
		w.ready = true
		w.repeat()
		s.timers.Arm(timerRetry, now.Add(w.every))
		return
	}
	if refused && (w.every == 0 || (s.sealed() || s.several()) && s.given == 0 && s.cfg.IntentRetry == 0) {
		s.finish(now, w.failed())
		return
	}
	if w.failing.IsZero() {
		w.failing = now
		s.log.Warn("the orchestrator cannot be reached now; it is asked again",
			"orchestrator", e.Peer, "err", err)
	}
	bounded := s.sealed() || s.cfg.IntentRetry > 0 || s.cfg.IntentTimeout > 0 || s.cfg.Deadline > 0
	if !bounded && now.Sub(w.failing) >= notSent {
		s.finish(now, w.failed())
		return
	}
	if refused || s.timers.Armed(timerAgain) {
		return // the former is sent again anyway
	}
	s.timers.Arm(timerAgain, now.Add(w.again))
	w.again = min(2*w.again, againMost)
}

// failed is the error of a wait that ends because of the last error. Where this host alone
// refuses, the orchestrator is not to blame.
func (w *waiting) failed() error {
	err := &PeerError{w.s.cfg.Orchestrator, OpIntent, w.last}
	if !w.remote {
		return err
	}
	return fmt.Errorf("%w: %w", ErrNoOffer, err)
}

// due takes a timer of the wait.
func (w *waiting) due(now time.Time, timer int) {
	s := w.s
	switch timer {
	case timerIntent:
		err := fmt.Errorf("%w: %w (%v)", ErrNoOffer,
			&PeerError{s.cfg.Orchestrator, OpIntent, ErrIntentTimeout}, s.cfg.IntentTimeout)
		if s.sealed() {
			err = w.unanswered()
		}
		s.finish(now, w.because(err))
	case timerRetry:
		w.ready = true
		if s.several() {
			s.refusals = 0
			s.onward("it is silent")
		}
		w.repeat()
		s.timers.Arm(timerRetry, now.Add(w.every))
	case timerAgain:
		w.ready = true
	case timerRemind:
		s.log.Warn("still waiting for the offer; real orchestrators queue clients for minutes",
			"orchestrator", s.cfg.Orchestrator, "waited", now.Sub(s.began).Round(time.Second))
		s.timers.Arm(timerRemind, now.Add(remindEvery))
	}
}

// repeat prepares an intent that is not the first. Of several orchestrators each is asked as one
// that is alone, and its cookie is of no use to the next.
func (w *waiting) repeat() {
	s := w.s
	if w.intents == 0 {
		return // this host stood still, and the first has not left yet
	}
	if s.several() {
		w.cookie = ""
	}
	if !s.several() || s.cfg.Orchestrator == s.cfg.Orchestrators[0] { // once a round
		w.repeats++
		if s.cfg.IntentRetry == 0 && !w.known {
			w.every = min(2*w.every, againMost)
		}
	}
	// An original orchestrator may not know what to make of more than it is used to: unless
	// this one is known to, every other repetition is the same as the first intent.
	w.marked = s.given != 0 || w.repeats%2 == 1
	w.asks = w.marked || w.cookie != ""
}

// because adds the last error of the way to the orchestrator to err, if there was one.
func (w *waiting) because(err error) error {
	if w.last == nil {
		return err
	}
	return fmt.Errorf("%w; the last that was heard: %w", err, w.last)
}

// expire has nothing to do: the wait has only timers.
func (w *waiting) expire(time.Time) {}

// transmit sends an intent that is due.
func (w *waiting) transmit(_ time.Time, e *loop.Envelope, b []byte) ([]byte, bool) {
	if !w.ready {
		return b, false
	}
	w.ready = false
	w.intents++
	e.Sock, e.Peer = sockUDP, w.s.cfg.Orchestrator
	w.s.tell(func(t *Trace) {
		if t.Intent != nil {
			t.Intent(TraceIntent{w.s.cfg.Orchestrator, w.intents})
		}
	})
	switch {
	case w.cookie != "":
		return wire.AppendCookieIntent(b, w.cookie), true
	case w.marked:
		w.marked = false
		return wire.AppendCookieIntent(b, wire.NoCookie), true
	}
	return wire.AppendIntent(b), true
}

// next has nothing beside the timers.
func (w *waiting) next() (at time.Time, ok bool) { return at, false }
