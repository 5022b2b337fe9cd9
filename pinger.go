package mdalp

import (
	"net/netip"
	"time"

	"mdalp/icmp"
	"mdalp/loop"
)

// settling is how long a pinger waits before its first echo: the kernel takes a
// moment to switch its stamps on, and until then they come too late (see
// [icmp.Open]).
const settling = 4 * time.Millisecond

// A pinger is Ping as a program without I/O: an icmp.Prober as a loop.Handler.
type pinger struct {
	report *PingReport
	cfg    *PingConfig
	prober *icmp.Prober
	began  time.Time
	tell   time.Time          // when Progress is due, if there is one
	sock6  int                // the socket for IPv6 hosts; that for IPv4 is 0
	first  []int              // the prober's host → its first place in the report
	place  map[netip.Addr]int // the reverse
}

// newPinger prepares echoes to the hosts of r from a moment after now on. sock6 is
// the number of the socket for IPv6 hosts.
func newPinger(now time.Time, r *PingReport, cfg *PingConfig, sock6 int) *pinger {
	p := &pinger{report: r, cfg: cfg, began: now, tell: now.Add(cfg.ProgressEvery), sock6: sock6, place: make(map[netip.Addr]int, len(r.Hosts))}
	hosts := make([]netip.Addr, 0, len(r.Hosts))
	for i := range r.Hosts {
		a := r.Hosts[i].Addr
		if _, dup := p.place[a]; !dup {
			p.place[a] = i
			p.first = append(p.first, i)
			hosts = append(hosts, a)
		}
	}
	p.prober = icmp.NewProber(now.Add(settling), icmp.Config{
		Count: cfg.Count, Gap: cfg.Interval, Timeout: cfg.Timeout, ID: echoID(&cfg.key), Key: cfg.key,
	}, hosts)
	return p
}

// Receive implements loop.Handler.
func (p *pinger) Receive(_ time.Time, e *loop.Envelope, b []byte) {
	switch p.prober.Receive(e.At, e.Peer.Addr(), b) {
	case icmp.Counted:
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

// Fail implements loop.Handler: what cannot be sent to is not tried again.
func (p *pinger) Fail(_ time.Time, e *loop.Envelope, err error) {
	a := e.Peer.Addr()
	if i, ok := p.place[a]; ok {
		p.report.Hosts[i].Err = err
		p.prober.Fail(a)
	}
}

// Expire implements loop.Handler.
func (p *pinger) Expire(now time.Time) {
	p.prober.Expire(now)
	if p.cfg.Progress != nil && !now.Before(p.tell) {
		p.tell = now.Add(p.cfg.ProgressEvery)
		p.settle(now)
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

// settle writes down what is known at now.
func (p *pinger) settle(now time.Time) {
	p.report.Elapsed = now.Sub(p.began)
	for host, i := range p.first {
		p.report.Hosts[i].Echoes = p.prober.Stats(host)
	}
	if len(p.first) == len(p.report.Hosts) {
		return
	}
	for i := range p.report.Hosts {
		h := &p.report.Hosts[i]
		*h = p.report.Hosts[p.place[h.Addr]]
	}
}
