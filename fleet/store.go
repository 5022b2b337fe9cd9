package fleet

import (
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"mdalp/fleet/engine"
	"mdalp/internal/disk"
	"mdalp/loop"
	"mdalp/server"
	"mdalp/wire"
)

const (
	// writeFor is how long one call of the engine may take, askFor how long receivers have to
	// answer: one that is cut off holds up a client's answer no longer.
	writeFor = 3 * time.Second
	askFor   = time.Second
	// A call that failed is made again after pauseFirst, and after twice as long each time
	// up to pauseMost.
	pauseFirst = 100 * time.Millisecond
	pauseMost  = 2 * time.Second
	// briefTries is how often what a client waits for is tried: some ten seconds. What is
	// settled is tried for as long as it takes.
	briefTries = 8
)

// store is an orchestrator's hold of the fleet: its [server.Store], which takes places for
// extended payloads, and its [server.Fleet].
type store struct {
	engine engine.Engine
	folder disk.Folder
	shared *server.Shared
	me     string // owner
	token  string
	beside loop.Beside
	pause  func(context.Context, time.Duration)
	ctx    context.Context
	log    *slog.Logger
	parts  func(tid int64) []engine.Party // chosen for a transaction; in the loop
	vault  *vault                         // nil without the fleet's key
	names  bool                           // clients give their payloads' files names
	failed map[int64]bool                 // could not be taken over when orphans looked last
	long   map[int64]bool                 // open when refresh looked last
	now    func() time.Time               // nil has nothing timed

	mu      sync.Mutex
	tx      map[int64]*trans
	taking  map[int64]int // transactions that are being taken over
	leaving bool          // what is open is left to the others
	counts  Counts
	slow    slowness
}

// trans is a transaction of this orchestrator. It is its [server.Spool], and its place is one
// by it. The server calls what blocks one at a time, which is what guards rec and rev.
type trans struct {
	s    *store
	rec  engine.Record
	rev  uint64
	lost bool  // another orchestrator answers for it
	had  int64 // one more than the segments that were there when the receivers were asked last
	// closed says that receivers have flushed all of it, and take nothing more; silent, that
	// one of those who were asked last did not answer, and may not have.
	closed, silent bool
	turn           int64 // of questions
	// part is which file had the name of the payload on its way when they were asked last: what is
	// known of another that had it before, or will, is nothing. Moved is what it is called where
	// another orchestrator has moved it already to the transaction that resumes it.
	part  uint64
	moved string
	bound bool // a former owner was settling it, of the base protocol: nothing more is taken
	sum   [sha256.Size]byte
	// births are those of the receivers, until the record is written.
	births []string

	mu       sync.Mutex
	creating bool // the first write is under way
	dropped  bool // nobody wants it any more
}

// Recover implements [server.Store]. What is open is with the engine, and found there when its
// owner is gone.
func (s *store) Recover() ([]server.Recovered, error) { return nil, nil }

// Room implements [server.Store]: it is the receivers' that counts.
func (s *store) Room() int64 { return -1 }

// Create implements [server.Store]. Whether the number is free the engine says.
func (s *store) Create(tid int64, _ int) (server.Spool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tx[tid] != nil {
		return nil, fs.ErrExist
	}
	t := &trans{s: s, rec: engine.Record{TID: tid, State: engine.Created, Owner: s.me, Epoch: 1}}
	s.tx[tid] = t
	return t, nil
}

func (s *store) find(tid int64) *trans {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tx[tid]
}

// end forgets a transaction here.
func (t *trans) end() {
	s := t.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tx[t.rec.TID] == t {
		delete(s.tx, t.rec.TID)
	}
}

func (s *store) count(f func(*Counts)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.counts)
}

// left reports whether what is open is left to the others.
func (s *store) left() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.leaving || s.ctx.Err() != nil
}

// again waits before the next try of what failed for the n-th time.
func (s *store) again(n int) {
	s.pause(s.ctx, min(pauseMost, pauseFirst<<min(n, 6)))
}

// choose implements [server.Fleet].Choose for a new transaction.
func (s *store) choose(tid int64) []wire.Receiver {
	t := s.find(tid)
	ps := s.parts(tid)
	if t == nil || len(ps) == 0 {
		return nil
	}
	rs := offering(ps)
	t.rec.Receivers = make([]engine.Station, len(ps))
	t.births = make([]string, len(ps))
	for i, p := range ps {
		t.rec.Receivers[i] = engine.Station{ID: p.ID, Addr: p.Addr, Seg: rs[i].Seg, Win: rs[i].Win}
		t.births[i] = p.Seal
	}
	return rs
}

