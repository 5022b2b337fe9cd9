package mdalp

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"mdalp/wire"
)

// A Trace is told what a transfer does as it happens, as that of net/http/httptrace is. Each
// function may be nil, and then costs nothing. All are called by the goroutine that sends,
// while nothing else is sent: they must not block. What they are given is valid only during
// the call. A Receiver is a place in Report.Receivers, from 0.
type Trace struct {
	// Intent is called for each intent that is sent.
	Intent func(TraceIntent)
	// Offer is called for the orchestrator's offer.
	Offer func(TraceOffer)
	// Share is called for each receiver, in the order of the offer, once the payload is split.
	Share func(TraceShare)
	// Segment is called for each segment that is sent, and Repeat, before it, for one that was
	// sent before.
	Segment, Repeat func(TraceSegment)
	// Ack is called for each acknowledgement from a receiver in this transaction.
	Ack func(TraceAck)
	// Manifest and State are called for each message of the extended protocol to, and from,
	// the orchestrator.
	Manifest func(TraceManifest)
	State    func(TraceState)
	// Drop is called for each datagram that changes nothing.
	Drop func(TraceDrop)
	// Death is called when a receiver is given up.
	Death func(TraceDeath)
	// Unlogged keeps what has a function here out of Config.Logger, which is told the same
	// things else. Warnings are logged in any case.
	Unlogged bool
}

// The events of a [Trace].
type (
	// TraceIntent is an intent that is sent.
	TraceIntent struct {
		Orchestrator netip.AddrPort
		Try          int // 1 for the first
	}
	// TraceOffer is an offer, or an answer in its place that is none.
	TraceOffer struct {
		TID       int64
		Receivers int   // that it names
		Err       error // an ErrBadOffer, or nil
	}
	// TraceShare is what a receiver is assigned.
	TraceShare struct {
		Receiver int
		Addr     netip.AddrPort
		Latency  time.Duration // as in ReceiverReport
		Bytes    int64
		Segments int64
		Window   int // segments at once, of the extended protocol; else 0
	}
	// TraceSegment is a segment that is sent.
	TraceSegment struct {
		Receiver int
		Addr     netip.AddrPort
		TID, Seq int64
		Num      int64 // of the extended protocol; else wire.Absent
		Off      int64 // its first byte in the payload
		Len      int   // bytes
		// Try is 1 for the first time that it is sent to this receiver, in the extended protocol
		// to anybody. There it is 2 for any other.
		Try int
	}
	// TraceAck is an acknowledgement.
	TraceAck struct {
		Receiver int
		Addr     netip.AddrPort
		TID, Seq int64 // Seq is the segment's; of the extended protocol the receiver's own count
		Num      int64 // the highest acknowledged, of the extended protocol; else wire.Absent
		// Duplicate says that all of it was acknowledged before, and Unsent that it is of what
		// was never sent to this receiver. A Drop follows either.
		Duplicate, Unsent bool
	}
	// TraceManifest is a question to the orchestrator.
	TraceManifest struct {
		Orchestrator netip.AddrPort
		Number       int64
		Bytes        int64 // of the payload
		Segment      int64 // bytes of one
		Verdict      bool  // it asks for the verdict
	}
	// TraceState is the orchestrator's answer.
	TraceState struct {
		Number   int64
		Standing wire.Standing
		Comment  string // for people
	}
	// TraceDrop is a datagram that changes nothing.
	TraceDrop struct {
		Cause DropCause
		Why   string // the cause, for people
		Peer  netip.AddrPort
		Data  []byte
	}
	// TraceDeath is the end of a receiver. A late acknowledgement may bring it back.
	TraceDeath struct {
		Receiver int
		Addr     netip.AddrPort
		Err      error
	}
)

// A DropCause is why a datagram was dropped: the field of [Drops] that counts it.
type DropCause uint8

// The causes, in the order of the fields.
const (
	DropMalformed DropCause = iota
	DropForeign
	DropUnwanted
	DropUnsent
	DropDuplicate
	DropUnopened
	DropReplayed
)

var dropNames = []string{"malformed", "foreign", "unwanted", "unsent", "duplicate", "unopened", "replayed"}

// String gives malformed, foreign, unwanted, unsent, duplicate, unopened or replayed.
func (c DropCause) String() string { return name("drop", dropNames, c) }

// ParseDropCause gives the cause that s names.
func ParseDropCause(s string) (DropCause, error) { return parse[DropCause]("drop", dropNames, s) }

// count is the counter of a cause.
func (d *Drops) count(c DropCause) *int64 {
	return [...]*int64{&d.Malformed, &d.Foreign, &d.Unwanted, &d.Unsent, &d.Duplicate, &d.Unopened,
		&d.Replayed}[c]
}

// observe adds a trace to those that a session tells.
func (s *session) observe(t *Trace) {
	s.traces = append(s.traces, t)
	s.watched = s.watched || t.Segment != nil || t.Ack != nil
}

