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

// to addresses the answer: it leaves from where the question came to, or the client
// would not take it.
func (i *intent) to(e *loop.Envelope) { e.Peer, e.Local, e.Sock = i.peer, i.local, i.sock }

// intent takes a message of type 0.
func (s *Server) intent(now time.Time, e *loop.Envelope) {
	st := &s.stats
	if !s.limiter.allow(now, e.Peer.Addr()) {
		st.RateLimited++
		return
	}
	if t := s.byClient[e.Peer]; t != nil && (t.phase < open || s.live(now, t.tid) != nil) {
		st.Repeated++
		t.sock, t.local = e.Sock, e.Local
		if t.phase >= open {
			s.offer(t)
		}
		return
	}
	if _, ok := s.queued[e.Peer]; ok {
		st.Waiting++
		return
	}
	// The queue is empty whenever a transaction can start.
	if s.open >= s.cfg.Concurrent && s.waiting.len() >= s.cfg.Queue {
		st.QueueFull++
		return
	}
	st.Accepted++
	var i intent
	i.from(e)
	s.queued[i.peer] = struct{}{}
	s.waiting.push(i)
	s.admit(now)
}

// admit starts transactions for intents that wait, as long as there is room.
func (s *Server) admit(now time.Time) {
	for !s.closed && s.open < s.cfg.Concurrent && s.waiting.len() > 0 {
		i := s.waiting.pop()
		delete(s.queued, i.peer)
		s.start(now, i)
	}
}

// offer has t's offer sent, once for any number of intents until then.
func (s *Server) offer(t *transaction) {
	if t.phase == held {
		t.phase = ready
	}
	if !t.pending {
		t.pending = true
		s.offers.push(t)
	}
}
