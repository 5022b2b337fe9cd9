package server

import (
	"net/netip"
	"time"

	"mdalp/loop"
	"mdalp/wire"
)

// An Orchestrator answers intents with offers and manifests with states, as one program
// with the ledger: it needs all that the ledger knows. It implements [loop.Handler]. A
// [Server] has one; one of [NewOrchestrator] has its receivers elsewhere, see [Ask].
type Orchestrator struct {
	*Ledger
	offered []wire.Receiver

	limiter   *limiter
	budget    budget // of all offers
	strangers budget // of those to clients that have not shown where they are
	cookies   cookies
	rows      [2]row                     // of those who wait: strangers, and who has shown where it is
	queued    map[netip.AddrPort]*origin // clients that wait
	favoured  int                        // offers in a row to the second row while there was the first
	barred    bool                       // when last looked, no place was free for anybody
	pinched   bool                       // when last looked, strangers had used up their budget

	unused fifo[*transaction] // without a segment and a place
	// When places were last looked through.
	reclaimed time.Time

	offers  fifo[*transaction]
	replies fifo[reply]

	asked   fifo[asked]             // by receivers elsewhere, to be answered
	finding map[int64]*announcement // in the fleet, with the newest manifest of each
}

// NewOrchestrator makes an Orchestrator, and its ledger, whose receivers are another program.
// It fails as [New] does.
func NewOrchestrator(cfg Config) (*Orchestrator, error) {
	s := new(Orchestrator)
	if err := s.init(new(Ledger), cfg); err != nil {
		return nil, err
	}
	return s, nil
}

// init sets up an orchestrator and its ledger.
func (s *Orchestrator) init(l *Ledger, cfg Config) error {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	offered, err := cfg.offered()
	if err != nil {
		return err
	}
	l.init(cfg, s)
	rate := cfg.rate(cfg.offerLen(offered))
	*s = Orchestrator{
		Ledger:  l,
		offered: offered,
		limiter: newLimiter(cfg.IntentRate, cfg.IntentBurst),
		budget:  newBudget(rate, cfg.offerLen(offered)),
		cookies: newCookies(cfg.Seed),
		queued:  make(map[netip.AddrPort]*origin),
		finding: make(map[int64]*announcement),
	}
	// Half of the rate, and as much at once.
	s.strangers = budget{cost: 2 * s.budget.cost, burst: 2 * s.budget.burst}
	return nil
}

// Waiting is how many intents are in the queue.
func (s *Orchestrator) Waiting() int { return s.rows[0].length + s.rows[1].length }

// Receive implements [loop.Handler].
func (s *Orchestrator) Receive(now time.Time, e *loop.Envelope, b []byte) {
	if now != s.expired {
		s.expire(now)
	}
	s.stats.Datagrams++
	m, err := wire.Parse(b)
	switch {
	case s.closed:
		s.stats.AfterClose++
	case err != nil, !answerable(e):
		s.stats.Malformed++
	case m.Type == wire.Intent:
		s.intent(now, e, &m)
	case m.Type == wire.ManifestType:
		s.manifest(now, e, &m, b)
	default:
		s.stats.Unexpected++
	}
	s.work(now)
}

// answerable reports whether there is an address to answer.
func answerable(e *loop.Envelope) bool { return e.Peer.Addr().IsValid() && e.Peer.Port() != 0 }

// Transmit implements [loop.Handler].
func (s *Orchestrator) Transmit(now time.Time, e *loop.Envelope, b []byte) (out []byte, ok bool) {
	s.now = now
	s.endBurst(now)
	if out, ok = s.transmitState(now, e, b); ok {
		return out, true
	}
	return s.transmitOffer(now, e, b)
}

// transmitOffer gives an offer that is to be sent.
func (s *Orchestrator) transmitOffer(now time.Time, e *loop.Envelope, b []byte) ([]byte, bool) {
	for s.offers.len() > 0 {
		t := s.offers.pop()
		t.pending = false
		if t.phase == gone || t.phase != ready && !now.Before(t.limit) {
			continue
		}
		s.stats.Offers++
		to := intent{peer: t.client, local: t.local, sock: t.sock}
		to.to(e)
		b = wire.AppendOffer(b, t.tid, s.offering(t))
		if t.phase == ready {
			s.begin(now, t)
			if s.may(now, tellOffer, "offer") {
				s.cfg.Log.Info("offer",
					t.line("tid", t.tid, "client", t.client, "receivers", len(t.shares))...)
			}
		}
		return b, true
	}
	return b, false
}

// offering is the receivers as they are offered now.
func (s *Orchestrator) offering(t *transaction) []wire.Receiver {
	if s.cfg.Fleet != nil {
		return t.offered
	}
	if s.offered[0].Win == 0 {
		return s.offered
	}
	win := s.window(int64(s.cfg.Segment))
	for i := range s.offered {
		s.offered[i].Win = win
	}
	return s.offered
}
