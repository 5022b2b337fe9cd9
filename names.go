package mdalp

import (
	"net/netip"
	"time"

	"mdalp/wire"
)

// How long names of receivers are waited for.
const (
	// namesWait is for offers in which others have addresses: these have to wait too, as
	// the split is over all. They wait for no more than a quarter of what is left
	// until the deadline.
	namesWait = 2 * time.Second
	// namesLimit is for offers without.
	namesLimit = 10 * time.Second
)

// names is an offer with the addresses of its receivers, as far as they are known.
type names struct {
	offer   []wire.Receiver
	addrs   []netip.Addr // of each; not valid while it is a name without an answer
	told    []bool       // that it is left out
	hosts   []string     // the names, each once
	missing int          // those without an answer
	late    bool         // they are not waited for any longer
}

// of takes the receivers of an offer.
func (n *names) of(offer []wire.Receiver) {
	*n = names{offer: offer, addrs: make([]netip.Addr, len(offer)), told: make([]bool, len(offer))}
	seen := make(map[string]bool)
	for k, r := range offer {
		a, err := netip.ParseAddr(r.Host)
		if err == nil {
			n.addrs[k] = a.Unmap()
		} else if !seen[r.Host] {
			seen[r.Host] = true
			n.hosts = append(n.hosts, r.Host)
		}
	}
	n.missing = len(n.hosts)
}

// tell calls say, unless it was told before that receiver k of the offer is left out.
func (n *names) tell(k int, say func()) {
	if !n.told[k] {
		n.told[k] = true
		say()
	}
}

// lookup asks for the addresses of the names, beside the pings to the others. What comes
// too late changes nothing.
func (p *pinging) lookup(now time.Time) {
	s, n := p.s, &p.names
	if n.missing == 0 {
		return
	}
	wait := namesWait
	if len(s.peers) == 0 {
		wait = namesLimit
	} else if d := s.cfg.Deadline; d > 0 {
		wait = min(wait, (d-now.Sub(s.began))/4)
	}
	s.timers.Arm(timerNames, now.Add(wait))
	for _, host := range n.hosts {
		resolve := s.cfg.resolve
		s.beside(now, func() func(time.Time) {
			a := resolve(host)
			return func(now time.Time) { p.answer(now, host, a) }
		})
	}
}

// answer takes the address of a name, which is not valid if there is none.
func (p *pinging) answer(now time.Time, host string, a netip.Addr) {
	n := &p.names
	if p.s.phase != PhasePinging || n.late {
		return
	}
	for k, r := range n.offer {
		if r.Host == host {
			n.addrs[k] = a.Unmap()
		}
	}
	if n.missing--; n.missing == 0 {
		p.named(now, "receiver left out: its name has no address")
	}
}

// named ends the wait for names: those that were found are pinged too. why says what is
// the matter with the others.
func (p *pinging) named(now time.Time, why string) {
	s, n := p.s, &p.names
	n.late = true
	s.timers.Stop(timerNames)
	for k, r := range n.offer {
		if !n.addrs[k].IsValid() {
			n.tell(k, func() { s.log.Warn(why, "host", r.Host) })
		}
	}
	s.choose()
	p.probe(now)
	p.proceed(now)
}
