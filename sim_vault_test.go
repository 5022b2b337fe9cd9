package mdalp

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"mdalp/internal/sim"
	"mdalp/loop"
	"mdalp/server"
	"mdalp/wire"
)

// A vault is a server of the extended protocol with a record beside it, and its store: what
// came to whom, what was taken, what was acknowledged. It checks after every call that the
// server says nothing else. Base transactions go to a server.Memory.
type vault struct {
	program
	sc   *bulk
	cfg  server.Config
	mem  *server.Memory
	rng  *rand.Rand
	runs uint64
	tx   map[int64]*bulkTx
	made []*bulkTx
	jobs []*job
	over bool // the world has ended
	err  error

	real   *realStore    // what is beneath the places, in some seeds
	full   int64         // bytes that fit; 0: any number
	unable float64       // probability that a payload cannot be published
	late   time.Duration // most that a job takes
}

// A bulkTx is what is known of a transaction.
type bulkTx struct {
	tid       int64
	run       uint64
	client    *bulkWatch
	placed    bool // it is an extended one
	closed    bool // it takes nothing more
	failed    bool // the store failed
	discarded bool // nothing is there any more: it was resumed
	size, seg int64
	data      []byte
	written   []bool // by SEQ
	taken     seqSet
	stable    []bool // of these, flushed
	unplugged bool   // the power was lost since
	hashed    int64
	published []byte
	result    *server.Result
	spots     []spot
	manifest  int64          // the highest SEQ of one from the client's address
	from      netip.AddrPort // where that came from
	heard     time.Time      // when something of it came last
	states    int
	questions int
}

// A spot is what one receiver got of a transaction.
type spot struct {
	seqs []int64 // by NUM: the SEQ that came with it, or -1
	acks int64
	owed bool  // something came since its last ack
	came int64 // segments
	path netip.AddrPort
}

// A seqSet is SEQs.
type seqSet struct {
	has []bool
	n   int64
}

func newVault(sc *bulk, cfg server.Config) *vault {
	v := &vault{sc: sc, cfg: cfg, tx: map[int64]*bulkTx{}, rng: rand.New(rand.NewPCG(sc.seed, 0x7a17)), mem: &server.Memory{Limit: 64 << 20}}
	if sc.with("full", 0.06) {
		v.full, sc.faults = 1+sc.rng.Int64N(int64(len(sc.payloads[0])+2000)), true
	}
	if sc.with("publish", 0.08) {
		v.unable, sc.faults = 0.9*sc.rng.Float64(), true
	}
	if sc.with("jobs", 0.4) {
		v.late = sc.span(time.Millisecond, 5*time.Second)
	}
	v.real = newRealStore(v)
	v.restart(sc.world.Now())
	return v
}

// restart makes a fresh server that knows nothing of what was.
func (v *vault) restart(time.Time) {
	v.runs++
	v.jobs = nil
	for _, t := range v.made {
		t.closed = true
	}
	v.real.restart()
	cfg := v.cfg
	cfg.Store, cfg.Settled = v, v.settled
	if v.late > 0 {
		cfg.Beside = v.beside
	}
	cfg.Seed = [32]byte{byte(v.runs), byte(v.sc.seed), byte(v.sc.seed >> 8), byte(v.sc.seed >> 16)}
	v.program = newProgram(cfg, v.sc.apart)
}

// fail keeps the first thing that is wrong.
func (v *vault) fail(format string, args ...any) {
	if v.err == nil {
		v.err = fmt.Errorf(format, args...)
	}
}

// beside implements loop.Beside, as a recorder does.
func (v *vault) beside(do func() func(time.Time)) {
	j := &job{do: do, run: v.runs}
	v.jobs = append(v.jobs, j)
	if v.over {
		return
	}
	after := func() time.Duration {
		return v.sc.world.Now().Sub(sim.Epoch) + time.Duration(v.rng.Int64N(int64(v.late)))
	}
	v.sc.world.At(after(), func(time.Time) {
		if j.run != v.runs || v.over {
			return
		}
		j.back, j.do = j.do(), nil
		v.sc.world.At(after(), func(time.Time) {
			if j.run == v.runs && !v.over {
				v.sc.host.Post(func(now time.Time) { v.back(j, now) })
			}
		})
	})
}

