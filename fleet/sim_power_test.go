package fleet

import (
	"math/rand/v2"
	"time"

	"mdalp/fleet/engine"
	"mdalp/internal/sim"
)

// hosts is which machines a fleet runs on.
type hosts struct {
	apart bool       // each process on one of its own, and the directory on another
	luck  *rand.Rand // of what was not flushed
	host  dirHost
	// torn says that a receiver lost power that had taken what no other has, by transaction. Of the
	// base protocol what is acknowledged is not flushed, and its end, or all of it, may be gone.
	torn map[int64]bool
}

// drawHosts draws which machines there are. What is drawn is no part of the other draws.
func (f *fleetWorld) drawHosts() {
	f.disk, f.named = sim.NewDisk(), make(map[string]int)
	n := sim.Mix(f.seed, 0x4057)
	f.hosts = hosts{apart: n%2 == 0, luck: rand.New(rand.NewPCG(f.seed, 0x9042e2)), torn: make(map[int64]bool)}
	f.disk.Apart = n%4 == 0 // who reads sees nothing of what others have not flushed
}

// house gives a process its place.
func (f *fleetWorld) house(p *proc) {
	p.folder = &stepFolder{Folder: f.disk, m: f.m, named: f.named, host: &f.hosts.host, disk: f.disk, ills: &f.ills, of: p.id,
		single: sim.Mix(f.seed, 0x4057)%3 == 0}
	if f.hosts.apart {
		p.box = f.disk.Machine()
		p.folder.Folder = p.box
	}
}

// kept draws what is there of what was not flushed.
func (f *fleetWorld) kept() func() bool {
	return sim.Sometimes(f.hosts.luck, []float64{0, 0.5, 0.1, 0.9}[f.hosts.luck.IntN(4)])
}

// lose takes power from a machine at that time, and gives it back later.
func (f *fleetWorld) lose(at, span time.Duration, p *proc) {
	if !f.hosts.apart {
		f.blackout(at, span)
		return
	}
	f.world.At(at, func(time.Time) {
		f.tear(p)
		p.kill()
		p.box.Unplug(f.kept())
	})
	f.world.At(at+span, func(time.Time) { p.again() })
}

// blackout takes power from everything but the engine, whose records are flushed: they are away
// for a while, as its servers start anew.
func (f *fleetWorld) blackout(at, span time.Duration) {
	f.world.At(at, func(time.Time) {
		for _, p := range f.all() {
			f.tear(p)
			p.kill()
			if p.box != nil {
				p.box.Boots()
			}
		}
		*f.disk = *f.disk.Unplugged(f.kept())
		there := f.disk.Files()
		for name := range f.named { // order does not show
			if there[name] == nil { // it is to get it once more
				delete(f.named, name)
			}
		}
		f.m.Away(true)
	})
	f.world.At(at+span/4, func(time.Time) { f.m.Away(false) })
	for _, p := range f.all() {
		back := span/4 + time.Duration(f.rng.Int64N(int64(span)+1))
		f.world.At(at+back, func(time.Time) { p.again() })
	}
}

// outage takes power from the directory's host. Whoever writes waits until it is back: receivers
// do so in their loops.
func (f *fleetWorld) outage(at, span time.Duration) {
	f.world.At(at, func(now time.Time) {
		f.disk.Outage(f.kept())
		f.hosts.host.back = now.Add(span)
		for _, p := range f.rcvs {
			f.freeze(p, at, span)
		}
	})
}

// freeze stops a process for so long, which may be its whole machine.
func (f *fleetWorld) freeze(p *proc, at, span time.Duration) {
	f.world.At(at, func(time.Time) {
		if f.disk.Apart { // nobody sees what it has not flushed, until it goes on
			f.tear(p)
		}
		p.node.Pause()
		p.life.Freeze()
		life := p.life
		f.world.At(at+span, func(time.Time) {
			life.Thaw()
			p.node.Resume()
		})
	})
}

// tear notes what a loss of power at p may take that was acknowledged.
func (f *fleetWorld) tear(p *proc) {
	for _, r := range f.m.Records() {
		if r.Bytes > 0 || r.State == engine.Complete {
			continue
		}
		for _, s := range r.Receivers {
			if s.ID == p.id {
				f.hosts.torn[r.TID] = true
			}
		}
	}
}

func (f *fleetWorld) all() []*proc { return append(append([]*proc(nil), f.orchs...), f.rcvs...) }
