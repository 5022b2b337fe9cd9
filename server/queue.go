package server

import (
	"net/netip"
	"slices"
	"time"
)

const (
	// unusedKept is how many transactions without a segment are known beyond those
	// that hold a place.
	unusedKept = 4096
	// quiet is how long a whole one of the base protocol must be silent to hold no place. It costs
	// a client nothing: when it goes on, so does its transaction.
	quiet = 100 * time.Millisecond
	// pushy is how many intents in place of a segment say that none will come. A client asks
	// again when the offer may be lost, some times in as many seconds; a flood is past this at
	// once. It costs a place, and not the transaction.
	pushy = 16
	// unasked is how long a whole payload waits for the question after its verdict while as many
	// have segments as may. Who asks comes with it a round trip, or the rest of a digest, later.
	unasked = 2 * time.Second
	// reclaimEvery is how often places are looked through while others wait.
	reclaimEvery = 20 * time.Millisecond
)

// inRow is how many offers in a row those draw at most who have shown themselves while
// strangers wait: nobody is kept waiting for ever.
const inRow = 3

// A row is intents that wait, of sources that take turns.
type row struct {
	turns  fifo[*origin]
	length int
}

// row is that of a source.
func (s *Orchestrator) row(from source) *row {
	if from.shown {
		return &s.rows[1]
	}
	return &s.rows[0]
}

// mayWait tells whether the queue has room for one more of an origin, nil being one that
// is not known: when it is full, for those alone who have less than the others.
func (s *Orchestrator) mayWait(from source, o *origin) bool {
	w := s.row(from)
	if w.length < s.cfg.Queue {
		return o == nil || len(o.queue) < max(8, s.cfg.Queue/4)
	}
	sources := w.turns.len() + 1
	n := 0
	if o != nil {
		n = len(o.queue)
	}
	return (n+1)*sources <= s.cfg.Queue && w.turns.len() > 0
}

// A waiter is an intent that is not answered yet.
type waiter struct {
	intent
	seal Seal // nil in the clear
}

// turnAway lets go of one that gets no answer.
func (s *Orchestrator) turnAway(i *waiter) {
	if i.seal != nil {
		i.seal.End()
	}
}

// leaves forgets that one stands in the queue. A sealed one is told by its handshake, not by
// its address: who forges that in the clear keeps nobody out.
func (s *Orchestrator) leaves(i *waiter) {
	if i.seal == nil {
		delete(s.queued, i.peer)
	}
}

// wait puts an intent into the queue; false when there is no room. In a full queue the
// newest of those who have most of it gives way (longest queue drop).
func (s *Orchestrator) wait(from source, i waiter) bool {
	if !s.mayWait(from, s.origins[from]) {
		return false
	}
	w, o := s.row(from), s.origin(from)
	if w.length >= s.cfg.Queue {
		var most *origin
		for k := range w.turns.len() {
			if x := w.turns.at(k); most == nil || len(x.queue) > len(most.queue) {
				most = x
			}
		}
		if len(most.queue) <= len(o.queue)+1 {
			s.release(o)
			return false
		}
		last := len(most.queue) - 1
		s.leaves(&most.queue[last])
		s.turnAway(&most.queue[last])
		most.queue = most.queue[:last]
		w.length--
		s.stats.Displaced++
	}
	if len(o.queue) == 0 {
		w.turns.push(o)
	}
	o.queue = append(o.queue, i)
	if i.seal == nil {
		s.queued[i.peer] = o
	}
	w.length++
	return true
}

// unqueue takes the intent of a client out of the queue.
func (s *Orchestrator) unqueue(o *origin, peer netip.AddrPort) {
	w := s.row(o.source)
	o.queue = slices.DeleteFunc(o.queue, func(i waiter) bool { return i.peer == peer && i.seal == nil })
	w.length--
	delete(s.queued, peer)
	if len(o.queue) > 0 {
		return
	}
	for range w.turns.len() { // once around, so that the others keep their order
		if x := w.turns.pop(); x != o {
			w.turns.push(x)
		}
	}
	s.release(o)
}

// admit starts transactions for intents that wait, as long as there is room: one of each
// origin in turn, first of those who have shown themselves.
func (s *Orchestrator) admit(now time.Time) {
	for !s.draining && s.Waiting() > 0 {
		first, then := &s.rows[1], &s.rows[0]
		if s.favoured >= inRow {
			first, then = then, first
		}
		if !s.serve(now, first) && !s.serve(now, then) {
			return
		}
	}
}

