package server

import (
	"errors"
	"io/fs"
	"time"

	"mdalp/wire"
)

// maxDraws is how many numbers are tried for a transaction: enough to count past
// the payloads of earlier runs.
const maxDraws = 1 << 16

// start makes a transaction of an intent.
func (s *Server) start(now time.Time, o *origin, i intent) {
	tid, spool, err := s.create()
	if err != nil {
		s.stats.NotStarted++
		s.tell(now, tellStart, "store failed, no transaction for an intent", "client", i.peer, "err", err)
		s.release(o)
		return
	}
	s.charge(now, o.addr)
	t := &transaction{tid: tid, client: i.peer, sock: i.sock, local: i.local, segment: s.cfg.SegmentLimit, spool: spool}
	s.register(t, o)
	s.enter(t)
	s.beat(now)
	if s.cfg.OfferDelay > 0 {
		t.release = now.Add(s.cfg.OfferDelay)
		s.arm(t, t.release)
		return
	}
	s.offer(t)
}

// register makes a transaction known.
func (s *Server) register(t *transaction, o *origin) {
	t.slot, t.place, t.origin = s.slot(), none, o
	t.index = new(Index)
	t.shares = make([]Share, len(s.cfg.Receivers))
	for k := range t.shares {
		t.shares[k].Receiver = s.cfg.Receivers[k]
	}
	s.slots[t.slot] = t
	s.byTID[t.tid] = t
	s.byClient[t.client] = t
	s.open++
	o.live++
}

// create finds a number that no live transaction and no payload in the store has.
func (s *Server) create() (tid int64, spool Spool, err error) {
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
func (s *Server) slot() int {
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
func (s *Server) remember(t *transaction) {
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
func (s *Server) forget(t *transaction) {
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
}
