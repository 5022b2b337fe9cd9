package mdalp

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"mdalp/internal/sim"
	"mdalp/server"
	"mdalp/wire"
)

// TestSwarmDisk runs a store through lives that end in the midst of an operation, by the
// death of the process or the loss of power, over a disk that loses what was not flushed.
// Each seed draws payloads of both protocols, what is done to them in which order, where the
// lives end, and what is left then.
func TestSwarmDisk(t *testing.T) {
	campaign(t, *seedCount, func(seed uint64, trace io.Writer) world {
		w := newDiskWorld(seed, trace)
		if w.luck.IntN(3) == 0 {
			w.faults = 5 + w.luck.IntN(60)
		}
		return w
	})
}

// TestCrashPoints ends a life in every one of its operations, by every kind of end: a few
// sets of payloads, one for 500 of -seeds, each operation undone or done in half, the process dead or the power
// gone, and of what was not flushed nothing, everything or some of it left.
func TestCrashPoints(t *testing.T) {
	points, lives := 0, 0
	for seed := range uint64(max(1, *seedCount/500)) {
		whole := newDiskWorld(seed, nil)
		whole.end = func(*sim.Disk) {}
		if err := whole.run(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for stop := 1; stop <= whole.first; stop++ {
			points++
			for kind := range 12 {
				w := newDiskWorld(seed, nil)
				w.end = func(d *sim.Disk) { d.Stop, d.Half = stop, kind%2 > 0 }
				w.kind = kind / 2
				lives++
				if err := w.run(); err != nil {
					t.Fatalf("payloads of seed %d, operation %d of %d, end %d: %v", seed, stop, whole.first, kind, err)
				}
			}
		}
	}
	t.Logf("%d operations, %d ends of a life", points, lives)
}

// A diskWorld is a store and what was promised of it.
type diskWorld struct {
	seed  uint64
	rng   *rand.Rand // of what is done
	luck  *rand.Rand // of what a crash leaves
	trace io.Writer
	disk  *sim.Disk
	dir   *server.Dir
	deals []*deal
	last  int64 // TID
	lives int
	power bool            // it was lost since the last start
	first int             // operations of the first life
	end   func(*sim.Disk) // sets where the first life ends; nil: somewhere
	kind  int             // how it ends: 0 the process, 1 to 5 the power; -1: any
	long  bool            // a journal is to become long
	// faults is in how many operations one fails, as a disk does that is full or broken.
	faults int
	astray bool // the last write to a journal failed
	kills  bool // the life is to end by the death of the process
	steps  int64
	err    error
}

// A deal is one payload, and what was promised of it.
type deal struct {
	payload []byte
	seg     int64
	base    bool
	tids    []int64 // of its transactions, the newest last
	place   server.Place
	spool   server.Spool
	hashed  int64
	taken   []bool // these survive the death of the process,
	stable  []bool // and these the loss of power
	copyOf  *deal  // what is to be resumed although it is complete
	from    int64  // the transaction that it is held of; 0: none
	named   bool   // it has its name, and the directory is not flushed
	whole   bool   // it is told to be complete
	kept    bool   // it is an operator's now
	again   bool   // it has been kept once
	failed  bool   // a flush, and its journal may not say so yet
	unsaid  bool   // a flush of its journal failed: what that says is in memory alone
	// doubt says that it never did, as the process died or could write nothing: what was taken before
	// may be there or not. The digest has to tell.
	doubt bool
}

func newDiskWorld(seed uint64, trace io.Writer) *diskWorld {
	w := &diskWorld{seed: seed, rng: rand.New(rand.NewPCG(seed, 0xd15c)), luck: rand.New(rand.NewPCG(seed, 0x1c)), trace: trace, disk: sim.NewDisk(), kind: -1}
	w.long = w.rng.IntN(100) == 0
	for range 2 + w.rng.IntN(4) {
		d := &deal{seg: 100 + w.rng.Int64N(900), base: w.rng.IntN(3) == 0, payload: make([]byte, 1+w.rng.Int64N(6000))}
		for k := range d.payload {
			d.payload[k] = byte(w.rng.Uint32())
		}
		d.taken, d.stable = make([]bool, d.total()), make([]bool, d.total())
		w.deals = append(w.deals, d)
	}
	return w
}

func (w *diskWorld) String() string {
	return fmt.Sprintf("%d payloads, %d lives", len(w.deals), w.lives)
}
func (w *diskWorld) ended() []error { return []error{w.err} }
func (w *diskWorld) events() int64  { return w.steps }

func (d *deal) total() int64 { return (int64(len(d.payload))-1)/d.seg + 1 }
func (d *deal) segment(k int64) []byte {
	return d.payload[k*d.seg : min((k+1)*d.seg, int64(len(d.payload)))]
}
func (d *deal) tid() int64 { return d.tids[len(d.tids)-1] }

func (w *diskWorld) fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf("life %d, operation %d, %s: %w", w.lives, w.disk.Ops(), w.disk.Last(), fmt.Errorf(format, args...))
	}
}

