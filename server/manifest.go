package server

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"mdalp/loop"
	"mdalp/wire"
)

const (
	// mostStates is how many states may wait to be sent.
	mostStates = 1024
	// stateRanges is how many ranges a state is given at most: more never fit.
	stateRanges = 600
	// busyWait is how long an answer waits for the verdict. A client that is told to wait
	// may ask again after the same time, and a little more for a large payload.
	busyWait = 50 * time.Millisecond
	// repeatFor is how long a verdict is repeated to who asks.
	repeatFor = 2 * time.Minute
	// sizesDiffer is the refusal that tells the sizes.
	sizesDiffer = "sizes that differ from those announced"
)

// A dialog is what client and orchestrator said to each other about an extended payload.
type dialog struct {
	seq     int64  // the highest of a manifest
	path    intent // where that came from; states go there
	from    int64  // it wants no SEQ told below
	queued  bool   // an answer is to be sent
	held    bool   // it waits a moment for the verdict, see said
	asked   bool   // it asked for the verdict
	want    [sha256.Size]byte
	verdict wire.Standing // Unknown while there is none
	comment string        // of Refused
	// resumable says that what is there may be resumed under this number.
	resumable bool
}

// A reply is a state that waits to be sent: of a transaction, or bare. With cookie it is none,
// but the answer to an intent.
type reply struct {
	cookie bool
	t      *transaction
	tid    int64
	seq    int64
	path   intent
	held   *SizesError // what is held, where that is why it is refused
}

// manifest takes a message of type 4.
func (s *Orchestrator) manifest(now time.Time, e *loop.Envelope, m *wire.Message, b []byte) {
	st := &s.stats
	if m.TID < 0 || m.Seq < 0 || m.Data == nil || len(b) > wire.MaxManifest {
		st.Malformed++
		return
	}
	p, refusal, err := wire.ParseManifest(m.Data)
	if err != nil {
		st.Malformed++
		return
	}
	st.Manifests++
	var from intent
	from.from(e)
	said := announcement{p, refusal, m.Seq, from}
	t := s.byTID[m.TID]
	if t == nil && s.cfg.Fleet != nil {
		s.find(now, m.TID, e.Peer.Addr(), &said)
		return
	}
	// A sealed one proves itself whose it is, and the intent may have been replayed from elsewhere.
	if t == nil || t.phase < open || t.seal == nil && t.client.Addr() != e.Peer.Addr() ||
		t.phase == settled && t.ext == nil {
		s.answer(reply{tid: m.TID, seq: m.Seq, path: from})
		return
	}
	s.hear(now, t, &said)
}

// hear takes a manifest of a transaction that was offered.
func (s *Orchestrator) hear(now time.Time, t *transaction, said *announcement) {
	if t.ext == nil && t.index != nil && t.index.High() > 0 {
		return // the first segment made it one of the base protocol
	}
	if t.phase == open && !now.Before(t.limit) {
		s.wake(now, t)
	}
	refusal := said.refusal
	switch {
	case t.ext != nil:
		s.said(now, t, said)
	case t.phase != open:
		s.answer(reply{tid: t.tid, seq: said.seq, path: said.path})
	case t.opening != nil:
		if said.seq >= t.opening.seq && said.Bytes == t.opening.Bytes && said.Seg == t.opening.Seg {
			said.Resume = t.opening.Resume
			*t.opening = *said // it is answered when there is a place
		}
	default:
		if refusal == "" {
			opening := *said
			refusal = s.announced(now, t, &opening)
		}
		if refusal != "" {
			s.refuseManifest(t, said, refusal, nil)
		}
	}
}

// An announcement is a manifest, and where it came from.
type announcement struct {
	wire.Manifest
	refusal string // what is wrong with it
	seq     int64
	path    intent
}

// said takes a manifest of a payload that has a place.
func (s *Orchestrator) said(now time.Time, t *transaction, m *announcement) {
	x := t.ext
	d := &x.dialog
	if m.seq < d.seq {
		return // an old one
	}
	d.seq, d.from, d.path = m.seq, m.From, m.path
	if d.asked = m.SHA256 != ""; d.asked {
		hex.Decode(d.want[:], []byte(m.SHA256))
	}
	t.refusal = m.refusal
	if m.Bytes != x.size || m.Seg != x.segment {
		t.refusal = sizesDiffer
	}
	if t.phase == open {
		t.last = now
		t.limit = now.Add(s.cfg.Silence)
		if t.gatherer() != nil && !x.told {
			t.heard = true
			s.gather(now, t)
			return
		}
		x.told = false
	}
	s.judge(now, t)
}

