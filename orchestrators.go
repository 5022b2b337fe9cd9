package mdalp

import (
	"net/netip"
	"slices"

	"mdalp/loop"
)

// unanswered is how many manifests in a row one orchestrator of several leaves without an answer
// before the next is asked (PROTOCOL.md, "Several orchestrators").
const unanswered = 2

// fleet gives all orchestrators of a configuration, each once, and the first of them first; nil
// where there is only one, so that nothing is done differently then.
func (c *Config) fleet() []netip.AddrPort {
	all := []netip.AddrPort{c.Orchestrator}
	for _, a := range c.Orchestrators {
		if a = netip.AddrPortFrom(a.Addr().Unmap(), a.Port()); !slices.Contains(all, a) {
			all = append(all, a)
		}
	}
	if len(all) == 1 {
		return nil
	}
	return all
}

// six reports whether an orchestrator has an IPv6 address.
func (c *Config) six() bool {
	is6 := func(a netip.AddrPort) bool { return a.Addr().Is6() }
	return is6(c.Orchestrator) || slices.ContainsFunc(c.Orchestrators, is6)
}

// several reports whether there is another orchestrator than the one that is asked.
func (s *session) several() bool { return len(s.cfg.Orchestrators) > 1 }

// orchestrates reports whether a is one of the orchestrators: an answer is believed from any of
// them, as one that was asked before may only be slow.
func (s *session) orchestrates(a netip.AddrPort) bool {
	return a == s.cfg.Orchestrator || slices.Contains(s.cfg.Orchestrators, a)
}

// heard makes the orchestrator that answered the one that is asked.
func (s *session) heard(a netip.AddrPort) {
	s.refusals = 0
	if a != s.cfg.Orchestrator {
		s.cfg.Orchestrator, s.report.Orchestrator = a, a
	}
}

// onward makes the next orchestrator the one that is asked, and the first again after the last.
// Call it only if there are several.
func (s *session) onward(why string) {
	all, before := s.cfg.Orchestrators, s.cfg.Orchestrator
	next := (slices.Index(all, before) + 1) % len(all)
	s.cfg.Orchestrator, s.report.Orchestrator = all[next], all[next]
	s.report.Moves++
	s.log.Info("asking the next orchestrator", "orchestrator", all[next], "before", before, "why", why)
}

// elsewhere goes on with the next orchestrator because the network refused what was for this
// one. It reports false where that was the last of them that had not refused since one was
// silent or answered: the question then waits for its timer, and does not go round and round.
func (s *session) elsewhere() bool {
	if !s.several() {
		return false
	}
	s.refusals++
	if s.refusals >= len(s.cfg.Orchestrators) {
		return false
	}
	s.onward("it refuses")
	return true
}

// refused takes an error of the way to an orchestrator that was asked how a payload stands. With
// one orchestrator it changes nothing: the manifest is sent again.
func (d *dialog) refused(e *loop.Envelope, err error) {
	if d.s.sealed() { // its keys are the one's alone; it may be about to start anew
		return
	}
	if e.Peer != d.s.cfg.Orchestrator || !hard(e, err) || !d.asked || d.ready || !d.s.elsewhere() {
		return
	}
	d.tries += d.tries % unanswered // the next has its full number
	d.ready, d.wait = true, d.patience()
}
