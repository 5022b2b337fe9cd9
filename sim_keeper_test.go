package mdalp

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io/fs"
	"slices"
	"time"

	"mdalp/internal/sim"
	"mdalp/server"
	"mdalp/wire"
)

// The recorder is the store of its server too: one in memory whose spools and payloads
// outlive a server that is killed, and which fails as often as it is told to.

var errStore = errors.New("no room")

// A job is one that the server has done beside the loop.
type job struct {
	do   func() func(time.Time)
	back func(time.Time)
	run  uint64
}

// beside implements loop.Beside. A job is done after a time that is drawn, its answer comes
// after another. With the process they are gone; when the world ends, they are not.
func (r *recorder) beside(do func() func(time.Time)) {
	j := &job{do: do, run: r.runs}
	r.jobs = append(r.jobs, j)
	if r.over {
		return
	}
	after := func() time.Duration {
		return r.sc.world.Now().Sub(sim.Epoch) + time.Duration(r.rng.Int64N(int64(r.late)))
	}
	r.sc.world.At(after(), func(time.Time) {
		if j.run != r.runs {
			return
		}
		r.step(j, time.Time{})
		r.sc.world.At(after(), func(now time.Time) {
			if j.run == r.runs {
				r.step(j, now)
				r.sc.host.Poke()
			}
		})
	})
}

// step does a job, or gives its answer.
func (r *recorder) step(j *job, now time.Time) {
	if j.do != nil {
		j.back, j.do = j.do(), nil
		return
	}
	r.jobs = slices.DeleteFunc(r.jobs, func(x *job) bool { return x == j })
	j.back(now)
}

// Create implements server.Store.
func (r *recorder) Create(tid int64, segment int) (server.Spool, error) {
	if r.tx[tid] != nil {
		return nil, fs.ErrExist
	}
	sp, err := r.mem.Create(tid, segment)
	if err != nil {
		return nil, err
	}
	t := &transaction{tid: tid, run: r.runs, spool: sp}
	r.tx[tid] = t
	r.made = append(r.made, t)
	return &recording{sp, r, t}, nil
}

// Room implements server.Store.
func (r *recorder) Room() int64 { return r.mem.Room() }

// Recover implements server.Store.
func (r *recorder) Recover() (found []server.Recovered, err error) {
	for _, t := range r.made {
		if !t.alive {
			continue
		}
		t.run = r.runs
		found = append(found, server.Recovered{Meta: t.meta, Silent: r.sc.world.Now().Sub(t.written), High: t.high, Spool: &recording{t.spool, r, t},
			Segments: func(yield func(server.Record, error) bool) {
				for _, g := range t.records {
					if !yield(g, nil) {
						return
					}
				}
			}})
	}
	return found, nil
}

// A recording is a spool that is recorded.
type recording struct {
	server.Spool
	r *recorder
	t *transaction
}

// Begin implements server.Spool.
func (s *recording) Begin(m server.Meta) { s.t.meta = m }

// Note implements server.Spool.
func (s *recording) Note(seq int64) { s.t.high = max(s.t.high, seq+1) }

// Put implements server.Spool.
func (s *recording) Put(seq int64, receiver int, data []byte, sum uint32) error {
	r, t := s.r, s.t
	if r.refuse > 0 && r.rng.Float64() < r.refuse {
		return errStore
	}
	if err := s.Spool.Put(seq, receiver, data, sum); err != nil {
		r.fail("store: %v", err)
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
	t.stored[seq], t.alive, t.written = true, true, r.sc.world.Now()
	t.records = append(t.records, server.Record{Seq: seq, Receiver: uint16(receiver), Length: uint16(len(data)), Sum: sum})
	t.segments++
	t.bytes += int64(len(data))
	return nil
}

// Assemble implements server.Spool.
func (s *recording) Assemble(have []wire.Range) (sum [sha256.Size]byte, err error) {
	if s.r.fails() {
		return sum, errStore
	}
	return s.Spool.Assemble(have)
}

func (r *recorder) fails() bool { return r.unable > 0 && r.rng.Float64() < r.unable }

// Publish implements server.Spool.
func (s *recording) Publish(partial bool) (string, error) {
	r, t := s.r, s.t
	if r.fails() {
		return "", errStore
	}
	if !t.alive {
		r.fail("transaction %d is published, and there is no spool", t.tid)
	}
	path, err := s.Spool.Publish(partial)
	if err != nil {
		r.fail("store: %v", err)
	}
	t.alive = false
	if !partial {
		t.payload, _ = r.mem.Payload(t.tid)
	}
	return path, err
}

// Discard implements server.Spool.
func (s *recording) Discard() {
	if s.t.segments > 0 {
		s.r.fail("transaction %d: %d segments are thrown away", s.t.tid, s.t.segments)
	}
	s.Spool.Discard()
}

// Keep implements server.Spool. The spool stays as a file would, and it is not told
// to the store in memory, which would not keep it.
func (s *recording) Keep() string { return "kept" }
