package mdalp

import (
	"context"
	"io"
	"log/slog"
	"net/netip"
	"time"

	"mdalp/icmp"
	"mdalp/loop"
	"mdalp/sched"
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
	timerProgress
	timerShed // the intent is out: time for what need not hold it up
	// Those of the stages.
	timerIntent // the wait for the offer has lasted too long
	timerRetry  // the intent is due again
	timerAgain  // the intent did not leave: it is due once more
	timerRemind // the wait is worth a line
	timerNames  // names of receivers are not waited for any longer
	timerLarge  // the echo of a segment's size is not waited for any longer
	// That of the dialog, which goes through several stages.
	timerManifest
	timers
)

// A stage is one phase of a session: what it does with what the session is handed.
type stage interface {
	receive(now time.Time, e *loop.Envelope, b []byte)
	fail(now time.Time, e *loop.Envelope, err error)
	expire(now time.Time)
	due(now time.Time, timer int) // a timer of the stage
	transmit(now time.Time, e *loop.Envelope, b []byte) (out []byte, ok bool)
	next() (at time.Time, ok bool) // beside the timers
}

// A session is the client as a program without I/O: a loop.Handler that goes
// through waiting, pinging and sending, which in the extended protocol is that of blocks
// and has a dialog with the orchestrator beside it. Each of these is a stage; the session hands on
// what comes, and keeps what they share. The payload is read through a source.
//
// Its methods are called by one driver; after Next has said ok=false, or the
// driver gave up, result tells how it ended.
type session struct {
	cfg *run
	log *slog.Logger
	// traces are told what happens; watched says that one of them is of every segment.
	traces  []*Trace
	watched bool
	size    int64
	reader  io.ReaderAt

	stage      stage
	waiting    waiting
	pinging    pinging
	sending    sending // in the base protocol
	blocks     blocks  // in the extended one
	hashing    bool    // the digest was begun
	dialog     dialog
	phase      Phase
	began      time.Time // the session
	entered    time.Time // the phase
	timers     *sched.Wheel
	mode4      icmp.Mode // Off where there is no such socket
	mode6      icmp.Mode
	bufferAcks int // acks that the receive buffer holds; 0: any number

	tid      int64
	given    int64        // the transaction that was given up for a new one, or 0
	resume   *Transaction // whose segments are to be taken over, or nil
	refusals int          // orchestrators in a row that refused a question, with others to ask
	renewed  int          // how often, without progress, a transaction was closed that this one went on with
	peers    []peer       // whom segments go to; their places are the transfer's numbers
	place    map[netip.AddrPort]int

	report Report
	err    error
}

// newSession prepares a transfer that begins at now. mode4 and mode6 say which
// echoes can be sent; buffer is the size of the UDP socket's receive buffer in
// bytes, or 0.
func newSession(now time.Time, src io.ReaderAt, size int64, cfg *run, mode4, mode6 icmp.Mode,
	buffer int) *session {
	s := &session{
		cfg: cfg, log: cfg.Logger, size: size, reader: src,
		began: now, entered: now, timers: sched.NewWheel(now, timers),
		mode4: mode4, mode6: mode6,
		bufferAcks: buffer / loop.ShortDatagram,
		resume:     cfg.Resume,
	}
	if cfg.Trace != nil {
		s.observe(cfg.Trace)
	}
	if cfg.Logger.Enabled(context.Background(), slog.LevelInfo) {
		s.observe(logTrace(cfg.Logger, cfg.Trace))
	}
	s.start()
	s.report = Report{Orchestrator: cfg.Orchestrator, Balance: cfg.Balance, Size: size, Ping: icmp.Off,
		Sealed: s.sealed()}
	if s.sealed() {
		s.report.Key = cfg.Key.ID()
	}
	if size == 0 {
		s.log.Info("nothing to send: the payload is empty")
		s.finish(now, nil)
		return s
	}
	if cfg.Deadline > 0 {
		s.timers.Arm(timerDeadline, now.Add(cfg.Deadline))
	}
	if cfg.shed != nil {
		s.timers.Arm(timerShed, now)
	}
	if cfg.Progress != nil {
		s.timers.Arm(timerProgress, now.Add(cfg.ProgressEvery))
	}
	s.waiting.begin(now)
	return s
}

// start makes the stages as they are before anything was sent.
func (s *session) start() {
	s.waiting, s.pinging, s.sending = waiting{s: s}, pinging{s: s}, sending{s: s}
	s.blocks, s.dialog = blocks{s: s, digest: s.blocks.digest}, dialog{s: s}
	s.stage = &s.waiting
}

