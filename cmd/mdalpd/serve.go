package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"mdalp/cmd/internal/status"
	"mdalp/cmd/internal/usage"
	"mdalp/internal/manager"
	"mdalp/loop"
	"mdalp/server"
)

const (
	// besides is how many payloads are put together and flushed at once, beside the loop. They
	// mostly wait for the disk: 1,000 small payloads, at 1 ms a flush, one after the other, take
	// 2.1 s with 4 at once, 1.5 s with 16, 1.4 s with 32.
	besides = 16
	// finishing is how long the end waits for those that are not done.
	finishing = 30 * time.Second
)

// run serves until a signal comes.
func (o *options) run(ctx context.Context) error {
	// A log that nobody reads any more is no reason to end.
	// Neither is a file that would be larger than the limit allows (setrlimit(2)): the
	// write fails.
	signal.Ignore(syscall.SIGPIPE, syscall.SIGXFSZ)
	// Before anything is opened: who sees the port taken may ask for the counters at once.
	// For good: one that comes while it ends, as a second one does, must not kill it before its
	// exit code is told.
	calls := notify()
	log := newLog(o.errs, o.logFormat)
	o.suspect(log)
	cfg, listen, err := o.plan(log)
	if err != nil {
		return err
	}
	in, err := inherit()
	if err != nil {
		return err
	}
	// The port comes before the store: who finds it taken is a second one, and must not
	// touch what belongs to the first.
	socks, err := open(in, listen, cfg.Receivers)
	if err != nil {
		return err
	}
	for _, k := range socks {
		defer k.Close()
		cfg.Buffers = append(cfg.Buffers, k.ReceiveBuffer())
	}
	in.warn(log)
	page, err := status.Open(o.http, log)
	if err != nil {
		return err
	}
	defer page.Close()
	cfg.Settled = page.Settled
	if o.store != "" {
		if err := o.descriptors(&cfg, len(socks)); err != nil {
			return err
		}
		// It is never closed: what may still be under way at the end needs it.
		if cfg.Store, err = o.dir(); err != nil {
			return err
		}
	}
	w, err := loop.NewWaker()
	if err != nil {
		return err
	}
	defer w.Close()
	cfg.Beside = w.Beside(besides)
	d := &daemon{waker: w, log: log, drain: o.drain, idle: o.idle, socks: socks,
		passed: in != nil, store: cfg.Store, dir: o.store, manager: manager.New(log)}
	if d.passed && o.drain > 0 {
		log.Warn("there is no --drain: the sockets are passed on, and the next process goes on "+
			"with what is open", "drain", o.drain)
	}
	if d.Server, d.front, err = o.server(cfg); err != nil {
		return err
	}
	if err := d.Start(time.Now()); err != nil {
		return fmt.Errorf("--store %s: what former runs left cannot be read: %w", o.store, usage.File(err))
	}
	d.resume(time.Now(), o.limit)
	o.announce(log, &cfg, socks[0].LocalAddr())
	page.Serve(status.Watched{Server: d.Server, Waker: w, Sockets: socks, Store: cfg.Store, Path: o.store})
	return d.run(ctx, calls, o.verbose)
}

// announce tells the log that intents are taken, and what cannot go well.
func (o *options) announce(log *slog.Logger, cfg *server.Config, at netip.AddrPort) {
	if cfg.Expect == nil && cfg.Idle >= cfg.Limit {
		log.Warn("no payload of the base protocol can become complete: --idle is not shorter than --limit",
			"idle", cfg.Idle, "limit", cfg.Limit)
	}
	if o.sealed != nil {
		log.Info("sealed transactions are taken", "keys", keyed(o.sealed), "required", o.requireKey)
	}
	if why := narrow(cfg); why != "" {
		log.Warn(why)
	}
	log.Info("listening", "intents", at, "receivers", len(cfg.Receivers), "store", o.store,
		"offers", cfg.Receivers[0].Addr)
}

// plan makes of the options all that can be known before anything is opened.
func (o *options) plan(log *slog.Logger) (cfg server.Config, listen netip.AddrPort, err error) {
	if cfg, err = o.config(); err != nil {
		return cfg, listen, err
	}
	cfg.Log = log
	if listen, err = o.where(); err != nil {
		return cfg, listen, err
	}
	if cfg.Receivers, err = o.offered(listen); err != nil {
		return cfg, listen, err
	}
	if o.sealed, err = o.ring(); err != nil {
		return cfg, listen, err
	}
	// What is wrong is said before anything is opened.
	if _, _, err := o.server(cfg); err != nil {
		return cfg, listen, usage.Errorf("--receivers: %s", strings.TrimPrefix(err.Error(), "server: "))
	}
	return cfg, listen, o.payload(&cfg)
}

