package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"mdalp/fleet"
	"mdalp/fleet/engine"
	"mdalp/fleet/overview"
	"mdalp/internal/manager"
	"mdalp/loop"
	"mdalp/server"
)

// orchestrating is the command line of an orchestrator.
type orchestrating struct {
	part
	keyed
	perOffer         int
	limit, idle      time.Duration
	silence          time.Duration
	concurrent       int
	sourceConcurrent int
	rate             float64
	offerRate        int64
	maxBytes         int64
	base             bool
	clientNames      bool
}

func newOrchestrator() *cobra.Command {
	o := new(orchestrating)
	c := &cobra.Command{
		Use:   "orchestrator",
		Short: "Answer intents and manifests",
		Long: `Answer intents and manifests, as one of several orchestrators: any of them answers for any
transaction of the fleet. Of a client that is given all their addresses none is missed.

Receivers are offered that are there, are not draining, and have room. Zones take turns; of
one zone the one with the fewest open transactions comes first.`,
		Args: none,
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c.Context()) },
	}
	f := c.Flags()
	o.part.define(f)
	o.keyed.define(f)
	f.IntVar(&o.perOffer, "receivers-per-offer", 0, "most receivers that one transaction is offered "+
		"(0: as many as an extended offer has room for, some fourteen)")
	f.DurationVar(&o.limit, "limit", server.DefaultLimit, "how long a base transaction may take")
	f.DurationVar(&o.idle, "idle", server.DefaultIdle,
		"silence after which base data without a hole is complete")
	f.DurationVar(&o.silence, "silence", server.DefaultSilence,
		"how long an extended transaction may be silent")
	f.IntVar(&o.concurrent, "concurrent", fleet.DefaultConcurrent, "transactions at the same time here")
	f.IntVar(&o.sourceConcurrent, "source-concurrent", 0,
		"of these, how many one source may have (default: a quarter)")
	f.Float64Var(&o.rate, "intent-rate", server.DefaultIntentRate,
		"intents a second that one source may send and not follow up (negative: any)")
	f.Int64Var(&o.offerRate, "offer-rate", server.DefaultOfferRate,
		"bytes of offers a second to all clients together (0: no bound)")
	f.Int64Var(&o.maxBytes, "max-bytes", 0, "largest payload of a transaction, in bytes (0: no bound)")
	f.BoolVar(&o.clientNames, "names-from-clients", false,
		"name an extended payload TID-NAME, as its client calls it, instead of TID.bin")
	f.BoolVar(&o.base, "base", false, "speak the base protocol alone")
	return c
}

func (o *orchestrating) run(ctx context.Context) error {
	if err := o.check(); err != nil {
		return err
	}
	if err := negative(map[string]int64{"--receivers-per-offer": int64(o.perOffer), "--limit": int64(o.limit),
		"--idle": int64(o.idle), "--silence": int64(o.silence), "--concurrent": int64(o.concurrent),
		"--source-concurrent": int64(o.sourceConcurrent), "--offer-rate": o.offerRate,
		"--max-bytes": o.maxBytes}); err != nil {
		return err
	}
	listen, told, err := o.address()
	if err != nil {
		return err
	}
	keys, err := o.secrets()
	if err != nil {
		return err
	}
	log, err := o.log()
	if err != nil {
		return err
	}
	m := manager.New(log)
	m.Tell("STATUS=waits for the engine")
	calls := signals()
	folder, err := o.folder()
	if err != nil {
		return err
	}
	at, err := o.bind(listen)
	if err != nil {
		return err
	}
	defer at.Close()
	e, err := o.dial("mdalp-fleet orchestrator "+told.String(), log)
	if err != nil {
		return err
	}
	defer e.Close()
	starting, started := begun(ctx, calls)
	token, err := o.join(starting, e, folder)
	started()
	if errors.Is(err, errSignal) {
		return nil
	}
	if err != nil {
		return err
	}
	w, err := loop.NewWaker()
	if err != nil {
		return err
	}
	defer w.Close()
	id := "o-" + rand.Text()[:12] // another at every start
	s, err := fleet.NewOrchestrator(fleet.OrchestratorConfig{
		Engine: e, Folder: folder, Token: token, ID: id, Addr: told, Zone: o.zone, PerOffer: o.perOffer,
		Names: o.clientNames, Server: o.config(at.sock), Keys: keys, Now: time.Now,
		Beside: w.Beside(besides), Log: log,
	})
	if err != nil {
		return usagef("%w", err)
	}
	counts := func() []overview.Count { return orchestratorCounts(w, s) }
	log.Info("orchestrator", "id", id, "listen", listen, "addr", told, "dir", o.dir, "zone", o.zone)
	d := &daemon{program: s, log: log, waker: w, sock: at.sock, drain: o.drain, linger: engine.SayEvery,
		counts: counts, manager: m}
	d.show(at.page, e, id)
	return d.run(ctx, calls)
}

// config is what the server's own part is told.
func (o *orchestrating) config(sock *loop.Socket) server.Config {
	c := server.Config{
		Limit: o.limit, Idle: o.idle, Silence: o.silence, Concurrent: o.concurrent,
		SourceConcurrent: o.sourceConcurrent, IntentRate: o.rate, OfferRate: cmp.Or(o.offerRate, -1),
		MaxBytes: o.maxBytes, Base: o.base, Buffers: []int{sock.ReceiveBuffer()},
	}
	rand.Read(c.Seed[:]) // never fails
	return c
}

// orchestratorCounts are the metrics of this part.
func orchestratorCounts(w *loop.Waker, s *fleet.Orchestrator) []overview.Count {
	type seen struct {
		stats         server.Stats
		open, waiting int
	}
	v := inLoop(w, func() seen { return seen{s.Stats(), s.Open(), s.Waiting()} })
	c := s.Counts()
	count, gauge := overview.Counter, overview.Gauge
	return []overview.Count{
		count("orchestrator_datagrams_total", "Datagrams that came.", v.stats.Datagrams),
		count("orchestrator_offers_total", "Offers sent, repeated ones too.", v.stats.Offers),
		gauge("orchestrator_open", "Transactions that it answers for.", v.open),
		gauge("orchestrator_waiting", "Intents that wait.", v.waiting),
		count("orchestrator_writes_total", "Records written.", c.Writes),
		count("orchestrator_conflicts_total", "Of these, refused as another had written.", c.Conflicts),
		count("orchestrator_asks_total", "Receivers asked.", c.Asks),
		count("orchestrator_silent_total", "Of these, without an answer.", c.Silent),
		count("orchestrator_taken_over_total", "Transactions of others.", c.Taken),
		count("orchestrator_lost_total", "Transactions that others took over.", c.Lost),
		count("orchestrator_settled_total", "Payloads published.", c.Settled),
		count("orchestrator_slow_flushes_total", "Flushes that took longer than 2 s.", c.Slow),
	}
}
