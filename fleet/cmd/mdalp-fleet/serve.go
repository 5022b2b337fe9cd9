package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"mdalp/fleet/overview"
	"mdalp/internal/manager"
	"mdalp/loop"
)

const (
	// tick is how often a part that drains looks whether it is through.
	tick = 100 * time.Millisecond
	// besides is how many calls of the engine, flushes and hashes may be under way at once.
	// Most of them wait.
	besides = 512
	// ending is how long the end waits for those that are.
	ending = 10 * time.Second
)

// A program is what a part runs in its loop.
type program interface {
	loop.Handler
	// Open is how many transactions it has that are not over.
	Open() int
	// Away reports whether the engine does not answer.
	Away() bool
	// Drain has it take nothing new, and Close ends it.
	Drain(now time.Time)
	Close(now time.Time)
}

// A daemon is one part: a program in its loop, that signals talk to.
type daemon struct {
	program
	log   *slog.Logger
	waker *loop.Waker
	sock  *loop.Socket
	drain time.Duration
	// linger is how long it stays at least when it drains: others still know it for as long.
	linger time.Duration
	// counts are the metrics of the part; not to be called in the loop.
	counts  func() []overview.Count
	manager *manager.Manager

	draining bool  // in the loop,
	failed   error // and why it ends, where no signal has it end
	stop     func()
}

// fail ends the part with an error. It is called in the loop.
func (d *daemon) fail(err error) {
	d.failed = err
	d.stop()
}

// A place is where a part listens: for datagrams, and for those who look at its page.
type place struct {
	sock *loop.Socket
	page net.Listener // nil without --http
}

// bind opens both, before anything else is done: what is taken by another is known at once.
func (o *part) bind(a netip.AddrPort) (p place, err error) {
	if p.sock, err = loop.Listen(a, loop.Options{PacketInfo: true, Trains: true}); err != nil {
		return p, taken("--listen", a.String(), err)
	}
	if o.http == "" {
		return p, nil
	}
	if p.page, err = net.Listen("tcp", o.http); err != nil {
		p.sock.Close()
		return p, taken("--http", o.http, err)
	}
	return p, nil
}

func (p *place) Close() {
	p.sock.Close()
	if p.page != nil {
		p.page.Close()
	}
}

// taken says what is to be done where an address cannot be listened at.
func taken(option, addr string, err error) error {
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		err = op.Err // the option has named the address
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		err = fmt.Errorf("%w: another program has the port, choose another one", err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		err = fmt.Errorf("%w: this host has no such address", err)
	}
	return fmt.Errorf("%s %s: %w", option, addr, err)
}

// signals are those that ask for the end, or for the counters, see [ends].
func signals() <-chan os.Signal {
	c := make(chan os.Signal, 4)
	signal.Ignore(syscall.SIGPIPE, syscall.SIGXFSZ)
	signal.Notify(c, os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGUSR1)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(c, syscall.SIGHUP)
	}
	return c
}

// ends reports whether a signal asks for the end, and not for the counters.
func ends(s os.Signal) bool { return s != syscall.SIGQUIT && s != syscall.SIGUSR1 }

// begun gives a context that a signal ends, for as long as the part has not begun.
func begun(ctx context.Context, calls <-chan os.Signal) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	over := make(chan struct{})
	go func() {
		for {
			select {
			case s := <-calls:
				if ends(s) {
					cancel(errSignal)
					return
				}
			case <-over:
				return
			}
		}
	}()
	return ctx, func() { close(over) }
}

// errSignal is why a part that has not begun ends.
var errSignal = errors.New("ended by a signal")

// run drives the program until signals end it. The first has it drain.
func (d *daemon) run(ctx context.Context, calls <-chan os.Signal) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	d.stop = stop
	go d.heed(ctx, calls, stop)
	d.waker.Post(d.ready)
	err := d.waker.Run(ctx, d.program, d.sock)
	d.Close(time.Now())
	last, cancel := context.WithTimeout(context.Background(), ending)
	defer cancel()
	_ = d.waker.Wait(last) // what is not over then, others take over
	d.waker.Flush(time.Now())
	d.manager.End()
	if ctx.Err() != nil {
		err = d.failed
	}
	d.log.Info("stopped", "open", d.Open())
	return err
}

// heed does what signals ask for until ctx is done.
func (d *daemon) heed(ctx context.Context, calls <-chan os.Signal, stop func()) {
	steps := []func(){func() { d.begin(stop) }, stop}
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-calls:
			switch {
			case !ends(s):
				d.tell()
			case len(steps) > 0:
				d.manager.Tell(manager.Stopping)
				steps[0]()
				steps = steps[1:]
			}
		}
	}
}

// tell logs the counters.
func (d *daemon) tell() {
	var attrs []any
	for _, c := range d.counts() {
		attrs = append(attrs, strings.TrimSuffix(c.Name, "_total"), int64(c.Value))
	}
	d.log.Info("counters", attrs...)
}

// ready tells the service manager that the loop runs, and begins to tell how it goes.
func (d *daemon) ready(now time.Time) {
	if d.manager != nil {
		d.manager.Tell(manager.Ready)
		d.news(now)
	}
}

// news tells how it goes, and comes again through the loop: when that does not turn, nothing is
// told, and the watchdog bites.
func (d *daemon) news(time.Time) {
	d.manager.Tell(fmt.Sprintf("%s\nSTATUS=%s", manager.Turns, d.state()))
	time.AfterFunc(d.manager.Every, func() { d.waker.Post(d.news) })
}

// state is how it goes, in a few words. It is called in the loop.
func (d *daemon) state() string {
	s := fmt.Sprintf("%d open", d.Open())
	if d.draining {
		s += ", nothing new is taken"
	}
	if d.Away() {
		s += ", the engine does not answer"
	}
	return s
}

// begin begins to drain, and has stop called when all is over, or the time for it is.
func (d *daemon) begin(stop func()) {
	d.waker.Post(func(now time.Time) {
		d.draining = true
		d.log.Info("nothing new is taken", "open", d.Open(), "drain", d.drain)
		d.Drain(now)
		d.wait(now, now.Add(min(d.linger, d.drain)), now.Add(d.drain), stop)
	})
}

func (d *daemon) wait(now, least, most time.Time, stop func()) {
	if d.Open() == 0 && !now.Before(least) || !now.Before(most) {
		stop()
		return
	}
	time.AfterFunc(tick, func() {
		d.waker.Post(func(now time.Time) { d.wait(now, least, most, stop) })
	})
}

// show serves the status page at l; nil is nowhere.
func (d *daemon) show(l net.Listener, e overview.Source, self string) {
	if l == nil {
		return
	}
	p := overview.NewPage(e, self, d.counts)
	p.Health = func() string { return inLoop(d.waker, d.state) }
	go func() {
		if err := p.Serve(l); !errors.Is(err, net.ErrClosed) {
			d.log.Error("the status page has ended", "error", err)
		}
	}()
	d.log.Info("status page", "http", l.Addr())
}

// inLoop gives what f does in the loop, or the zero value when the loop stands still.
func inLoop[T any](w *loop.Waker, f func() T) (v T) {
	c := make(chan T, 1)
	w.Post(func(time.Time) { c <- f() })
	t := time.NewTimer(time.Second)
	defer t.Stop()
	select {
	case v = <-c:
	case <-t.C:
	}
	return v
}
