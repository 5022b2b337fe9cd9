package server

import (
	"net/netip"
	"time"
)

const (
	// unusedKept is how many transactions without a segment are known beyond those
	// that hold a place.
	unusedKept = 4096
	// quiet is how long a whole transaction must be silent to hold no place. It costs
	// a client nothing: when it goes on, so does its transaction.
	quiet = 100 * time.Millisecond
	// pushy is how many intents in place of a segment say that none will come. A client asks
	// again when the offer may be lost, some times in as many seconds; a flood is past this at
	// once. It costs a place, and not the transaction.
	pushy = 16
	// reclaimEvery is how often places are looked through while others wait.
	reclaimEvery = 20 * time.Millisecond
)

// mayWait tells whether the queue has room for one more of an origin, nil being one that
// is not known: when it is full, for those alone who have less than the others.
func (s *Orchestrator) mayWait(o *origin) bool {
	if s.waiting < s.cfg.Queue {
		return o == nil || len(o.waiting) < max(8, s.cfg.Queue/4)
	}
	sources := s.turns.len() + 1
	n := 0
	if o != nil {
		n = len(o.waiting)
	}
	return (n+1)*sources <= s.cfg.Queue && s.turns.len() > 0
}

// wait puts an intent into the queue; false when there is no room. In a full queue the
// newest of those who have most of it gives way (longest queue drop).
func (s *Orchestrator) wait(from netip.Addr, i intent) bool {
	if !s.mayWait(s.origins[from]) {
		return false
	}
	o := s.origin(from)
	if s.waiting >= s.cfg.Queue {
		var most *origin
		for k := range s.turns.len() {
			if x := s.turns.at(k); most == nil || len(x.waiting) > len(most.waiting) {
				most = x
			}
		}
		if len(most.waiting) <= len(o.waiting)+1 {
			s.release(o)
			return false
		}
		last := len(most.waiting) - 1
		delete(s.queued, most.waiting[last].peer)
		most.waiting = most.waiting[:last]
		s.waiting--
		s.stats.Displaced++
	}
	if len(o.waiting) == 0 {
		s.turns.push(o)
	}
	o.waiting = append(o.waiting, i)
	s.queued[i.peer] = struct{}{}
	s.waiting++
	return true
}

// admit starts transactions for intents that wait, as long as there is room: one of each
// origin in turn.
func (s *Orchestrator) admit(now time.Time) {
	if s.draining {
		return
	}
	for skipped := 0; s.waiting > 0 && skipped < s.turns.len(); {
		if s.barred = !s.place(now); s.barred {
			return
		}
		o := s.turns.pop()
		if !s.eligible(now, o) {
			s.turns.push(o)
			skipped++
			continue
		}
		skipped = 0
		i := o.waiting[0]
		o.waiting = o.waiting[1:]
		delete(s.queued, i.peer)
		s.waiting--
		if len(o.waiting) > 0 {
			s.turns.push(o)
		} else {
			o.waiting = nil
		}
		s.start(now, o, i)
	}
}

// place tells whether an intent may be answered now, whoever sent it. If need be it looks
// for places that are held for nothing.
func (s *Orchestrator) place(now time.Time) bool {
	if s.placed.len() >= s.cfg.Concurrent {
		s.reclaim(now)
	}
	b := &s.budget
	return s.placed.len() < s.cfg.Concurrent && s.used < s.cfg.MaxOpen &&
		(b.cost == 0 || b.left(now, b.burst) >= b.cost) && s.roomy(now)
}

// eligible tells whether an origin may have one more transaction.
func (s *Orchestrator) eligible(now time.Time, o *origin) bool {
	if o.places >= s.cfg.SourceConcurrent {
		s.reclaim(now)
	}
	return o.places < s.cfg.SourceConcurrent && s.limiter.may(now, o.addr) &&
		(s.cfg.SourceBytes == 0 || o.bytes < s.cfg.SourceBytes)
}

// roomy tells whether the store has room for one more payload. An offer without it would
// only bring a client to its end.
func (s *Orchestrator) roomy(now time.Time) bool {
	if s.cfg.RoomPerOffer <= 0 {
		return true
	}
	room := s.cfg.Store.Room()
	if room < 0 || room >= s.cfg.RoomPerOffer {
		return true
	}
	s.tell(now, tellRoom, "no room in the store, intents wait", "room", room, "asked", s.cfg.RoomPerOffer)
	return false
}

// reclaim takes the places of those that do not use them, while others wait. What has no
// place still goes on where its client does, see [Server.first].
func (s *Orchestrator) reclaim(now time.Time) {
	if now.Sub(s.reclaimed) < reclaimEvery {
		return
	}
	s.reclaimed = now
	// The more wait, the less is known of each who does not come.
	unused := s.cfg.Unused / time.Duration(1+min(39, s.waiting))
	for k := s.placed.len() - 1; k >= 0; k-- {
		switch t := s.placed.list[k]; {
		case t.phase != open:
		case !t.used && (now.Sub(t.start) >= unused || t.asked >= pushy):
			s.unplace(t)
			s.unused.push(t)
			if s.unused.len() > unusedKept {
				if old := s.unused.pop(); old.phase == open && !old.used {
					s.settle(now, old)
				}
			}
		case t.used && s.quiet(t) && now.Sub(t.last) >= quiet:
			s.unplace(t)
		}
	}
}

// clearQueue sends away who waits.
func (s *Orchestrator) clearQueue() {
	for s.turns.len() > 0 {
		o := s.turns.pop()
		s.waiting -= len(o.waiting)
		o.waiting = nil
		s.release(o)
	}
	clear(s.queued)
}
