package fleet

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"mdalp/fleet/engine"
	"mdalp/internal/disk"
	"mdalp/loop"
	"mdalp/server"
	"mdalp/wire"
)

const (
	// mostStands is how many transactions a receiver knows; each that is open has two files.
	mostStands = 4096
	// mostWaiting is how many segments of one transaction, and mostWaitingBytes how many
	// bytes of all, wait until the engine has said what it is. A client sends again what is
	// dropped.
	mostWaiting      = 64
	mostWaitingBytes = 16 << 20
	// againAfter is when the engine is asked again about what it did not know.
	againAfter = 300 * time.Millisecond
	// flushEvery is how often what has come is flushed.
	flushEvery = time.Second
	// idleFor is how long a transaction is silent until the engine is asked whether it is
	// over, and forgetFor how long one that is over is remembered.
	idleFor = 40 * time.Second
	// drainIdle is the same of one that drains, which ends when nothing is open.
	drainIdle = 2 * time.Second
	// drainFor is how long it stays at least when the engine was told that it drains: orchestrators
	// hear of that within a second or two, and whom they offered it last begin then.
	drainFor  = 2 * engine.SayEvery
	forgetFor = time.Minute
)

// A ReceiverConfig sets up a [Receiver].
type ReceiverConfig struct {
	Engine engine.Engine
	// Folder is the shared directory, as disk.View has it, and Token what Join gave for it.
	Folder disk.Folder
	Token  string
	// ID names it, see [engine.Party]: the same at every start, and no other's.
	ID   string
	Zone string
	Name string // told to clients; may be empty
	// Start tells this start from all others. With it another receiver that says that it has this
	// one's ID is found out some seconds later, and one of the two is told: Doubled is called in
	// the loop, once, and is to end the process. Both may be empty.
	Start   string
	Doubled func(other engine.Party)
	// Addr is where clients reach it. Sock and Listen are where that is here: Listen is the
	// address of the datagrams that come, and Addr where it is not given.
	Addr, Listen netip.AddrPort
	Sock         int
	// Segment and Window are what a segment and a burst of them may have; 0 is
	// server.DefaultSegment, and by Buffer, the receive buffer in bytes.
	Segment, Window, Buffer int
	// Limit is how long segments of a base transaction are acknowledged after its first.
	Limit time.Duration
	// Keys has sealed transactions taken.
	Keys Keys
	// Now reads the clock after what may have blocked in the loop, as a write to a directory on the
	// network does; nil is that nothing does.
	Now func() time.Time
	// Slept is how long this machine has been suspended since its start, which the clock of a process
	// does not count; nil is that it never is.
	Slept func() time.Duration
	// Beside runs what blocks; Post calls back into the loop, as loop.Waker.Post does.
	Beside  loop.Beside
	Post    func(func(now time.Time))
	Context context.Context
	Log     *slog.Logger
}

// A Receiver takes segments and acknowledges them. It implements [loop.Handler].
type Receiver struct {
	*server.Receivers
	cfg    ReceiverConfig
	shared *server.Shared
	opener *opener // nil without the fleet's key
	party  engine.Party
	stands map[int64]*stand
	dirty  []*stand // took segments in this burst
	raw    []byte   // the datagram at hand
	held   int      // bytes that wait
	counts ReceiverCounts

	saying     bool
	say, sweep time.Time
	slow       slowness
	first      time.Time // when the engine took first that it is there,
	drained    time.Time // and that it drains
	doubled    bool      // another has its ID
	lease      lease
	sleeps     time.Duration // what Slept said last,
	woke       time.Time     // and when
	now        time.Time
	away       bool
	left       bool
}

// NewReceiver makes one. Whoever drives it calls Serve first.
func NewReceiver(cfg ReceiverConfig) (*Receiver, error) {
	if err := nameable(cfg.ID); err != nil {
		return nil, err
	}
	def(&cfg.Segment, server.DefaultSegment)
	def(&cfg.Buffer, 212992)
	def(&cfg.Window, server.Window(cfg.Buffer, cfg.Segment))
	def(&cfg.Limit, server.DefaultLimit)
	def(&cfg.Listen, cfg.Addr)
	cfg.Context, cfg.Log = orContext(cfg.Context), orLog(cfg.Log)
	shared, err := server.NewShared(cfg.Folder, cfg.Now)
	if err != nil {
		return nil, err
	}
	r := &Receiver{cfg: cfg, shared: shared, stands: make(map[int64]*stand)}
	r.party = engine.Party{Role: engine.Receiver, ID: cfg.ID, Addr: cfg.Addr, Zone: cfg.Zone,
		Token: cfg.Token, Seg: cfg.Segment, Win: cfg.Window, Name: cfg.Name, Start: cfg.Start}
	if v := cfg.Keys.vault(); v != nil {
		if r.opener, err = newOpener(v, cfg.ID); err != nil {
			return nil, err
		}
		r.party.Seal = r.opener.births[0].text
	}
	r.Receivers, err = server.NewLocalReceivers([]server.Receiver{{Addr: cfg.Listen, Sock: cfg.Sock}}, r)
	return r, err
}

