package server

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"mdalp/loop"
	"mdalp/sched"
	"mdalp/wire"
)

// far is when a program wants to be woken that waits for datagrams alone.
const far = time.Hour

// A Ledger knows transactions: which are open, what of each is there, who holds a place,
// and how each ends. It keeps the store and the timers, and says nothing to anybody. The
// [Orchestrator] and the [Receivers] of a server do that, each by what is in here.
type Ledger struct {
	cfg      Config
	segments int64 // a SEQ is below it
	desk     desk

	random   *rand.Rand
	next     int64 // TID, when they count up
	origins  map[source]*origin
	byTID    map[int64]*transaction
	byClient map[netip.AddrPort]*transaction // the newest of each
	open     int                             // transactions that are not settled
	used     int                             // of these, those with a segment
	placed   places

	// Settled transactions, in the order they settled.
	newest, oldest *transaction
	remembered     int

	wheel *sched.Wheel
	slots []*transaction // by timer; the first are the ledger's own
	free  []int
	beats time.Time // when timerBeat is due
	stood time.Duration

	// Of extended transactions.
	mostBlocks int64 // bytes of a payload
	buffer     int64 // of the receive buffers that each receiver has
	train      train
	dirty      []*transaction // those that took segments in this burst
	unflushed  []*transaction // those that took segments since they were flushed

	jobs     fifo[func() func(time.Time)] // to be done at the end of the call
	running  int                          // jobs under way
	sweeping bool
	lines    [tells]line

	now      time.Time
	expired  time.Time // what was due by then is done
	draining bool      // no new transactions
	closed   bool
	had      bool // a transaction of this process has its verdict
	stats    Stats
}

// A desk is the orchestrator as the ledger sees it: what clients wait for there has come,
// or may have.
type desk interface {
	// offer: the offer of t need not be held back any longer.
	offer(t *transaction)
	// unhold: t has its verdict, or its client has waited for that long enough.
	unhold(t *transaction)
	// inherit: t is closed, and whoever resumes it may go on.
	inherit(now time.Time, t *transaction)
	// admit: a place may be free.
	admit(now time.Time)
	// clearQueue: no transaction begins any more.
	clearQueue()
	// judge: what is there of t was gathered, and its client waits to hear of it.
	judge(now time.Time, t *transaction)
	// repeated: what is there of t was gathered, if it is known, and an intent from its client
	// waits for that.
	repeated(now time.Time, t *transaction, known bool)
	// follows: the client of t has had its offer.
	follows(t *transaction)
	// Waiting is how many intents wait.
	Waiting() int
}

// An answer is what the ledger says of a segment that a receiver asks it to take.
type answer uint8

const (
	refused answer = iota // it is not stored, and not acknowledged
	asking                // the ledger is elsewhere; the answer comes by Receivers.Answer
	taken                 // it is stored, or will be by the end of the burst
	known                 // it was stored before
)

// init sets up an empty ledger; cfg has its defaults.
func (s *Ledger) init(cfg Config, d desk) {
	*s = Ledger{
		cfg:      cfg,
		segments: (cfg.MaxBytes-1)/int64(cfg.SegmentLimit) + 1 + int64(len(cfg.Receivers)),
		desk:     d,
		origins:  make(map[source]*origin),
		random:   rand.New(rand.NewChaCha8(cfg.Seed)),
		next:     cfg.FirstTID,
		byTID:    make(map[int64]*transaction),
		byClient: make(map[netip.AddrPort]*transaction),
		slots:    make([]*transaction, timers),
	}
	s.buffer = cfg.leastBuffer()
	if s.mostBlocks = MostBytes; cfg.bounded {
		s.mostBlocks = cfg.MaxBytes
	}
}

// Stats returns the counters.
func (s *Ledger) Stats() Stats { return s.stats }

// Open is how many transactions are not settled.
func (s *Ledger) Open() int { return s.open }

// MaxOpen is how many transactions may have segments and not be settled. A process whose
// store keeps a file for each needs that many descriptors, two in the extended protocol, and
// some more.
func (s *Ledger) MaxOpen() int { return s.cfg.MaxOpen }

// put has segment m taken, which came to receiver i. With f the receivers know its
// transaction. Nothing of a segment with NUM is safe before the burst has ended, see burst.
// To ask again changes nothing: what is there is there.
func (s *Ledger) put(now time.Time, e *loop.Envelope, i int, m *wire.Message) (f *flow, a answer) {
	t := s.live(now, m.TID)
	if t == nil {
		s.stats.UnknownTID++
		return nil, refused
	}
	if !s.mine(t, e) {
		s.stats.Foreign++
		return nil, refused
	}
	if m.Num != wire.Absent {
		return &t.flow, s.block(now, t, i, m)
	}
	if t.ext != nil || t.opening != nil {
		if t.ext != nil && (t.ext.decided || t.phase != open) {
			s.stats.WrongKind++
			return nil, refused
		}
		s.unannounce(t)
	}
	if a = s.segment(now, t, i, m.Seq, m.Data); a != refused && t.phase == open {
		s.progress(now, t)
	}
	return &t.flow, a
}

// Fail implements [loop.Handler]. An error changes nothing: it may be forged, and a
// client that is gone sends nothing either.
func (s *Ledger) Fail(now time.Time, e *loop.Envelope, err error) {
	s.now = now
	s.stats.SendErrors++
}

// Expire implements [loop.Handler]. The first call recovers what the store has, see Start.
func (s *Ledger) Expire(now time.Time) {
	s.expire(now)
	s.work(now)
}

func (s *Ledger) expire(now time.Time) {
	s.now, s.expired = now, now
	s.burst(now) // what ends now ends with all that has come
	if s.wheel == nil {
		if err := s.Start(now); err != nil {
			s.cfg.Log.Error("store failed, nothing of former runs is known", "err", err)
		}
	}
	for {
		id, ok := s.wheel.Pop(now)
		if !ok {
			return
		}
		if id < timers {
			s.timer(now, id)
		} else {
			s.wake(now, s.slots[id])
		}
	}
}

// Next implements [loop.Handler]. A server ends when it is closed, with Config.Once when a
// transaction has its verdict, and when it is drained; else never.
func (s *Ledger) Next() (at time.Time, ok bool) {
	if s.closed || s.cfg.Once && s.had || s.Drained() {
		return time.Time{}, false
	}
	if s.wheel == nil {
		return s.now, true // at once: Expire tells what time it is
	}
	at = s.now.Add(far)
	if due, ok := s.wheel.Next(); ok {
		at = earlier(at, due)
	}
	return at, true
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
