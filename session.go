package mdalp

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"time"

	"mdalp/icmp"
	"mdalp/loop"
	"mdalp/sched"
	"mdalp/wire"
)

// The session's sockets, as loop.Run and the simulation number them.
const (
	sockUDP   = 0
	sockICMP4 = 1
	sockICMP6 = 2
)

// The session's own timers; every receiver has one more in its transfer.
const (
	timerDeadline = iota
	timerIntent   // the wait for the offer has lasted too long
	timerRetry    // the intent is due again
	timerRemind   // the wait is worth a line
	timerProgress
	timerSeal // the intent is out: time for what need not hold it up
	timers
)

// remindEvery is how often a long wait for the offer is mentioned.
const remindEvery = 30 * time.Second

// A session is the client as a program without I/O: a loop.Handler that goes
// through waiting, pinging and sending. The payload it reads through source.
//
// Its methods are called by one driver; after Next has said ok=false, or the
// driver gave up, result tells how it ended.
type session struct {
	cfg    *Config
	log    *slog.Logger
	debug  bool // a line for every datagram is wanted
	size   int64
	source source
	reader io.ReaderAt

	phase      Phase
	began      time.Time // the session
	entered    time.Time // the phase
	timers     *sched.Wheel
	intentDue  bool
	intents    int
	mode4      icmp.Mode // Off where there is no such socket
	mode6      icmp.Mode
	bufferAcks int // acks that the receive buffer holds; 0: any number

	tid      int64
	peers    []peer // whom segments go to; their places are the transfer's numbers
	place    map[netip.AddrPort]int
	expect   int    // the peer whose acknowledgement is likely the next
	prefix   []byte // "Type:2;TID:7;SEQ:"
	prober   *icmp.Prober
	probed   []int // the prober's host → peer
	transfer *sched.Transfer

	report Report
	err    error
}

// newSession prepares a transfer that begins at now. mode4 and mode6 say which
// echoes can be sent; buffer is the size of the UDP socket's receive buffer in
// bytes, or 0.
func newSession(now time.Time, src io.ReaderAt, size int64, cfg *Config, mode4, mode6 icmp.Mode, buffer int) *session {
	s := &session{
		cfg: cfg, log: cfg.Logger, size: size, reader: src,
		debug: cfg.Logger.Enabled(context.Background(), slog.LevelDebug),
		began: now, entered: now, timers: sched.NewWheel(now, timers),
		mode4: mode4, mode6: mode6, intentDue: true,
		bufferAcks: buffer / loop.ShortDatagram,
	}
	s.report = Report{Orchestrator: cfg.Orchestrator, Balance: cfg.Balance, Size: size, Ping: icmp.Off}
	if size == 0 {
		s.log.Info("nothing to send: the payload is empty")
		s.finish(now, nil)
		return s
	}
	if cfg.Deadline > 0 {
		s.timers.Arm(timerDeadline, now.Add(cfg.Deadline))
	}
	if cfg.IntentTimeout > 0 {
		s.timers.Arm(timerIntent, now.Add(cfg.IntentTimeout))
	}
	if cfg.IntentRetry > 0 {
		s.timers.Arm(timerRetry, now.Add(cfg.IntentRetry))
	}
	s.timers.Arm(timerRemind, now.Add(remindEvery))
	if cfg.seal != nil {
		s.timers.Arm(timerSeal, now)
	}
	if cfg.Progress != nil {
		s.timers.Arm(timerProgress, now.Add(cfg.ProgressEvery))
	}
	return s
}

// seal does what the caller wants done once the intent is out, and before any
// datagram is looked at.
func (s *session) seal() {
	if s.cfg.seal != nil {
		s.cfg.seal()
		s.cfg.seal = nil
	}
}

