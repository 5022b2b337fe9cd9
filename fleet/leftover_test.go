package fleet

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mdalp/fleet/engine"
	"mdalp/fleet/engine/model"
	"mdalp/internal/disk"
	"mdalp/internal/sim"
	"mdalp/server"
)

// An apart is an engine in virtual time, and how who calls it waits.
type apart struct {
	engine.Engine
	pause func(context.Context, time.Duration)
}

// beside runs f as a job beside a loop, with an engine in virtual time: what calls wait for is no matter
// of the machine.
func beside(t *testing.T, f func(e apart)) {
	t.Helper()
	w := sim.New(sim.Config{Seed: 1})
	m := model.New(w, sim.Epoch, 1, model.Faults{Delay: 10 * time.Millisecond})
	defer m.Close()
	life := m.Life(func(func(time.Time)) {})
	done := false
	life.Beside(func() func(time.Time) {
		f(apart{m.Client(life), m.Pause})
		done = true
		return nil
	})
	if err := w.Advance(time.Minute); err != nil || !done {
		t.Errorf("it is through: %v, %v", done, err)
	}
}

// What is left of transactions that the engine does not know any more, or has ended, is removed once all of it
// is old; of no others, and nothing that is whole or not of the fleet's.
func TestClear(t *testing.T) {
	t.Parallel()
	beside(t, func(e apart) { clears(t, e) })
}

func clears(t *testing.T, e engine.Engine) {
	ctx := t.Context()
	for tid, state := range map[int64]engine.State{3: engine.Open, 4: engine.Kept, 5: engine.Void, 6: engine.Complete, 11: engine.Void,
		12: engine.Kept} {
		r := &engine.Record{TID: tid, State: state, Owner: "o", Epoch: 1, Bytes: 5, Segment: 5,
			Client: netip.MustParseAddrPort("192.0.2.1:1"), Receivers: []engine.Station{}}
		if tid == 12 {
			r.Base, r.Bytes, r.Segment = true, 0, 0
		}
		if _, err := e.Create(ctx, r); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	old := time.Now().Add(-leftFor - time.Minute)
	goes := strings.Fields("1.part 1.m1.journal 1.m1.new.journal 11.m1.spool 11.2.new.spool 12.m1.spool 5.part 6.part 6.+.journal")
	stays := strings.Fields("2.part 2.m1.journal 3.part 3.m1.journal 4.part 4.m1.journal 4.m2.journal 6.bin 10.m1.spool 10.1.new.spool 6-a.part 7.journal" +
		" 7.spool 08.part +8.part .fleet x.part 9.part.gz 9.m1.log -1.part")
	for _, name := range slices.Concat(goes, stays) {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("12345"), 0o600); err != nil {
			t.Fatal(err)
		}
		if name == "2.m1.journal" {
			continue // somebody has written to it just now
		}
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
	}
	folder, err := disk.View(dir)
	if err != nil {
		t.Fatal(err)
	}
	s := &store{engine: e, folder: folder, ctx: ctx}
	files, bytes, err := s.clear(time.Now().Add(-leftFor))
	if err != nil || files != len(goes) || bytes <= 0 {
		t.Errorf("%d files of %d bytes, %v", files, bytes, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var there []string
	for _, f := range entries {
		there = append(there, f.Name())
	}
	if slices.Sort(stays); !slices.Equal(there, stays) {
		t.Errorf("there are %q, and not %q", there, stays)
	}
}

// A record that stays open is written anew before the engine forgets it, by its owner alone.
func TestRefresh(t *testing.T) {
	t.Parallel()
	beside(t, func(e apart) { refreshes(t, e) })
}

func refreshes(t *testing.T, e engine.Engine) {
	ctx := t.Context()
	revs := make(map[int64]uint64)
	for tid, r := range map[int64]*engine.Record{1: {State: engine.Open, Owner: "me"}, 2: {State: engine.Open, Owner: "other"},
		3: {State: engine.Complete, Owner: "me"}} {
		r.TID, r.Epoch, r.Bytes, r.Segment = tid, 1, 5, 5
		r.Client, r.Receivers = netip.MustParseAddrPort("192.0.2.1:1"), []engine.Station{}
		rev, err := e.Create(ctx, r)
		if err != nil {
			t.Fatal(err)
		}
		revs[tid] = rev
	}
	s := &store{engine: e, me: "me", ctx: ctx}
	for n, want := range []bool{false, true, true} {
		if err := s.refresh(); err != nil {
			t.Fatal(err)
		}
		for tid := range revs {
			r, rev, err := e.Get(ctx, tid)
			if err != nil || r.TID != tid || (rev > revs[tid]) != (want && tid == 1) {
				t.Errorf("time %d: transaction %d has revision %d, and had %d: %v", n, tid, rev, revs[tid], err)
			}
			revs[tid] = rev
		}
	}
}

// Where owners of a base payload died while they put it together, their files go when it is kept as it
// came, or has come to nothing.
func TestScrap(t *testing.T) {
	t.Parallel()
	beside(t, func(e apart) { scraps(t, e) })
}

func scraps(t *testing.T, e engine.Engine) {
	ctx := t.Context()
	folder, err := disk.View(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := &store{engine: e, folder: folder, ctx: ctx, me: "me"}
	for tid, end := range map[int64]func(*trans){1: func(t *trans) { t.Keep() }, 2: (*trans).void} {
		x := &trans{s: s, rec: engine.Record{TID: tid, State: engine.Created, Owner: "me", Epoch: 3,
			Client: netip.MustParseAddrPort("192.0.2.1:1"), Receivers: []engine.Station{}}}
		if err := x.create(); err != nil {
			t.Fatal(err)
		}
		for _, of := range []string{"m1", "1.new", "3.new"} {
			if err := os.WriteFile(folder.Full(server.SpoolName(tid, of)), []byte("12345"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		end(x)
	}
	var there []string
	if err := folder.Names(func(name string) error { there = append(there, name); return nil }); err != nil {
		t.Fatal(err)
	}
	slices.Sort(there)
	if want := []string{"1.m1.spool", "2.m1.spool"}; !slices.Equal(there, want) {
		t.Errorf("there are %q, and not %q", there, want)
	}
}
