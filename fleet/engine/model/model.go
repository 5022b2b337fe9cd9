// Package model is an engine in memory and virtual time, for the simulation: calls take time,
// answers get lost, a part of the engine has no quorum, and questions and answers overtake
// each other. What it says to be written is written, once.
//
// What runs beside the programs' loops is a coroutine here: it is held up where it calls
// the engine, while the world goes on, and nothing runs but one of them or the world. So a
// seed replays a run, and a program can be killed between any two of its calls.
package model

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"mdalp/fleet/engine"
)

// A World is what the engine lives in: simulated time.
type World interface {
	Now() time.Time
	// At calls f at that time since the world's beginning.
	At(d time.Duration, f func(now time.Time))
}

// Faults are what may go wrong, as probabilities, and the most that something takes.
type Faults struct {
	// Delay is the most that a way to the engine takes, or back. Each is drawn, so that
	// what is sent first may come last.
	Delay time.Duration
	// Lost is how often an answer does not come back, of what was done or was not.
	Lost float64
	// Late is how often a write that was given up is done later all the same.
	Late float64
	// Stale is how often a read tells of the record before the newest.
	Stale float64
}

// Model is the engine's state.
type Model struct {
	world   World
	epoch   time.Time
	rng     *rand.Rand
	f       Faults
	records map[int64]*entry
	parties map[string]said
	token   string
	serving map[string]*server
	settled map[int64]bool // published

	// Settled is what was published, doubles left out, in order.
	Settled []*engine.Record
	// Writes counts what was written, by transaction.
	Writes map[int64]int
	// Wrote, if not nil, is told of every record that is written.
	Wrote func(r *engine.Record)

	away    bool
	current *strand
	strands []*strand
}

type entry struct {
	rec      []byte
	before   []byte // the last one
	revision uint64
}

type said struct {
	party engine.Party
	until time.Time
	since time.Time // Draining is what it is
}

type server struct {
	life *Life
	f    func(engine.Ask, func(engine.Answer))
}

// New makes an engine that draws from seed.
func New(w World, epoch time.Time, seed uint64, f Faults) *Model {
	return &Model{world: w, epoch: epoch, rng: rand.New(rand.NewPCG(seed, 0xe9191e)), f: f,
		records: make(map[int64]*entry), parties: make(map[string]said), serving: make(map[string]*server),
		settled: make(map[int64]bool), Writes: make(map[int64]int)}
}

// Away has the whole engine without a quorum from now on, or with one again.
func (m *Model) Away(away bool) { m.away = away }

// Calm ends all faults but the delay.
func (m *Model) Calm() { m.f.Lost, m.f.Late, m.f.Stale, m.away = 0, 0, 0, false }

// Record gives what is written of a transaction; nil when nothing is.
func (m *Model) Record(tid int64) *engine.Record {
	e := m.records[tid]
	if e == nil {
		return nil
	}
	return parse(e.rec)
}

// Records gives all, by rising number.
func (m *Model) Records() (rs []*engine.Record) {
	for tid := range m.records { // order does not show
		rs = append(rs, m.Record(tid))
	}
	slices.SortFunc(rs, func(a, b *engine.Record) int {
		if a.TID < b.TID {
			return -1
		}
		return 1
	})
	return rs
}

func parse(b []byte) *engine.Record {
	r, err := engine.ParseRecord(b)
	if err != nil {
		panic(err)
	}
	return r
}

// giveUp is when a call is given up that nobody answers.
const giveUp = 3 * time.Second

// A Client is the engine as one program sees it.
type Client struct {
	m    *Model
	life *Life
	// Cut has nothing of it reach the engine, nor come back.
	Cut bool
}

// Client makes the engine of a program with that life.
func (m *Model) Client(l *Life) *Client { return &Client{m: m, life: l} }

// chance draws.
func (m *Model) chance(p float64) bool { return p > 0 && m.rng.Float64() < p }

// way is how long a way takes.
func (m *Model) way() time.Duration {
	return time.Duration(m.rng.Int64N(int64(max(1, m.f.Delay)))) + 1
}

// call does f at the engine, a little later, and comes back a little later still, or never.
// write says that f changes something.
func (c *Client) call(write bool, f func() error) error {
	m := c.m
	m.park(m.way())
	if c.Cut || m.away {
		if write && m.chance(m.f.Late) && !c.Cut {
			m.at(giveUp+m.way(), func() {
				if !m.away {
					f()
				}
			})
		}
		m.park(giveUp)
		return engine.ErrAway
	}
	err := f()
	if m.chance(m.f.Lost) || c.Cut {
		m.park(giveUp)
		return engine.ErrAway
	}
	m.park(m.way())
	return err
}

func (m *Model) at(after time.Duration, f func()) {
	m.world.At(m.world.Now().Sub(m.epoch)+after, func(time.Time) { f() })
}

// write puts a record in its place.
func (m *Model) write(r *engine.Record) uint64 {
	e := m.records[r.TID]
	if e == nil {
		e = new(entry)
		m.records[r.TID] = e
	}
	e.before, e.rec = e.rec, r.Marshal()
	e.revision++
	m.Writes[r.TID]++
	if m.Wrote != nil {
		m.Wrote(parse(e.rec))
	}
	return e.revision
}

// Create implements engine.Ledger.
func (c *Client) Create(_ context.Context, r *engine.Record) (rev uint64, err error) {
	is := *r // a write that comes late is of what was asked
	err = c.call(true, func() error {
		if c.m.records[is.TID] != nil {
			return engine.ErrExists
		}
		rev = c.m.write(&is)
		return nil
	})
	return rev, err
}

// Get implements engine.Ledger.
func (c *Client) Get(_ context.Context, tid int64) (r *engine.Record, rev uint64, err error) {
	err = c.call(false, func() error {
		e := c.m.records[tid]
		if e == nil {
			return engine.ErrNotFound
		}
		r, rev = parse(e.rec), e.revision
		if e.before != nil && c.m.chance(c.m.f.Stale) {
			r, rev = parse(e.before), e.revision-1
		}
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	return r, rev, nil
}

// Update implements engine.Ledger.
func (c *Client) Update(_ context.Context, r *engine.Record, revision uint64) (rev uint64, err error) {
	is := *r
	err = c.call(true, func() error {
		e := c.m.records[is.TID]
		if e == nil || e.revision != revision {
			return engine.ErrConflict
		}
		rev = c.m.write(&is)
		return nil
	})
	return rev, err
}

// Unsettled implements engine.Ledger.
func (c *Client) Unsettled(context.Context) (es []engine.Entry, err error) {
	err = c.call(false, func() error {
		for _, r := range c.m.Records() {
			if !r.State.Ended() {
				es = append(es, engine.Entry{Record: r, Revision: c.m.records[r.TID].revision})
			}
		}
		return nil
	})
	return es, err
}

// Publish implements engine.Settled.
func (c *Client) Publish(_ context.Context, r *engine.Record) error {
	is := *r
	return c.call(true, func() error {
		if !c.m.settled[is.TID] {
			c.m.settled[is.TID] = true
			c.m.Settled = append(c.m.Settled, &is)
		}
		return nil
	})
}