func (w *diskWorld) tell(format string, args ...any) {
	if w.trace != nil {
		fmt.Fprintf(w.trace, "%d/%d "+format+"\n", append([]any{w.lives, w.disk.Ops()}, args...)...)
	}
}

// run lives until all is told to be complete. Lives that end early are three at most.
func (w *diskWorld) run() error {
	for w.err == nil {
		w.lives++
		w.disk.Fail = nil
		switch {
		case w.lives == 1 && w.end != nil:
			w.end(w.disk)
		case w.lives <= 3 && w.luck.IntN(4) > 0:
			w.disk.Stop, w.disk.Half = 1+w.luck.IntN(120), w.luck.IntN(2) > 0
		}
		w.begin()
		if w.faults > 0 {
			w.disk.Fail = w.fails
		}
		for w.err == nil && !w.disk.Died() && w.step() {
			w.steps++
		}
		if w.lives == 1 {
			w.first = w.disk.Ops()
		}
		died := w.disk.Died()
		if died && w.err != nil && errors.Is(w.err, sim.ErrDied) {
			w.err = nil
		}
		w.over(died)
		if !died {
			break
		}
	}
	return w.err
}

// over ends a life: what is left of it is the disk of the next. When all is done, that is
// what the loss of power leaves at least.
func (w *diskWorld) over(died bool) {
	kind := w.kind
	if kind < 0 || w.lives > 1 {
		kind = w.luck.IntN(6)
	}
	if !died {
		kind = 1
	} else if w.kills {
		kind = 0
	}
	w.kills = false
	switch kind {
	case 0:
		w.disk = w.disk.Killed()
		w.evict(2)
	case 1, 2:
		w.disk = w.disk.Unplugged(func() bool { return kind == 2 })
	default:
		w.disk = w.disk.Unplugged(sim.Sometimes(w.luck, []float64{0.5, 0.1, 0.9}[kind-3]))
	}
	w.tell("the life has ended: %d", kind)
	w.power = w.power || kind > 0
	w.finals(died)
}

// finals checks what has a final name: it is whole, and what was told to be complete is there.
func (w *diskWorld) finals(died bool) {
	files := w.disk.Files()
	for _, d := range w.deals {
		there := false
		for _, tid := range d.tids {
			b, ok := files[fmt.Sprintf("%d.bin", tid)]
			there = there || ok
			if ok && !bytes.Equal(b, d.payload) {
				w.fail("payload %d has its name and other bytes", tid)
			}
		}
		if d.whole && !there || !died && !d.whole && !d.kept {
			w.fail("payload %v is told to be complete: %t, and is there: %t", d.tids, d.whole, there)
		}
	}
}

// begin is a new process on what the last one left.
func (w *diskWorld) begin() {
	dir, err := server.NewDirIn(w.disk, server.DirOptions{Reserve: -1})
	if err == nil {
		var rs []server.Recovered
		if rs, err = dir.Recover(); err == nil && !w.disk.Died() {
			w.dir = dir
			w.recovered(rs, w.power)
			w.power = false
		}
	}
	if err != nil && !w.disk.Died() {
		w.fail("the store does not start: %w", err)
	}
}

