package mdalp

import (
	"errors"
	"fmt"
	"time"

	"mdalp/loop"
	"mdalp/wire"
)

// How the orchestrator of an extended transaction is asked (PROTOCOL.md, "Messages").
const (
	announcements = 4               // manifests without an answer: then the base protocol it is
	askFirst      = time.Second     // wait for an answer; twice as long after each
	askMost       = 8 * time.Second //
	askGiveUp     = 60 * time.Second
)

// A dialog is what a session and its orchestrator say to each other about an extended
// transaction: manifests there, states back. It goes on beside the stages: the payload is
// announced while receivers are pinged, and how it stands is asked in the midst of
// sending. What an answer means is for the stage.
type dialog struct {
	s        *session
	manifest wire.Manifest

	largest int  // segment that the path takes, in bytes
	held    bool // the server told the sizes of what is to be resumed
	on      bool // the offer is extended, and the payload is, or is to be, announced
	opened  bool // the announcement was answered: segments may have NUMs
	failed  bool // it was not: the base protocol it is

	seq    int64         // of the next manifest
	newest int64         // of the newest state that was acted on
	first  int64         // of the first manifest that asks what is asked now
	ready  bool          // a manifest is to be sent
	asked  bool          // an answer is awaited
	tries  int           // manifests sent since the last answer
	wait   time.Duration // for an answer
	since  time.Time     // the last answer, or the first question
	open   wire.State    // what the server has of the payload, as the announcement was answered
}

// begin announces the payload in segments of so many bytes.
func (d *dialog) begin(now time.Time, segment int) {
	s := d.s
	d.largest, d.held = segment, false
	d.manifest = wire.Manifest{Bytes: s.size, Seg: int64(segment), Name: s.cfg.Name, Resume: wire.Absent}
	if r := s.resume; r != nil {
		d.take(int64(r.Segment), "")
	}
	d.on, d.newest, d.since = true, wire.Absent, now
	d.ask(now)
	s.blocks.hash(now) // while the server makes room
}

// take resumes a transaction whose segments have so many bytes, 0 where that is not known;
// not if they are larger than the path takes, or if there is another reason why not.
func (d *dialog) take(segment int64, why string) {
	s := d.s
	if why == "" && segment > int64(d.largest) {
		why = fmt.Sprintf("its segments of %d bytes do not fit any more", segment)
	}
	if why != "" {
		s.log.Warn("the payload is sent anew: what there is cannot be resumed",
			"tid", s.resume.TID, "why", why)
		s.resume, d.manifest.Resume, d.manifest.Seg = nil, wire.Absent, int64(d.largest)
		return
	}
	d.manifest.Resume = s.resume.TID
	if segment > 0 {
		d.manifest.Seg = segment
	}
}

// ask has a manifest sent, and sent again until it is answered.
func (d *dialog) ask(now time.Time) {
	if !d.asked {
		d.since = now
	}
	d.first = d.seq
	d.ready, d.asked, d.wait, d.tries = true, true, d.patience(), 0
}

// later puts off the manifest that is to be sent.
func (d *dialog) later(now time.Time, wait time.Duration) {
	d.ready = false
	d.s.timers.Arm(timerManifest, now.Add(wait))
}

// patience is how long the first answer to a question is waited for.
func (d *dialog) patience() time.Duration {
	if !d.opened {
		return askFirst
	}
	return min(max(askFirst, 3*d.s.roundTrip()), askMost)
}

// undecided reports whether it is not known yet which protocol will be spoken.
func (d *dialog) undecided() bool { return d.on && !d.opened && !d.failed }

// transmit gives a manifest that is due.
func (d *dialog) transmit(now time.Time, e *loop.Envelope, b []byte) ([]byte, bool) {
	if !d.ready {
		return b, false
	}
	s := d.s
	d.ready = false
	if s.several() && d.tries > 0 && d.tries%unanswered == 0 && s.refusals == 0 && !s.sealed() {
		s.onward("it is silent")
		d.wait = min(d.patience()<<(d.tries/unanswered/len(s.cfg.Orchestrators)), askMost)
	}
	d.tries++
	s.timers.Arm(timerManifest, now.Add(d.wait))
	d.wait = min(2*d.wait, askMost)
	if !d.opened && !s.several() {
		d.wait = askFirst << d.tries
	}
	e.Sock, e.Peer = sockUDP, s.cfg.Orchestrator
	seq := d.seq
	d.seq++
	s.tell(func(t *Trace) {
		if t.Manifest != nil {
			t.Manifest(TraceManifest{s.cfg.Orchestrator, seq, d.manifest.Bytes, d.manifest.Seg,
				d.manifest.SHA256 != ""})
		}
	})
	return wire.AppendManifest(b, s.tid, seq, &d.manifest), true
}

// due is the end of a wait for an answer.
func (d *dialog) due(now time.Time) {
	s := d.s
	switch {
	case !d.asked:
	case d.undecided() && s.sealed() && d.tries >= s.silent():
		d.stop()
		if !s.revive(now, "the orchestrator does not answer the announcement") {
			s.incomplete(now, &PeerError{s.cfg.Orchestrator, OpManifest, ErrNoAnswer})
		}
	case d.undecided() && d.tries >= announcements*max(1, len(s.cfg.Orchestrators)):
		d.stop()
		d.failed = true
		s.log.Warn("the orchestrator does not answer the announcement: going on with the base protocol",
			"manifests", d.tries)
		s.pinging.proceed(now)
	case d.opened && d.tries >= s.silent() && s.revive(now, "the orchestrator does not answer"):
	case d.opened && now.Sub(d.since) >= askGiveUp:
		s.incomplete(now, &PeerError{s.cfg.Orchestrator, OpManifest, ErrNoAnswer})
	default:
		d.ready, s.refusals = true, 0
	}
}

