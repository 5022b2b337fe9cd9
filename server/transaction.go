package server

import (
	"crypto/sha256"
	"net/netip"
	"time"

	"mdalp/loop"
	"mdalp/wire"
)

// A phase of a transaction. It only ever goes down this list, but that a payload which
// turns out not to be the expected one is open again.
type phase uint8

const (
	held     phase = iota // its offer is held back
	ready                 // its offer is to be sent
	open                  // its offer was sent, it takes segments
	settling              // its payload is being put together, or that is tried again later
	settled               // it has its verdict, it acknowledges what it has
	gone                  // nothing knows it any more
)

// transaction is one client's payload on its way.
type transaction struct {
	flow
	client  netip.AddrPort
	sock    int            // where the last intent came to,
	local   netip.AddrPort // and where the offer leaves from
	phase   phase
	slot    int // of the timer
	place   int // among those that hold one, or none
	asked   int // intents that came again after the offer, before a segment
	segment int // most bytes of a segment

	pending bool // its offer stands in the queue of offers
	used    bool // a segment is stored
	over    bool // a segment came that no bound lets us store
	checked bool // it has the expected size and other bytes
	busy    bool // a job is under way for it
	found   bool // it is from a former process
	cut     bool // it was left to the next process
	abroad

	release time.Time // of a held offer
	start   time.Time // the offer was sent
	last    time.Time // a segment was taken, new or not
	stored  time.Time // a new segment was stored
	armed   time.Time // when the timer is due; may be too early, never late

	goal   goal          // of settling
	pause  time.Duration // until it is tried again
	origin *origin
	seal   Seal      // nil in the clear
	ext    *extended // nil in the base protocol
	// opening is what was announced, while its place is being made.
	opening *announcement
	spool   Spool
	index   *Index
	shares  []Share
	sum     [sha256.Size]byte
	err     error
	// refusal is why an announcement, or the last manifest, was refused.
	refusal string

	newer, older *transaction // in the list of settled ones
}

// segment takes a segment of the base protocol that came to receiver i.
func (s *Ledger) segment(now time.Time, t *transaction, i int, seq int64, data []byte) answer {
	st := &s.stats
	if seq >= s.segments {
		st.OutOfBounds++
		if !t.over && t.phase == open {
			t.spool.Note(s.segments)
		}
		t.over = true
		return refused
	}
	switch n := len(data); {
	case n == 0:
		st.Empty++
		return refused
	case n > t.segment:
		// It exists and is not here: without it the payload is not whole.
		st.Oversize++
		s.refuse(t, seq)
		return refused
	}
	sum := Sum(data)
	if t.index.Has(seq) {
		return s.duplicate(now, t, i, seq, sum)
	}
	if t.phase != open {
		st.Late++
		return refused
	}
	if t.index.Bytes()+int64(len(data)) > s.cfg.MaxBytes {
		st.TooMuch++
		s.refuse(t, seq)
		return refused
	}
	if most := s.cfg.SourceBytes; most > 0 && t.origin.bytes+int64(len(data)) > most {
		st.SourceFull++
		s.refuse(t, seq)
		return refused
	}
	if (t.place == none || !t.used) && !s.takes(t) {
		// The client will ask again; it knows of this segment, so it is not whole.
		st.NoPlace++
		s.refuse(t, seq)
		return refused
	}
	if err := t.spool.Put(seq, i, data, sum); err != nil {
		st.StoreErrors++
		s.refuse(t, seq)
		s.failed(now, t, err)
		return refused
	}
	t.index.Add(seq, len(data), sum)
	if !t.used {
		s.use(t)
		s.first(now, t, i, len(data))
	}
	st.Stored++
	st.Bytes += uint64(len(data))
	t.last, t.stored = now, now
	t.shares[i].Segments++
	t.shares[i].Bytes += int64(len(data))
	t.origin.bytes += int64(len(data))
	return taken
}

// first writes a line of the first segment of t, that came to receiver i.
func (s *Ledger) first(now time.Time, t *transaction, i, bytes int) {
	s.cfg.Log.Info("first segment", t.line("tid", t.tid, "client", t.client,
		"receiver", s.cfg.Receivers[i].Addr, "bytes", bytes, "after", now.Sub(t.start))...)
}

// duplicate takes a segment whose number is stored. Only the same bytes are acknowledged:
// others are another payload's, which would be lost.
func (s *Ledger) duplicate(now time.Time, t *transaction, i int, seq int64, sum uint32) answer {
	if t.index.Sum(seq) != sum {
		s.stats.Conflicts++
		return refused
	}
	s.stats.Duplicates++
	t.last = now
	if t.shares != nil {
		t.shares[i].Duplicates++
	}
	return known
}

