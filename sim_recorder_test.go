package mdalp

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"mdalp/loop"
	"mdalp/sched"
	"mdalp/server"
	"mdalp/wire"
)

// A recorder is a server with a record beside it of what was stored, and checks
// after every call that the server says nothing else. The store (sim_keeper_test.go)
// outlives the server, as a directory does a process.
type recorder struct {
	program
	sc     *scenario
	cfg    server.Config
	mem    *server.Memory
	refuse float64       // probability that the store fails to take a segment
	unable float64       // and that it fails to publish
	late   time.Duration // most that a job beside the loop takes; 0 does them in place
	rng    *rand.Rand
	runs   uint64
	began  time.Time // the last run
	tx     map[int64]*transaction
	made   []*transaction // in the order of their making
	jobs   []*job
	over   bool // the world has ended
	paused span // the last time the program stood still
	err    error
}

// A span of time.
type span struct{ from, to time.Time }

// A transaction is what is known of one.
type transaction struct {
	tid       int64
	client    *watch
	offered   time.Time // the offer was sent; zero before
	heard     time.Time // a segment came for it
	written   time.Time // one was stored
	stored    []bool
	records   []server.Record
	segments  int64
	high      int64 // one more than the highest that was refused
	bytes     int64
	owed      int64 // segments that came less acks that were sent
	result    *server.Result
	spool     server.Spool
	meta      server.Meta
	alive     bool   // the spool is there
	payload   []byte // what was published
	run       uint64 // of the server that had it last,
	settledBy uint64 // and of the one that gave the verdict
}

func newRecorder(sc *scenario, cfg server.Config, refuse, unable float64, late time.Duration) *recorder {
	r := &recorder{sc: sc, cfg: cfg, refuse: refuse, unable: unable, late: late, tx: map[int64]*transaction{},
		rng: rand.New(rand.NewPCG(sc.seed, 0x5704e)), mem: &server.Memory{Limit: 64 << 20}}
	r.restart(sc.world.Now())
	return r
}

// restart makes a fresh server that knows nothing but what the store does. Its random
// numbers are others, as those of a new process are.
func (r *recorder) restart(now time.Time) {
	r.runs++
	r.began, r.jobs = now, nil
	cfg := r.cfg
	cfg.Store, cfg.Settled = r, r.settled
	if r.late > 0 {
		cfg.Beside = r.beside
	}
	cfg.Seed = [32]byte{byte(r.runs), byte(r.sc.seed), byte(r.sc.seed >> 8), byte(r.sc.seed >> 16)}
	r.program = newProgram(cfg, r.sc.apart)
}

// pause lets the program stand still for d; what comes meanwhile is lost.
func (r *recorder) pause(at time.Time, d time.Duration) {
	r.paused = span{at, at.Add(d)}
}

// fail keeps the first thing that is wrong.
func (r *recorder) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

func (t *transaction) has(seq int64) bool { return seq < int64(len(t.stored)) && t.stored[seq] }

// Receive implements loop.Handler.
func (r *recorder) Receive(now time.Time, e *loop.Envelope, b []byte) {
	r.comes(now, e, b)
	r.program.Receive(now, e, b)
	r.bounds()
}

// comes implements seer.
func (r *recorder) comes(now time.Time, _ *loop.Envelope, b []byte) {
	if m, err := wire.Parse(b); err == nil && m.Type == wire.Data {
		if t := r.tx[m.TID]; t != nil {
			t.owed++
			t.heard = now
		}
	}
}

// Expire implements loop.Handler.
func (r *recorder) Expire(now time.Time) {
	r.program.Expire(now)
	r.bounds()
}

func (r *recorder) bounds() {
	switch {
	case r.Open() > len(r.made) || r.Open() < 0:
		r.fail("%d transactions are open", r.Open())
	case r.mem.Used() > 64<<20 || r.mem.Used() < 0:
		r.fail("the store holds %d bytes", r.mem.Used())
	}
}

// Transmit implements loop.Handler.
func (r *recorder) Transmit(now time.Time, e *loop.Envelope, b []byte) ([]byte, bool) {
	out, ok := r.program.Transmit(now, e, b)
	if ok && !r.sc.apart.own(e.Peer) {
		r.goes(now, e, out)
	}
	return out, ok
}

// goes implements seer: it checks what the server sends.
func (r *recorder) goes(now time.Time, e *loop.Envelope, out []byte) {
	m, err := wire.Parse(out)
	t := r.tx[m.TID]
	switch {
	case err == nil && challenges(&m):
	case err != nil || t == nil:
		r.fail("the server sends %q", out)
	case m.Type == wire.Offer:
		r.offer(now, t, e)
	case m.Type == wire.Ack:
		t.owed--
		switch {
		case t.owed < 0:
			r.fail("transaction %d: more acks than segments came", t.tid)
		case !t.has(m.Seq):
			r.fail("transaction %d: segment %d is acknowledged and not stored", t.tid, m.Seq)
		case t.offered.IsZero() || r.expired(t, now):
			r.fail("transaction %d: segment %d is acknowledged %v after the offer", t.tid, m.Seq, now.Sub(t.offered))
		case !slices.Contains(r.sc.receivers, e.Local):
			r.fail("transaction %d: segment %d is acknowledged by %v", t.tid, m.Seq, e.Local)
		}
	default:
		r.fail("the server sends %q", out)
	}
}

