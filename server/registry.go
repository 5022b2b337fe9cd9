package server

import (
	"errors"
	"io/fs"

	"mdalp/wire"
)

// maxDraws is how many numbers are tried for a transaction: enough to count past
// the payloads of earlier runs.
const maxDraws = 1 << 16

// register makes a transaction known.
func (s *Ledger) register(t *transaction, o *origin) {
	t.slot, t.place, t.origin = s.slot(), none, o
	t.index = new(Index)
	t.shares = make([]Share, len(s.cfg.Receivers)) // of a fleet there are others
	for k := range t.shares {
		t.shares[k].Receiver = s.cfg.Receivers[k]
	}
	s.slots[t.slot] = t
	s.byTID[t.tid] = t
	if t.seal == nil { // else its intents are told by their handshake
		s.byClient[t.client] = t
	}
	s.open++
	o.live++
}

// use notes that t has a segment, or was announced. Its number is known to who had its offer alone.
func (s *Ledger) use(t *transaction) {
	t.used = true
	s.used++
	s.desk.follows(t)
}

// create finds a number that no live transaction and no payload in the store has.
func (s *Ledger) create() (tid int64, spool Spool, err error) {
	for range maxDraws {
		if s.cfg.FirstTID > 0 {
			tid = s.next
			s.next = max(1, (s.next+1)&wire.MaxNumber)
		} else {
			tid = 1 + s.random.Int64N(wire.MaxNumber)
		}
		if s.byTID[tid] != nil {
			continue
		}
		spool, err = s.cfg.Store.Create(tid, s.cfg.SegmentLimit)
		if err == nil || !errors.Is(err, fs.ErrExist) {
			return tid, spool, err
		}
	}
	return 0, nil, errors.Join(errors.New("server: no number is free"), err)
}

// slot takes a timer.
func (s *Ledger) slot() int {
	if n := len(s.free); n > 0 {
		slot := s.free[n-1]
		s.free = s.free[:n-1]
		return slot
	}
	s.slots = append(s.slots, nil)
	return len(s.slots) - 1
}

// remember puts t into the list of settled transactions, if need be at the cost
// of the one that settled first.
func (s *Ledger) remember(t *transaction) {
	t.older = s.newest
	if s.newest != nil {
		s.newest.newer = t
	} else {
		s.oldest = t
	}
	s.newest = t
	s.remembered++
	if s.remembered > s.cfg.Remember {
		if s.now.Before(s.oldest.limit) {
			s.stats.Forgotten++
		}
		s.forget(s.oldest)
	}
}

// forget ends what is known of a transaction.
func (s *Ledger) forget(t *transaction) {
	if t.phase == settled {
		if t.newer != nil {
			t.newer.older = t.older
		} else {
			s.newest = t.older
		}
		if t.older != nil {
			t.older.newer = t.newer
		} else {
			s.oldest = t.newer
		}
		t.newer, t.older = nil, nil
		s.remembered--
	}
	t.phase = gone
	delete(s.byTID, t.tid)
	if s.byClient[t.client] == t { // its client may have another one by now
		delete(s.byClient, t.client)
	}
	s.wheel.Stop(t.slot)
	s.slots[t.slot] = nil
	s.free = append(s.free, t.slot)
	if t.seal != nil {
		t.seal.End()
	}
}

// An origin is a source of intents that has transactions or waits: an IPv4 address or an
// IPv6 /64. Origins take turns, so that none waits for the many of another.
type origin struct {
	source
	queue  []waiter
	live   int   // transactions that are not settled
	places int   // of these, those that hold one
	bytes  int64 // of payload in them
}

// origin finds or makes that of a source.
func (s *Ledger) origin(from source) *origin {
	o := s.origins[from]
	if o == nil {
		o = &origin{source: from}
		s.origins[from] = o
	}
	return o
}

// release forgets an origin that has nothing left.
func (s *Ledger) release(o *origin) {
	if o.live == 0 && len(o.queue) == 0 {
		delete(s.origins, o.source)
	}
}

// places are the transactions that hold one. Each knows where it stands, so that it is
// found at once.
type places struct{ list []*transaction }

func (p *places) len() int { return len(p.list) }

// enter gives t a place, if it has none.
func (s *Ledger) enter(t *transaction) {
	if t.place == none {
		t.place = len(s.placed.list)
		s.placed.list = append(s.placed.list, t)
		t.origin.places++
	}
}

// unplace takes it away.
func (s *Ledger) unplace(t *transaction) {
	if t.place == none {
		return
	}
	l := s.placed.list
	last := l[len(l)-1]
	l[t.place], last.place = last, t.place
	l[len(l)-1] = nil
	s.placed.list = l[:len(l)-1]
	t.place = none
	t.origin.places--
}