// recovered holds what was found against what was promised.
func (w *diskWorld) recovered(rs []server.Recovered, power bool) {
	found := make(map[int64]*server.Recovered)
	for k := range rs {
		found[rs[k].TID] = &rs[k]
	}
	files := w.disk.Files()
	for k := range rs {
		w.tell("found %d: place %t, spool %t, have %v, error %v", rs[k].TID, rs[k].Place != nil, rs[k].Spool != nil, rs[k].Have, rs[k].Err)
	}
	for _, d := range w.deals {
		d.doubt, d.failed = d.doubt || d.failed, false
		promised := d.taken
		if power || d.doubt || d.unsaid {
			promised = d.stable
		}
		d.place, d.spool, d.hashed, d.from, d.named = nil, nil, 0, 0, false
		if d.whole || d.kept {
			continue
		}
		have := make([]bool, d.total())
		for _, tid := range d.tids {
			if _, ok := files[fmt.Sprintf("%d.bin", tid)]; ok {
				d.whole = true // it is on the disk, and nobody has been told
			}
			r := found[tid]
			if r == nil {
				continue
			}
			mine := w.holds(d, r, files)
			for seq, ok := range mine {
				have[seq] = have[seq] || ok
			}
			if mine != nil {
				d.place, d.spool = r.Place, nil
				if d.base {
					d.spool = r.Spool
				}
				d.tids = append(slices.DeleteFunc(d.tids, func(x int64) bool { return x == tid }), tid)
			}
		}
		for seq, ok := range promised {
			if ok && !have[seq] && !d.whole && d.copyOf == nil {
				w.fail("transactions %v: segment %d of %d is gone, and was told to be there", d.tids, seq, d.total())
			}
		}
		copy(d.taken, have)
		for seq, ok := range have {
			d.stable[seq] = ok && (power || d.stable[seq])
		}
	}
}

// holds checks that what a store says it has is there, byte for byte. It is nil for what
// cannot be gone on with.
func (w *diskWorld) holds(d *deal, r *server.Recovered, files map[string][]byte) []bool {
	have := make([]bool, d.total())
	switch {
	case r.Err != nil:
		return nil
	case r.Place != nil:
		b := files[fmt.Sprintf("%d.part", r.TID)]
		for _, x := range r.Have {
			for seq := x.First; seq <= x.Last; seq++ {
				at := seq * d.seg
				if seg := d.segment(seq); int64(len(b)) < at+int64(len(seg)) || !bytes.Equal(b[at:at+int64(len(seg))], seg) && !d.doubt {
					w.fail("transaction %d: segment %d is told to be there, and is not", r.TID, seq)
				}
				have[seq] = true
			}
		}
	default:
		for rec, err := range r.Segments {
			if err != nil {
				w.fail("transaction %d: %w", r.TID, err)
				break
			}
			if rec.Seq >= d.total() || int(rec.Length) != len(d.segment(rec.Seq)) || rec.Sum != server.Sum(d.segment(rec.Seq)) {
				w.fail("transaction %d: segment %d is not what was stored", r.TID, rec.Seq)
				break
			}
			have[rec.Seq] = true
		}
	}
	return have
}

// evict has the kernel forget what a failed flush was about, once in n times.
func (w *diskWorld) evict(n int) {
	if w.faults > 0 && w.luck.IntN(n) == 0 {
		w.tell("evicted")
		w.disk.Evict()
	}
}

// fails is the Fail of a disk that is full or broken now and then.
func (w *diskWorld) fails(op, name string) error {
	journal := op == "write" && strings.Contains(name, ".journal")
	if w.luck.IntN(w.faults) > 0 {
		w.astray = w.astray && !journal
		return nil
	}
	w.astray = w.astray || journal
	for _, d := range w.deals {
		if op == "sync" && len(d.tids) > 0 && name == fmt.Sprintf("%d.part", d.tid()) {
			d.failed = true
		}
		if op == "sync" && len(d.tids) > 0 && journalOf(name) == d.tid() {
			d.unsaid = true
		}
	}
	if op == "sync" && w.lives <= 3 && w.luck.IntN(3) == 0 { // right before it can say so
		w.disk.Stop, w.kills = w.disk.Ops()+1, true
	}
	w.tell("%s %s fails", op, name)
	return []error{syscall.EIO, syscall.ENOSPC}[w.luck.IntN(2)]
}

