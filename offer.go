package mdalp

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"mdalp/loop"
	"mdalp/wire"
)

// A peer is a receiver of the offer.
type peer struct {
	addr netip.AddrPort
	name string
}

// receiveOffer takes what comes before the transfer.
func (s *session) receiveOffer(now time.Time, e *loop.Envelope, b []byte) {
	s.seal()
	if e.Peer != s.cfg.Orchestrator {
		s.drop(&s.report.Dropped.Foreign, "foreign", e, b)
		return
	}
	m, err := wire.Parse(b)
	if err != nil && !(len(b) >= 6 && string(b[:6]) == "Type:1") {
		s.drop(&s.report.Dropped.Malformed, "malformed", e, b)
		return
	}
	if err == nil && m.Type != wire.Offer || s.phase != Waiting {
		s.drop(&s.report.Dropped.Unwanted, "not awaited", e, b)
		return
	}
	var offer []wire.Receiver
	switch {
	case err != nil:
	case m.TID == wire.Absent:
		err = errors.New("it has no TID")
	case m.Data == nil:
		err = errors.New("it has no DATA")
	default:
		offer, err = wire.ParseReceivers(m.Data)
	}
	if err != nil {
		s.finish(now, fmt.Errorf("%w from %v: %w", ErrBadOffer, e.Peer, err))
		return
	}
	s.accept(now, m.TID, offer)
}

// accept takes an offer: it chooses the receivers and goes on to ping them.
func (s *session) accept(now time.Time, tid int64, offer []wire.Receiver) {
	s.tid, s.report.TID = tid, tid
	s.report.Wait = now.Sub(s.began)
	for _, t := range []int{timerIntent, timerRetry, timerRemind} {
		s.timers.Stop(t)
	}
	s.intentDue = false
	s.log.Info("offer", "tid", tid, "receivers", len(offer))
	if s.cfg.Balance == None {
		if s.cfg.Server > len(offer) {
			s.finish(now, fmt.Errorf("%w: receiver %d of %d does not exist", ErrConfig, s.cfg.Server, len(offer)))
			return
		}
		offer = offer[s.cfg.Server-1 : s.cfg.Server]
	}
	s.choose(offer)
	if len(s.peers) == 0 {
		s.finish(now, fmt.Errorf("%w from %v: none of its %d receivers can be used", ErrBadOffer, s.cfg.Orchestrator, len(offer)))
		return
	}
	if s.cfg.offerOnly {
		s.finish(now, nil)
		return
	}
	s.enter(now, Pinging)
	s.probe(now)
	if s.prober == nil || s.prober.Done() {
		s.begin(now)
	}
}

// choose makes the peers of an offer: addresses that can be sent to, each once.
func (s *session) choose(offer []wire.Receiver) {
	var names []string
	for _, r := range offer {
		if _, err := netip.ParseAddr(r.Host); err != nil {
			names = append(names, r.Host)
		}
	}
	var found []netip.Addr
	if len(names) > 0 {
		found = s.cfg.resolve(names)
	}
	s.place = make(map[netip.AddrPort]int, len(offer))
	s.peers = make([]peer, 0, len(offer))
	s.report.Receivers = make([]ReceiverReport, 0, len(offer))
	for _, r := range offer {
		addr, err := netip.ParseAddr(r.Host)
		if err != nil {
			addr, found = found[0], found[1:]
		}
		addr = addr.Unmap()
		port := r.Port
		if port == 0 {
			port = Port
		}
		p := peer{netip.AddrPortFrom(addr, port), r.Name}
		switch {
		case !addr.IsValid():
			s.log.Warn("receiver left out: its name has no address", "host", r.Host)
			continue
		case !isHost(addr):
			s.log.Warn("receiver left out: its address is no host's", "addr", addr)
			continue
		case addr.Is6() && !s.cfg.reaches6():
			s.log.Warn("receiver left out: this socket is for IPv4; --bind :: makes one for both", "addr", addr)
			continue
		}
		if first, dup := s.place[p.addr]; dup {
			s.log.Warn("receiver named twice: merged", "addr", p.addr, "names", s.peers[first].name+", "+p.name)
			continue
		}
		s.place[p.addr] = len(s.peers)
		s.peers = append(s.peers, p)
		s.report.Receivers = append(s.report.Receivers, ReceiverReport{Addr: p.addr, Name: p.name})
	}
}