// back gives a job's answer.
func (v *vault) back(j *job, now time.Time) {
	v.jobs = slices.DeleteFunc(v.jobs, func(x *job) bool { return x == j })
	if j.do != nil {
		j.back, j.do = j.do(), nil
	}
	j.back(now)
}

// Receive implements loop.Handler.
func (v *vault) Receive(now time.Time, e *loop.Envelope, b []byte) {
	if v.real.died() {
		return
	}
	v.comes(now, e, b)
	v.program.Receive(now, e, b)
}

// Expire implements loop.Handler.
func (v *vault) Expire(now time.Time) {
	if !v.real.died() {
		v.program.Expire(now)
	}
}

// comes implements seer.
func (v *vault) comes(now time.Time, e *loop.Envelope, b []byte) {
	m, err := wire.Parse(b)
	if t := v.tx[m.TID]; err == nil && t != nil && t.run == v.runs {
		switch {
		case m.Type == wire.ManifestType && t.client != nil && e.Peer.Addr() == t.client.own(e.Peer.Addr()):
			t.questions++
			if m.Seq >= t.manifest {
				t.manifest, t.from, t.heard = m.Seq, e.Peer, now
			}
		case m.Type == wire.ManifestType:
			t.questions++
		case m.Type == wire.Data && m.Num >= 0 && t.placed:
			v.arrives(t, e, &m)
		case m.Type == wire.Data && m.Num < 0 && t.taken.n == 0:
			t.placed = false // it is one of the base protocol from here on
		}
	}
}

// arrives notes a segment that came, if it is one of the payload's.
func (v *vault) arrives(t *bulkTx, e *loop.Envelope, m *wire.Message) {
	i := slices.Index(v.sc.receivers, e.Local)
	if i < 0 || t.client == nil || m.Seq*t.seg >= t.size || !bytes.Equal(m.Data, t.client.payload[m.Seq*t.seg:min((m.Seq+1)*t.seg, t.size)]) {
		return
	}
	s := &t.spots[i]
	for int64(len(s.seqs)) <= m.Num {
		s.seqs = append(s.seqs, -1)
	}
	s.seqs[m.Num] = m.Seq
	s.owed, s.path = true, e.Peer
	s.came++
}

// Transmit implements loop.Handler.
func (v *vault) Transmit(now time.Time, e *loop.Envelope, b []byte) ([]byte, bool) {
	if v.real.died() {
		return b, false
	}
	out, ok := v.program.Transmit(now, e, b)
	if v.real.died() {
		return b, false
	}
	if ok && !v.sc.apart.own(e.Peer) {
		v.goes(now, e, out)
	}
	return out, ok
}

// goes implements seer: it checks what the server sends.
func (v *vault) goes(_ time.Time, e *loop.Envelope, out []byte) {
	m, err := wire.Parse(out)
	t := v.tx[m.TID]
	switch {
	case err != nil:
		v.fail("the server sends %q", out)
	case challenges(&m):
	case m.Type == wire.Offer:
		for _, w := range v.sc.clients {
			if t != nil && w.own(e.Peer.Addr()) == e.Peer.Addr() {
				t.client = w
			}
		}
	case m.Type == wire.Ack && m.Num >= 0:
		v.acknowledges(t, e, &m, out)
	case m.Type == wire.StateType:
		v.tells(t, e, &m, out)
	case m.Type == wire.Ack && t != nil && !t.placed:
	default:
		v.fail("the server sends %q", out)
	}
}