// Serve has the asks of orchestrators answered from now on, until Context is done.
func (r *Receiver) Serve() error {
	return r.cfg.Engine.Serve(r.cfg.Context, r.cfg.ID, func(a engine.Ask, answer func(engine.Answer)) {
		r.cfg.Post(func(now time.Time) { r.asked(now, a, answer) })
	})
}

// Counts is called in the loop, as Open is, which tells how many transactions have segments
// here and are not over.
func (r *Receiver) Counts() ReceiverCounts {
	c := r.counts
	c.Slow = r.slow.count
	return c
}

// Open is said at Counts. A transaction that an orchestrator has asked about, and of which
// nothing came, is none: offers that nobody uses would keep a receiver from ending.
func (r *Receiver) Open() (n int) {
	for _, s := range r.stands { // order does not show
		if s.live() && !s.last.IsZero() {
			n++
		}
	}
	return n
}

// Away reports whether the engine did not answer when this one last said that it is there.
func (r *Receiver) Away() bool { return r.away }

// Receive implements [loop.Handler].
func (r *Receiver) Receive(now time.Time, e *loop.Envelope, b []byte) {
	r.now, r.raw = now, b
	if r.opener != nil {
		var ok bool
		if b, ok = r.unseal(b); !ok {
			return
		}
	}
	r.Receivers.Receive(now, e, b)
	r.raw = nil
}

// Expire implements [loop.Handler].
func (r *Receiver) Expire(now time.Time) {
	r.now = now
	if r.left {
		return
	}
	if !now.Before(r.say) && !r.saying {
		r.sayThere(now)
	}
	if !now.Before(r.sweep) {
		r.sweep = now.Add(flushEvery)
		r.sweepStands(now)
	}
}

// Next implements [loop.Handler]. A receiver that is draining ends when nothing is open, and nobody
// is offered it any more.
func (r *Receiver) Next() (at time.Time, ok bool) {
	if r.left || !r.drained.IsZero() && r.Open() == 0 && r.now.Sub(r.drained) >= drainFor {
		return time.Time{}, false
	}
	at = r.sweep
	if r.say.Before(at) && !r.saying {
		at = r.say
	}
	return at, true
}

// Take implements [server.Taker].
func (r *Receiver) Take(now time.Time, e *loop.Envelope, _ int, m *wire.Message) (*server.Flow, bool) {
	s := r.stands[m.TID]
	if s == nil {
		if s = r.stand(now, m.TID); s == nil {
			r.counts.Dropped++
			return nil, false
		}
	}
	s.used = now
	switch s.state {
	case unknown:
		if now.Before(s.again) && !s.asking {
			r.counts.Dropped++
			return nil, false
		}
		r.wait(s, e)
		s.numbered = s.numbered || m.Num >= 0
		r.ask(now, s)
		return nil, false
	case extended:
		if m.Num >= 0 {
			return r.block(now, s, m)
		}
	case base:
		if m.Num < 0 {
			if r.leased(now, s, e) {
				return r.segment(now, s, m)
			}
			return nil, false
		}
		if r.early(s) {
			s.numbered = true
			r.wait(s, e)
			r.ask(now, s)
			return nil, false
		}
	}
	r.counts.Dropped++
	return nil, false
}

// wait keeps the datagram at hand until it is known what its transaction is.
func (r *Receiver) wait(s *stand, e *loop.Envelope) {
	if r.raw == nil || len(s.waiting) >= mostWaiting || r.held+len(r.raw) > mostWaitingBytes {
		r.counts.Dropped++
		return
	}
	r.counts.Waited++
	r.held += len(r.raw)
	s.waiting = append(s.waiting, waiting{*e, append([]byte(nil), r.raw...)})
}

// Burst implements [server.Taker].
func (r *Receiver) Burst(time.Time) {
	if len(r.dirty) == 0 {
		return
	}
	r.shared.Burst()
	for _, s := range r.dirty {
		s.dirty = false
		if s.part != nil && s.part.Err() != nil {
			r.broken(s, s.part.Err())
		}
	}
	r.dirty = r.dirty[:0]
}
