package mdalp

import (
	"net/netip"
	"time"

	"mdalp/icmp"
	"mdalp/loop"
	"mdalp/sched"
	"mdalp/wire"
)

// pinging is the stage between the offer and the first segment: receivers are pinged, and
// the addresses of those that the offer names are looked up beside it.
type pinging struct {
	s      *session
	names  names
	rounds []probing // one for the addresses of the offer, one for its names
	large  large     // the echo of a segment's size
	pinged map[netip.Addr]bool
}

// A probing is the echoes to some hosts.
type probing struct {
	*icmp.Prober
	hosts []netip.Addr
}

// begin starts the stage.
func (p *pinging) begin(now time.Time) {
	p.probe(now)
	p.lookup(now)
	p.proceed(now)
}

// probe starts the echoes to those peers that can be pinged and were not yet.
func (p *pinging) probe(now time.Time) {
	s := p.s
	if !s.cfg.pings() || s.cfg.offerOnly {
		return
	}
	if p.pinged == nil {
		p.pinged = make(map[netip.Addr]bool, len(s.peers))
	}
	var hosts []netip.Addr
	for _, r := range s.peers {
		a := r.addr.Addr()
		mode := s.mode(a)
		if mode == icmp.Off || p.pinged[a] {
			continue
		}
		if s.report.Ping == icmp.Off {
			s.report.Ping = mode
		}
		p.pinged[a] = true
		hosts = append(hosts, a)
	}
	if len(hosts) == 0 {
		return
	}
	key := s.cfg.key
	key[31] += byte(len(p.rounds)) // other cookies, so that no answer counts for another echo
	p.rounds = append(p.rounds, probing{icmp.NewProber(now, icmp.Config{
		Count: s.cfg.Echoes, Timeout: s.cfg.EchoTimeout, ID: echoID(&s.cfg.key), Key: key,
	}, hosts), hosts})
}

// mode is the kind of socket that pings a.
func (s *session) mode(a netip.Addr) icmp.Mode {
	if a.Is4() {
		return s.mode4
	}
	return s.mode6
}

// proceed goes on to the segments when nothing is waited for any more.
func (p *pinging) proceed(now time.Time) {
	s := p.s
	if s.phase != PhasePinging || p.names.missing > 0 && !p.names.late {
		return
	}
	p.announce(now)
	for _, r := range p.rounds {
		if !r.Done() {
			return
		}
	}
	if p.large.awaited(now) || s.dialog.undecided() {
		return
	}
	switch {
	case s.unusable(now):
	case s.cfg.offerOnly:
		s.finish(now, nil)
	case s.cfg.planOnly && s.extends():
		s.foresee(now)
	case s.dialog.opened:
		s.blocks.begin(now)
	default:
		s.begin(now)
	}
}

// receive takes an answer to an echo, or to the announcement. Nothing else is awaited.
func (p *pinging) receive(now time.Time, e *loop.Envelope, b []byte) {
	s := p.s
	if e.Sock == sockUDP {
		if !s.fromOrchestrator(e, b) {
			return
		}
		m, err := wire.Parse(b)
		switch {
		case err != nil && !wire.LooksLikeOffer(b):
			s.drop(DropMalformed, "malformed", e.Peer, b)
			return
		case err == nil && m.Type == wire.StateType:
			s.dialog.receive(now, e, &m, b)
			return
		}
		s.drop(DropUnwanted, "not awaited", e.Peer, b)
		return
	}
	for _, r := range p.rounds {
		if r.Receive(e.At, e.Peer.Addr(), b) == icmp.Counted {
			p.proceed(now)
			return
		}
	}
	if p.large.receive(e, b) {
		p.proceed(now)
	}
}

// fail takes an error of an echo. One that may pass costs that echo, and not the host.
func (p *pinging) fail(now time.Time, e *loop.Envelope, err error) {
	if e.Sock == sockUDP {
		p.s.dialog.refused(e, err)
		return
	}
	for _, r := range p.rounds {
		if hard(e, err) {
			r.Fail(e.Peer.Addr())
		} else {
			r.Lose(e.Peer.Addr())
		}
	}
	p.large.fail(e.Peer.Addr())
	p.proceed(now)
}

// expire ends the waiting for answers.
func (p *pinging) expire(now time.Time) {
	for _, r := range p.rounds {
		r.Expire(now)
	}
	p.large.expire(now)
	p.proceed(now)
}

// due takes the timer of the names.
func (p *pinging) due(now time.Time, timer int) {
	switch timer {
	case timerNames:
		p.named(now, "receiver left out: its name was not found in time")
	case timerLarge:
		p.large.over = true
		p.proceed(now)
	}
}

