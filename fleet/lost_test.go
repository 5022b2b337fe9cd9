package fleet

import (
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"mdalp/fleet/engine"
	"mdalp/internal/disk"
	"mdalp/server"
)

// What was acknowledged of base payloads that the engine does not know any more, as where it was set back to
// a copy, is settled by what is there; what is not whole is kept. Nothing is begun anew that the engine
// knows, that is of now, or that has no spool.
func TestLost(t *testing.T) {
	t.Parallel()
	beside(t, func(e apart) { loses(t, e) })
}

func loses(t *testing.T, e apart) {
	ctx := t.Context()
	dir := t.TempDir()
	folder, err := disk.View(dir)
	if err != nil {
		t.Fatal(err)
	}
	shared, err := server.NewShared(folder, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := netip.MustParseAddrPort("192.0.2.1:4711")
	old := time.Now().Add(-unknownFor - time.Minute)
	spool := func(tid int64, id string, seqs ...int64) string {
		w, err := shared.OpenSpool(server.Meta{TID: tid, Segment: server.DefaultSegmentLimit, Client: client, Offered: old}, id)
		for _, seq := range seqs {
			if err == nil {
				_, _, err = w.Put(seq, []byte{'a' + byte(seq)}, false)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		w.Close()
		return filepath.Join(dir, server.SpoolName(tid, id))
	}
	files := []string{spool(7, "m1", 0, 2), spool(7, "m2", 1), spool(8, "m1", 0, 2), spool(9, "m1", 0),
		filepath.Join(dir, "11.1.new.spool"), filepath.Join(dir, "12.part")}
	spool(10, "m1", 0)
	known := &engine.Record{TID: 9, State: engine.Kept, Owner: "o", Epoch: 3, Client: client, Base: true, Receivers: []engine.Station{}}
	if _, err := e.Create(ctx, known); err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		f, err := os.OpenFile(path, os.O_CREATE, 0o600)
		if err == nil {
			err = errors.Join(f.Close(), os.Chtimes(path, old, old))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	// One of the two receivers is there no more; the other one has left.
	m1 := &engine.Party{Role: engine.Receiver, ID: "m1", Addr: netip.MustParseAddrPort("192.0.2.2:4650")}
	if err := e.Say(ctx, m1); err != nil {
		t.Fatal(err)
	}
	s := &store{engine: e, folder: folder, shared: shared, me: "o-1", ctx: ctx, log: slog.New(slog.DiscardHandler),
		pause: e.pause, tx: make(map[int64]*trans), taking: make(map[int64]int)}
	for _, want := range []int{2, 0} {
		if n, err := s.anew(time.Now().Add(-unknownFor)); n != want || err != nil {
			t.Fatalf("%d are begun anew, and not %d: %v", n, want, err)
		}
	}
	r, _, err := e.Get(ctx, 7)
	if err != nil || r.Client != client || !r.Offered.Equal(old) || len(r.Receivers) != 2 || r.Receivers[0].Addr != m1.Addr {
		t.Errorf("%+v, %v", r, err)
	}
	for _, id := range []string{"m1", "m2"} {
		if err := e.Leave(ctx, &engine.Party{Role: engine.Receiver, ID: id}); err != nil {
			t.Fatal(err)
		}
	}
	found, err := s.orphans()
	if err != nil || len(found) != 2 {
		t.Fatalf("%d are taken over, %v", len(found), err)
	}
	for _, f := range found {
		_, err := f.Spool.Assemble(nil)
		if f.TID == 8 {
			if !errors.Is(err, server.ErrMissing) || f.Spool.Keep() == "" {
				t.Errorf("what has a hole: %v", err)
			}
			continue
		}
		if err == nil {
			_, err = f.Spool.Publish(false)
		}
		if b, rerr := os.ReadFile(filepath.Join(dir, "7.bin")); err != nil || rerr != nil || string(b) != "abc" {
			t.Errorf("%q, %v, %v", b, err, rerr)
		}
	}
	for tid, want := range map[int64]engine.State{7: engine.Complete, 8: engine.Kept, 9: engine.Kept} {
		if r, _, err := e.Get(ctx, tid); err != nil || r.State != want || !r.Base {
			t.Errorf("%d: %+v, %v", tid, r, err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, "7.*")); err != nil || !slices.Equal(left, []string{filepath.Join(dir, "7.bin")}) {
		t.Errorf("%q, %v", left, err)
	}
}

// Where an engine was set back while parts run, two may have taken the same transaction over for the n-th
// time. It is the one's that the engine names, and no more the other's.
func TestSetBack(t *testing.T) {
	t.Parallel()
	mine := &trans{rec: engine.Record{TID: 7, Owner: "o-1", Epoch: 2}}
	for _, c := range []struct {
		owner string
		epoch uint64
		left  bool
	}{{"o-1", 2, false}, {"o-2", 3, true}, {"o-2", 2, true}, {"o-2", 1, false}} {
		if mine.left(&engine.Record{TID: 7, Owner: c.owner, Epoch: c.epoch}) != c.left {
			t.Errorf("%+v", c)
		}
	}
}