// tell calls a function of all traces. Segments and acknowledgements, of which there are
// many, have loops of their own.
func (s *session) tell(f func(*Trace)) {
	for _, t := range s.traces {
		f(t)
	}
}

// tellSegment tells of a segment that is sent.
func (s *session) tellSegment(x TraceSegment) {
	for _, t := range s.traces {
		if t.Repeat != nil && x.Try > 1 {
			t.Repeat(x)
		}
		if t.Segment != nil {
			t.Segment(x)
		}
	}
}

// tellAck tells of an acknowledgement.
func (s *session) tellAck(x TraceAck) {
	for _, t := range s.traces {
		if t.Ack != nil {
			t.Ack(x)
		}
	}
}

// tellOffer tells of an offer.
func (s *session) tellOffer(x TraceOffer) {
	for _, t := range s.traces {
		if t.Offer != nil {
			t.Offer(x)
		}
	}
}

// tellDeath tells that a receiver is dead.
func (s *session) tellDeath(i int, err error) {
	for _, t := range s.traces {
		if t.Death != nil {
			t.Death(TraceDeath{i, s.peers[i].addr, err})
		}
	}
}

// drop counts a datagram that changes nothing.
func (s *session) drop(cause DropCause, why string, peer netip.AddrPort, b []byte) {
	*s.report.Dropped.count(cause)++
	for _, t := range s.traces {
		if t.Drop != nil {
			t.Drop(TraceDrop{cause, why, peer, b})
		}
	}
}

// logTrace is the trace that writes what happens to a logger, but for what theirs has
// a function for, if it says so.
func logTrace(log *slog.Logger, theirs *Trace) *Trace {
	t := &Trace{
		Intent: func(x TraceIntent) { log.Info("intent", "orchestrator", x.Orchestrator, "times", x.Try) },
		Offer: func(x TraceOffer) {
			if x.Err == nil {
				log.Info("offer", "tid", x.TID, "receivers", x.Receivers)
			}
		},
		Share: func(x TraceShare) {
			if x.Window == 0 {
				log.Info("receiver", "addr", x.Addr, "latency", x.Latency,
					"bytes", x.Bytes, "segments", x.Segments)
			} else {
				log.Info("receiver", "addr", x.Addr, "latency", x.Latency,
					"segments", x.Segments, "window", x.Window)
			}
		},
		Repeat: func(x TraceSegment) {
			if x.Num == wire.Absent { // extended ones are too many for a line each
				log.Info("timeout: sending again", "addr", x.Addr, "seq", x.Seq, "try", x.Try)
			}
		},
		Manifest: func(x TraceManifest) {
			log.Info("manifest", "orchestrator", x.Orchestrator, "number", x.Number,
				"bytes", x.Bytes, "segment", x.Segment, "asks for the verdict", x.Verdict)
		},
		State: func(x TraceState) {
			log.Info("state", "state", x.Standing, "number", x.Number, "comment", x.Comment)
		},
	}
	if log.Enabled(context.Background(), slog.LevelDebug) {
		t.debug(log)
	}
	if theirs != nil && theirs.Unlogged {
		t.without(theirs)
	}
	return t
}

// debug adds a line for every datagram.
func (t *Trace) debug(log *slog.Logger) {
	t.Segment = func(x TraceSegment) {
		attrs := []any{"peer", x.Addr, "type", int(wire.Data), "tid", x.TID, "seq", x.Seq}
		log.Debug("sending", appendNum(attrs, x.Num, "bytes", x.Len)...)
	}
	t.Ack = func(x TraceAck) {
		attrs := []any{"peer", x.Addr, "type", int(wire.Ack), "tid", x.TID, "seq", x.Seq}
		log.Debug("received", appendNum(attrs, x.Num)...)
	}
	t.Drop = func(x TraceDrop) { log.Debug("dropped", "why", x.Why, "peer", x.Peer, "data", excerpt(x.Data)) }
}

// appendNum adds a NUM to the attributes of a line, if there is one, and more behind it.
func appendNum(attrs []any, num int64, more ...any) []any {
	if num != wire.Absent {
		attrs = append(attrs, "num", num)
	}
	return append(attrs, more...)
}

// without takes out what another trace has a function for.
func (t *Trace) without(o *Trace) {
	leave(&t.Intent, o.Intent)
	leave(&t.Offer, o.Offer)
	leave(&t.Share, o.Share)
	leave(&t.Segment, o.Segment)
	leave(&t.Repeat, o.Repeat)
	leave(&t.Ack, o.Ack)
	leave(&t.Manifest, o.Manifest)
	leave(&t.State, o.State)
	leave(&t.Drop, o.Drop)
}

func leave[E any](mine *func(E), theirs func(E)) {
	if theirs != nil {
		*mine = nil
	}
}