// Receive implements loop.Handler.
func (s *session) Receive(now time.Time, e *loop.Envelope, b []byte) {
	switch {
	case s.phase == Finished:
	case e.Sock != sockUDP:
		s.receiveEcho(now, e, b)
	case s.phase == Sending:
		s.receiveAck(now, e, b)
	default:
		s.receiveOffer(now, e, b)
	}
}

// Fail implements loop.Handler.
func (s *session) Fail(now time.Time, e *loop.Envelope, err error) {
	s.log.Debug("error from the network", "peer", e.Peer, "err", err)
	switch {
	case s.phase == Finished:
	case e.Sock != sockUDP:
		if s.prober != nil && s.phase == Pinging {
			s.prober.Fail(e.Peer.Addr())
			if s.prober.Done() {
				s.begin(now)
			}
		}
	case s.phase == Waiting && e.Peer == s.cfg.Orchestrator:
		failed := &PeerError{e.Peer, "intent", err}
		if fromNetwork(err) {
			s.finish(now, fmt.Errorf("%w: %w", ErrNoOffer, failed))
		} else {
			s.finish(now, failed)
		}
	case s.phase == Sending:
		if i, ok := s.place[e.Peer]; ok && s.transfer.Stats(i).Err == nil {
			s.kill(now, i, err)
		}
	}
}

// Expire implements loop.Handler.
func (s *session) Expire(now time.Time) {
	for {
		id, ok := s.timers.Pop(now)
		if !ok {
			break
		}
		switch id {
		case timerDeadline:
			s.incomplete(now, ErrDeadline)
		case timerIntent:
			s.finish(now, fmt.Errorf("%w: %w (%v)", ErrNoOffer, &PeerError{s.cfg.Orchestrator, "intent", ErrIntentTimeout}, s.cfg.IntentTimeout))
		case timerRetry:
			s.intentDue = true
			s.timers.Arm(timerRetry, now.Add(s.cfg.IntentRetry))
		case timerRemind:
			s.log.Warn("still waiting for the offer; real orchestrators queue clients for minutes",
				"orchestrator", s.cfg.Orchestrator, "waited", now.Sub(s.began).Round(time.Second))
			s.timers.Arm(timerRemind, now.Add(remindEvery))
		case timerSeal:
			s.seal()
		case timerProgress:
			s.timers.Arm(timerProgress, now.Add(s.cfg.ProgressEvery))
			s.progress(now)
		}
		if s.phase == Finished {
			return
		}
	}
	switch s.phase {
	case Pinging:
		if s.prober.Expire(now); s.prober.Done() {
			s.begin(now)
		}
	case Sending:
		s.expireTransfer(now)
	}
}

// Transmit implements loop.Handler.
func (s *session) Transmit(now time.Time, e *loop.Envelope, b []byte) ([]byte, bool) {
	switch s.phase {
	case Sending:
		return s.transmitSegment(now, e, b)
	case Pinging:
		out, to, ok := s.prober.Transmit(now, b)
		e.Sock = sockICMP4
		if to.Is6() {
			e.Sock = sockICMP6
		}
		e.Peer = netip.AddrPortFrom(to, 0)
		return out, ok
	case Waiting:
		if !s.intentDue {
			return b, false
		}
		s.intentDue = false
		s.intents++
		e.Sock, e.Peer = sockUDP, s.cfg.Orchestrator
		s.log.Info("intent", "orchestrator", s.cfg.Orchestrator, "times", s.intents)
		return wire.AppendIntent(b), true
	}
	return b, false
}

// Next implements loop.Handler.
func (s *session) Next() (time.Time, bool) {
	if s.phase == Finished {
		return time.Time{}, false
	}
	at, ok := s.timers.Next()
	var also time.Time
	var more bool
	switch s.phase {
	case Pinging:
		also, more = s.prober.Next()
	case Sending:
		also, more = s.transfer.Next()
	}
	switch {
	case ok && more && also.Before(at), !ok && more:
		return also, true
	case ok:
		return at, true
	}
	return s.began.Add(1<<62 - 1), true
}
