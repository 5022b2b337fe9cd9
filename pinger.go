package mdalp

import (
	"net/netip"
	"time"

	"mdalp/icmp"
	"mdalp/loop"
)

// stampDelay is how long a pinger waits before its first echo: the kernel takes a
// moment to switch its stamps on, and until then they come too late (see
// [icmp.Open]).
const stampDelay = 4 * time.Millisecond

// A pinger is Ping as a program without I/O: an icmp.Prober as a loop.Handler.
type pinger struct {
	report  *PingReport
	cfg     *PingConfig
	prober  *icmp.Prober
	began   time.Time
	tell    time.Time          // when Progress is due, if there is one
	sock6   int                // the socket for IPv6 hosts; that for IPv4 is 0
	first   []int              // the prober's host → its first place in the report
	place   map[netip.Addr]int // the reverse
	firstOf []int              // a place in the report → the first of the same host
	soft    int                // hosts with an error that may pass
}

// newPinger prepares echoes to the hosts of r from a moment after now on. addrs are their
// addresses as they come back: zones are numbers. sock6 is the number of the socket for
// IPv6 hosts.
func newPinger(now time.Time, r *PingReport, cfg *PingConfig, addrs []netip.Addr, sock6 int) *pinger {
	p := &pinger{report: r, cfg: cfg, began: now, tell: now.Add(cfg.ProgressEvery), sock6: sock6,
		place: make(map[netip.Addr]int, len(r.Hosts))}
	hosts := make([]netip.Addr, 0, len(r.Hosts))
	for i, a := range addrs {
		k, dup := p.place[a]
		if !dup {
			k = i
			p.place[a] = i
			p.first = append(p.first, i)
			hosts = append(hosts, a)
		}
		p.firstOf = append(p.firstOf, k)
	}
	p.prober = icmp.NewProber(now.Add(stampDelay), icmp.Config{
		Count: cfg.Count, Gap: cfg.Interval, Timeout: cfg.Timeout, ID: echoID(&cfg.key), Key: cfg.key,
	}, hosts)
	return p
}

// Receive implements loop.Handler.
func (p *pinger) Receive(_ time.Time, e *loop.Envelope, b []byte) {
	switch p.prober.Receive(e.At, e.Peer.Addr(), b) {
	case icmp.Counted:
		p.passed(e.Peer.Addr())
		return
	case icmp.Duplicate:
		p.report.Duplicate++
	case icmp.Foreign:
		p.report.Foreign++
	case icmp.Malformed:
		p.report.Malformed++
	}
	p.cfg.Logger.Debug("dropped", "peer", e.Peer.Addr(), "data", excerpt(b))
}

// passed forgets the error of a host that has answered since.
func (p *pinger) passed(a netip.Addr) {
	if p.soft == 0 {
		return
	}
	if i, ok := p.place[a]; ok && p.report.Hosts[i].Err != nil {
		p.report.Hosts[i].Err = nil
		p.soft--
	}
}

// Fail implements loop.Handler: a host that refuses is not tried again. Any other error
// costs an echo.
func (p *pinger) Fail(_ time.Time, e *loop.Envelope, err error) {
	a := e.Peer.Addr()
	i, ok := p.place[a]
	if !ok {
		return
	}
	if p.report.Hosts[i].Err == nil {
		p.soft++
	}
	p.report.Hosts[i].Err = err
	if hard(e, err) {
		p.prober.Fail(a)
	} else {
		p.prober.Lose(a)
	}
}

// Expire implements loop.Handler.
func (p *pinger) Expire(now time.Time) {
	p.prober.Expire(now)
	if p.cfg.Progress != nil && !now.Before(p.tell) {
		p.tell = now.Add(p.cfg.ProgressEvery)
		p.refresh(now)
		p.cfg.Progress(p.report)
	}
}

// Transmit implements loop.Handler.
func (p *pinger) Transmit(now time.Time, e *loop.Envelope, b []byte) ([]byte, bool) {
	out, to, ok := p.prober.Transmit(now, b)
	if to.Is6() {
		e.Sock = p.sock6
	}
	e.Peer = netip.AddrPortFrom(to, 0)
	return out, ok
}

// Next implements loop.Handler.
func (p *pinger) Next() (time.Time, bool) {
	at, ok := p.prober.Next()
	if ok && p.cfg.Progress != nil && p.tell.Before(at) {
		at = p.tell
	}
	return at, ok
}

// refresh writes down what is known at now.
func (p *pinger) refresh(now time.Time) {
	p.report.Elapsed = now.Sub(p.began)
	for host, i := range p.first {
		p.report.Hosts[i].Echoes = p.prober.Stats(host)
	}
	if len(p.first) == len(p.report.Hosts) {
		return
	}
	for i := range p.report.Hosts {
		h := &p.report.Hosts[i]
		a := h.Addr // its zone may be written in another way
		*h = p.report.Hosts[p.firstOf[i]]
		h.Addr = a
	}
}