// acknowledges checks an acknowledgement: of what came to that receiver, after it was
// taken, one for all that came since the last.
func (v *vault) acknowledges(t *bulkTx, e *loop.Envelope, m *wire.Message, b []byte) {
	i := slices.Index(v.sc.receivers, e.Local)
	rs, err := wire.ParseAckRanges(m, nil)
	if t == nil || !t.placed || i < 0 || err != nil || rs[0].Last != m.Num {
		v.fail("the server sends %q from %v", b, e.Local)
		return
	}
	s := &t.spots[i]
	switch {
	case !s.owed && (v.sc.apart == nil || s.acks >= s.came): // in parts, each may be answered by itself
		v.fail("transaction %d: receiver %d acknowledges twice what came once", t.tid, i)
	case m.Seq != s.acks:
		v.fail("transaction %d: receiver %d's ack has number %d, %d is the next", t.tid, i, m.Seq, s.acks)
	case e.Peer != s.path:
		v.fail("transaction %d: an ack goes to %v, the segment came from %v", t.tid, e.Peer, s.path)
	case t.run != v.runs && v.sc.apart == nil: // in parts, the receivers have not died
		v.fail("transaction %d is of a former run", t.tid)
	}
	s.acks++
	s.owed = false
	for _, r := range rs {
		for num := max(r.First, r.Last-100); num <= r.Last; num++ {
			if num >= int64(len(s.seqs)) || s.seqs[num] < 0 || !t.taken.has[s.seqs[num]] {
				v.fail("transaction %d: receiver %d acknowledges NUM %d, which is not stored", t.tid, i, num)
				return
			}
		}
	}
}

// tells checks a state.
func (v *vault) tells(t *bulkTx, e *loop.Envelope, m *wire.Message, b []byte) {
	st, err := wire.ParseState(m.Data)
	switch {
	case err != nil || len(b) > wire.MaxManifest || e.Local != v.sc.home:
		v.fail("the server sends %d bytes, %q, from %v", len(b), b, e.Local)
		return
	case st.Standing == wire.Refused && st.Comment == "" && st.Bytes < 0: // to nobody's client
		return
	case t == nil || t.run != v.runs:
		v.fail("the server sends %q of no transaction", b)
		return
	}
	t.states++
	if t.placed && (m.Seq != t.manifest || e.Peer != t.from) {
		v.fail("transaction %d: state %d goes to %v; the newest manifest is %d from %v", t.tid, m.Seq, e.Peer, t.manifest, t.from)
	}
	for _, r := range st.Have {
		for seq := r.First; seq <= r.Last; seq++ {
			if seq >= int64(len(t.taken.has)) || !t.taken.has[seq] {
				v.fail("transaction %d: SEQ %d is told and not stored", t.tid, seq)
				return
			}
		}
	}
	switch {
	case t.states > t.questions:
		v.fail("transaction %d: %d states for %d manifests", t.tid, t.states, t.questions)
	case st.Standing == wire.Complete && t.published == nil:
		v.fail("transaction %d is told to be complete, and is not published", t.tid)
	case st.Standing == wire.Damaged:
		v.fail("transaction %d is told to be damaged", t.tid)
	case st.Standing == wire.Refused && t.published != nil:
		v.fail("transaction %d is refused, and is published: %s", t.tid, st.Comment)
	}
}

// settled checks a verdict.
func (v *vault) settled(res server.Result) {
	t := v.tx[res.TID]
	if t == nil || t.result != nil || t.run != v.runs {
		v.fail("transaction %d is settled twice, or nobody's", res.TID)
		return
	}
	t.result = &res
	// One that is settled while its place is being made is not an extended one yet. What it
	// resumes must be kept all the same, see Discard.
	if !t.placed || v.real.died() || !res.Extended {
		return
	}
	var bytes int64
	for seq, ok := range t.taken.has {
		if ok {
			bytes += min((int64(seq)+1)*t.seg, t.size) - int64(seq)*t.seg
		}
	}
	switch {
	case res.Complete != (t.published != nil):
		v.fail("transaction %d is complete: %t, and published: %t", t.tid, res.Complete, t.published != nil)
	case (res.Segments != t.taken.n || res.Bytes != bytes) && !t.failed:
		v.fail("transaction %d: %d segments of %d bytes in the verdict, %d of %d are stored", t.tid, res.Segments, res.Bytes, t.taken.n, bytes)
	}
}

// close ends the server, when all that can be heard of the clients was.
func (v *vault) close(now time.Time) {
	v.over = true
	now = now.Add(10 * time.Minute)
	v.program.Close(now)
	for len(v.jobs) > 0 {
		v.back(v.jobs[0], now)
	}
	v.real.finals()
	if !v.Drained() && !v.real.died() {
		v.fail("the server is closed and %d transactions are open", v.Open())
	}
	for _, t := range v.made {
		if t.run == v.runs && t.result == nil && t.placed && !v.real.died() {
			v.fail("transaction %d has no verdict", t.tid)
		}
	}
}

