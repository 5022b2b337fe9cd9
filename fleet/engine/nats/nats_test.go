package nats

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"mdalp/fleet/engine"
	"mdalp/fleet/engine/conform"
	"mdalp/fleet/internal/engines"
)

// patience bounds what a test waits for. It is far more than anything takes.
const patience = 5 * time.Minute

// dial connects to c.
func dial(t *testing.T, c *engines.Cluster, o Options) *Engine {
	t.Helper()
	o.URL, o.Replicas = c.URL(), len(c.Servers)
	o.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	e, err := Dial(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// pass waits.
func pass(d time.Duration) { <-time.After(d) }

// stream takes what is in the stream of settled transactions, as who takes payloads on does, until
// nothing is left in it. What is given twice, as its acknowledgement was lost, is told once.
func stream(t *testing.T, e *Engine) (tids []int64) {
	t.Helper()
	seen := make(map[uint64]bool)
	for ctx := short(t, patience); ; pass(pause) {
		left, err := take(ctx, e, func(m jetstream.Msg) error {
			at, err := m.Metadata()
			if err != nil || seen[at.Sequence.Stream] {
				return err
			}
			r, err := engine.ParseRecord(m.Data())
			if err == nil {
				seen[at.Sequence.Stream] = true
				tids = append(tids, r.TID)
			}
			return err
		})
		if err == nil && left == 0 {
			return tids
		}
		if ctx.Err() != nil {
			t.Fatalf("%d are left, %v", left, err)
		}
	}
}

// take hands what is in that stream now to f, and gives how many are left there.
func take(ctx context.Context, e *Engine, f func(jetstream.Msg) error) (left uint64, err error) {
	c, err := e.js.CreateOrUpdateConsumer(ctx, e.settledName(),
		jetstream.ConsumerConfig{Durable: "taker", AckPolicy: jetstream.AckExplicitPolicy, AckWait: 5 * time.Second})
	if err != nil {
		return 0, err
	}
	batch, err := c.FetchNoWait(100)
	if err != nil {
		return 0, err
	}
	for m := range batch.Messages() {
		if err := f(m); err != nil {
			return 0, err
		}
		if err := m.DoubleAck(ctx); err != nil {
			return 0, err
		}
	}
	s, err := e.js.Stream(ctx, e.settledName()) // an acknowledgement has a message removed
	if err != nil {
		return 0, err
	}
	return s.CachedInfo().State.Msgs, batch.Error()
}

// One server, and three, do what the interface says.
func TestConform(t *testing.T) {
	for _, n := range []int{1, 3} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			e := dial(t, engines.Start(t, n, engines.Options{}), Options{})
			conform.Run(t, conform.Subject{Engine: e, Pass: pass, Stream: func() []int64 { return stream(t, e) }})
			if s := e.Stats(); !s.Ready || !s.Connected || s.Server == "" || s.Writes == 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

func record() *engine.Record {
	return &engine.Record{TID: rand.Int64(), State: engine.Created, Owner: "o", Epoch: 1,
		Client: netip.MustParseAddrPort("192.0.2.1:1"), Receivers: []engine.Station{}}
}

// short is a context that ends soon.
func short(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// Without a majority nothing is written, found to be missing or told to be there; with one it
// goes on, by the same Engine. What was written before is there.
func TestMinority(t *testing.T) {
	t.Parallel()
	c := engines.Start(t, 3, engines.Options{})
	e := dial(t, c, Options{})
	old := record()
	rev, err := e.Create(short(t, patience), old)
	if err != nil {
		t.Fatal(err)
	}
	settle(t, e)
	c.Servers[0].Kill()
	c.Servers[1].Kill()
	r := record()
	for name, call := range map[string]func(context.Context) error{
		"create":    func(ctx context.Context) error { _, err := e.Create(ctx, r); return err },
		"update":    func(ctx context.Context) error { _, err := e.Update(ctx, old, rev); return err },
		"get":       func(ctx context.Context) error { _, _, err := e.Get(ctx, r.TID); return err },
		"unsettled": func(ctx context.Context) error { _, err := e.Unsettled(ctx); return err },
		"say":       func(ctx context.Context) error { return e.Say(ctx, someone()) },
		"publish":   func(ctx context.Context) error { return e.Publish(ctx, r) },
		"token":     func(ctx context.Context) error { _, err := e.Token(ctx, "mine"); return err },
	} {
		start := time.Now()
		if err := call(short(t, 300*time.Millisecond)); !errors.Is(err, engine.ErrAway) {
			t.Errorf("%s: %v", name, err)
		}
		if took := time.Since(start); took > patience {
			t.Errorf("%s: it takes %v", name, took)
		}
	}
	if err := c.Servers[0].Start(); err != nil {
		t.Fatal(err)
	}
	ctx := short(t, patience)
	// What failed may have been written all the same: that is what ErrAway says.
	if _, err := e.Create(ctx, r); err != nil && !errors.Is(err, engine.ErrExists) {
		t.Error(err)
	}
	if got, _, err := e.Get(ctx, old.TID); err != nil || got.Owner != "o" {
		t.Errorf("%+v, %v", got, err)
	}
	if all, err := e.Unsettled(ctx); err != nil || len(all) < 2 {
		t.Errorf("%d, %v", len(all), err)
	}
}

// One server after the other is killed or stands still while others write: each write tells
// how it ended, and what it tells is so.
func TestOneAway(t *testing.T) {
	t.Parallel()
	c := engines.Start(t, 3, engines.Options{})
	e := dial(t, c, Options{})
	ctx := short(t, patience)
	written := make(map[int64]uint64)
	write := func(n int) {
		for range n {
			r := record()
			rev, err := e.Create(ctx, r)
			if err == nil {
				r.State, r.Bytes, r.Segment = engine.Open, 5000, 1200
				rev, err = e.Update(ctx, r, rev)
			}
			switch {
			case err == nil:
				written[r.TID] = rev
			case errors.Is(err, engine.ErrAway): // the bound of one call
			default:
				t.Fatal(err)
			}
		}
	}
	write(5)
	for i, s := range c.Servers {
		if i == 1 {
			if err := s.Stop(); err != nil {
				t.Fatal(err)
			}
			write(3)
			if err := s.Go(); err != nil {
				t.Fatal(err)
			}
			write(3)
			continue
		}
		s.Kill()
		write(5)
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
		write(5)
	}
	if len(written) < 15 {
		t.Errorf("only %d were written", len(written))
	}
	for tid, rev := range written {
		r, now, err := e.Get(ctx, tid)
		if err != nil || now != rev || r.State != engine.Open {
			t.Errorf("TID %d: revision %d of %+v, %v", tid, now, r, err)
		}
	}
	t.Logf("%+v", e.Stats())
}

// All servers die at once and come again: all goes on, by the same Engine, and who is there can
// say so, though that is in the servers' memory.
func TestAllAtOnce(t *testing.T) {
	for _, n := range []int{1, 3} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			c := engines.Start(t, n, engines.Options{})
			e := dial(t, c, Options{})
			ctx := short(t, patience)
			p := someone()
			r := record()
			if _, err := e.Create(ctx, r); err != nil {
				t.Fatal(err)
			}
			if err := e.Say(ctx, p); err != nil {
				t.Fatal(err)
			}
			for _, s := range c.Servers {
				s.Kill()
			}
			for _, s := range c.Servers {
				if err := s.Start(); err != nil {
					t.Fatal(err)
				}
			}
			if got, _, err := e.Get(ctx, r.TID); err != nil || got.Owner != "o" {
				t.Errorf("%+v, %v", got, err)
			}
			var err error
			for ctx.Err() == nil {
				one, cancel := context.WithTimeout(ctx, 3*time.Second)
				err = e.Say(one, p)
				var all []engine.Party
				if err == nil {
					all, err = e.Living(one)
				}
				cancel()
				if err == nil && len(all) == 1 {
					return
				}
				pass(pause)
			}
			t.Errorf("who is there cannot say so: %v", err)
		})
	}
}

// An engine that comes later is no error.
func TestLate(t *testing.T) {
	t.Parallel()
	c := engines.Start(t, 1, engines.Options{})
	c.Servers[0].Kill()
	e := dial(t, c, Options{})
	if _, err := e.Living(short(t, 100*time.Millisecond)); !errors.Is(err, engine.ErrAway) {
		t.Error(err)
	}
	if s := e.Stats(); s.Ready || s.Connected || s.Away == 0 {
		t.Errorf("%+v", s)
	}
	if err := c.Servers[0].Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Create(short(t, patience), record()); err != nil {
		t.Error(err)
	}
}

// A full ledger says so at once, and forgets nothing; what has begun can end. With more room it goes
// on.
func TestFull(t *testing.T) {
	t.Parallel()
	e := dial(t, engines.Start(t, 1, engines.Options{}), Options{LedgerBytes: 16384, Fleet: "small"})
	var first *engine.Record
	for range 100 {
		r := record()
		_, err := e.Create(short(t, patience), r)
		if first == nil {
			first = r
		}
		if err == nil {
			continue
		}
		if errors.Is(err, engine.ErrAway) || errors.Is(err, engine.ErrExists) {
			t.Error(err)
		}
		t.Log(err)
		first, rev, err := e.Get(short(t, patience), first.TID)
		for _, s := range []engine.State{engine.Open, engine.Settling, engine.Complete} {
			if err != nil {
				t.Fatal(s, err)
			}
			first.State, first.Bytes, first.Segment = s, 5000, 1200
			rev, err = e.Update(short(t, patience), first, rev)
		}
		c := e.streams()[0]
		c.MaxBytes *= 2
		if _, err := e.js.UpdateStream(short(t, patience), c); err != nil {
			t.Fatal(err)
		}
		for ctx := short(t, patience); ; <-time.After(50 * time.Millisecond) {
			if _, err := e.Create(ctx, record()); err == nil {
				return
			} else if ctx.Err() != nil {
				t.Fatal(err)
			}
		}
	}
	t.Error("100 records fit into 16,384 bytes")
}

// What is wrong with options is said by name, before anything is tried.
func TestDial(t *testing.T) {
	for _, o := range []Options{
		{}, {URL: "nats://127.0.0.1:1", Fleet: "a.b"}, {URL: "nats://127.0.0.1:1", Fleet: "*"},
		{URL: "nats://127.0.0.1:1", Cert: "c.pem"}, {URL: "nats://127.0.0.1:1", CA: "/nonexistent.pem"},
		{URL: "nats://127.0.0.1:1", Creds: "/nonexistent.creds"},
	} {
		if e, err := Dial(o); err == nil {
			e.Close()
			t.Errorf("%+v is taken", o)
		} else {
			t.Log(err)
		}
	}
}

// A syncer's write begins after whoever waits for it has come, and one does for many.
func TestSyncer(t *testing.T) {
	var began atomic.Uint64
	gate := make(chan struct{})
	s := syncer{write: func(context.Context) (uint64, error) {
		n := began.Add(1)
		<-gate
		return n, nil
	}}
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			before := began.Load()
			if n, err := s.after(t.Context()); err != nil || n <= before {
				t.Errorf("%d after %d, %v", n, before, err)
			}
		})
	}
	close(gate)
	wg.Wait()
	if n := began.Load(); n > 50 {
		t.Errorf("%d writes", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	stuck := make(chan struct{})
	defer close(stuck)
	s.write = func(context.Context) (uint64, error) { <-stuck; return 0, nil }
	if _, err := s.after(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// settle waits until all servers have all that there is: who kills most of them before has none that
// may lead.
func settle(t *testing.T, e *Engine) {
	t.Helper()
	for ctx := short(t, patience); ; <-time.After(50 * time.Millisecond) {
		all := e.Streams(ctx)
		behind := slices.ContainsFunc(all, func(s Stream) bool { return s.Problem != "" || len(s.Warnings) > 0 })
		if !behind {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("%+v", all)
		}
	}
}

// someone is a party.
func someone() *engine.Party {
	return &engine.Party{Role: engine.Receiver, ID: "x", Addr: netip.MustParseAddrPort("192.0.2.1:4650")}
}
