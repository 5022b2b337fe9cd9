package fleet

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"mdalp/fleet/engine"
	"mdalp/internal/disk"
	"mdalp/internal/sim"
)

// An ill is what is wrong with the directory for a while: it is full, or to one receiver, or what is
// on it cannot be read or written.
type ill struct {
	from, to time.Time
	errno    syscall.Errno
	odds     float64 // that an operation fails
	of       string  // whose; empty is everybody's
	late     bool    // only flushes do, as where writes go to a machine's memory first
	told     bool    // who asks how much room there is hears that there is none
}

// ills are those of a fleet: none in most. What is drawn for them is no part of the other draws.
type ills struct {
	rng    *rand.Rand
	all    []*ill
	sparse bool      // no room can be set aside
	alone  bool      // nothing else goes wrong
	stays  bool      // a file could not be removed
	end    time.Time // of the last
	now    func() time.Time
	tally  map[string]int
	// sad says of a base transaction that a receiver could not flush. Whoever settles it hears so,
	// unless that receiver is gone by then: this is as bad as a loss of its power, see hosts.torn.
	sad map[int64]bool
}

// drawIlls draws them.
func (f *fleetWorld) drawIlls() {
	r := rand.New(rand.NewPCG(f.seed, 0x111))
	f.ills = ills{rng: r, sad: make(map[int64]bool), end: sim.Epoch, tally: f.tally,
		now: func() time.Time { return f.world.Now() }}
	if r.IntN(5) > 1 {
		return
	}
	f.ills.sparse, f.ills.alone = r.IntN(2) == 0, r.IntN(3) == 0
	for range 1 + r.IntN(3) {
		x := &ill{errno: syscall.ENOSPC, odds: 1, told: r.IntN(3) > 0}
		switch r.IntN(4) {
		case 0:
			x.errno, x.of = syscall.EDQUOT, fmt.Sprint("r", r.IntN(3))
		case 1:
			x.errno, x.told = syscall.EIO, false
			if r.IntN(2) == 0 {
				x.of = []string{"r0", "r1", "r2", "o0", "o1"}[r.IntN(5)]
			}
		}
		if r.IntN(2) == 0 {
			x.odds, x.told = []float64{0.02, 0.1, 0.5}[r.IntN(3)], false
		}
		if r.IntN(3) == 0 {
			x.late, x.told = true, false
		}
		x.from = sim.Epoch.Add(time.Duration(r.Int64N(int64(50 * time.Second))))
		x.to = x.from.Add(time.Duration(r.Int64N(int64(40 * time.Second))))
		f.ills.all = append(f.ills.all, x)
		if x.to.After(f.ills.end) {
			f.ills.end = x.to
		}
		if f.log != nil {
			f.log.Info("ill", "at", x.from.Sub(sim.Epoch), "to", x.to.Sub(sim.Epoch), "err", x.errno, "odds", x.odds, "of", x.of, "told", x.told)
		}
	}
}

// An op is what an operation needs of the directory.
type op uint8

const (
	reads op = iota // what is there
	takes           // room
	names           // a name less, or a flush of names
	syncs           // what was written, which needs room where none was set aside
)

// fails draws the error of an operation.
func (f *stepFolder) fails(o op) error {
	s := f.ills
	if s == nil {
		return nil
	}
	for _, x := range s.all {
		now := s.now()
		if now.Before(x.from) || !now.Before(x.to) || x.of != "" && x.of != f.of ||
			x.late && o != syncs || !x.late && x.errno != syscall.EIO && !s.needs(o) || s.rng.Float64() >= x.odds {
			continue
		}
		s.tally[x.errno.Error()]++
		return x.errno
	}
	return nil
}

// needs reports whether an operation needs room.
func (s *ills) needs(o op) bool { return o == takes || o == syncs && s.sparse }

// do does an operation, or has it fail.
func (f *stepFolder) do(o op, g func() error) error {
	if err := f.fails(o); err != nil {
		f.disk.Fail = func(string, string) error { return err }
		defer func() { f.disk.Fail = nil }()
	}
	return g()
}