// spoiled takes an error of the disk. After that of a flush nobody knows what of it is there:
// the transaction can only be kept.
func (w *diskWorld) spoiled(d *deal, flush bool) {
	if !flush || d.base {
		return
	}
	w.tell("keep %d after an error", d.tid())
	copy(d.taken, d.stable)
	d.from = d.tid()
	d.place.Keep(d.have())
	d.place = nil
	w.corrected(d)
}

// journalOf gives the transaction of a journal, which may have its name since it was opened.
func journalOf(name string) (tid int64) {
	if digits, is := strings.CutSuffix(strings.Replace(name, ".new.", ".", 1), ".journal"); is {
		tid, _ = strconv.ParseInt(digits, 10, 64)
	}
	return tid
}

// corrected takes it that the journal of what was kept says no more than is there, if it could be written.
func (w *diskWorld) corrected(d *deal) {
	if !w.disk.Died() {
		d.failed = d.failed && w.astray
	}
}

// step does one thing to one payload; false when there is nothing left to do. Errors of the
// store are faults, unless the process has died of them.
func (w *diskWorld) step() bool {
	var open []*deal
	for _, d := range w.deals {
		if !d.whole && !d.kept {
			open = append(open, d)
		}
	}
	if len(open) == 0 {
		return false
	}
	d := open[w.rng.IntN(len(open))]
	w.evict(8)
	do := w.extended
	if d.base {
		do = w.plain
	}
	err := do(d)
	switch full := errors.Is(err, syscall.ENOSPC); {
	case d.doubt && errors.Is(err, server.ErrDamaged):
		w.tell("%d is damaged, and sent anew", d.tid())
		d.place, d.from, d.tids, d.doubt = nil, 0, nil, false // a loss of power may bring the old one back
		clear(d.taken)
		clear(d.stable)
	case err == nil || w.faults > 0 && (full || errors.Is(err, syscall.EIO)):
	default:
		w.fail("transaction %v: %w", d.tids, err)
	}
	return true
}

// begun is a new transaction's number.
func (w *diskWorld) begun(d *deal) server.Meta {
	w.last++
	d.tids = append(d.tids, w.last)
	return server.Meta{TID: w.last, Segment: int(d.seg), Name: strings.Repeat("n", w.rng.IntN(20))}
}

// plain does something to a payload of the base protocol.
func (w *diskWorld) plain(d *deal) (err error) {
	if d.spool == nil {
		m := w.begun(d)
		if d.spool, err = w.dir.Create(m.TID, m.Segment); err == nil {
			d.spool.Begin(m)
		}
		return err
	}
	var missing []int64
	for seq, ok := range d.taken {
		if !ok {
			missing = append(missing, int64(seq))
		}
	}
	if len(missing) > 0 {
		for range 1 + w.rng.IntN(len(missing)) {
			seq := missing[w.rng.IntN(len(missing))]
			b := d.segment(seq)
			w.tell("put %d: %d", d.tid(), seq)
			if err := d.spool.Put(seq, 0, b, server.Sum(b)); err != nil {
				return err
			}
			d.taken[seq] = true
		}
		return nil
	}
	if _, err = d.spool.Assemble([]wire.Range{{First: 0, Last: d.total() - 1}}); err != nil {
		return err
	}
	w.tell("publish %d", d.tid())
	_, err = d.spool.Publish(false)
	d.whole = err == nil
	return err
}

// extended does something to a payload that has places.
func (w *diskWorld) extended(d *deal) (err error) {
	if d.place == nil {
		if d.from != 0 {
			return w.moved(d)
		}
		if slices.Contains(d.taken, true) {
			return errors.New("it is nowhere")
		}
		m := w.begun(d)
		w.tell("place %d", m.TID)
		d.place, err = w.dir.Place(m, int64(len(d.payload)))
		return err
	}
	switch k := w.rng.IntN(10); {
	case d.named:
	case slices.Contains(d.taken, false) && k < 6:
		return w.write(d)
	case k < 7:
		return w.flush(d)
	case k < 8:
		return w.hash(d)
	case k < 9 && !d.again:
		w.keep(d)
		return nil
	case slices.Contains(d.taken, false):
		return w.write(d)
	}
	sum := sha256.Sum256(d.payload)
	w.tell("publish %d", d.tid())
	_, path, err := d.place.Publish(&sum)
	if d.named = path != ""; err != nil {
		w.spoiled(d, path == "" && !errors.Is(err, server.ErrDamaged))
		return err
	}
	d.whole = true
	if w.rng.IntN(2) == 0 { // somebody sends it once more
		x := &deal{payload: d.payload, seg: d.seg, taken: make([]bool, d.total()), stable: make([]bool, d.total()), copyOf: d, from: d.tid(), again: true}
		w.deals = append(w.deals, x)
	}
	return nil
}

