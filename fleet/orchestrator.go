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
)

const (
	// livingEvery is how often an orchestrator asks who is there, and orphansEvery how often
	// what others have left.
	livingEvery  = time.Second
	orphansEvery = 5 * time.Second
	// livingFor is how old what is known of the others may be when they are offered: the engine is
	// asked every second, by two calls each of which may be given up. It is older in a process that
	// was held up.
	livingFor = livingEvery + 3*writeFor
	far       = time.Hour
)

// What a field of a server.Config means in a fleet when it is 0: an orchestrator has neither
// segments nor files, so that what is open costs it some kilobytes.
const (
	DefaultConcurrent = 16384
	DefaultMaxOpen    = 65536
)

// An OrchestratorConfig sets up an [Orchestrator].
type OrchestratorConfig struct {
	Engine engine.Engine
	// Folder is the shared directory, as disk.View has it, and Token what Join gave for it.
	Folder disk.Folder
	Token  string
	// ID names this process: letters, digits, dashes and underscores. It must be another at
	// every start. Addr is where clients reach it, Zone where it is, for people.
	ID   string
	Addr netip.AddrPort
	Zone string
	// Names puts the name that a client gives an extended payload behind its number, TID-NAME,
	// instead of ".bin", as server.DirOptions.Names does. Orchestrators may differ in it: it counts
	// for what is opened here.
	Names bool
	// PerOffer is how many receivers a transaction is offered at most; 0 is as many as an
	// extended offer has room for, some fourteen.
	PerOffer int
	// Server has limits and queues; its Receivers, Store, Fleet and Expect are empty.
	// RoomPerOffer is what the directory must have room for at a receiver.
	Server server.Config
	// Keys has sealed transactions taken.
	Keys Keys
	// Beside runs what blocks, the engine's calls above all. Where those wait for the
	// engine each has a goroutine, so that there should be room for many: some hundreds.
	Beside loop.Beside
	// Now reads the clock beside the loop, so that slow flushes are told; nil has none told. Pause
	// waits; nil is by the clock.
	Now   func() time.Time
	Pause func(context.Context, time.Duration)
	// Context ends what blocks. Who ends it does so behind Close.
	Context context.Context
	Log     *slog.Logger
}

// An Orchestrator answers intents and manifests, as one of several. It implements
// [loop.Handler].
type Orchestrator struct {
	*server.Orchestrator
	cfg    OrchestratorConfig
	sealed *server.SealedOrchestrator // nil without keys
	store  *store
	party  engine.Party
	living []engine.Party
	seen   bool      // living is known, and this one is in it
	asked  time.Time // when what it says was asked for
	away   bool      // the engine did not answer when asked last

	asking           bool // who is there
	seeking          bool // what others have left
	clearing         bool // what is left of transactions that nobody knows
	say, look, orphs time.Time
	clear            time.Time
	now              time.Time
	left             bool
	none             time.Time // since when nobody can be offered
	noneTold         bool
	strangers        map[string]string // receivers that are never offered and were told of, by their start
}

// NewOrchestrator makes one. It fails as [server.NewOrchestrator] does.
func NewOrchestrator(cfg OrchestratorConfig) (*Orchestrator, error) {
	if err := nameable(cfg.ID); err != nil {
		return nil, err
	}
	def(&cfg.Server.Concurrent, DefaultConcurrent)
	def(&cfg.Server.SourceConcurrent, DefaultConcurrent/4)
	def(&cfg.Server.MaxOpen, DefaultMaxOpen)
	def(&cfg.Server.RoomPerOffer, server.DefaultRoomPerOffer)
	cfg.Pause, cfg.Context, cfg.Log = orPause(cfg.Pause), orContext(cfg.Context), orLog(cfg.Log)
	shared, err := server.NewShared(cfg.Folder, nil)
	if err != nil {
		return nil, err
	}
	s := &Orchestrator{cfg: cfg, strangers: make(map[string]string)}
	s.party = engine.Party{Role: engine.Orchestrator, ID: cfg.ID, Addr: cfg.Addr, Zone: cfg.Zone,
		Token: cfg.Token}
	s.store = &store{engine: cfg.Engine, folder: cfg.Folder, shared: shared, me: cfg.ID, token: cfg.Token,
		beside: cfg.Beside, pause: cfg.Pause, ctx: cfg.Context, log: cfg.Log, tx: make(map[int64]*trans),
		taking: make(map[int64]int), parts: s.choose, vault: cfg.Keys.vault(),
		names: cfg.Names, now: cfg.Now}
	s.cfg.Keys = cfg.Keys
	c := cfg.Server
	c.Store, c.Fleet, c.Beside, c.Log = s.store, (*hooks)(s), cfg.Beside, cfg.Log
	if s.Orchestrator, err = server.NewOrchestrator(c); err != nil {
		return nil, err
	}
	return s, s.keyed()
}