// Create implements server.Store.
func (v *vault) Create(tid int64, segment int) (server.Spool, error) {
	if v.tx[tid] != nil {
		return nil, fs.ErrExist
	}
	t := &bulkTx{tid: tid, run: v.runs, manifest: -1}
	v.tx[tid] = t
	v.made = append(v.made, t)
	return v.mem.Create(tid, segment)
}

// Room implements server.Store.
func (v *vault) Room() int64 { return -1 }

// Recover implements server.Store.
func (v *vault) Recover() ([]server.Recovered, error) { return nil, nil }

// Place implements server.Placer.
func (v *vault) Place(m server.Meta, size int64) (server.Place, error) {
	t := v.tx[m.TID]
	if t == nil || t.placed || t.client == nil || size != int64(len(t.client.payload)) {
		v.fail("a place for %d bytes of transaction %d", size, m.TID)
		return nil, errStore
	}
	t.placed, t.size, t.seg = true, size, int64(m.Segment)
	total := (size-1)/t.seg + 1
	t.data, t.written, t.taken.has, t.stable = make([]byte, size), make([]bool, total), make([]bool, total), make([]bool, total)
	t.spots = make([]spot, len(v.sc.receivers))
	inner, err := v.real.place(m, size)
	if err != nil {
		t.failed = true
		return nil, err
	}
	return &bulkPlace{v, t, inner}, nil
}

// Resume implements server.Placer. A client resumes what is its own, with the sizes that it
// had; now and then some of what was taken is lost with the power.
func (v *vault) Resume(m server.Meta, from, size int64) (server.Place, []wire.Range, error) {
	old, t := v.tx[from], v.tx[m.TID]
	if old == nil || t == nil || old.client == nil || old.client != t.client || old.run == v.runs && old.placed && !old.closed {
		v.fail("transaction %d resumes %d", m.TID, from)
		return nil, nil, errStore
	}
	if v.real != nil {
		return v.real.resume(m, old, t, size)
	}
	p, err := v.Place(m, size)
	if err != nil || !old.placed || old.discarded {
		return p, nil, err
	}
	if old.size != size || old.seg != int64(m.Segment) {
		v.fail("transaction %d resumes %d with %d bytes in segments of %d; it had %d, of %d", m.TID, from, size, m.Segment, old.size, old.seg)
	}
	// Who was given up has nothing any more that a third could resume.
	old.discarded = old.published == nil
	lost := v.rng.IntN(2) * v.rng.IntN(3)
	var have []wire.Range
	for seq, ok := range old.taken.has {
		if !ok || lost > 0 && v.rng.IntN(4) < lost {
			continue
		}
		k := int64(seq)
		copy(t.data[k*t.seg:min((k+1)*t.seg, size)], old.data[k*t.seg:])
		t.written[seq], t.taken.has[seq] = true, true
		t.taken.n++
		if n := len(have); n > 0 && have[n-1].Last == k-1 {
			have[n-1].Last = k
		} else {
			have = append(have, wire.Range{First: k, Last: k})
		}
	}
	return p, have, nil
}

// A bulkPlace is where the bytes of a transaction go.
type bulkPlace struct {
	v     *vault
	t     *bulkTx
	inner server.Place
}

// Write implements server.Place.
func (p *bulkPlace) Write(b []byte, off int64) error {
	v, t := p.v, p.t
	switch {
	case t.closed || off%t.seg != 0 || off+int64(len(b)) > t.size || len(b) == 0:
		v.fail("transaction %d: %d bytes are written at %d", t.tid, len(b), off)
		return errStore
	case !bytes.Equal(b, t.client.payload[off:off+int64(len(b))]):
		v.fail("transaction %d: other bytes are written at %d than are there in the payload", t.tid, off)
	case v.full > 0 && off+int64(len(b)) > v.full:
		t.failed = true
		return server.ErrFull
	}
	if err := p.inner.Write(b, off); err != nil {
		t.failed = true
		return err
	}
	copy(t.data[off:], b)
	for seq := off / t.seg; seq*t.seg < off+int64(len(b)); seq++ {
		if t.taken.has[seq] {
			v.fail("transaction %d: SEQ %d is stored twice", t.tid, seq)
		}
		t.written[seq] = true
	}
	return nil
}

