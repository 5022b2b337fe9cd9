package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"mdalp/fleet"
	"mdalp/fleet/engine"
	"mdalp/fleet/overview"
	"mdalp/internal/disk"
	"mdalp/internal/manager"
	"mdalp/loop"
	"mdalp/server"
	"mdalp/wire"
)

// receiving is the command line of a receiver.
type receiving struct {
	part
	id, name        string
	segment, window int
	limit           time.Duration
}

func newReceiver() *cobra.Command {
	o := new(receiving)
	c := &cobra.Command{
		Use:   "receiver",
		Short: "Take segments",
		Long: `Take segments, write their bytes into the shared directory, and acknowledge them. It is offered
while it says every 3 seconds that it is there, and no more when it drains.`,
		Args: none,
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c.Context()) },
	}
	f := c.Flags()
	o.define(f)
	f.StringVar(&o.id, "id", identity(),
		"name of this receiver, no other's and the same at every start: its journals have it")
	f.StringVar(&o.name, "name", "", "name that clients are told")
	f.IntVar(&o.segment, "segment", server.DefaultSegment, "most bytes that it takes in one extended segment")
	f.IntVar(&o.window, "window", 0,
		"most segments that it takes before it has acknowledged them (default: what its buffer holds)")
	f.DurationVar(&o.limit, "limit", server.DefaultLimit, "how long a base transaction may take")
	return c
}

// check is [part.check], and what is a receiver's alone.
func (o *receiving) check() error {
	if err := o.part.check(); err != nil {
		return err
	}
	if err := negative(map[string]int64{"--window": int64(o.window), "--limit": int64(o.limit)}); err != nil {
		return err
	}
	if o.window > wire.MaxWindow {
		return usagef("--window %d: %d are the most", o.window, wire.MaxWindow)
	}
	if o.segment < wire.MinSegment || o.segment > wire.MaxSegment {
		return usagef("--segment %d: %d to %d are possible", o.segment, wire.MinSegment, wire.MaxSegment)
	}
	if !engine.Printable(o.name) {
		return usagef("--name \"%s\": it is of one line, of 255 bytes at most", o.name)
	}
	if !engine.Nameable(o.id) {
		return usagef("--id %q: 1 to 64 letters, digits, - and _", o.id)
	}
	return nil
}

func (o *receiving) run(ctx context.Context) error {
	if err := o.check(); err != nil {
		return err
	}
	listen, told, err := o.address()
	if err != nil {
		return err
	}
	keys, err := o.secret(nil)
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
	e, err := o.dial("mdalp-fleet receiver "+o.id, log)
	if err != nil {
		return err
	}
	defer e.Close()
	starting, started := begun(ctx, calls)
	token, err := o.enter(starting, e, folder, told, log)
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
	// It is asked until it has left, and no longer: what comes later would wait for a loop
	// that is gone.
	serving, end := context.WithCancel(context.Background())
	defer end()
	// Who was offered it just now may not have begun.
	d := &daemon{log: log, waker: w, sock: at.sock, drain: o.drain, linger: 2 * engine.SayEvery, manager: m}
	r, err := fleet.NewReceiver(fleet.ReceiverConfig{
		Engine: e, Folder: folder, Token: token, ID: o.id, Zone: o.zone, Name: o.name, Addr: told,
		Start: rand.Text(), Doubled: func(p engine.Party) { d.fail(o.doubled(&p)) },
		Segment: o.segment, Window: o.window, Buffer: at.sock.ReceiveBuffer(), Limit: o.limit,
		Keys: keys, Now: time.Now, Slept: slept, Beside: w.Beside(besides), Post: w.Post,
		Context: serving, Log: log,
	})
	if err != nil {
		return usagef("%w", err)
	}
	go serve(serving, r, log)
	log.Info("receiver", "id", o.id, "listen", listen, "addr", told, "dir", o.dir, "zone", o.zone)
	d.program, d.counts = r, func() []overview.Count { return receiverCounts(w, r) }
	d.show(at.page, e, o.id)
	return d.run(ctx, calls)
}

