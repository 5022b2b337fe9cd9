package server

import (
	"errors"
	"time"

	"mdalp/loop"
	"mdalp/wire"
)

const (
	// mostRanges bounds the memory of one extended transaction: so many ranges of SEQs, of
	// 16 bytes, may be stored with gaps between. A segment that would make one more is not
	// taken; it comes again when gaps have closed.
	mostRanges = 16384
	// trainBytes is how many bytes of segments in a row are written at once.
	trainBytes = 256 << 10
)

// An extended is what a transaction of the extended protocol has beside the others.
type extended struct {
	size    int64 // bytes of the payload
	segment int64 // of a segment
	total   int64 // segments
	name    string
	decided bool // a segment with NUM was taken
	have    rangeSet
	fresh   []wire.Range // taken since place was last told
	dirty   bool         // it stands in Server.dirty
	place   Place
	arrived []arrivals // by receiver
	dialog  dialog
	hashed  int64        // bytes that the digest has gone over, or is going to
	flushed int64        // bytes that there were when they were flushed last
	due     bool         // to be flushed
	listed  bool         // it stands in Server.unflushed
	unkept  bool         // place keeps nothing
	heir    *transaction // which resumes it, once it is closed
}

// arrivals is what one receiver has received.
type arrivals struct {
	nums    numbers
	acks    int64  // sent so far
	pending bool   // one is to be sent
	path    intent // where the newest segment came from and to
}

// bytes is how many bytes of the payload are stored.
func (x *extended) bytes() int64 {
	n := x.have.n * x.segment
	if x.have.has(x.total - 1) {
		n -= x.total*x.segment - x.size
	}
	return n
}

func (x *extended) whole() bool { return x.have.n == x.total }

// A train is segments in a row that are not written yet: one write for them all.
type train struct {
	t   *transaction
	off int64
	b   []byte
}

// block takes a segment with NUM that came to receiver i.
func (s *Server) block(now time.Time, t *transaction, i int, m *wire.Message, e *loop.Envelope) {
	st, x := &s.stats, t.ext
	switch {
	case x == nil:
		st.WrongKind++ // nothing was announced, or it is a transaction of the base protocol
		return
	case m.Seq >= x.total:
		st.OutOfBounds++
		return
	case int64(len(m.Data)) != min(x.segment, x.size-m.Seq*x.segment):
		st.Oversize++
		return
	}
	if x.have.has(m.Seq) {
		st.Duplicates++
		t.shares[i].Duplicates++
	} else if t.phase != open { // after the verdict nothing is stored any more, see bury
		st.Late++
		return
	} else if !s.take(now, t, i, m) {
		return
	}
	a := &x.arrived[i]
	a.nums.add(m.Num)
	a.path.from(e)
	if !a.pending {
		a.pending = true
		s.blockAcks.push(blockAck{t, i})
	}
}

// A blockAck says that a receiver owes an acknowledgement.
type blockAck struct {
	t *transaction
	i int
}

// take stores a new segment, or has it stored with those behind it.
func (s *Server) take(now time.Time, t *transaction, i int, m *wire.Message) bool {
	st, x := &s.stats, t.ext
	if t.place == none && !s.takes(t) {
		st.NoPlace++
		return false
	}
	if most := s.cfg.SourceBytes; most > 0 && t.origin.bytes+int64(len(m.Data)) > most {
		st.SourceFull++
		return false
	}
	off := m.Seq * x.segment
	w := &s.train
	if w.t != t || w.off+int64(len(w.b)) != off || len(w.b)+len(m.Data) > trainBytes {
		s.writeTrain(now)
		if t.phase != open { // it was this transaction's, and could not be written
			st.Late++
			return false
		}
	}
	if _, full := x.have.add(m.Seq, x.have.len() < mostRanges); full {
		st.TooScattered++
		return false
	}
	if w.t == nil {
		w.t, w.off = t, off
		if w.b == nil {
			w.b = make([]byte, 0, trainBytes)
		}
	}
	w.b = append(w.b, m.Data...)
	x.decided = true
	st.Stored++
	st.Bytes += uint64(len(m.Data))
	t.last, t.stored = now, now
	t.limit = now.Add(s.cfg.Silence)
	t.shares[i].Segments++
	t.shares[i].Bytes += int64(len(m.Data))
	t.origin.bytes += int64(len(m.Data))
	if k := len(x.fresh) - 1; k >= 0 && x.fresh[k].Last == m.Seq-1 {
		x.fresh[k].Last++
	} else {
		x.fresh = append(x.fresh, wire.Range{First: m.Seq, Last: m.Seq})
	}
	if !x.dirty {
		x.dirty = true
		s.dirty = append(s.dirty, t)
	}
	return true
}