// Taken implements server.Place.
func (p *bulkPlace) Taken(rs []wire.Range) error {
	v, t := p.v, p.t
	if v.full > 0 && v.rng.IntN(50) == 0 {
		t.failed = true
		return errStore
	}
	for _, r := range rs {
		for seq := r.First; seq <= r.Last; seq++ {
			if seq >= int64(len(t.written)) || !t.written[seq] || t.taken.has[seq] || t.closed {
				v.fail("transaction %d: SEQ %d is said to be taken", t.tid, seq)
				return errStore
			}
		}
	}
	if err := p.inner.Taken(rs); err != nil {
		t.failed = true
		return err
	}
	for _, r := range rs {
		for seq := r.First; seq <= r.Last; seq++ {
			t.taken.has[seq], t.heard = true, v.sc.world.Now()
			t.taken.n++
		}
	}
	return nil
}

// Sync implements server.Place.
func (p *bulkPlace) Sync() error {
	if err := p.inner.Sync(); err != nil {
		p.t.failed = true
		return err
	}
	copy(p.t.stable, p.t.taken.has)
	return nil
}

// Hash implements server.Place.
func (p *bulkPlace) Hash(prefix int64) error {
	for seq := int64(0); seq*p.t.seg < prefix; seq++ {
		if !p.t.written[seq] {
			p.v.fail("transaction %d: SEQ %d is hashed before it is there", p.t.tid, seq)
		}
	}
	if prefix <= p.t.hashed {
		p.v.fail("transaction %d is hashed up to %d, and then to %d", p.t.tid, p.t.hashed, prefix)
	}
	p.t.hashed = prefix
	return p.inner.Hash(prefix)
}

// Publish implements server.Place.
func (p *bulkPlace) Publish(want *[sha256.Size]byte) (sum [sha256.Size]byte, path string, err error) {
	v, t := p.v, p.t
	if t.closed || t.taken.n != int64(len(t.written)) {
		v.fail("transaction %d is published with %d of %d segments", t.tid, t.taken.n, len(t.written))
	}
	sum = sha256.Sum256(t.data)
	if v.unable > 0 && v.rng.Float64() < v.unable {
		return sum, "", errors.New("it cannot be published now")
	}
	if _, path, err := p.inner.Publish(want); err != nil {
		t.failed = true
		return sum, path, err
	}
	t.closed = true
	if want != nil && *want != sum {
		return sum, "", server.ErrDamaged
	}
	t.published = t.data
	return sum, "published", nil
}

// Keep implements server.Place: it must be told all that was taken, and nothing else.
func (p *bulkPlace) Keep(have []wire.Range) string {
	v, t := p.v, p.t
	var n int64
	for _, r := range have {
		for seq := r.First; seq <= r.Last; seq++ {
			if n++; seq >= int64(len(t.taken.has)) || !t.taken.has[seq] {
				v.fail("transaction %d is kept with SEQ %d, which is not stored", t.tid, seq)
				return ""
			}
		}
	}
	if quiet := v.sc.world.Now().Sub(t.heard); quiet < v.silence() && !v.over && v.late == 0 && !t.failed && v.unable == 0 {
		v.fail("transaction %d is closed after a silence of %v", t.tid, quiet)
	}
	if n != t.taken.n {
		v.fail("transaction %d is kept with %d of %d segments", t.tid, n, t.taken.n)
	}
	t.closed = true
	if p.inner.Keep(have); !v.real.died() {
		copy(t.stable, t.taken.has)
	}
	return "kept"
}

func (v *vault) silence() time.Duration {
	if v.cfg.Silence == 0 {
		return server.DefaultSilence
	}
	return v.cfg.Silence
}

// Discard implements server.Place.
func (p *bulkPlace) Discard() {
	if p.t.taken.n > 0 {
		p.v.fail("transaction %d: %d segments are thrown away", p.t.tid, p.t.taken.n)
	}
	p.inner.Discard()
}
