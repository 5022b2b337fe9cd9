package server

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"time"

	"mdalp/loop"
	"mdalp/sched"
	"mdalp/wire"
)

// far is when a server wants to be woken that waits for datagrams alone.
const far = time.Hour

// A Server is an orchestrator and its receivers. It implements [loop.Handler].
type Server struct {
	cfg      Config
	offered  []wire.Receiver
	byAddr   map[netip.AddrPort]int // receivers
	segments int64                  // a SEQ is below it

	limiter *limiter
	budget  budget
	origins map[netip.Addr]*origin
	turns   fifo[*origin]               // those that wait
	queued  map[netip.AddrPort]struct{} // clients that wait
	waiting int
	barred  bool // when last looked, no place was free for anybody

	random   *rand.Rand
	next     int64 // TID, when they count up
	byTID    map[int64]*transaction
	byClient map[netip.AddrPort]*transaction // the newest of each
	open     int                             // transactions that are not settled
	used     int                             // of these, those with a segment
	placed   places
	unused   fifo[*transaction] // without a segment and a place
	// When places were last looked through.
	reclaimed time.Time

	// Settled transactions, in the order they settled.
	newest, oldest *transaction
	remembered     int

	wheel *sched.Wheel
	slots []*transaction // by timer; the first are the server's own
	free  []int
	beats time.Time // when timerBeat is due

	offers fifo[*transaction]
	acks   acks

	// Of extended transactions.
	mostBlocks int64 // bytes of a payload
	buffer     int64 // of the receive buffers that each receiver has
	train      train
	dirty      []*transaction // those that took segments in this burst
	unflushed  []*transaction // those that took segments since they were flushed
	blockAcks  fifo[blockAck]
	ackRanges  [wire.MaxAckRanges]wire.Range
	replies    fifo[reply]

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

// New makes a Server. It fails when cfg makes no sense: no receivers, two of the
// same address, more than an offer can carry, or a value out of its range.
func New(cfg Config) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	offered, err := cfg.offered()
	if err != nil {
		return nil, err
	}
	s := &Server{
		cfg:      cfg,
		offered:  offered,
		byAddr:   make(map[netip.AddrPort]int, len(offered)),
		segments: (cfg.MaxBytes-1)/int64(cfg.SegmentLimit) + 1 + int64(len(offered)),
		limiter:  newLimiter(cfg.IntentRate, cfg.IntentBurst),
		budget:   newBudget(cfg.OfferRate, offerLen(offered)),
		origins:  make(map[netip.Addr]*origin),
		queued:   make(map[netip.AddrPort]struct{}),
		random:   rand.New(rand.NewChaCha8(cfg.Seed)),
		next:     cfg.FirstTID,
		byTID:    make(map[int64]*transaction),
		byClient: make(map[netip.AddrPort]*transaction),
		slots:    make([]*transaction, timers),
		acks:     acks{free: none, share: max(leastAcks, 2*len(offered))},
	}
	s.buffer = cfg.leastBuffer()
	if s.mostBlocks = MostBytes; cfg.bounded {
		s.mostBlocks = cfg.MaxBytes
	}
	for i, r := range cfg.Receivers {
		a := plain(r.Addr)
		if _, twice := s.byAddr[a]; twice {
			return nil, errors.New("server: receiver " + a.String() + " is given twice")
		}
		s.byAddr[a] = i
	}
	return s, nil
}

// Stats returns the counters.
func (s *Server) Stats() Stats { return s.stats }

// Open is how many transactions are not settled.
func (s *Server) Open() int { return s.open }

// Waiting is how many intents are in the queue.
func (s *Server) Waiting() int { return s.waiting }

// MaxOpen is how many transactions may have segments and not be settled. A process whose
// store keeps a file for each needs that many descriptors, two in the extended protocol, and
// some more.
func (s *Server) MaxOpen() int { return s.cfg.MaxOpen }

