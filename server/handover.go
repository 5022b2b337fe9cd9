package server

import (
	"net/netip"
	"time"

	"mdalp/loop"
	"mdalp/wire"
)

// A Handover is what a server knows of clients that have sent no segment, and that no store
// keeps. The next server on the same sockets takes it, see [Server.TakeOver], so that none of
// them waits in vain. Those who have a key ask the next one themselves: theirs is another then.
type Handover struct {
	Offers  []Offered
	Intents []Asked // by the order of their turns
}

// An Offered is an offer that was sent, and of whose transaction no segment has come.
type Offered struct {
	Asked
	TID int64
	At  time.Time // it was first sent
}

// An Asked is an intent: who sent it, the address that it was sent to, and the index of the
// socket that it came by.
type Asked struct {
	Client, Local netip.AddrPort
	Sock          int
}

// Handover gives what the next server is to take. It is for the end, before Close.
func (s *Server) Handover() (h Handover) {
	for _, t := range s.slots {
		if t == nil || t.used || t.ext != nil || t.seal != nil {
			continue
		}
		a := Asked{t.client, t.local, t.sock}
		switch {
		case t.phase < open: // its offer was not sent
			h.Intents = append(h.Intents, a)
		case t.phase == open:
			h.Offers = append(h.Offers, Offered{a, t.tid, t.start})
		}
	}
	for k := range s.orch.rows {
		h.Intents = s.orch.rows[len(s.orch.rows)-1-k].asked(h.Intents) // strangers come last
	}
	return h
}

// asked appends who waits in a row. Sources take turns.
func (w *row) asked(to []Asked) []Asked {
	for k, more := 0, true; more; k++ {
		more = false
		for j := range w.turns.len() {
			if o := w.turns.at(j); k < len(o.queue) {
				if i := &o.queue[k]; i.seal == nil {
					to = append(to, Asked{i.peer, i.local, i.sock})
				}
				more = true
			}
		}
	}
	return to
}

// TakeOver has those served who waited for a former server, after Start. Offers whose time is
// over are nobody's any more; to who has asked it is as if he had asked now.
func (s *Server) TakeOver(now time.Time, h Handover) {
	for i := range h.Offers {
		s.goOn(now, &h.Offers[i])
	}
	for _, a := range h.Intents {
		e := loop.Envelope{Peer: a.Client, Local: a.Local, Sock: a.Sock}
		if answerable(&e) {
			s.stats.Datagrams++ // which the former server has not answered
			s.orch.intent(now, &e, new(wire.Message))
		}
	}
	s.work(now)
}

// goOn opens the transaction of an offer that a former server sent.
func (s *Server) goOn(now time.Time, o *Offered) {
	// A clock that was set back tells nothing of the time that has passed.
	age := max(0, now.Sub(o.At))
	if age >= s.cfg.Limit || o.TID < 0 || s.byTID[o.TID] != nil ||
		!o.Client.IsValid() || o.Client.Port() == 0 {
		return
	}
	spool, err := s.cfg.Store.Create(o.TID, s.cfg.SegmentLimit)
	if err != nil {
		return // there is something of that number, or no store: the client hears nothing, as before
	}
	t := &transaction{flow: flow{tid: o.TID}, client: o.Client, sock: o.Sock, local: o.Local,
		segment: s.cfg.SegmentLimit, spool: spool, phase: open}
	s.register(t, s.origin(sourceOf(o.Client.Addr(), false)))
	t.start, t.last, t.stored = now.Add(-age), now, now
	t.limit = t.start.Add(s.cfg.Limit)
	spool.Begin(Meta{TID: t.tid, Segment: t.segment, Client: t.client, Offered: o.At})
	s.stats.Recovered++
	s.enter(t)
	s.arm(t, t.limit)
	s.beat(now)
}