// slept is how long this machine has been suspended since its start (clock_gettime(2)). Who is held up
// between the readings reads again.
func slept() time.Duration {
	read := func(clock int32) time.Duration {
		var t unix.Timespec
		if err := unix.ClockGettime(clock, &t); err != nil {
			panic(os.NewSyscallError("clock_gettime", err)) // any Linux that runs this has them
		}
		return time.Duration(t.Nano())
	}
	for {
		before := read(unix.CLOCK_BOOTTIME)
		awake := read(unix.CLOCK_MONOTONIC)
		if read(unix.CLOCK_BOOTTIME)-before < 10*time.Millisecond {
			return before - awake
		}
	}
}

// enter is [part.join], and alone behind it.
func (o *receiving) enter(
	ctx context.Context, e engine.Engine, f disk.Folder, told netip.AddrPort, log *slog.Logger,
) (token string, err error) {
	if token, err = o.join(ctx, e, f); err == nil {
		err = o.alone(ctx, e, told, log)
	}
	return token, err
}

// alone waits until no other receiver is there with this ID. One that was killed is there for a
// while, and one at this one's own address is none any more.
func (o *receiving) alone(
	ctx context.Context, e engine.Registry, told netip.AddrPort, log *slog.Logger,
) error {
	var seen, news time.Time // when one was seen first, and when it said last that it is there
	for last := uint64(0); ; time.Sleep(tick) {
		now := time.Now() // who stands still from here on is told what came meanwhile
		try, cancel := context.WithTimeout(ctx, 5*time.Second)
		p, revision, err := e.Said(try, o.id)
		cancel()
		if err == nil && revision != last {
			last, news = revision, now
		}
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
		case p == nil || p.Addr == told, now.Sub(news) > engine.Lives: // the engine's clock may be another
			return nil
		case seen.IsZero():
			seen = now
			log.Warn("another receiver had this ID a moment ago; waits whether it is gone", "id", o.id,
				"at", p.Addr)
		case now.Sub(seen) > engine.Lives+time.Second: // it has said so again
			return o.doubled(p)
		}
	}
}

// doubled is the error of another receiver with this one's ID.
func (o *receiving) doubled(p *engine.Party) error {
	return fmt.Errorf("--id %s: the receiver at %v has it, too; give each an ID of its own", o.id, p.Addr)
}

// serve has questions answered until ctx is done.
func serve(ctx context.Context, r *fleet.Receiver, log *slog.Logger) {
	for ctx.Err() == nil {
		if err := r.Serve(); err != nil && ctx.Err() == nil {
			log.Warn("orchestrators cannot ask this receiver; it is tried again", "error", err)
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
		}
	}
}

// receiverCounts are the metrics of this part.
func receiverCounts(w *loop.Waker, r *fleet.Receiver) []overview.Count {
	type seen struct {
		counts fleet.ReceiverCounts
		stats  server.Stats
		open   int
	}
	v := inLoop(w, func() seen { return seen{r.Counts(), r.Stats(), r.Open()} })
	count, gauge := overview.Counter, overview.Gauge
	return []overview.Count{
		count("receiver_datagrams_total", "Datagrams that came.", v.stats.Datagrams),
		count("receiver_acks_total", "Acknowledgements sent.", v.stats.Acks),
		gauge("receiver_open", "Transactions with segments here.", v.open),
		count("receiver_looked_up_total", "Transactions that the engine was asked about.", v.counts.Asked),
		count("receiver_dropped_total", "Segments of nothing that is open here, or too many.",
			v.counts.Dropped),
		count("receiver_answers_total", "Questions of orchestrators that it answered.", v.counts.Answered),
		count("receiver_unopened_total", "Segments of sealed transactions that did not open.",
			v.counts.Unopened),
		count("receiver_replayed_total", "Of sealed transactions, whose number came before.",
			v.counts.Replayed),
		count("receiver_slow_flushes_total", "Flushes that took longer than 2 s.", v.counts.Slow),
		count("receiver_failures_total", "Writes and flushes that failed.", v.counts.Failed),
	}
}