// Receive implements [loop.Handler].
func (s *Server) Receive(now time.Time, e *loop.Envelope, b []byte) {
	if now != s.expired { // once for a batch of datagrams
		s.expire(now)
	}
	s.stats.Datagrams++
	m, err := wire.Parse(b)
	switch {
	case s.closed:
		s.stats.AfterClose++
	case err != nil, !e.Peer.Addr().IsValid(), e.Peer.Port() == 0:
		s.stats.Malformed++
	case m.Type == wire.Intent:
		s.intent(now, e)
	case m.Type == wire.Data:
		s.data(now, e, &m)
	case m.Type == wire.ManifestType:
		s.manifest(now, e, &m, b)
	default:
		s.stats.Unexpected++
	}
	if s.jobs.len() > 0 {
		s.work(now)
	}
}

// data takes a message of type 2.
func (s *Server) data(now time.Time, e *loop.Envelope, m *wire.Message) {
	if m.TID < 0 || m.Seq < 0 {
		s.stats.Malformed++
		return
	}
	t := s.live(now, m.TID)
	if t == nil {
		s.stats.UnknownTID++
		return
	}
	i, ok := s.receiver(e)
	if !ok {
		s.stats.Elsewhere++
		return
	}
	if !s.mine(t, e) {
		s.stats.Foreign++
		return
	}
	if m.Num != wire.Absent {
		s.block(now, t, i, m, e)
		return
	}
	if t.ext != nil || t.opening != nil {
		if t.ext != nil && (t.ext.decided || t.phase != open) {
			s.stats.WrongKind++
			return
		}
		s.unannounce(t)
	}
	ok, dup := s.segment(now, t, i, m.Seq, m.Data)
	if !ok {
		return
	}
	if !s.acks.put(t, m.Seq, e, dup) {
		s.stats.AcksDropped++
	}
	if t.phase == open {
		s.progress(now, t)
	}
}

// receiver is the index of the receiver that a datagram was sent to.
func (s *Server) receiver(e *loop.Envelope) (int, bool) {
	if e.Local.Addr().IsValid() {
		i, ok := s.byAddr[plain(e.Local)]
		return i, ok
	}
	for i := range s.cfg.Receivers {
		r := &s.cfg.Receivers[i]
		if r.Sock == e.Sock && (e.Local.Port() == 0 || e.Local.Port() == r.Addr.Port()) {
			return i, true
		}
	}
	return 0, false
}

// Fail implements [loop.Handler]. An error changes nothing: it may be forged, and a
// client that is gone sends nothing either.
func (s *Server) Fail(now time.Time, e *loop.Envelope, err error) {
	s.now = now
	s.stats.SendErrors++
}

// Expire implements [loop.Handler]. The first call recovers what the store has, see Start.
func (s *Server) Expire(now time.Time) {
	s.expire(now)
	s.work(now)
}

func (s *Server) expire(now time.Time) {
	s.now, s.expired = now, now
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

// Transmit implements [loop.Handler]. Acknowledgements come first, since a client waits
// for each of them, but an offer is not held up by any number of them.
func (s *Server) Transmit(now time.Time, e *loop.Envelope, b []byte) (out []byte, ok bool) {
	s.now = now
	// The base protocol has none of these, and one look says so.
	if len(s.dirty)+s.blockAcks.len()+s.replies.len() > 0 {
		if out, ok := s.transmitExtended(now, e, b); ok {
			return out, true
		}
	}
	q := &s.acks
	for q.waits > 0 && (q.streak < offerEvery || s.offers.len() == 0) {
		t, a := q.get()
		if !now.Before(t.limit) {
			s.stats.AcksDropped++
			continue
		}
		q.streak++
		s.stats.Acks++
		a.path.to(e)
		return wire.AppendAck(b, t.tid, a.seq), true
	}
	for s.offers.len() > 0 {
		t := s.offers.pop()
		t.pending = false
		if t.phase == gone || t.phase != ready && !now.Before(t.limit) {
			continue
		}
		q.streak = 0
		s.stats.Offers++
		to := intent{peer: t.client, local: t.local, sock: t.sock}
		to.to(e)
		b = wire.AppendOffer(b, t.tid, s.offering())
		if t.phase == ready {
			s.begin(now, t)
		}
		return b, true
	}
	if q.waits > 0 { // every offer was one of the forgotten
		return s.Transmit(now, e, b)
	}
	return b, false
}

// Next implements [loop.Handler]. A server ends when it is closed, with Config.Once when a
// transaction has its verdict, and when it is drained; else never.
func (s *Server) Next() (at time.Time, ok bool) {
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