// dir opens the store.
func (o *options) dir() (server.Store, error) {
	dir, err := server.NewDir(o.store, o.dirOptions())
	if err != nil {
		return nil, o.unusable(err)
	}
	return dir, nil
}

// dirOptions are the settings of the store.
func (o *options) dirOptions() server.DirOptions {
	return server.DirOptions{MaxBytes: o.storeBytes, Reserve: o.kept(), Names: o.clientNames}
}

// unusable makes an error of the store one that names its option.
func (o *options) unusable(err error) error {
	if errors.Is(err, server.ErrLocked) {
		return fmt.Errorf("--store %w: end it, or give another one", err)
	}
	return fmt.Errorf("--store %s: the directory cannot be made or written: %w", o.store, usage.File(err))
}

// offers is --offer-rate as the server takes it: 0 is its default, less is no bound.
func (o *options) offers() int64 {
	switch {
	case o.offerRate < 0:
		return 0
	case o.offerRate == 0:
		return -1
	}
	return o.offerRate
}

// kept is --reserve as the store takes it: 0 is its default, less is none.
func (o *options) kept() int64 {
	switch {
	case o.reserve < 0:
		return 0
	case o.reserve == 0:
		return -1
	}
	return o.reserve
}

// config makes what is of the command line alone.
func (o *options) config() (server.Config, error) {
	cfg := server.Config{
		Limit: o.limit, Idle: o.idle, OfferDelay: o.delay, Concurrent: o.concurrent,
		// Where the server takes 0 for its default, 0 means none here, or no bound.
		Queue: cmp.Or(o.queue, -1), Keep: cmp.Or(o.keep, -1), OfferRate: o.offers(),
		IntentRate: o.rate, FirstTID: o.firstTID, KeepPartial: o.partial,
		SourceConcurrent: o.sourceConcurrent, SourceBytes: o.sourceBytes, KeepBytes: o.keepBytes,
		Base: o.base, Segment: o.segment, Window: o.window, Silence: o.silence,
		BindClients: o.bindClients, MaxOpen: max(server.DefaultMaxOpen, o.concurrent),
	}
	if o.bounded {
		cfg.MaxBytes = o.maxBytes
	}
	// Strangers must not guess TIDs. It never fails (crypto/rand).
	rand.Read(cfg.Seed[:])
	return cfg, o.check()
}

// payload reads the payload that every transaction must bring.
func (o *options) payload(cfg *server.Config) error {
	if o.expect == "" {
		return nil
	}
	sum, err := expect(o.expect)
	if err != nil {
		if err = usage.File(err); errors.Is(err, syscall.EISDIR) {
			err = errors.New("it is a directory: give the payload")
		}
		return fmt.Errorf("--expect %s: %w", o.expect, err)
	}
	cfg.Expect = sum
	return nil
}

func expect(path string) (*server.Payload, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil {
		return nil, err
	}
	return &server.Payload{Size: n, SHA256: [sha256.Size]byte(h.Sum(nil))}, nil
}

// A daemon is a server that signals talk to.
type daemon struct {
	*server.Server
	front front
	waker *loop.Waker
	log   *slog.Logger
	drain time.Duration // at the first signal, for all that is open
	idle  time.Duration // without a drain, for what is whole
	socks []*loop.Socket

	passed   bool // the sockets outlive the process
	store    server.Store
	dir      string // where that is, or ""
	manager  *manager.Manager
	lastTold lastTold

	lingers bool
	most    time.Time // that it lingers to, had the loop never stood still
}

// run drives the server until a signal ends it, and settles what is open.
func (d *daemon) run(ctx context.Context, calls <-chan os.Signal, verbose bool) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	last, hurry := context.WithCancel(context.Background())
	defer hurry()
	over := make(chan struct{})
	defer close(over)
	go d.heed(calls, over, stop, hurry)

	trim()
	d.waker.Post(d.ready)
	err := d.waker.Run(ctx, d.front, d.socks...)
	d.leave()
	// This settles or keeps what is open, so it comes before the counters and any error.
	d.Close(time.Now())
	d.finish(last)
	d.manager.End()
	if verbose {
		d.counters()
	}
	if ctx.Err() != nil || err == nil {
		d.log.Info("stopped")
		return nil
	}
	return err
}

// finish waits for what is done beside the loop, but not for ever: what is not done then
// is in the store as it came, and the next start goes on with it.
func (d *daemon) finish(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, finishing)
	defer cancel()
	for !d.Drained() && ctx.Err() == nil {
		// Not for long: the service manager's watchdog wants to hear of it.
		step, end := context.WithTimeout(ctx, time.Second)
		_ = d.waker.Wait(step) // what there is after an error is flushed, too
		end()
		d.waker.Flush(time.Now())
	}
	if !d.Drained() {
		d.log.Warn("ended before all payloads were put together, the next start goes on with them")
	}
}