// introduce implements [server.Fleet].Create.
func (s *store) introduce(m server.Meta) error {
	t := s.find(m.TID)
	if t == nil {
		return server.ErrElsewhere // it was withdrawn
	}
	t.rec.Client, t.rec.Offered = m.Client, m.Offered.Round(0).UTC()
	if !t.begins() {
		return server.ErrElsewhere
	}
	err := t.create()
	if t.began() { // nobody wants it any more
		t.void()
	}
	return err
}

func (t *trans) begins() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.creating = !t.dropped
	return t.creating
}

// began ends the first write, and reports whether the transaction was dropped meanwhile.
func (t *trans) began() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.creating = false
	return t.dropped
}

// create writes the record. That one of this number is there may be this one's own, whose
// answer was lost.
func (t *trans) create() error {
	s := t.s
	ctx, cancel := context.WithTimeout(s.ctx, writeFor)
	defer cancel()
	s.count(func(c *Counts) { c.Writes++ })
	rev, err := s.engine.Create(ctx, &t.rec)
	if errors.Is(err, engine.ErrExists) {
		var r *engine.Record
		r, rev, err = s.engine.Get(ctx, t.rec.TID)
		if err == nil && (r.Owner != s.me || r.Client != t.rec.Client || r.Sealed()) {
			return fs.ErrExist
		}
		// Other receivers were chosen since, and they are those that are going to be offered.
		if err == nil && string(r.Marshal()) != string(t.rec.Marshal()) {
			rev, err = s.engine.Update(ctx, &t.rec, rev)
		}
	}
	if err != nil {
		s.count(func(c *Counts) { c.Away++ })
		return err
	}
	t.rev = rev
	return nil
}

// change writes the record as f makes it, and tries so often; below 1 for as long as it takes.
// It fails with [server.ErrElsewhere] when another orchestrator has the transaction now, or
// this one is leaving, and as the engine does.
func (t *trans) change(tries int, f func(*engine.Record)) error {
	s := t.s
	for n := 0; ; n++ {
		if t.lost || s.ctx.Err() != nil || n > 0 && s.left() {
			return server.ErrElsewhere
		}
		r := t.rec
		f(&r)
		if string(r.Marshal()) == string(t.rec.Marshal()) {
			return nil // it stands there already
		}
		err := t.update(&r)
		switch {
		case err == nil || errors.Is(err, server.ErrElsewhere):
			return err
		case tries > 0 && n+1 >= tries:
			return err
		}
		if n == 0 && errors.Is(err, engine.ErrConflict) {
			continue // a receiver has written it as it is, see Receiver.read
		}
		if n == 1 { // once: it may take long, for many, and the first may be a matter of an instant
			s.log.Warn("the engine does not take a record, it is tried again", "tid", r.TID,
				"state", r.State, "err", err)
		}
		s.again(n)
	}
}

// update writes r once. After a conflict it looks who was there first.
func (t *trans) update(r *engine.Record) error {
	s := t.s
	ctx, cancel := context.WithTimeout(s.ctx, writeFor)
	defer cancel()
	s.count(func(c *Counts) { c.Writes++ })
	rev, err := s.engine.Update(ctx, r, t.rev)
	if err == nil {
		t.rec, t.rev = *r, rev
		return nil
	}
	if !errors.Is(err, engine.ErrConflict) && !errors.Is(err, engine.ErrNotFound) {
		s.count(func(c *Counts) { c.Away++ })
		return err
	}
	s.count(func(c *Counts) { c.Conflicts++ })
	now, rev, gerr := s.engine.Get(ctx, r.TID)
	switch {
	case errors.Is(gerr, engine.ErrNotFound), gerr == nil && t.left(now):
		return t.lose()
	case gerr != nil:
		return gerr
	case now.Epoch < t.rec.Epoch: // it is of old, of a former owner
		return err
	}
	// It was this one, whose answer was lost, or a receiver, which wrote the same; or what was read is
	// older than what is known here, and the next try meets it again.
	if rev > t.rev {
		t.rec, t.rev = *now, rev
	}
	return err
}

// left reports whether a record of the transaction is of a later owner. One of a former owner
// says nothing: what is read may be old. That two have the same number of owners before them happens
// where the engine was set back to a copy.
func (t *trans) left(r *engine.Record) bool {
	return r.Epoch > t.rec.Epoch || r.Epoch == t.rec.Epoch && r.Owner != t.rec.Owner
}

// lose leaves the transaction to the orchestrator that has it now.
func (t *trans) lose() error {
	t.lost = true
	t.end()
	t.s.count(func(c *Counts) { c.Lost++ })
	return server.ErrElsewhere
}
