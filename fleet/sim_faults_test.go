package fleet

import (
	"time"

	"mdalp/internal/sim"
	"mdalp/loop"
)

// fault draws something that happens to the fleet at that time.
func (f *fleetWorld) fault(at time.Duration) {
	r := f.rng
	span := time.Duration(r.Int64N(int64(25 * time.Second)))
	all := f.all()
	p := all[r.IntN(len(all))]
	kind := r.IntN(14)
	if f.log != nil {
		f.log.Info("fault", "kind", kind, "at", at, "for", span, "of", p.id)
	}
	switch kind {
	case 0, 1: // killed, and started again
		f.world.At(at, func(now time.Time) { p.kill() })
		f.world.At(at+span, func(now time.Time) { p.again() })
	case 2: // cut off from the engine
		f.cut(at, span, p)
	case 3: // the engine has no quorum, perhaps for longer than a base transaction may take
		if r.IntN(3) == 0 {
			span *= 5
		}
		f.world.At(at, func(now time.Time) { f.m.Away(true) })
		f.world.At(at+span, func(now time.Time) { f.m.Away(false) })
	case 4: // cut off from the clients
		h := f.world.Host(p.addr.Addr())
		f.world.At(at, func(now time.Time) { h.State = sim.Silent })
		f.world.At(at+span, func(now time.Time) { h.State = sim.Up })
	case 5: // half of the fleet is on the side of an engine's minority
		for _, p := range all {
			if r.IntN(2) == 0 {
				f.cut(at, span, p)
			}
		}
	case 6: // told to take nothing new, and started anew later, whether it was through or not
		f.world.At(at, func(now time.Time) { p.post(p.drain) })
		f.world.At(at+3*span, func(now time.Time) {
			p.kill()
			p.again()
		})
	case 7: // killed, and gone for longer than anybody waits
		f.world.At(at, func(now time.Time) { p.kill() })
		f.world.At(at+30*time.Second+span, func(now time.Time) { p.again() })
	case 8: // a machine loses its power
		f.lose(at, span, p)
	case 9: // all do
		f.blackout(at, span)
	case 10: // the directory's host does
		f.outage(at, span)
	case 11: // held up, as a machine that is suspended
		f.freeze(p, at, span)
	case 12, 13: // the receiver that a slow client keeps to is cut off from the engine alone
		f.part(at, 10*time.Second+span, 20)
	}
}

// part cuts off from the engine who takes all segments of a slow client, as soon as there is one.
func (f *fleetWorld) part(at, span time.Duration, tries int) {
	f.world.At(at, func(time.Time) {
		for _, c := range f.clients {
			if c.drip == 0 || c.tid == 0 || c.done || c.left == len(c.acked) {
				continue
			}
			for _, p := range f.rcvs {
				if p.addr == c.rs[0] {
					f.cut(at, span, p)
				}
			}
			return
		}
		if tries > 1 {
			f.part(at+2*time.Second, span, tries-1)
		}
	})
}

// cut cuts a process off from the engine.
func (f *fleetWorld) cut(at, span time.Duration, p *proc) {
	f.world.At(at, func(now time.Time) { p.client.Cut = true })
	f.world.At(at+span, func(now time.Time) { p.client.Cut = false })
}

func (p *proc) kill() {
	p.life.Kill()
	p.node.Kill()
	if p.box != nil {
		p.box.Closed()
	}
}

// again starts a process that was killed.
func (p *proc) again() {
	if p.life.Dead() {
		p.node.Restart(p.start())
	}
}

func (p *proc) drain(now time.Time) { p.prog.Drain(now) }

// post calls g in the process's loop, by its own clock, unless it has died by then.
func (p *proc) post(g func(now time.Time)) {
	life := p.life
	p.node.Post(func(now time.Time) {
		if !life.Dead() {
			g(now.Add(p.off))
		}
	})
}

// drawClock gives how far a clock is ahead: some minutes, for half of the fleets. What is drawn
// is no part of the other draws.
func (f *fleetWorld) drawClock() time.Duration {
	if sim.Mix(f.seed, 0xc10c)%2 == 0 {
		return 0
	}
	return time.Duration(int64(sim.Mix(f.seed, 0xc10c, uint64(len(f.procs)))%1200)-600) * time.Second
}

// A skewed is a program whose clock is ahead of the world's.
type skewed struct {
	program
	by time.Duration
}

// now is what its clock shows.
func (p *proc) now() time.Time { return p.f.world.Now().Add(p.off + p.late) }

func (p *proc) clock(h program) program {
	p.prog = h
	if p.off == 0 {
		return h
	}
	return skewed{h, p.off}
}

func (s skewed) Receive(now time.Time, e *loop.Envelope, b []byte) {
	was := e.At
	e.At = e.At.Add(s.by)
	s.program.Receive(now.Add(s.by), e, b)
	e.At = was
}

func (s skewed) Transmit(now time.Time, e *loop.Envelope, b []byte) ([]byte, bool) {
	return s.program.Transmit(now.Add(s.by), e, b)
}

func (s skewed) Fail(now time.Time, e *loop.Envelope, err error) {
	s.program.Fail(now.Add(s.by), e, err)
}

func (s skewed) Expire(now time.Time) { s.program.Expire(now.Add(s.by)) }

func (s skewed) Next() (time.Time, bool) {
	at, ok := s.program.Next()
	if at.IsZero() {
		return at, ok
	}
	return at.Add(-s.by), ok
}
