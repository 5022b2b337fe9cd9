package server

import (
	"errors"
	"time"

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
	dialog  dialog
	hashed  int64        // bytes that the digest has gone over, or is going to
	flushed int64        // bytes that there were when they were flushed last
	due     bool         // to be flushed
	listed  bool         // it stands in Server.unflushed
	told    bool         // of a fleet: what is there was told just now
	unkept  bool         // place keeps nothing
	heir    *transaction // which resumes it, once it is closed
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
	n   int    // bytes
	b   []byte // these, unless the place keeps none
}

// block takes a segment with NUM that came to receiver i.
func (s *Ledger) block(now time.Time, t *transaction, i int, m *wire.Message) answer {
	st, x := &s.stats, t.ext
	switch {
	case x == nil:
		st.WrongKind++ // nothing was announced, or it is a transaction of the base protocol
		return refused
	case m.Seq >= x.total:
		st.OutOfBounds++
		return refused
	case int64(len(m.Data)) != min(x.segment, x.size-m.Seq*x.segment):
		st.Oversize++
		return refused
	}
	if x.have.has(m.Seq) {
		st.Duplicates++
		t.shares[i].Duplicates++
		return known
	} else if t.phase != open { // after the verdict nothing is stored any more, see bury
		st.Late++
		return refused
	} else if !s.take(now, t, i, m) {
		return refused
	}
	return taken
}

// take stores a new segment, or has it stored with those behind it.
func (s *Ledger) take(now time.Time, t *transaction, i int, m *wire.Message) bool {
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
	if w.t != t || w.off+int64(w.n) != off || w.n+len(m.Data) > trainBytes {
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
		w.t, w.off, w.n = t, off, 0
		if w.b == nil && !x.unkept {
			w.b = make([]byte, 0, trainBytes)
		}
	}
	w.n += len(m.Data)
	if !x.unkept {
		w.b = append(w.b, m.Data...)
	}
	if !x.decided {
		x.decided = true
		s.first(now, t, i, len(m.Data))
	}
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
func (s *Ledger) writeTrain(now time.Time) {
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
func (s *Ledger) burst(now time.Time) {
	if len(s.dirty) == 0 {
		return
	}
	s.writeTrain(now)
	free := false
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
		if x.whole() { // it waits for the question after its verdict alone
			s.unplace(t)
			free = true
		}
	}
	s.dirty = s.dirty[:0]
	if free {
		s.desk.admit(now)
	}
}

// endBurst does the same where it ends a call's round, and what it left to do in place.
func (s *Ledger) endBurst(now time.Time) {
	if len(s.dirty) > 0 {
		s.burst(now)
		s.work(now)
	}
}

// unwritten ends a transaction whose store takes no more: its client is told, and what was
// acknowledged before is kept.
func (s *Ledger) unwritten(now time.Time, t *transaction, err error) {
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
	t.deny(reason(err))
	s.settle(now, t)
}

// reason is what a client is told of an error of the store. It learns nothing of paths.
func reason(err error) string {
	if errors.Is(err, ErrFull) || full(err) {
		return "no room"
	}
	return "the store failed"
}

// extend makes t a transaction of the extended protocol, of which some segments are there.
func (s *Ledger) extend(t *transaction, size, segment int64, place Place, have []wire.Range) *extended {
	x := &extended{size: size, segment: segment, total: (size-1)/segment + 1, place: place}
	t.arrived = make([]arrivals, len(s.cfg.Receivers))
	_, x.unkept = place.(sink)
	for _, r := range have {
		x.have.put(r)
	}
	x.decided = len(have) > 0
	x.flushed = x.bytes()
	t.origin.bytes += x.bytes()
	t.ext = x
	if !t.used {
		s.use(t)
	}
	return x
}

// giveUp lets go of a place that nobody waits for any more.
func (s *Ledger) giveUp(place Place, have []wire.Range) {
	s.beside(func() func(time.Time) {
		if len(have) > 0 {
			place.Keep(have)
		} else {
			place.Discard()
		}
		return nil
	})
}

// unannounce makes a transaction one of the base protocol: its first segment has no NUM.
func (s *Ledger) unannounce(t *transaction) {
	t.opening = nil
	if t.ext == nil {
		return
	}
	place := t.ext.place
	t.ext, t.arrived = nil, nil
	t.limit = t.start.Add(s.cfg.Limit)
	s.arm(t, t.limit)
	s.giveUp(place, nil)
}