// candidates are those that transaction tid may be offered, by the rule of choose.
func (s *Orchestrator) candidates(tid int64) []engine.Party {
	living := s.living
	if s.sealed != nil {
		living = s.trusted(living)
	}
	return choose(living, s.cfg.Token, tid, s.cfg.PerOffer, s.cfg.Server.RoomPerOffer)
}

// choose gives those that it is offered: of them as many as keep the offer an extended one, where
// nobody asked for more.
func (s *Orchestrator) choose(tid int64) []engine.Party {
	ps := s.candidates(tid)
	if s.sealed == nil && (s.cfg.PerOffer > 0 || s.cfg.Server.Base) {
		return ps
	}
	if few := extendable(ps); s.sealed != nil || len(few) > 0 {
		return few
	}
	return ps
}

// Away reports whether the engine did not answer when it was asked last who is there. It is
// called in the loop.
func (s *Orchestrator) Away() bool { return s.away }

// Counts are what was asked of the engine. Any goroutine may call it.
func (s *Orchestrator) Counts() Counts {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	return s.store.counts
}

// Receive implements [loop.Handler].
func (s *Orchestrator) Receive(now time.Time, e *loop.Envelope, b []byte) {
	s.now = now
	if s.sealed != nil {
		s.sealed.Receive(now, e, b)
		return
	}
	s.Orchestrator.Receive(now, e, b)
}

// Expire implements [loop.Handler].
func (s *Orchestrator) Expire(now time.Time) {
	s.now = now
	s.Orchestrator.Expire(now)
	s.tend(now)
}

// Next implements [loop.Handler].
func (s *Orchestrator) Next() (at time.Time, ok bool) {
	at, ok = s.Orchestrator.Next()
	if !ok {
		return at, false
	}
	for _, t := range []time.Time{s.look, s.orphs} {
		if t.Before(at) {
			at = t
		}
	}
	return at, true
}

// tend asks who is there, says that this one is, and takes over what others have left.
func (s *Orchestrator) tend(now time.Time) {
	if s.left {
		return
	}
	if !now.Before(s.look) {
		s.look = now.Add(livingEvery)
		if !s.asking {
			s.askLiving(now)
		}
	}
	if !now.Before(s.orphs) {
		s.orphs = now.Add(orphansEvery)
		if s.seen && !s.seeking && !s.party.Draining {
			s.seekOrphans()
		}
	}
	s.tendLeft(now)
}

func (s *Orchestrator) askLiving(now time.Time) {
	s.asking = true
	say := !now.Before(s.say)
	s.party.Open = s.Open()
	p, began := s.party, now
	e, parent := s.cfg.Engine, s.cfg.Context
	s.cfg.Beside(func() func(time.Time) {
		ctx, cancel := context.WithTimeout(parent, writeFor)
		defer cancel()
		var err error
		if say {
			err = e.Say(ctx, &p)
		}
		var living []engine.Party
		if err == nil {
			living, err = e.Living(ctx)
		}
		return func(now time.Time) {
			s.asking = false
			s.heard(now, began, say, living, err)
		}
	})
}

// heard takes who is there, or was when that was asked for.
func (s *Orchestrator) heard(now, asked time.Time, said bool, living []engine.Party, err error) {
	if away := err != nil; away != s.away {
		s.away = away
		if away {
			s.cfg.Log.Error("the engine does not answer, nothing new is offered", "err", err)
		} else {
			s.cfg.Log.Info("the engine answers again")
		}
	}
	if err != nil {
		return
	}
	s.living, s.seen, s.asked = living, true, asked
	if said {
		s.say = now.Add(engine.SayEvery)
	}
	s.tellNone(now)
}

func (s *Orchestrator) seekOrphans() {
	s.seeking = true
	s.cfg.Beside(func() func(time.Time) {
		found, err := s.store.orphans()
		return func(now time.Time) {
			s.seeking = false
			if err != nil {
				s.cfg.Log.Debug("what others have left cannot be looked for", "err", err)
			}
			for _, f := range found {
				s.Adopt(now, f) // or it is looked for again
			}
		}
	})
}

// Drain is the server's: no transaction begins here any more, and it ends when its own have.
func (s *Orchestrator) Drain(now time.Time) {
	s.party.Draining = true
	s.Orchestrator.Drain(now)
}

// Close ends the program at once. What is open is left to the other orchestrators, and this
// one says that it is gone, so that they need not wait. What that takes goes on beside until
// Drained says so.
func (s *Orchestrator) Close(now time.Time) {
	if s.left {
		return
	}
	s.left = true
	s.store.mu.Lock()
	s.store.leaving = true
	s.store.mu.Unlock()
	s.Orchestrator.Close(now)
	p, e, parent := s.party, s.cfg.Engine, s.cfg.Context
	s.cfg.Beside(func() func(time.Time) {
		ctx, cancel := context.WithTimeout(parent, writeFor)
		defer cancel()
		e.Leave(ctx, &p)
		return nil
	})
}
