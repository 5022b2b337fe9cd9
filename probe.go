package mdalp

import (
	"net/netip"
	"strconv"
	"time"

	"mdalp/icmp"
	"mdalp/loop"
	"mdalp/sched"
)

// probe starts the echoes to those peers that can be pinged.
func (s *session) probe(now time.Time) {
	if !s.cfg.pings() {
		return
	}
	var hosts []netip.Addr
	seen := make(map[netip.Addr]bool, len(s.peers))
	for i, p := range s.peers {
		a := p.addr.Addr()
		if mode := s.mode(a); mode == icmp.Off || seen[a] {
			continue
		} else if s.report.Ping == icmp.Off {
			s.report.Ping = mode
		}
		seen[a] = true
		hosts = append(hosts, a)
		s.probed = append(s.probed, i)
	}
	if len(hosts) == 0 {
		return
	}
	s.prober = icmp.NewProber(now, icmp.Config{
		Count: s.cfg.Echoes, Timeout: s.cfg.EchoTimeout, ID: echoID(&s.cfg.key), Key: s.cfg.key,
	}, hosts)
}

// mode is the kind of socket that pings a.
func (s *session) mode(a netip.Addr) icmp.Mode {
	if a.Is4() {
		return s.mode4
	}
	return s.mode6
}

// echoID is the identifier of our echoes, which the sockets filter on.
func echoID(key *[32]byte) uint16 { return uint16(key[0])<<8 | uint16(key[1]) }

// receiveEcho takes a datagram of an ICMP socket.
func (s *session) receiveEcho(now time.Time, e *loop.Envelope, b []byte) {
	if s.phase != Pinging || s.prober == nil {
		return // an echo that came too late
	}
	if s.prober.Receive(e.At, e.Peer.Addr(), b) != icmp.Counted {
		return
	}
	if s.prober.Done() {
		s.begin(now)
	}
}

// weigh gives every peer a latency: measured, or the worst that is known, or the
// same to all. The protocol weighs by the mean of the echoes.
func (s *session) weigh() []time.Duration {
	latencies := make([]time.Duration, len(s.peers))
	if s.prober == nil {
		for i := range latencies {
			latencies[i] = time.Second
		}
		return latencies
	}
	byAddr := make(map[netip.Addr]icmp.Stats, len(s.probed))
	var worst time.Duration
	for host, i := range s.probed {
		st := s.prober.Stats(host)
		byAddr[s.peers[i].addr.Addr()] = st
		worst = max(worst, st.Mean.Round(time.Microsecond))
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
		s.log.Warn("some receivers answered no ping: each is weighed as the slowest that did", "silent", silent, "latency", worst)
	}
	return latencies
}

// begin ends the pinging and lays out the transfer.
func (s *session) begin(now time.Time) {
	s.report.Probe = now.Sub(s.entered)
	if s.prober == nil {
		s.report.Probe = 0
	}
	var shares []int64
	switch latencies := s.weigh(); {
	case s.cfg.Balance == Equal || s.cfg.Balance == None:
		shares = sched.SplitEqual(s.size, len(s.peers))
	default:
		shares = sched.Split(s.size, latencies)
	}
	s.transfer = sched.NewTransfer(now, shares, sched.TransferConfig{
		Tries: s.cfg.Tries, Fixed: s.cfg.RTO, Outstanding: s.bufferAcks,
		NoFailover: s.cfg.NoFailover || s.cfg.Balance == None, Adaptive: s.cfg.Balance == Adaptive,
	})
	if s.bufferAcks > 0 && s.bufferAcks < len(s.peers) {
		s.log.Warn("the receive buffer is small: not all receivers are sent to at once; raise net.core.rmem_max",
			"receivers", len(s.peers), "at once", s.bufferAcks)
	}
	s.prefix = append(s.prefix[:0], "Type:2;TID:"...)
	s.prefix = strconv.AppendInt(s.prefix, s.tid, 10)
	s.prefix = append(s.prefix, ";SEQ:"...)
	s.report.Segments = s.transfer.Total()
	for i, p := range s.peers {
		r := &s.report.Receivers[i]
		r.Share, r.Assigned = shares[i], s.transfer.Stats(i).Assigned
		s.log.Info("receiver", "addr", p.addr, "latency", r.Latency, "bytes", shares[i], "segments", r.Assigned)
	}
	if s.cfg.planOnly {
		s.finish(now, nil)
		return
	}
	s.source.open(s.reader, s.size, len(s.peers), s.cfg.memory)
	s.enter(now, Sending)
}