// serve starts a transaction for one intent of a row, if one may have it.
func (s *Orchestrator) serve(now time.Time, w *row) bool {
	for range w.turns.len() {
		// To look for a place may end a transaction, and what comes of that has the last one admitted.
		if s.barred = !s.place(now); s.barred || w.turns.len() == 0 {
			return false
		}
		o := w.turns.at(0)
		if !s.spared(now, o.source) {
			return false
		}
		w.turns.pop()
		if !s.eligible(now, o) {
			w.turns.push(o)
			continue
		}
		i := o.queue[0]
		o.queue = o.queue[1:]
		s.leaves(&i)
		w.length--
		if len(o.queue) > 0 {
			w.turns.push(o)
		} else {
			o.queue = nil
		}
		if s.favoured++; !o.shown || s.rows[0].length == 0 {
			s.favoured = 0
		}
		s.start(now, o, i)
		return true
	}
	return false
}

// loaded reports whether the server is under load: more than half of the offers that may go at
// once are used up, or a client waits.
func (s *Orchestrator) loaded(now time.Time) bool {
	b := &s.budget
	return s.Waiting() > 0 || b.cost > 0 && b.left(now, b.burst) < b.burst/2
}

// spared tells whether there is an offer for a source in the part of the budget that is for its
// like: under load strangers share half of it.
func (s *Orchestrator) spared(now time.Time, from source) bool {
	if from.shown {
		return true
	}
	b := &s.strangers
	s.pinched = b.cost > 0 && b.left(now, b.burst) < b.cost && s.loaded(now)
	return !s.pinched
}

// place tells whether an intent may be answered now, whoever sent it. If need be it looks
// for places that are held for nothing.
func (s *Orchestrator) place(now time.Time) bool {
	if s.placed.len() >= s.cfg.Concurrent || s.used >= s.cfg.MaxOpen {
		s.reclaim(now)
	}
	b := &s.budget
	if s.cfg.Fleet != nil && !s.cfg.Fleet.Ready() {
		return false
	}
	return s.placed.len() < s.cfg.Concurrent && s.used < s.cfg.MaxOpen &&
		(b.cost == 0 || b.left(now, b.burst) >= b.cost) && s.roomy(now)
}

// eligible tells whether an origin may have one more transaction.
func (s *Orchestrator) eligible(now time.Time, o *origin) bool {
	if o.places >= s.cfg.SourceConcurrent {
		s.reclaim(now)
	}
	return o.places < s.cfg.SourceConcurrent && s.limiter.may(now, o.source) &&
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
	unused := s.cfg.Unused / time.Duration(1+min(39, s.Waiting()))
	for k := s.placed.len() - 1; k >= 0; k-- {
		switch t := s.placed.list[k]; {
		case t.phase != open:
		case !t.used && (now.Sub(t.start) >= unused || t.asked >= pushy):
			s.unplace(t)
			s.unused.push(t)
			if s.unused.len() > unusedKept {
				if old := s.unused.pop(); s.cfg.Fleet == nil && old.phase == open && !old.used {
					s.settle(now, old)
				}
			}
		case t.used && (s.quiet(t) && now.Sub(t.last) >= quiet || now.Sub(t.last) >= s.cfg.Unused):
			s.unplace(t)
		}
	}
	if s.used >= s.cfg.MaxOpen && s.cfg.Fleet == nil {
		s.settleUnasked(now)
	}
}

// settleUnasked gives those extended payloads their names that are whole, and whose clients do
// not ask for a verdict. Else they would wait for Silence.
func (s *Orchestrator) settleUnasked(now time.Time) {
	for _, t := range s.slots {
		if t != nil && t.phase == open && t.ext != nil && t.ext.whole() && now.Sub(t.last) >= unasked {
			s.settle(now, t)
		}
	}
}

// clearQueue sends away who waits.
func (s *Orchestrator) clearQueue() {
	for k := range s.rows {
		w := &s.rows[k]
		for w.turns.len() > 0 {
			o := w.turns.pop()
			for i := range o.queue {
				s.turnAway(&o.queue[i])
			}
			o.queue = nil
			s.release(o)
		}
		w.length = 0
	}
	clear(s.queued)
}