// challenges reports whether a message is a cookie in place of an offer, which is as long as what asked.
func challenges(m *wire.Message) bool {
	_, ok := wire.ParseCookie(m.Data)
	return ok && m.Type == wire.Offer && m.TID == wire.Absent
}

func (r *recorder) limit() time.Duration {
	if r.cfg.Limit == 0 {
		return server.DefaultLimit
	}
	return r.cfg.Limit
}

// expired reports whether t is past its limit, of which one that was recovered may have
// more: the time to be silent.
func (r *recorder) expired(t *transaction, now time.Time) bool {
	return !t.offered.Before(r.began) && !now.Before(t.offered.Add(r.limit()))
}

// offer takes note of one that is sent.
func (r *recorder) offer(now time.Time, t *transaction, e *loop.Envelope) {
	var to *watch // the last one at that address
	for _, w := range r.sc.clients {
		if w.addr(e.Peer.Addr()) == e.Peer {
			to = w
		}
	}
	if t.segments == 0 && !t.offered.IsZero() && to != nil && t.client.addr4 == to.addr4 {
		t.client = to // nobody has used it
	}
	switch {
	case to == nil || t.client != nil && t.client != to:
		r.fail("transaction %d is offered to %v", t.tid, e.Peer)
	case e.Local != r.sc.home:
		r.fail("an offer leaves from %v", e.Local)
	case !t.offered.IsZero() && r.expired(t, now):
		r.fail("transaction %d is offered again %v after the offer", t.tid, now.Sub(t.offered))
	}
	if t.client == nil {
		t.client, t.offered = to, now
	}
}

// settled checks a verdict against the record.
func (r *recorder) settled(res server.Result) {
	t := r.tx[res.TID]
	// What is kept is found again by the next server, and has a verdict again.
	again := t != nil && t.result != nil && (t.result.Complete || t.run == t.settledBy)
	if t == nil || again || t.run != r.runs {
		r.fail("transaction %d is settled twice, or nobody's", res.TID)
		return
	}
	r.silent(t, &res)
	t.result, t.settledBy = &res, r.runs
	var segments, bytes int64
	for _, s := range res.Receivers {
		segments += s.Segments
		bytes += s.Bytes
	}
	least := sched.MinShare(res.Bytes, len(res.Receivers))
	balanced := true
	for _, s := range res.Receivers {
		balanced = balanced && s.Bytes >= least
	}
	switch {
	case res.Segments != t.segments || res.Bytes != t.bytes:
		r.fail("transaction %d: %d segments of %d bytes in the verdict, %d of %d are stored", t.tid, res.Segments, res.Bytes, t.segments, t.bytes)
	case segments != t.segments || bytes != t.bytes:
		r.fail("transaction %d: the receivers have %d segments of %d bytes, %d of %d are stored", t.tid, segments, bytes, t.segments, t.bytes)
	case res.Balanced != balanced || res.Status != (res.Complete && balanced):
		r.fail("transaction %d: balanced %t, status %t, complete %t; it is %t", t.tid, res.Balanced, res.Status, res.Complete, balanced)
	case res.Complete && t.segments > 0 && slices.Contains(t.stored, false):
		r.fail("transaction %d is complete with segments missing", t.tid)
	case res.Complete != (t.payload != nil) && t.segments > 0:
		r.fail("transaction %d is complete: %t, and %d bytes are published", t.tid, res.Complete, len(t.payload))
	}
	for _, m := range res.Missing {
		for seq := m.First; seq <= m.Last; seq++ {
			if t.has(seq) {
				r.fail("transaction %d: segment %d is missing and stored", t.tid, seq)
			}
		}
	}
}

// silent checks that a payload which is not expected is called complete for its silence
// alone. A server that stood still has heard nothing; how long it did, it knows but to a
// part of Idle. One that began after the limit knows when the last segment was stored.
func (r *recorder) silent(t *transaction, res *server.Result) {
	if r.over || !res.Complete || r.cfg.Expect != nil {
		return
	}
	if limit := t.offered.Add(r.limit()); limit.Before(r.began) {
		if quiet := limit.Sub(t.written); quiet < r.cfg.Idle {
			r.fail("transaction %d is complete, which was written to %v before its limit", t.tid, quiet)
		}
		return
	}
	from := t.heard
	if r.late > 0 || r.unable > 0 || r.sc.apart != nil { // it was heard after it had begun to settle, perhaps
		from = t.written
	}
	if r.began.After(from) {
		from = r.began
	}
	now := r.sc.world.Now()
	quiet := now.Sub(from)
	if r.paused.from.Before(now) && r.paused.to.After(from) {
		cut := min(time.Second, r.cfg.Idle/4) + 100*time.Millisecond
		quiet -= max(0, r.paused.to.Sub(later(from, r.paused.from))-cut)
	}
	if quiet < r.cfg.Idle {
		r.fail("transaction %d is complete after a silence of %v", t.tid, quiet)
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// close ends the server, at an instant so late that whoever is silent is so for good.
func (r *recorder) close(now time.Time) {
	r.over = true
	now = now.Add(max(r.cfg.Idle, r.limit()))
	r.program.Close(now)
	for len(r.jobs) > 0 {
		r.step(r.jobs[0], now)
	}
	for _, t := range r.made {
		if t.alive && t.settledBy != r.runs {
			r.fail("transaction %d is in the store, and no verdict says so", t.tid)
		}
	}
	if !r.Drained() {
		r.fail("the server is closed and %d transactions are open", r.Open())
	}
}

// of gives the transaction of a number.
func (r *recorder) of(tid int64) *transaction { return r.tx[tid] }
