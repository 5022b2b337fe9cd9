package server

import (
	"crypto/sha256"
	"net/netip"
	"time"
)

// A phase of a transaction. It only ever goes down this list.
type phase uint8

const (
	held    phase = iota // its offer is held back
	ready                // its offer is to be sent
	open                 // its offer was sent, it takes segments
	settled              // it has its verdict, it acknowledges what it has
	gone                 // nothing knows it any more
)

// transaction is one client's payload on its way.
type transaction struct {
	tid    int64
	client netip.AddrPort
	sock   int            // where the last intent came to,
	local  netip.AddrPort // and where the offer leaves from
	phase  phase
	slot   int // of the timer

	pending bool // its offer stands in the queue of offers
	over    bool // a segment came that no bound lets us store
	checked bool // the expected size was there and sum is known

	release time.Time // of a held offer
	start   time.Time // the offer was sent
	limit   time.Time
	last    time.Time // a segment was taken, new or not
	stored  time.Time // a new segment was stored
	armed   time.Time // when the timer is due; may be too early, never late

	spool  Spool
	index  *Index
	shares []Share
	sum    [sha256.Size]byte
	err    error

	newer, older *transaction // in the list of settled ones
}

// segment takes a segment that came to receiver i. It reports whether the segment is
// stored, be it now or before, and is to be acknowledged.
func (s *Server) segment(now time.Time, t *transaction, i int, seq int64, data []byte) bool {
	st := &s.stats
	if seq >= s.segments {
		st.OutOfBounds++
		t.over = true
		return false
	}
	switch n := len(data); {
	case n == 0:
		st.Empty++
		return false
	case n > s.cfg.SegmentLimit:
		// It exists and is not here: without it the payload is not whole.
		st.Oversize++
		s.refuse(t, seq)
		return false
	}
	if t.index.Has(seq) {
		st.Duplicates++
		t.last = now
		if t.shares != nil {
			t.shares[i].Duplicates++
		}
		return true
	}
	if t.phase == settled {
		st.Late++
		return false
	}
	if t.index.Bytes()+int64(len(data)) > s.cfg.MaxBytes {
		st.TooMuch++
		s.refuse(t, seq)
		return false
	}
	stored, err := t.spool.Put(seq, data)
	if err != nil {
		st.StoreErrors++
		s.refuse(t, seq)
		s.failed(t, err)
		return false
	}
	t.last = now
	if !stored { // a store may know more than its index
		st.Duplicates++
		t.shares[i].Duplicates++
		return true
	}
	st.Stored++
	st.Bytes += uint64(len(data))
	t.stored = now
	t.shares[i].Segments++
	t.shares[i].Bytes += int64(len(data))
	return true
}

// refuse remembers that a segment exists that is not stored.
func (s *Server) refuse(t *transaction, seq int64) {
	if t.phase == open {
		t.index.Note(seq)
	}
}

// failed records an error of the store, the first of a transaction.
func (s *Server) failed(t *transaction, err error) {
	if t.err == nil {
		t.err = err
		s.cfg.Log.Error("store failed", "tid", t.tid, "err", err)
	}
}

// begin starts the transaction: its offer leaves at this moment.
func (s *Server) begin(now time.Time, t *transaction) {
	t.phase = open
	t.start, t.last, t.stored = now, now, now
	t.limit = now.Add(s.cfg.Limit)
	s.arm(t, t.limit)
	s.progress(now, t) // an expected payload of 0 bytes is here already
}

// progress settles the transaction if what it has is what was expected, and else
// sees to the timer.
func (s *Server) progress(now time.Time, t *transaction) {
	if s.cfg.Expect != nil {
		if s.arrived(t) {
			s.settle(now, t)
		}
	} else if at := s.due(t); at.Before(t.armed) {
		s.arm(t, at)
	}
}

// arrived reports whether the expected payload is there. Its hash is computed once,
// when the size agrees: from there on it could only grow.
func (s *Server) arrived(t *transaction) bool {
	want := s.cfg.Expect
	if t.index.Bytes() != want.Size || t.index.Prefix() != t.index.Segments() {
		return false
	}
	if !t.checked {
		sum, err := t.spool.Assemble()
		if err != nil {
			s.failed(t, err) // tried again at the limit
			return false
		}
		t.sum, t.checked = sum, true
	}
	return t.sum == want.SHA256
}

// wake does what t's timer is for, or sets it again when it was early: it is not
// moved with every segment.
func (s *Server) wake(now time.Time, t *transaction) {
	if at := s.due(t); now.Before(at) {
		s.arm(t, at)
		return
	}
	switch t.phase {
	case held:
		s.offer(t)
	case open:
		s.settle(now, t)
		if !now.Before(t.limit) && t.phase != gone {
			s.forget(t)
		}
	case settled:
		s.forget(t)
	}
}

// due is when something is to be done about t.
func (s *Server) due(t *transaction) time.Time {
	switch {
	case t.phase == held:
		return t.release
	case t.phase == open && s.cfg.Expect == nil && t.index.Whole() && !t.over:
		return earlier(t.limit, t.last.Add(s.cfg.Idle))
	default:
		return t.limit
	}
}

// live is the transaction of number tid if it has started and is not past its limit.
func (s *Server) live(now time.Time, tid int64) *transaction {
	t := s.byTID[tid]
	if t == nil || t.phase < open {
		return nil
	}
	if !now.Before(t.limit) {
		// The timer is up to a tick later than the limit.
		s.wake(now, t)
		return nil
	}
	return t
}

func (s *Server) arm(t *transaction, at time.Time) {
	t.armed = at
	s.wheel.Arm(t.slot, at)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
