package mdalp

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"time"

	"mdalp/internal/sim"
	"mdalp/server"
	"mdalp/wire"
)

// A realStore is the store that ships, over a disk in memory, beneath a vault: what the vault
// says of its places is said of these too. The process dies in the midst of an operation, or
// the power is lost, and then it is held against what was promised. A nil one is none: places
// then keep nothing.
type realStore struct {
	v    *vault
	rng  *rand.Rand
	disk *sim.Disk
	dir  *server.Dir
	stop int  // the operation in which the first process dies; 0: none
	down bool // the host has been told that its program is dead
}

// newRealStore draws whether there is one, and when its process dies.
func newRealStore(v *vault) *realStore {
	rng := rand.New(rand.NewPCG(v.sc.seed, 0xd15c))
	if v.sc.apart != nil || rng.IntN(3) > 0 {
		return nil
	}
	r := &realStore{v: v, rng: rng, disk: sim.NewDisk()}
	if rng.IntN(2) == 0 {
		v.sc.faults = true
		r.stop = 1 + rng.IntN(80)
	}
	return r
}

// died reports whether the process has died. The first time the host is told, and when it
// comes back.
func (r *realStore) died() bool {
	if r == nil || !r.disk.Died() {
		return false
	}
	if !r.down && !r.v.over {
		r.down = true
		w, now := r.v.sc.world, r.v.sc.world.Now().Sub(sim.Epoch)
		w.At(now, func(time.Time) { r.v.sc.host.Kill() })
		w.At(now+time.Duration(r.rng.Int64N(int64(3*time.Second))), func(now time.Time) {
			r.v.restart(now)
			r.v.sc.host.Restart(r.v)
		})
	}
	return true
}

// restart is a new process on what the last one left.
func (r *realStore) restart() {
	if r == nil {
		return
	}
	if r.rng.IntN(2) == 0 {
		for _, t := range r.v.made {
			t.unplugged = true
		}
		r.disk = r.disk.Unplugged(sim.Sometimes(r.rng, r.rng.Float64()))
	} else {
		r.disk = r.disk.Killed()
	}
	r.down, r.disk.Now = false, r.v.sc.world.Now
	r.named()
	var rs []server.Recovered
	dir, err := server.NewDirIn(r.disk, server.DirOptions{Reserve: -1})
	if err == nil {
		rs, err = dir.Recover()
	}
	if err != nil {
		r.v.fail("the store does not start: %w", err)
		return
	}
	r.dir = dir
	for _, x := range rs {
		if t := r.v.tx[x.TID]; x.Place != nil {
			r.there(t, x.TID, x.Have)
			x.Place.Keep(x.Have)
		}
	}
	if r.stop > 0 {
		r.disk.Stop, r.disk.Half = r.disk.Ops()+r.stop, r.rng.IntN(2) == 0
	}
	r.stop = r.rng.IntN(2) * r.stop
}

// there checks that segments are on the disk, byte for byte.
func (r *realStore) there(t *bulkTx, tid int64, have []wire.Range) {
	b := r.disk.Files()[fmt.Sprintf("%d.part", tid)]
	for _, x := range have {
		from, to := x.First*t.seg, min((x.Last+1)*t.seg, t.size)
		if int64(len(b)) < to || !bytes.Equal(b[from:to], t.client.payload[from:to]) {
			r.v.fail("transaction %d: SEQ %d-%d are told to be there, and are not", tid, x.First, x.Last)
			return
		}
	}
}

// named checks what has a final name: it is whole, and what was published is there.
func (r *realStore) named() {
	files := r.disk.Files()
	for _, t := range r.v.made {
		b, ok := files[fmt.Sprintf("%d.bin", t.tid)]
		if ok && (t.client == nil || !bytes.Equal(b, t.client.payload)) || !ok && t.published != nil {
			r.v.fail("transaction %d is published: %t, and has its name: %t, %d bytes", t.tid, t.published != nil, ok, len(b))
		}
	}
}

// finals is named after a loss of power at the end of the world.
func (r *realStore) finals() {
	if r != nil {
		r.disk = r.disk.Unplugged(func() bool { return false })
		r.named()
	}
}

func (r *realStore) place(m server.Meta, size int64) (server.Place, error) {
	if r == nil {
		return nowhere{}, nil
	}
	return r.dir.Place(m, size)
}

// resume is vault.Resume: what was promised to survive is there.
func (r *realStore) resume(m server.Meta, old, t *bulkTx, size int64) (server.Place, []wire.Range, error) {
	t.placed, t.size, t.seg = true, size, int64(m.Segment)
	total := (size-1)/t.seg + 1
	t.data, t.written, t.taken.has, t.stable = make([]byte, size), make([]bool, total), make([]bool, total), make([]bool, total)
	t.spots = make([]spot, len(r.v.sc.receivers))
	inner, have, err := r.dir.Resume(m, old.tid, size)
	if err != nil {
		t.failed = true
		return nil, nil, err
	}
	r.there(t, m.TID, have)
	for _, x := range have {
		copy(t.data[x.First*t.seg:min((x.Last+1)*t.seg, size)], t.client.payload[x.First*t.seg:])
		for seq := x.First; seq <= x.Last; seq++ {
			t.written[seq], t.taken.has[seq], t.stable[seq] = true, true, true
			t.taken.n++
		}
	}
	promised := old.taken.has
	if old.unplugged {
		promised = old.stable
	}
	for seq, ok := range promised {
		if ok && !t.taken.has[seq] && !old.failed && !old.discarded {
			r.v.fail("transaction %d resumes %d: SEQ %d is gone, and was told to be there", m.TID, old.tid, seq)
		}
	}
	old.discarded = old.published == nil
	return &bulkPlace{r.v, t, inner}, have, nil
}

// nowhere is a place that keeps nothing.
type nowhere struct{}

func (nowhere) Write([]byte, int64) error { return nil }
func (nowhere) Taken([]wire.Range) error  { return nil }
func (nowhere) Sync() error               { return nil }
func (nowhere) Hash(int64) error          { return nil }
func (nowhere) Keep([]wire.Range) string  { return "" }
func (nowhere) Discard()                  {}
func (nowhere) Publish(*[sha256.Size]byte) (sum [sha256.Size]byte, path string, err error) {
	return sum, "", nil
}