// takes tells whether a transaction that has no segment or no place may take one, and gives
// it a place. One that has segments is never held up, which may make them more than
// Concurrent; for those who are late with the first there are as many places again.
func (s *Ledger) takes(t *transaction) bool {
	if !t.used {
		late := t.place == none
		if s.used >= s.cfg.MaxOpen ||
			late && (s.placed.len() >= 2*s.cfg.Concurrent || t.origin.places >= s.cfg.SourceConcurrent) {
			return false
		}
	}
	s.enter(t)
	return true
}

// deny has the client of an extended payload told that nothing comes of it, and why. What
// came may not be stored: it is not acknowledged any more.
func (t *transaction) deny(why string) {
	d := &t.ext.dialog
	d.verdict, d.comment, t.doubt = wire.Refused, why, true
}

// mine reports whether a segment of t may come from there. A sealed one proves it itself.
func (s *Ledger) mine(t *transaction, e *loop.Envelope) bool {
	return !s.cfg.BindClients || t.seal != nil || e.Peer.Addr() == t.client.Addr()
}

// refuse remembers that a segment exists that is not stored.
func (s *Ledger) refuse(t *transaction, seq int64) {
	if t.phase != open {
		return
	}
	if seq >= t.index.High() {
		t.spool.Note(seq)
	}
	t.index.Note(seq)
}

// failed records an error of the store, the first of a transaction.
func (s *Ledger) failed(now time.Time, t *transaction, err error) {
	if t.err == nil {
		t.err = err
		s.tell(now, tellStore, "store failed, the segment is not acknowledged", "tid", t.tid, "err", err)
	}
}

// begin starts the transaction: its offer leaves at this moment.
func (s *Ledger) begin(now time.Time, t *transaction) {
	t.phase = open
	t.start, t.last, t.stored = now, now, now
	t.limit = now.Add(s.cfg.Limit)
	t.look = now.Add(s.cfg.Idle)
	t.spool.Begin(Meta{TID: t.tid, Segment: t.segment, Client: t.client, Offered: now})
	s.arm(t, s.due(t))
}

// progress settles the transaction if what it has is what was expected, and else
// sees to the timer.
func (s *Ledger) progress(now time.Time, t *transaction) {
	if s.cfg.Expect != nil {
		if s.arrived(t) {
			s.settle(now, t)
		}
	} else if s.quiet(t) {
		// The timer is never armed for later than the limit.
		if at := t.last.Add(s.cfg.Idle); at.Before(t.armed) {
			s.arm(t, at)
		}
	}
}

// arrived reports whether there are as many bytes as are expected, and not known to be
// others.
func (s *Ledger) arrived(t *transaction) bool {
	return t.index.Bytes() == s.cfg.Expect.Size && t.index.Prefix() == t.index.Segments() && !t.checked
}

// wake does what t's timer is for, or sets it again when it was early: it is not
// moved with every segment.
func (s *Ledger) wake(now time.Time, t *transaction) {
	at := s.due(t)
	if now.Before(at) {
		s.arm(t, at)
		return
	}
	switch t.phase {
	case held:
		s.desk.offer(t)
	case open:
		s.over(now, t)
	case settling:
		s.desk.unhold(t)
		if !t.busy {
			s.conclude(t)
		}
	case settled:
		s.forget(t)
	}
}

// due is when something is to be done about t.
func (s *Ledger) due(t *transaction) time.Time {
	switch {
	case t.phase == held:
		return t.release
	case t.phase == settling:
		return t.armed
	case t.phase == open && t.ext != nil:
		return t.limit // silence alone ends it
	case t.phase == open && s.quiet(t):
		return earlier(t.limit, t.last.Add(s.cfg.Idle))
	case t.phase == open && s.cfg.Fleet != nil:
		return earlier(t.limit, t.look)
	default:
		return t.limit
	}
}

// quiet reports whether t is complete once it is silent for long enough.
func (s *Ledger) quiet(t *transaction) bool {
	return s.cfg.Expect == nil && t.index.Whole() && !t.over
}

// live is the transaction of number tid if it has started and is not past its limit.
func (s *Ledger) live(now time.Time, tid int64) *transaction {
	t := s.byTID[tid]
	if t == nil || t.phase < open {
		return nil
	}
	if !now.Before(t.limit) {
		// The timer is up to a tick later than the limit.
		if t.phase != settling {
			s.wake(now, t)
		}
		return nil
	}
	return t
}

func (s *Ledger) arm(t *transaction, at time.Time) {
	t.armed = at
	s.wheel.Arm(t.slot, at)
}