// stop ends the asking.
func (d *dialog) stop() {
	d.ready, d.asked = false, false
	d.s.timers.Stop(timerManifest)
}

// takes reports whether a datagram is a state for this transfer; one that looks like it
// and is none, or is older than what is known, is dropped and counted here.
func (d *dialog) takes(e *loop.Envelope, m *wire.Message, b []byte) (st wire.State, ok bool) {
	s := d.s
	if m.TID != s.tid || m.Seq < 0 || m.Seq >= d.seq || m.Data == nil {
		s.drop(DropUnwanted, "not awaited", e.Peer, b)
		return st, false
	}
	st, err := wire.ParseState(m.Data)
	switch {
	case err != nil || len(b) > wire.MaxManifest:
		s.drop(DropMalformed, "malformed", e.Peer, b)
	case st.Standing == wire.Unknown || m.Seq <= d.newest:
		s.drop(DropUnwanted, "no answer, or an old one", e.Peer, b)
	default:
		d.newest = m.Seq
		return st, true
	}
	return st, false
}

// receive takes a message of type 5 from the orchestrator.
func (d *dialog) receive(now time.Time, e *loop.Envelope, m *wire.Message, b []byte) {
	s := d.s
	st, ok := d.takes(e, m, b)
	if !ok {
		return
	}
	s.tell(func(t *Trace) {
		if t.State != nil {
			t.State(TraceState{m.Seq, st.Standing, st.Comment})
		}
	})
	s.heard(e.Peer)
	d.since, d.tries = now, 0
	switch st.Standing {
	case wire.Refused:
		if d.again(now, &st) {
			return
		}
		why := ErrRefused
		if st.Comment != "" {
			why = fmt.Errorf("%w: %s", ErrRefused, st.Comment)
		}
		s.finish(now, &PeerError{s.cfg.Orchestrator, OpPayload, why})
		return
	case wire.Damaged:
		s.finish(now, &PeerError{s.cfg.Orchestrator, OpPayload, ErrDamaged})
		return
	}
	if !d.opened {
		d.opening(now, &st)
		return
	}
	s.blocks.stands(now, &st, m.Seq < d.first)
}

// closed is why most transactions are gone on with in another.
const closed = "the server has closed the transaction"

// again goes on after a refusal where it is no end. What is held under the number that was
// to be resumed may have other sizes, which the refusal tells; and a transaction that was
// open may have been closed: by its limit, by a start of a server that does not know it any
// more, or because this client has another address now.
func (d *dialog) again(now time.Time, st *wire.State) bool {
	s := d.s
	switch {
	case !d.opened && s.resume != nil && st.Bytes >= 0 && st.Seg >= 0:
		why := ""
		switch {
		case st.Bytes != s.size:
			why = fmt.Sprintf("it has %d bytes, and the payload %d", st.Bytes, s.size)
		case st.Seg == d.manifest.Seg:
			return false // it would be refused for ever
		case st.Seg < min(wire.MinSegment, s.size):
			why = fmt.Sprintf("nobody sends segments of %d bytes", st.Seg)
		case d.held:
			why = "its segments were of another size a moment ago" // and might be for ever
		}
		d.held = true
		d.take(st.Seg, why)
		d.ask(now)
		return true
	case d.opened && st.Resume >= 0:
		return s.renew(now, st.Resume, closed)
	case (d.opened || s.several()) && st.Comment == "":
		return s.renew(now, s.tid, closed)
	}
	return false
}

// opening takes the answer to the announcement. What the server has may take several
// answers to tell.
func (d *dialog) opening(now time.Time, st *wire.State) {
	switch st.Standing {
	case wire.Open:
		for _, r := range st.Have { // what was told before is not told again, or by who errs
			if n := len(d.open.Have); n == 0 || r.First > d.open.Have[n-1].Last {
				d.open.Have = append(d.open.Have, r)
			}
		}
		from, total := d.manifest.From, (d.s.size-1)/d.manifest.Seg+1
		if d.manifest.From = 0; from < st.Upto && st.Upto < total {
			d.manifest.From = st.Upto
			d.newest = d.seq - 1 // what was asked until now would be answered with the same once more
			d.ask(now)
			return
		}
		d.open.Window = st.Window
		d.stop()
		d.opened = true
		s := d.s
		s.resume = nil
		if told := s.cfg.Announced; told != nil {
			is := Transaction{TID: s.tid, Segment: int(d.manifest.Seg)}
			defer s.beside(now, func() func(time.Time) { told(is); return nil })
		}
		s.pinging.proceed(now)
	default:
		// Busy and complete are answers to a digest, of which there was none.
		d.ready = false
	}
}

// Why an extended transfer failed.
var (
	ErrRefused = errors.New("the server refuses it")
	ErrDamaged = errors.New("what arrived has another digest: " +
		"the payload may have changed while it was sent")
	ErrNoAnswer = errors.New("no answer")
)