func (f *stepFolder) Free() (bytes, files, all int64, err error) {
	bytes, files, all, err = f.Folder.Free()
	for _, x := range f.ills.all {
		if now := f.ills.now(); x.told && !now.Before(x.from) && now.Before(x.to) && (x.of == "" || x.of == f.of) {
			bytes = 0
		}
	}
	return bytes, files, all, err
}

// full reports whether a receiver that asks has been told for so long that there is no room.
func (s *ills) full(of string, at time.Time, since time.Duration) bool {
	return slices.ContainsFunc(s.all, func(x *ill) bool {
		return x.told && (x.of == "" || x.of == of) && x.from.Add(since).Before(at) && at.Before(x.to)
	})
}

// broken reports whether a payload may be damaged, which its client hears: where nothing can be written
// behind a flush that failed, a journal says too much until that can be mended, and if its receiver dies
// before, it is believed. It takes both, and more.
func (s *ills) broken() bool {
	return !s.alone && slices.ContainsFunc(s.all, func(x *ill) bool { return x.errno == syscall.EIO })
}

// checkIlls checks a fleet whose directory was all that was wrong: who asked was answered meanwhile,
// and when it was well again all went on.
func (f *fleetWorld) checkIlls() {
	for _, c := range f.clients {
		if !f.ills.alone {
			return
		}
		since := c.begin
		if since.Before(f.ills.end) {
			since = f.ills.end
		}
		if d := c.ended.Sub(since); d > 3*time.Minute {
			f.fail("%s: it ended %v after the directory was well again", c.name, d)
		}
		if c.unanswered {
			f.fail("%s: it was not answered for 80 s", c.name)
		}
	}
}

func (f *stepFolder) Stat(name string) (disk.Fact, error) {
	if err := f.fails(reads); err != nil {
		return disk.Fact{}, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	return f.Folder.Stat(name)
}

func (f stepFile) ReadAt(b []byte, off int64) (int, error) {
	if err := f.f.fails(reads); err != nil {
		return 0, &fs.PathError{Op: "read", Path: f.Name(), Err: err}
	}
	return f.File.ReadAt(b, off)
}

// WriteAt implements disk.File. What was set aside needs no room; and of what there is none for a
// half may be written all the same.
func (f stepFile) WriteAt(b []byte, off int64) (n int, err error) {
	if !f.swift {
		f.f.step()
	}
	o := takes
	if is, err := f.File.Fact(); err == nil && !f.f.ills.sparse && is.Size >= off+int64(len(b)) {
		o = names
	}
	if err := f.f.fails(o); err != nil {
		if f.f.ills.rng.IntN(2) == 0 {
			n, _ = f.File.WriteAt(b[:len(b)/2], off)
		}
		return n, &fs.PathError{Op: "write", Path: f.Name(), Err: err}
	}
	return f.File.WriteAt(b, off)
}

func (f stepFile) Allocate(n int64, beyond bool) error {
	if f.f.ills.sparse {
		return fmt.Errorf("allocate: %w", errUnsupported)
	}
	return f.f.do(takes, func() error { return f.File.Allocate(n, beyond) })
}

func (f stepFile) Truncate(n int64) error {
	return f.f.do(names, func() error { return f.File.Truncate(n) })
}

// flush flushes data.
func (f stepFile) flush(g func() error) error {
	err := f.f.do(syncs, g)
	if err != nil {
		name := path.Base(f.Name())
		if tid, of, _ := strings.Cut(name, "."); strings.HasSuffix(of, ".spool") && of != "new.spool" {
			n, _ := strconv.ParseInt(tid, 10, 64)
			f.f.ills.sad[n] = true
		}
	}
	return err
}

// lost reports whether a base transaction may have come to nothing, though all of it was
// acknowledged: that says that it is taken, and not that it is on stable storage, and a receiver
// could not bring it there.
func (f *fleetWorld) lost(c *simClient) bool {
	r := f.m.Record(c.tid)
	return c.base && f.ills.sad[c.tid] && r != nil && r.State != engine.Complete
}