// anew asks for a new offer and goes on with segments that fit into any path. Nothing of
// the transaction before is resumed: its segments had another size.
func (s *session) anew(now time.Time, why string) {
	s.log.Warn("starting anew with smaller segments", "segment", safeSegment, "why", why)
	s.cfg.Segment, s.resume = safeSegment, nil
	s.restart(now)
}

// mostRenewed is how often a transaction may be closed in a row of which nothing was
// acknowledged.
const mostRenewed = 3

// renew asks for a new offer and goes on there with what this transaction brought. It
// reports false where that leads nowhere.
func (s *session) renew(now time.Time, tid int64, why string) bool {
	s.refresh(now)
	if s.report.Acked > s.report.Resumed {
		s.renewed = 0
	}
	if s.renewed++; s.renewed > mostRenewed {
		return false
	}
	s.log.Warn(why+": asking for another to go on", "tid", s.tid)
	if s.dialog.opened {
		s.resume = &Transaction{TID: tid, Segment: int(s.dialog.manifest.Seg)}
	}
	s.restart(now)
	return true
}

// restart goes back to the first stage.
func (s *session) restart(now time.Time) {
	s.timers.Stop(timerManifest)
	s.cfg.key[30]++ // echoes of before shall not count for those to come
	s.report.Receivers, s.report.Segments, s.report.Extended, s.report.Segment = nil, 0, false, 0
	s.report.Resumed, s.report.Acked, s.report.Left = 0, 0, 0
	s.report.Probe, s.report.Transfer, s.report.Verdict = 0, 0, 0 // all of it is a wait by now
	s.given, s.tid, s.peers, s.place = s.tid, 0, nil, nil
	s.start()
	s.enter(now, PhaseWaiting)
	s.waiting.begin(now)
}

// transfer is what is sent to whom, in either protocol; nil before the split.
func (s *session) transfer() *sched.Transfer {
	if s.blocks.transfer != nil {
		return s.blocks.transfer
	}
	return s.sending.transfer
}

// roundTrip is the longest round trip to a receiver that is known.
func (s *session) roundTrip() (d time.Duration) {
	for i := range s.report.Receivers {
		d = max(d, s.report.Receivers[i].Latency)
		if s.blocks.transfer != nil {
			d = max(d, s.blocks.transfer.Flow(i).RTT)
		}
	}
	return d
}

// shed does what the caller wants done once the intent is out, and before any
// datagram is looked at.
func (s *session) shed() {
	if s.cfg.shed != nil {
		s.cfg.shed()
		s.cfg.shed = nil
	}
}

// beside runs job where it may block: outside the loop, or, without a place for it, at
// once. It must be the last thing that a call of the session's methods does.
func (s *session) beside(now time.Time, job func() (back func(now time.Time))) {
	if s.cfg.beside != nil {
		s.cfg.beside(job)
		return
	}
	if back := job(); back != nil {
		back(now)
	}
}

// Receive implements loop.Handler.
func (s *session) Receive(now time.Time, e *loop.Envelope, b []byte) { s.stage.receive(now, e, b) }

// Fail implements loop.Handler.
func (s *session) Fail(now time.Time, e *loop.Envelope, err error) {
	s.log.Debug("error from the network", "peer", e.Peer, "err", err, "remote", e.Remote)
	s.stage.fail(now, e, err)
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
		case timerShed:
			s.shed()
		case timerProgress:
			s.timers.Arm(timerProgress, now.Add(s.cfg.ProgressEvery))
			s.progress(now)
		case timerManifest:
			s.dialog.due(now)
		default:
			s.stage.due(now, id)
		}
		if s.phase == PhaseFinished {
			return
		}
	}
	s.stage.expire(now)
}

// Transmit implements loop.Handler.
func (s *session) Transmit(now time.Time, e *loop.Envelope, b []byte) ([]byte, bool) {
	return s.stage.transmit(now, e, b)
}

// Next implements loop.Handler.
func (s *session) Next() (time.Time, bool) {
	if s.phase == PhaseFinished {
		return time.Time{}, false
	}
	at, ok := s.timers.Next()
	also, more := s.stage.next()
	switch {
	case ok && more && also.Before(at), !ok && more:
		return also, true
	case ok:
		return at, true
	}
	return s.began.Add(1<<62 - 1), true
}

// over is the stage of a session that has ended: whatever comes changes nothing.
type over struct{}

func (over) receive(time.Time, *loop.Envelope, []byte)                              {}
func (over) fail(time.Time, *loop.Envelope, error)                                  {}
func (over) expire(time.Time)                                                       {}
func (over) due(time.Time, int)                                                     {}
func (over) transmit(_ time.Time, _ *loop.Envelope, b []byte) (out []byte, ok bool) { return b, false }
func (over) next() (at time.Time, ok bool)                                          { return at, false }