// transmit sends a manifest or an echo.
func (p *pinging) transmit(now time.Time, e *loop.Envelope, b []byte) ([]byte, bool) {
	if p.s.dialog.ready {
		return p.s.dialog.transmit(now, e, b)
	}
	for k := range len(p.rounds) + 1 {
		r := p.large.Prober
		if k < len(p.rounds) {
			r = p.rounds[k].Prober
		} else if r == nil {
			break
		}
		out, to, ok := r.Transmit(now, b)
		if !ok {
			continue
		}
		e.Sock = sockICMP4
		if to.Is6() {
			e.Sock = sockICMP6
		}
		e.Peer = netip.AddrPortFrom(to, 0)
		return out, true
	}
	return b, false
}

// next is when the echoes want to be called.
func (p *pinging) next() (at time.Time, ok bool) {
	for _, r := range p.rounds {
		if t, more := r.Next(); more && (!ok || t.Before(at)) {
			at, ok = t, true
		}
	}
	if p.large.Prober != nil {
		if t, more := p.large.Next(); more && (!ok || t.Before(at)) {
			at, ok = t, true
		}
	}
	return at, ok
}

// weigh gives every peer a latency: measured, or the worst that is known, or the
// same to all. The protocol weighs by the mean of the echoes.
func (s *session) weigh() []time.Duration {
	latencies := make([]time.Duration, len(s.peers))
	if len(s.pinging.rounds) == 0 {
		for i := range latencies {
			latencies[i] = time.Second
		}
		return latencies
	}
	byAddr := make(map[netip.Addr]icmp.Stats, len(s.pinging.pinged))
	var worst time.Duration
	for _, r := range s.pinging.rounds {
		for host, a := range r.hosts {
			st := r.Stats(host)
			byAddr[a] = st
			worst = max(worst, st.Mean.Round(time.Microsecond))
		}
	}
	silent := 0
	for i, p := range s.peers {
		r := &s.report.Receivers[i]
		r.Echoes = byAddr[p.addr.Addr()]
		// To a microsecond, as ping prints it: the split can be worked out again from
		// the report.
		if r.Latency = r.Echoes.Mean.Round(time.Microsecond); r.Latency == 0 && r.Echoes.Received > 0 {
			r.Latency = time.Microsecond
		} else if r.Latency == 0 {
			r.Latency, r.Guessed = worst, true
			silent++
		}
		if latencies[i] = r.Latency; worst == 0 {
			latencies[i] = time.Second
		}
	}
	switch {
	case silent == len(s.peers):
		s.log.Warn("no receiver answered a ping: all get the same share")
	case silent > 0:
		s.log.Warn("some receivers answered no ping: each is weighed as the slowest that did",
			"silent", silent, "latency", worst)
	}
	return latencies
}

// begin ends the pinging and lays out the transfer.
func (s *session) begin(now time.Time) {
	s.report.Probe = now.Sub(s.entered)
	if len(s.pinging.rounds) == 0 {
		s.report.Probe = 0
	}
	var shares []int64
	switch latencies := s.weigh(); {
	case s.cfg.Balance == BalanceEqual || s.cfg.Balance == BalanceNone:
		shares = sched.SplitEqual(s.size, len(s.peers))
	default:
		shares = sched.Split(s.size, latencies)
	}
	x := &s.sending
	x.transfer = sched.NewTransfer(now, shares, sched.TransferConfig{
		Tries: s.cfg.Tries, First: firstSegments, Fixed: time.Duration(s.cfg.RTO), Outstanding: s.bufferAcks,
		NoFailover: s.cfg.NoFailover || s.cfg.Balance == BalanceNone,
		Adaptive:   s.cfg.Balance == BalanceAdaptive,
	})
	if s.bufferAcks > 0 && s.bufferAcks < len(s.peers) {
		s.log.Warn("the receive buffer is small: not all receivers are sent to at once; "+
			"raise net.core.rmem_max",
			"receivers", len(s.peers), "at once", s.bufferAcks)
	}
	s.report.Segments = x.transfer.Total()
	for i, p := range s.peers {
		r := &s.report.Receivers[i]
		r.Share, r.Assigned = shares[i], x.transfer.Stats(i).Assigned
		s.tell(func(t *Trace) {
			if t.Share != nil {
				t.Share(TraceShare{i, p.addr, r.Latency, shares[i], r.Assigned, 0})
			}
		})
	}
	if s.cfg.planOnly {
		s.finish(now, nil)
		return
	}
	x.begin()
	s.stage = x
	s.enter(now, PhaseSending)
}
