package server

import (
	"net/netip"
	"time"

	"mdalp/loop"
	"mdalp/wire"
)

// intent is where a client asked from, and where its datagram came to.
type intent struct {
	peer  netip.AddrPort
	local netip.AddrPort
	sock  int
}

func (i *intent) from(e *loop.Envelope) { i.peer, i.local, i.sock = e.Peer, e.Local, e.Sock }

func (i *intent) is(e *loop.Envelope) bool {
	return i.peer == e.Peer && i.local == e.Local && i.sock == e.Sock
}

// to addresses the answer: it leaves from where the question came to, or the client
// would not take it.
func (i *intent) to(e *loop.Envelope) { e.Peer, e.Local, e.Sock = i.peer, i.local, i.sock }

// intent takes a message of type 0. What a source sends beyond its rate and its part of
// the queue costs least.
func (s *Orchestrator) intent(now time.Time, e *loop.Envelope, m *wire.Message) {
	st := &s.stats
	if s.draining {
		st.Draining++
		return
	}
	shown, asks := s.shows(now, e, m)
	if asks && s.loaded(now) {
		s.challenge(e)
		return
	}
	from := sourceOf(e.Peer.Addr(), shown)
	token := s.limiter.may(now, from)
	o := s.origins[from]
	if !token && !s.mayWait(from, o) {
		st.RateLimited++
		return
	}
	// A transaction that has a segment is another payload's: a port comes again.
	if t := s.byClient[e.Peer]; t != nil && !s.begun(t) && (t.phase < open || s.live(now, t.tid) != nil) {
		s.again(now, t, e, from, token)
		return
	}
	if q := s.queued[e.Peer]; q != nil {
		if q.shown || !shown {
			st.Waiting++
			return
		}
		s.unqueue(q, e.Peer) // it has shown itself since, and goes to the other row
	}
	var i waiter
	i.from(e)
	s.heed(now, from, o, i)
}

// heed has an intent answered now, or when its turn comes.
func (s *Orchestrator) heed(now time.Time, from source, o *origin, i waiter) {
	st := &s.stats
	// Whoever waits is held up by the bounds of his own source, or there is no place.
	if s.Waiting() == 0 || !s.barred && (from.shown || !s.pinched) && (o == nil || len(o.queue) == 0) {
		if o == nil {
			o = s.origin(from)
		}
		s.barred = !s.place(now)
		if !s.barred && s.spared(now, from) && s.eligible(now, o) {
			st.Accepted++
			s.heard(now, &i)
			s.start(now, o, i)
			return
		}
		s.release(o)
	}
	if !s.wait(from, i) {
		st.QueueFull++
		s.turnAway(&i)
		return
	}
	st.Accepted++
	s.heard(now, &i)
	s.beat(now)
}

// heard writes a line of an intent that is answered, now or later. The others are counted
// alone: who floods the server shall not fill its log.
func (s *Orchestrator) heard(now time.Time, i *waiter) {
	if s.may(now, tellIntent, "intent") {
		attrs := []any{"client", i.peer, "open", s.open, "waiting", s.Waiting()}
		if i.seal != nil {
			attrs = keyed(i.seal.Identity().Name, attrs)
		}
		s.cfg.Log.Info("intent", attrs...)
	}
}

// begun reports whether the client of t is known to have had its offer. In a fleet no segment
// tells of that, and a payload that was announced does.
func (s *Orchestrator) begun(t *transaction) bool {
	return t.used || s.cfg.Fleet != nil && (t.ext != nil || t.opening != nil)
}

// again has the offer of t repeated, to a client that has not sent a segment. In a fleet its
// receivers know whether it has.
func (s *Orchestrator) again(now time.Time, t *transaction, e *loop.Envelope, from source, token bool) {
	if t.phase < open {
		s.stats.Repeated++
		t.sock, t.local = e.Sock, e.Local
		return
	}
	t.asked++
	if !token || !s.roomy(now) || !s.repeats(now, from) {
		s.stats.RateLimited++
		return
	}
	s.stats.Repeated++
	t.sock, t.local = e.Sock, e.Local
	if s.cfg.Fleet != nil {
		t.repeat, t.from = true, from
		s.gather(now, t)
		return
	}
	s.repeat(now, t, from)
}

// repeat has the offer of t sent again.
func (s *Orchestrator) repeat(now time.Time, t *transaction, from source) {
	if !t.pending {
		s.charge(now, from)
		s.offer(t)
	}
}

// repeated implements desk: it was asked what is there of t, whose client has sent an intent once
// more. If that is anything, it was another client's with the same port, and this one has a
// transaction of its own; so it has where nobody knows.
func (s *Orchestrator) repeated(now time.Time, t *transaction, known bool) {
	switch {
	case known && !s.begun(t):
		s.repeat(now, t, t.from)
	case s.byClient[t.client] == t && !s.draining:
		i := intent{peer: t.client, local: t.local, sock: t.sock}
		s.heed(now, t.from, s.origins[t.from], waiter{intent: i})
	}
}

// repeats tells whether the budget has room for an offer that was sent before. Half of it is left
// to those who have none yet, and who has shown itself is among them: a stranger may have drawn
// that offer.
func (s *Orchestrator) repeats(now time.Time, from source) bool {
	b, x := &s.budget, &s.strangers
	switch {
	case b.cost == 0:
		return true
	case from.shown:
		return b.left(now, b.burst) >= b.cost
	}
	return b.left(now, b.burst) >= b.burst/2+b.cost &&
		(!s.loaded(now) || x.left(now, x.burst) >= x.burst/2+x.cost)
}

// charge takes what an offer costs.
func (s *Orchestrator) charge(now time.Time, from source) {
	s.limiter.take(now, from)
	if s.budget.cost == 0 {
		return
	}
	s.budget.take(now, s.budget.cost)
	if !from.shown {
		s.strangers.take(now, s.strangers.cost)
	}
}

// follows implements desk: who has had the offer of t is where it says to be, and its token is for those
// of whom that is not known. With many open it keeps a source from taking all there may be.
func (s *Orchestrator) follows(t *transaction) {
	if t.origin.live <= s.cfg.MaxOpen/4 {
		s.limiter.back(t.origin.source)
	}
}

// offer has t's offer sent, once for any number of intents until then.
func (s *Orchestrator) offer(t *transaction) {
	if t.phase == held {
		if s.cfg.Fleet != nil && !t.introduced {
			s.introduce(s.now, t)
			return
		}
		t.phase = ready
	}
	if !t.pending {
		t.pending = true
		s.offers.push(t)
	}
}

// start makes a transaction of an intent.
func (s *Orchestrator) start(now time.Time, o *origin, i waiter) {
	tid, spool, err := s.create()
	if err != nil {
		s.stats.NotStarted++
		s.tell(now, tellStart, "store failed, no transaction for an intent", "client", i.peer, "err", err)
		s.release(o)
		s.turnAway(&i)
		return
	}
	s.charge(now, o.source)
	t := &transaction{flow: flow{tid: tid}, client: i.peer, sock: i.sock, local: i.local,
		segment: s.cfg.SegmentLimit, spool: spool, seal: i.seal}
	s.register(t, o)
	if t.seal != nil {
		t.seal.Begin(tid)
	}
	s.enter(t)
	s.beat(now)
	if s.cfg.OfferDelay > 0 {
		t.release = now.Add(s.cfg.OfferDelay)
		s.arm(t, t.release)
		return
	}
	s.offer(t)
}
