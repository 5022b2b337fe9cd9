package nats

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"mdalp/fleet/engine"
)

// The names of buckets, streams and subjects, all with the fleet's before them.
func (e *Engine) ledgerName() string  { return e.options.Fleet + "_ledger" }
func (e *Engine) partiesName() string { return e.options.Fleet + "_parties" }
func (e *Engine) fixedName() string   { return e.options.Fleet + "_fixed" }
func (e *Engine) settledName() string { return e.options.Fleet + "_settled" }

func (e *Engine) settledSubject() string { return "mdalp." + e.options.Fleet + ".settled" }

func (e *Engine) askSubject(receiver string) string {
	return "mdalp." + e.options.Fleet + ".ask." + receiver
}

// bucket is a stream as a key-value bucket has it. Reads are answered by its leader alone:
// any server may answer where AllowDirect is set, from a state that is long gone.
func (e *Engine) bucket(name string, bytes int64, keep time.Duration) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: "KV_" + name, Subjects: []string{"$KV." + name + ".>"},
		Storage: jetstream.FileStorage, Replicas: e.options.Replicas,
		MaxMsgsPerSubject: 1, MaxBytes: bytes, MaxMsgSize: maxValue, MaxAge: keep,
		// What is full takes nothing more, and forgets nothing.
		Discard: jetstream.DiscardNew, AllowRollup: true, DenyDelete: true,
		Duplicates: 2 * time.Minute,
	}
}

// streams are all that the fleet has.
func (e *Engine) streams() []jetstream.StreamConfig {
	// A record is there for Keep, and may be read by a clock that is a little behind.
	ledger := e.bucket(e.ledgerName(), e.options.LedgerBytes, engine.Keep+time.Hour)
	parties := e.bucket(e.partiesName(), partiesBytes, 0)
	// Who is there says so again in seconds, so nothing is lost with a server's memory; but a
	// server that is alone forgets a bucket with it.
	if e.options.Replicas > 1 {
		parties.Storage = jetstream.MemoryStorage
	}
	parties.AllowMsgTTL, parties.SubjectDeleteMarkerTTL = true, engine.Lives
	fixed := e.bucket(e.fixedName(), fixedBytes, 0)
	settled := jetstream.StreamConfig{
		Name: e.settledName(), Subjects: []string{e.settledSubject()},
		Description: "settled transactions, for those who take the payloads on",
		Storage:     jetstream.FileStorage, Replicas: e.options.Replicas,
		Retention: jetstream.WorkQueuePolicy, MaxBytes: e.options.SettledBytes, MaxMsgSize: maxValue,
		// Where nobody takes them, the oldest go: clients are not kept waiting for that.
		Discard: jetstream.DiscardOld, Duplicates: doubles,
	}
	return []jetstream.StreamConfig{ledger, parties, fixed, settled}
}

// setUp makes what is not there yet, and tries until it is.
func (e *Engine) setUp(ctx context.Context) {
	for told := make(map[string]bool); ; {
		err := e.advised(e.trySetUp(ctx))
		if err == nil {
			close(e.set)
			e.log.Info("the engine is ready", "server", e.conn.ConnectedUrlRedacted(),
				"fleet", e.options.Fleet)
			return
		}
		absent := e.options.Look && errors.Is(err, jetstream.ErrStreamNotFound)
		switch {
		case absent:
			err = fmt.Errorf("the engine has nothing of a fleet %q; none of its parts was started yet, or it"+
				" has another name (--fleet): %w", e.options.Fleet, err)
		case !lasting(err):
			err = e.away(err)
		}
		e.note(&e.why, err)
		if absent {
			close(e.absent)
			return
		}
		if text := alike(err); !told[text] && len(told) < mostTold && ctx.Err() == nil {
			told[text] = true
			e.log.Warn("the engine is not ready; nothing is offered until it is", "error", err)
		}
		if !wait(ctx, 5*pause) {
			return
		}
	}
}

