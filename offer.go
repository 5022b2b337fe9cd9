package mdalp

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"mdalp/loop"
	"mdalp/wire"
)

// Offer asks cfg.Orchestrator for receivers and sends them nothing: the first
// phase of [Send] alone, with its errors. For the orchestrator it opens a
// transaction like any other, which then ends unfinished. Of the Report, TID, Wait
// and the Addr and Name of the Receivers are filled in.
func Offer(ctx context.Context, cfg *Config) (*Report, error) {
	c, err := newRun(cfg)
	if err != nil {
		return &Report{}, err
	}
	// All of them, with nobody pinged.
	c.Balance, c.offerOnly = BalanceEqual, true
	// A session of no bytes would not even ask.
	r, err := send(ctx, nil, 1, c)
	r.Size = 0
	return r, err
}

// fromOrchestrator tells whether a datagram that comes before the transfer is from an
// orchestrator, and drops it if not.
func (s *session) fromOrchestrator(e *loop.Envelope, b []byte) bool {
	if !s.orchestrates(e.Peer) {
		s.drop(DropForeign, "foreign", e.Peer, b)
		return false
	}
	return true
}

// accept takes an offer: it chooses the receivers and goes on to ping them.
func (s *session) accept(now time.Time, tid int64, offer []wire.Receiver) {
	s.tid, s.report.TID = tid, tid
	s.report.Wait = now.Sub(s.began)
	s.waiting.end()
	s.tellOffer(TraceOffer{tid, len(offer), nil})
	if s.cfg.Balance == BalanceNone {
		if s.cfg.Receiver > len(offer) {
			s.finish(now, bad("Receiver", "receiver %d of %d does not exist", s.cfg.Receiver, len(offer)))
			return
		}
		offer = offer[s.cfg.Receiver-1 : s.cfg.Receiver]
	}
	s.pinging.names.of(offer)
	s.choose()
	if s.pinging.names.missing == 0 && s.unusable(now) {
		return
	}
	if s.pinging.names.missing == 0 && s.cfg.offerOnly {
		s.finish(now, nil)
		return
	}
	s.stage = &s.pinging
	s.enter(now, PhasePinging)
	s.pinging.begin(now)
}

// unusable ends the session if there is nobody to send to.
func (s *session) unusable(now time.Time) bool {
	if len(s.peers) > 0 {
		return false
	}
	s.finish(now, fmt.Errorf("%w from %v: none of its %d receivers can be used", ErrBadOffer,
		s.cfg.Orchestrator, len(s.pinging.names.offer)))
	return true
}

// A peer is a receiver of the offer.
type peer struct {
	addr     netip.AddrPort
	place    int // in the offer, from 0
	name     string
	seg, win int // of the extended protocol
	short    bool
}

// mostPorts is how many ports of one address an offer may name: receivers are hosts, and
// an offer of a thousand ports would aim all senders at one.
const mostPorts = 16

// choose makes the peers of an offer: addresses that can be sent to, each once, in the
// order of the offer. Receivers whose names have no address yet are passed over: it is
// called again when the answers are there, and tells of each that is left out once.
func (s *session) choose() {
	n := &s.pinging.names
	s.place = make(map[netip.AddrPort]int, len(n.offer))
	s.peers = make([]peer, 0, len(n.offer))
	receivers := make([]ReceiverReport, 0, len(n.offer))
	ports := make(map[netip.Addr]int)
	surplus, before := 0, 0
	if s.cfg.Balance == BalanceNone {
		before = s.cfg.Receiver - 1 // those of the offer that were left out
	}
	for k, r := range n.offer {
		addr := n.addrs[k]
		if !addr.IsValid() {
			continue
		}
		addr = s.zoned(addr)
		p := peer{netip.AddrPortFrom(addr, r.Port), before + k, r.Name, r.Seg, r.Win, r.Short}
		if r.Port == 0 {
			p.addr = netip.AddrPortFrom(addr, Port)
		}
		if why := s.refuses(addr); why != "" {
			n.tell(k, func() { s.log.Warn("receiver left out: "+why, "addr", addr) })
			continue
		}
		if i, dup := s.place[p.addr]; dup {
			n.tell(k, func() {
				s.log.Warn("receiver named twice: merged",
					"addr", p.addr, "names", s.peers[i].name+", "+p.name)
			})
			continue
		}
		if ports[addr] == mostPorts {
			n.tell(k, func() { surplus++ })
			continue
		}
		ports[addr]++
		s.place[p.addr] = len(s.peers)
		s.peers = append(s.peers, p)
		receivers = append(receivers, ReceiverReport{
			Addr: p.addr, Name: p.name, OfferedSegment: p.seg, OfferedWindow: p.win,
		})
	}
	// Their places are their numbers: nobody is told of some of them.
	if n.missing == 0 || n.late {
		s.report.Receivers = receivers
	}
	if surplus > 0 {
		s.log.Warn("receivers left out: an offer may name "+strconv.Itoa(mostPorts)+" ports of one address",
			"receivers", surplus)
	}
}

// zoned completes the address of a receiver. Zones are a matter of each host: a link-local
// address from an orchestrator that is on a link is on the same link.
func (s *session) zoned(a netip.Addr) netip.Addr {
	o := s.cfg.Orchestrator.Addr()
	switch {
	case a.Is4() || !a.IsLinkLocalUnicast():
		return a
	case a.Zone() == "":
		return a.WithZone(o.Zone())
	case s.cfg.number != nil:
		if numbered, err := s.cfg.number(a); err == nil {
			return numbered
		}
	}
	return a
}

// refuses says why a receiver's address cannot be sent to, or must not be; "" if it may.
func (s *session) refuses(a netip.Addr) string {
	o := s.cfg.Orchestrator.Addr()
	// An orchestrator on this very host is on its loopback and on all its links.
	here := o.IsLoopback() || (a.IsLoopback() || a.IsLinkLocalUnicast()) && s.cfg.ours != nil && s.cfg.ours(o)
	switch {
	case !isHost(a):
		return "its address is no host's"
	case a.Is6() && !s.cfg.reaches6():
		return "this socket is for IPv4; --bind :: makes one for both"
	case a.IsLoopback() && !here:
		return "it is this host, and the orchestrator is another"
	case a.IsLinkLocalUnicast() && !here && !o.IsLinkLocalUnicast():
		return "its address is link-local, and the orchestrator's is not"
	case a.Is6() && a.IsLinkLocalUnicast() && a.Zone() == "":
		return "a link-local address needs its interface, as in fe80::1%eth0"
	}
	return ""
}
