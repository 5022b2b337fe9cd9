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

const (
	// maxAcks is how many acknowledgements may wait to be sent.
	maxAcks = 4096
	// far is when a server wants to be woken that waits for datagrams alone.
	far = time.Hour
)

// A Server is an orchestrator and its receivers. It implements [loop.Handler].
type Server struct {
	cfg      Config
	offered  []wire.Receiver
	byAddr   map[netip.AddrPort]int // receivers
	segments int64                  // a SEQ is below it

	limiter *limiter
	waiting fifo[intent]
	queued  map[netip.AddrPort]struct{} // clients in waiting

	random   *rand.Rand
	next     int64 // TID, when they count up
	byTID    map[int64]*transaction
	byClient map[netip.AddrPort]*transaction
	open     int // transactions that are not settled

	// Settled transactions, in the order they settled.
	newest, oldest *transaction
	remembered     int

	wheel *sched.Wheel
	slots []*transaction // by timer
	free  []int

	offers fifo[*transaction]
	acks   fifo[ack]

	now    time.Time
	closed bool
	stats  Stats
}

// ack is an acknowledgement that waits to be sent.
type ack struct {
	t    *transaction
	seq  int64
	path intent // where the segment came from and to
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
		queued:   make(map[netip.AddrPort]struct{}),
		random:   rand.New(rand.NewChaCha8(cfg.Seed)),
		next:     cfg.FirstTID,
		byTID:    make(map[int64]*transaction),
		byClient: make(map[netip.AddrPort]*transaction),
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
func (s *Server) Waiting() int { return s.waiting.len() }

// Receive implements [loop.Handler].
func (s *Server) Receive(now time.Time, e *loop.Envelope, b []byte) {
	s.Expire(now)
	s.stats.Datagrams++
	if s.closed {
		s.stats.AfterClose++
		return
	}
	m, err := wire.Parse(b)
	switch {
	case err != nil, !e.Peer.Addr().IsValid(), e.Peer.Port() == 0:
		s.stats.Malformed++
	case m.Type == wire.Intent:
		s.intent(now, e)
	case m.Type == wire.Data:
		s.data(now, e, &m)
	default:
		s.stats.Unexpected++
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
	if !s.segment(now, t, i, m.Seq, m.Data) {
		return
	}
	if s.acks.len() == maxAcks {
		s.stats.AcksDropped++
	} else {
		a := ack{t: t, seq: m.Seq}
		a.path.from(e)
		s.acks.push(a)
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

// Expire implements [loop.Handler].
func (s *Server) Expire(now time.Time) {
	s.now = now
	if s.wheel == nil {
		s.wheel = sched.NewWheel(now, s.cfg.Concurrent+s.cfg.Remember+1)
	}
	for {
		id, ok := s.wheel.Pop(now)
		if !ok {
			return
		}
		s.wake(now, s.slots[id])
	}
}

// Transmit implements [loop.Handler]. Acknowledgements come first: a client waits for
// each of them.
func (s *Server) Transmit(now time.Time, e *loop.Envelope, b []byte) (out []byte, ok bool) {
	s.now = now
	for s.acks.len() > 0 {
		a := s.acks.pop()
		if !now.Before(a.t.limit) {
			s.stats.AcksDropped++
			continue
		}
		s.stats.Acks++
		a.path.to(e)
		return wire.AppendAck(b, a.t.tid, a.seq), true
	}
	for s.offers.len() > 0 {
		t := s.offers.pop()
		t.pending = false
		if t.phase == gone || t.phase != ready && !now.Before(t.limit) {
			continue
		}
		s.stats.Offers++
		to := intent{peer: t.client, local: t.local, sock: t.sock}
		to.to(e)
		b = wire.AppendOffer(b, t.tid, s.offered)
		if t.phase == ready {
			s.begin(now, t)
		}
		return b, true
	}
	return b, false
}

// Next implements [loop.Handler]. A server ends when it is closed, or with
// Config.Once; else never.
func (s *Server) Next() (at time.Time, ok bool) {
	if s.closed || s.cfg.Once && s.stats.Settled > 0 {
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

// Close settles all open transactions, in no more time than putting their payloads
// together takes, and ends the program. What is whole up to the highest SEQ seen
// counts as complete if no payload is expected, for it has been acknowledged.
// What is still to be sent can be fetched with Transmit.
func (s *Server) Close(now time.Time) {
	s.Expire(now)
	s.closed = true
	for s.waiting.len() > 0 {
		s.waiting.pop()
	}
	clear(s.queued)
	for _, t := range s.slots {
		switch {
		case t == nil:
		case t.phase < open: // the client knows nothing of it
			t.spool.Discard()
			s.open--
			s.forget(t)
		case t.phase == open:
			s.settle(now, t)
		}
	}
}