// write writes some segments that are missing, and says so.
func (w *diskWorld) write(d *deal) error {
	var rs []wire.Range
	for range 1 + w.rng.IntN(3) {
		first := w.rng.Int64N(d.total())
		r := wire.Range{First: first, Last: first - 1}
		for r.Last+1 < d.total() && !d.taken[r.Last+1] && r.Last-first < 5 {
			r.Last++
		}
		if r.Last < first || slices.ContainsFunc(rs, func(x wire.Range) bool { return x.First <= r.Last && r.First <= x.Last }) {
			continue
		}
		if err := d.place.Write(d.payload[first*d.seg:min((r.Last+1)*d.seg, int64(len(d.payload)))], first*d.seg); err != nil {
			return err
		}
		rs = append(rs, r)
	}
	if rs == nil {
		return nil
	}
	w.tell("taken %d: %v", d.tid(), rs)
	said := rs
	if w.long { // so often that the journal is written anew at the next flush
		w.long = false
		said = slices.Repeat(rs, 1+(2<<20)/20/len(rs))
	}
	if err := d.place.Taken(said); err != nil {
		return err
	}
	for _, r := range rs {
		for seq := r.First; seq <= r.Last; seq++ {
			d.taken[seq] = true
		}
	}
	return nil
}

// flush flushes what was taken.
func (w *diskWorld) flush(d *deal) error {
	w.tell("sync %d", d.tid())
	if err := d.place.Sync(); err != nil {
		w.spoiled(d, true)
		return err
	}
	copy(d.stable, d.taken)
	d.unsaid = false
	return nil
}

// hash goes on with the digest as far as it can.
func (w *diskWorld) hash(d *deal) error {
	n := int64(slices.Index(d.taken, false))
	if n < 0 {
		n = d.total()
	}
	if n = min(n*d.seg, int64(len(d.payload))); n <= d.hashed {
		return nil
	}
	d.hashed = n
	return d.place.Hash(n)
}

// have is what was taken, in ranges of one.
func (d *deal) have() (rs []wire.Range) {
	for seq, ok := range d.taken {
		if ok {
			rs = append(rs, wire.Range{First: int64(seq), Last: int64(seq)})
		}
	}
	return rs
}

// keep closes a transaction, to go on in another.
func (w *diskWorld) keep(d *deal) {
	w.tell("keep %d", d.tid())
	d.place.Keep(d.have())
	if w.faults > 0 { // what was not flushed could not be, perhaps
		copy(d.taken, d.stable)
	}
	w.corrected(d)
	d.from, d.place, d.again = d.tid(), nil, true
}

// moved goes on in another transaction with what is held, and checks what that has.
func (w *diskWorld) moved(d *deal) error {
	m := w.begun(d)
	w.tell("resume %d as %d", d.from, m.TID)
	p, have, err := w.dir.Resume(m, d.from, int64(len(d.payload)))
	if err != nil {
		d.tids = d.tids[:len(d.tids)-1]
		return err
	}
	all := d.copyOf != nil && slices.Contains(d.copyOf.tids, d.from)
	mine := w.holds(d, &server.Recovered{Meta: m, Place: p, Have: have}, w.disk.Files())
	for seq, ok := range mine {
		if (all || d.taken[seq]) && !ok {
			w.fail("transaction %d: segment %d is not there any more", m.TID, seq)
		}
	}
	d.place, d.hashed, d.from, d.failed = p, 0, 0, false
	copy(d.taken, mine)
	if w.faults == 0 { // else it may have been kept without being flushed
		copy(d.stable, mine)
	}
	return nil
}
