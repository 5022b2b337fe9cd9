package icmp

import "time"

// allSent reports whether there is nothing left to send.
func (p *Prober) allSent() bool { return p.round >= p.cfg.Count || p.live == 0 }

// step moves the cursor on by one, into the next round after the last host.
func (p *Prober) step() {
	if p.cursor++; p.cursor == len(p.hosts) {
		p.cursor = 0
		p.round++
		p.roundAt = p.lastAt.Add(p.cfg.Gap)
	}
}

// skip moves the cursor on to a host that has not failed. It is never walked
// twice over the same host and round, so an echo pays for one step on average.
func (p *Prober) skip() {
	for !p.allSent() && p.hosts[p.cursor].failed {
		p.step()
	}
}

// deadline is when the waiting ends once all is sent. When every host has
// answered something, only what was lost is missing, most likely: then there is
// no point in the whole Timeout.
func (p *Prober) deadline() time.Time {
	wait := p.cfg.Timeout
	if p.unheard == 0 && p.maxRTT < wait/3 { // hence 3*maxRTT does not overflow
		wait = min(wait, 3*p.maxRTT+grace)
	}
	return p.lastAt.Add(wait)
}
