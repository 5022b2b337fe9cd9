package mdalp

import (
	"bytes"
	"errors"
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
// after every call that the server says nothing else.
type recorder struct {
	*server.Server
	sc     *scenario
	cfg    server.Config
	mem    *server.Memory
	refuse float64 // probability that the store fails
	rng    *rand.Rand
	runs   uint64
	tx     map[int64]*transaction
	err    error
}

// A transaction is what is known of one.
type transaction struct {
	tid      int64
	client   *watch
	offered  time.Time // the offer was sent; zero before
	stored   []bool
	segments int64
	bytes    int64
	owed     int64 // segments that came less acks that were sent
	result   *server.Result
	payload  []byte // what was published
	run      uint64 // of the server
}

func newRecorder(sc *scenario, cfg server.Config, refuse float64) *recorder {
	r := &recorder{sc: sc, cfg: cfg, refuse: refuse, rng: rand.New(rand.NewPCG(sc.seed, 0x5704e)), tx: map[int64]*transaction{}}
	r.restart()
	return r
}

// restart makes a fresh server that knows nothing of what was before. Its random
// numbers are others, as those of a new process are.
func (r *recorder) restart() {
	r.runs++
	r.mem = &server.Memory{Limit: 64 << 20}
	cfg := r.cfg
	cfg.Store, cfg.Settled = r, r.settled
	cfg.Seed = [32]byte{byte(r.runs), byte(r.sc.seed), byte(r.sc.seed >> 8), byte(r.sc.seed >> 16)}
	s, err := server.New(cfg)
	if err != nil {
		panic(err)
	}
	r.Server = s
}

// fail keeps the first thing that is wrong.
func (r *recorder) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

// Create implements server.Store.
func (r *recorder) Create(tid int64, segment int) (server.Spool, error) {
	sp, err := r.mem.Create(tid, segment)
	if err != nil {
		return nil, err
	}
	if r.tx[tid] != nil {
		r.fail("transaction %d is made twice", tid)
	}
	t := &transaction{tid: tid, run: r.runs}
	r.tx[tid] = t
	return &recording{sp, r, t}, nil
}

// A recording is a spool that is recorded.
type recording struct {
	server.Spool
	r *recorder
	t *transaction
}

var errStore = errors.New("no room")

// Put implements server.Spool.
func (s *recording) Put(seq int64, data []byte) (bool, error) {
	r, t := s.r, s.t
	if r.refuse > 0 && r.rng.Float64() < r.refuse {
		return false, errStore
	}
	stored, err := s.Spool.Put(seq, data)
	if err != nil {
		r.fail("store: %v", err)
	}
	if !stored {
		return stored, err
	}
	if t.has(seq) {
		r.fail("transaction %d: segment %d is stored twice", t.tid, seq)
	}
	if t.client == nil || !bytes.Equal(data, t.client.segment(seq)) {
		r.fail("transaction %d: segment %d is stored as %q", t.tid, seq, data)
	}
	for int64(len(t.stored)) <= seq {
		t.stored = append(t.stored, false)
	}
	t.stored[seq] = true
	t.segments++
	t.bytes += int64(len(data))
	return stored, err
}

func (t *transaction) has(seq int64) bool { return seq < int64(len(t.stored)) && t.stored[seq] }

// Receive implements loop.Handler.
func (r *recorder) Receive(now time.Time, e *loop.Envelope, b []byte) {
	if m, err := wire.Parse(b); err == nil && m.Type == wire.Data {
		if t := r.tx[m.TID]; t != nil {
			t.owed++
		}
	}
	r.Server.Receive(now, e, b)
	r.bounds()
}

// Expire implements loop.Handler.
func (r *recorder) Expire(now time.Time) {
	r.Server.Expire(now)
	r.bounds()
}

func (r *recorder) bounds() {
	switch {
	case r.Open() > r.cfg.Concurrent:
		r.fail("%d transactions are open", r.Open())
	case r.mem.Used() > 64<<20 || r.mem.Used() < 0:
		r.fail("the store holds %d bytes", r.mem.Used())
	}
}

// Transmit implements loop.Handler.
func (r *recorder) Transmit(now time.Time, e *loop.Envelope, b []byte) ([]byte, bool) {
	out, ok := r.Server.Transmit(now, e, b)
	if !ok {
		return out, ok
	}
	m, err := wire.Parse(out)
	t := r.tx[m.TID]
	switch {
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
		case t.offered.IsZero() || !now.Before(t.offered.Add(r.limit())):
			r.fail("transaction %d: segment %d is acknowledged %v after the offer", t.tid, m.Seq, now.Sub(t.offered))
		case !slices.Contains(r.sc.receivers, e.Local):
			r.fail("transaction %d: segment %d is acknowledged by %v", t.tid, m.Seq, e.Local)
		}
	default:
		r.fail("the server sends %q", out)
	}
	return out, ok
}

func (r *recorder) limit() time.Duration {
	if r.cfg.Limit == 0 {
		return server.DefaultLimit
	}
	return r.cfg.Limit
}

// offer takes note of one that is sent.
func (r *recorder) offer(now time.Time, t *transaction, e *loop.Envelope) {
	var to *watch
	for _, w := range r.sc.clients {
		if w.addr(e.Peer.Addr()) == e.Peer {
			to = w
		}
	}
	switch {
	case to == nil || t.client != nil && t.client != to:
		r.fail("transaction %d is offered to %v", t.tid, e.Peer)
	case e.Local != r.sc.home:
		r.fail("an offer leaves from %v", e.Local)
	case !t.offered.IsZero() && !now.Before(t.offered.Add(r.limit())):
		r.fail("transaction %d is offered again %v after the offer", t.tid, now.Sub(t.offered))
	}
	if t.client == nil {
		t.client, t.offered = to, now
	}
}

// settled checks a verdict against the record.
func (r *recorder) settled(res server.Result) {
	t := r.tx[res.TID]
	if t == nil || t.result != nil {
		r.fail("transaction %d is settled twice, or nobody's", res.TID)
		return
	}
	t.result = &res
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
	case res.Complete && res.Err == nil && t.segments > 0 && slices.Contains(t.stored, false):
		r.fail("transaction %d is complete with segments missing", t.tid)
	}
	for _, m := range res.Missing {
		for seq := m.First; seq <= m.Last; seq++ {
			if t.has(seq) {
				r.fail("transaction %d: segment %d is missing and stored", t.tid, seq)
			}
		}
	}
}

// close ends the server and keeps what it published.
func (r *recorder) close(now time.Time) {
	r.Server.Close(now)
	for _, w := range r.sc.clients {
		if t := r.tx[w.s.tid]; t != nil && t.run == r.runs {
			t.payload, _ = r.mem.Payload(t.tid)
		}
	}
}

// of gives the transaction of a number.
func (r *recorder) of(tid int64) *transaction { return r.tx[tid] }