// writeTrain writes the segments that stand together.
func (s *Server) writeTrain(now time.Time) {
	w := &s.train
	t := w.t
	if t == nil {
		return
	}
	w.t = nil
	if t.phase == open && t.ext != nil {
		if err := t.ext.place.Write(w.b, w.off); err != nil {
			s.unwritten(now, t, err)
		}
	}
	w.b = w.b[:0]
}

// burst ends what a burst of segments has begun: they are written, and that they are is
// noted. Only then are they acknowledged. It costs nothing when there was none.
func (s *Server) burst(now time.Time) {
	if len(s.dirty) == 0 {
		return
	}
	s.writeTrain(now)
	for _, t := range s.dirty {
		x := t.ext
		if x == nil {
			continue
		}
		x.dirty = false
		if t.phase != open {
			continue
		}
		if err := x.place.Taken(x.fresh); err != nil {
			s.unwritten(now, t, err)
			continue
		}
		x.fresh = x.fresh[:0]
		if !x.listed {
			x.listed = true
			s.unflushed = append(s.unflushed, t)
		}
		s.attend(t)
	}
	s.dirty = s.dirty[:0]
}

// unwritten ends a transaction whose store takes no more: its client is told, and what was
// acknowledged before is kept.
func (s *Server) unwritten(now time.Time, t *transaction, err error) {
	x := t.ext
	for _, r := range x.fresh { // not known to be there
		had := x.bytes()
		x.have.remove(r)
		lost, n := had-x.bytes(), uint64(r.Last-r.First+1)
		s.stats.Stored -= n
		s.stats.StoreErrors += n
		s.stats.Bytes -= uint64(lost)
		t.origin.bytes -= lost
	}
	x.fresh = x.fresh[:0]
	if t.err == nil {
		t.err = err
	}
	s.tell(now, tellStore, "store failed, the payload is refused", "tid", t.tid, "err", err)
	x.dialog.verdict, x.dialog.comment = wire.Refused, reason(err)
	s.settle(now, t)
}

// reason is what a client is told of an error of the store. It learns nothing of paths.
func reason(err error) string {
	if errors.Is(err, ErrFull) || full(err) {
		return "no room"
	}
	return "the store failed"
}

// transmitExtended ends the burst, and gives an acknowledgement or a state.
func (s *Server) transmitExtended(now time.Time, e *loop.Envelope, b []byte) ([]byte, bool) {
	if len(s.dirty) > 0 {
		s.burst(now)
		s.work(now)
	}
	if out, ok := s.transmitBlockAck(now, e, b); ok {
		return out, true
	}
	return s.transmitState(now, e, b)
}

// transmitBlockAck gives the acknowledgement that a receiver owes: one for all that came
// since its last.
func (s *Server) transmitBlockAck(now time.Time, e *loop.Envelope, b []byte) ([]byte, bool) {
	for s.blockAcks.len() > 0 {
		k := s.blockAcks.pop()
		x := k.t.ext
		if x == nil || k.t.phase > settling {
			continue
		}
		a := &x.arrived[k.i]
		a.pending = false
		if x.dialog.verdict == wire.Refused {
			s.stats.AcksDropped++ // what came may not be stored
			continue
		}
		rs := a.nums.newest(s.ackRanges[:0])
		if len(rs) == 0 {
			continue
		}
		seq := a.acks
		a.acks++
		s.stats.Acks++
		a.path.to(e)
		return wire.AppendAckRanges(b, k.t.tid, seq, rs), true
	}
	return b, false
}