// judge answers the newest manifest of t, with the verdict if all is there.
func (s *Orchestrator) judge(now time.Time, t *transaction) {
	x := t.ext
	if x == nil {
		return
	}
	d := &x.dialog
	if t.phase == open {
		s.burst(now)
		if d.asked && t.refusal == "" && x.whole() {
			s.settle(now, t)
		}
		if t.phase == settling {
			// Most are checked and written within a few milliseconds. To answer busy at
			// once would have the client wait for longer than that.
			d.held = true
			s.arm(t, now.Add(busyWait))
			return
		}
	}
	d.held = false
	s.answer(reply{t: t, tid: t.tid, seq: d.seq, path: d.path})
}

// unhold gives the answer that was held back, if there is one.
func (s *Orchestrator) unhold(t *transaction) {
	if x := t.ext; x != nil && x.dialog.held {
		x.dialog.held = false
		s.answer(reply{t: t, tid: t.tid, seq: x.dialog.seq, path: x.dialog.path})
	}
}

// refuseManifest answers an announcement that cannot be taken. Nothing of it is remembered
// but the words.
func (s *Orchestrator) refuseManifest(t *transaction, m *announcement, why string, held *SizesError) {
	t.refusal = why
	s.answer(reply{t: t, tid: t.tid, seq: m.seq, path: m.path, held: held})
}

// answer has a state sent: for a transaction once for any number of manifests until then.
func (s *Orchestrator) answer(r reply) {
	if r.t != nil && r.t.ext != nil && r.t.ext.dialog.queued {
		return
	}
	if s.replies.len() >= mostStates {
		s.stats.StatesDropped++
		return
	}
	if r.t != nil && r.t.ext != nil {
		r.t.ext.dialog.queued = true
	}
	s.replies.push(r)
}

// transmitState gives a state that is to be sent.
func (s *Orchestrator) transmitState(now time.Time, e *loop.Envelope, b []byte) ([]byte, bool) {
	if s.replies.len() == 0 {
		return b, false
	}
	r := s.replies.pop()
	if t := r.t; t != nil && (t.ext == nil && t.refusal == "" ||
		t.phase > settling && t.cut) {
		// It is of the base protocol now; or it was cut off, and the next process answers.
		return s.transmitState(now, e, b)
	}
	path, seq := r.path, r.seq
	if r.cookie {
		path.to(e)
		var c [wire.CookieDigits]byte
		return wire.AppendCookie(b, string(s.cookies.append(c[:0], now, path.peer, 0))), true
	}
	s.stats.States++
	st := wire.NewState(wire.Refused)
	if r.t != nil {
		st.Comment = r.t.refusal
		if r.held != nil {
			st.Bytes, st.Seg = r.held.Bytes, r.held.Segment
		}
		if x := r.t.ext; x != nil {
			d := &x.dialog
			d.queued = false
			path, seq = d.path, d.seq
			st = s.standing(r.t)
		}
	}
	path.to(e)
	return wire.AppendState(b, r.tid, seq, &st), true
}

// standing is how an extended transaction stands.
func (s *Orchestrator) standing(t *transaction) wire.State {
	x := t.ext
	d := &x.dialog
	st := wire.NewState(wire.Open)
	switch {
	case t.refusal != "":
		st.Standing, st.Comment = wire.Refused, t.refusal
		if t.refusal == sizesDiffer {
			st.Bytes, st.Seg = x.size, x.segment
		}
	case d.verdict != wire.Unknown:
		st.Standing, st.Comment = d.verdict, d.comment
		if d.resumable {
			st.Resume = t.tid
		}
	case t.phase == settled && d.asked:
		// It was published before anybody asked: the first digest decides, and that is repeated.
		// A store that keeps nothing has none to compare it with.
		if d.verdict = wire.Complete; t.sum != d.want && t.sum != ([sha256.Size]byte{}) {
			d.verdict = wire.Damaged
		}
		st.Standing = d.verdict
	case t.phase == settling:
		st.Standing, st.Wait = wire.Busy, (busyWait + time.Duration(x.size)/16).Milliseconds()
	default:
		if d.asked {
			st.Standing = wire.Incomplete
		} else {
			st.Window = s.windowFor(t)
		}
		st.Told = true
		st.Have, st.Upto = x.have.from(nil, d.from, stateRanges)
		if t.phase == settled { // it was published before anybody asked
			st.Have = []wire.Range{{First: min(d.from, x.total-1), Last: x.total - 1}}
		}
	}
	return st
}