func (e *Engine) trySetUp(life context.Context) error {
	if n := e.conn.MaxPayload(); e.conn.IsConnected() && n < mostMessage {
		return fmt.Errorf("%w: messages of %d bytes are the most that it takes, and %d are needed"+
			" (max_payload)", errUnfit, n, mostMessage)
	}
	for _, c := range e.streams() {
		if err := e.makeStream(life, c); err != nil {
			return fmt.Errorf("stream %s: %w", c.Name, err)
		}
	}
	for name, kv := range map[string]*jetstream.KeyValue{
		e.ledgerName(): &e.ledger, e.partiesName(): &e.parties, e.fixedName(): &e.fixed,
	} {
		if err := e.openBucket(life, name, kv); err != nil {
			return fmt.Errorf("bucket %s: %w", name, err)
		}
	}
	e.sync.write = e.mark
	e.records = newView(e.ledger, e.unsettled)
	e.living = newView(e.parties, e.party)
	e.living.quiet, e.living.lives = 2*engine.SayEvery+time.Second, engine.Lives
	e.marks.write, e.marks.every = e.markParties, markEvery
	if !e.options.Look {
		e.running.Go(func() { e.watch(life) })
	}
	e.measured = sync.OnceFunc(func() { e.running.Go(func() { e.measure(life) }) })
	// The registry is followed by those who ask who is there, as orchestrators do: if all receivers did,
	// each word of each would go to all.
	e.meet = sync.OnceFunc(func() { e.running.Go(func() { e.living.run(life, e.log) }) })
	// The ledger is followed by those who ask what is unsettled alone: each of its writes goes
	// to all who follow it.
	e.follow = sync.OnceFunc(func() { e.running.Go(func() { e.records.run(life, e.log) }) })
	return nil
}

// makeStream makes a stream unless it is there. Each question has its own time: while no server leads,
// nobody answers, later neither.
func (e *Engine) makeStream(life context.Context, c jetstream.StreamConfig) error {
	find := func() (jetstream.Stream, error) {
		ctx, cancel := context.WithTimeout(life, attempt)
		defer cancel()
		return e.js.Stream(ctx, c.Name)
	}
	s, err := find()
	if errors.Is(err, jetstream.ErrStreamNotFound) && !e.options.Look {
		ctx, cancel := context.WithTimeout(life, bound)
		// Another may make it at the same time: one with the same settings is the same.
		s, err = e.js.CreateStream(ctx, c)
		cancel()
	}
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		s, err = find()
	}
	if err != nil {
		return err
	}
	if s, err = e.lasts(life, s, &c); err != nil {
		return err
	}
	e.noteStream(s.CachedInfo())
	if has := s.CachedInfo().Config; has.Replicas != c.Replicas {
		e.log.Warn("a stream has another number of replicas than was asked for; it stays so",
			"stream", c.Name, "has", has.Replicas, "asked", c.Replicas)
	}
	return nil
}

func (e *Engine) openBucket(life context.Context, name string, kv *jetstream.KeyValue) (err error) {
	ctx, cancel := context.WithTimeout(life, attempt)
	defer cancel()
	*kv, err = e.js.KeyValue(ctx, name)
	return err
}

// errUnfit is the error of a server that cannot be the engine.
var errUnfit = errors.New("the server is not fit for this")

// mostMessage is the least that a server may have for the most bytes of a message: a record, with its
// headers.
const mostMessage = maxValue + 4<<10

// lasts makes sure that messages of a stream have a time to live where they are to. A server that is too
// old leaves out what it does not know, without a word, and then the registry would fill up until nobody
// could say that he is there. One that has become new enough is told once more.
func (e *Engine) lasts(
	life context.Context, s jetstream.Stream, c *jetstream.StreamConfig,
) (jetstream.Stream, error) {
	has := s.CachedInfo().Config
	if !c.AllowMsgTTL || has.AllowMsgTTL {
		return s, nil
	}
	if !e.options.Look {
		ctx, cancel := context.WithTimeout(life, bound)
		defer cancel()
		has.AllowMsgTTL, has.SubjectDeleteMarkerTTL = true, c.SubjectDeleteMarkerTTL
		is, err := e.js.UpdateStream(ctx, has)
		if err != nil {
			return nil, err
		}
		if is.CachedInfo().Config.AllowMsgTTL {
			return is, nil
		}
	}
	return nil, fmt.Errorf("%w: its messages have no time to live; it takes nats-server 2.14 or later, and"+
		" this is %s", errUnfit, e.conn.ConnectedServerVersion())
}
