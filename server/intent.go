package server

import (
	"net/netip"
	"time"

	"mdalp/loop"
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
func (s *Orchestrator) intent(now time.Time, e *loop.Envelope) {
	st := &s.stats
	if s.draining {
		st.Draining++
		return
	}
	from := source(e.Peer.Addr())
	token := s.limiter.may(now, from)
	o := s.origins[from]
	if !token && !s.mayWait(o) {
		st.RateLimited++
		return
	}
	// A transaction that has a segment is another payload's: a port comes again.
	if t := s.byClient[e.Peer]; t != nil && !t.used && (t.phase < open || s.live(now, t.tid) != nil) {
		s.again(now, t, e, from, token)
		return
	}
	if _, ok := s.queued[e.Peer]; ok {
		st.Waiting++
		return
	}
	var i intent
	i.from(e)
	// Whoever waits is held up by the bounds of his own source, or there is no place.
	if s.waiting == 0 || !s.barred && (o == nil || len(o.waiting) == 0) {
		if o == nil {
			o = s.origin(from)
		}
		s.barred = !s.place(now)
		if !s.barred && s.eligible(now, o) {
			st.Accepted++
			s.heard(now, &i)
			s.start(now, o, i)
			return
		}
		s.release(o)
	}
	if !s.wait(from, i) {
		st.QueueFull++
		return
	}
	st.Accepted++
	s.heard(now, &i)
	s.beat(now)
}

// heard writes a line of an intent that is answered, now or later. The others are counted
// alone: who floods the server shall not fill its log.
func (s *Orchestrator) heard(now time.Time, i *intent) {
	if s.may(now, tellIntent, "intent") {
		s.cfg.Log.Info("intent", "client", i.peer, "open", s.open, "waiting", s.waiting)
	}
}

// again has the offer of t repeated, to a client that has not sent a segment.
func (s *Orchestrator) again(now time.Time, t *transaction, e *loop.Envelope, from netip.Addr, token bool) {
	if t.phase < open {
		s.stats.Repeated++
		t.sock, t.local = e.Sock, e.Local
		return
	}
	t.asked++
	// Half of the budget is left to those who have no offer yet.
	b := &s.budget
	if !token || !s.roomy(now) || b.cost > 0 && b.left(now, b.burst) < b.burst/2+b.cost {
		s.stats.RateLimited++
		return
	}
	s.stats.Repeated++
	t.sock, t.local = e.Sock, e.Local
	if !t.pending {
		s.charge(now, from)
		s.offer(t)
	}
}

// charge takes what an offer costs.
func (s *Orchestrator) charge(now time.Time, from netip.Addr) {
	s.limiter.take(now, from)
	if s.budget.cost > 0 {
		s.budget.take(now, s.budget.cost)
	}
}

// offer has t's offer sent, once for any number of intents until then.
func (s *Orchestrator) offer(t *transaction) {
	if t.phase == held {
		t.phase = ready
	}
	if !t.pending {
		t.pending = true
		s.offers.push(t)
	}
}

// start makes a transaction of an intent.
func (s *Orchestrator) start(now time.Time, o *origin, i intent) {
	tid, spool, err := s.create()
	if err != nil {
		s.stats.NotStarted++
		s.tell(now, tellStart, "store failed, no transaction for an intent", "client", i.peer, "err", err)
		s.release(o)
		return
	}
	s.charge(now, o.addr)
	t := &transaction{flow: flow{tid: tid}, client: i.peer, sock: i.sock, local: i.local,
		segment: s.cfg.SegmentLimit, spool: spool}
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
