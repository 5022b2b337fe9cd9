package fleet

import (
	"net/netip"

	"mdalp/server"
	"mdalp/wire"
)

// hooks are an Orchestrator as the server's own sees its fleet.
type hooks Orchestrator

// Ready implements [server.Fleet].
func (h *hooks) Ready() bool {
	s := (*Orchestrator)(h)
	return s.informed() && len(s.candidates(0)) > 0
}

// informed reports whether it is known who is there.
func (s *Orchestrator) informed() bool {
	return s.seen && !s.away && s.now.Sub(s.asked) <= livingFor
}

// Choose implements [server.Fleet]. An engine that was away may answer a write before it has told
// who is still there: nobody is offered until it has.
func (h *hooks) Choose(tid int64) []wire.Receiver {
	if !(*Orchestrator)(h).informed() {
		return nil
	}
	return h.store.choose(tid)
}

// Create implements [server.Fleet].
func (h *hooks) Create(m server.Meta) error { return h.store.introduce(m) }

// Find implements [server.Fleet].
func (h *hooks) Find(tid int64, client netip.Addr) (*server.Found, error) {
	return h.store.look(tid, client)
}
