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
	"syscall"
	"time"

	"mdalp/fleet/overview"
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
}

// bind opens the socket.
func bind(a netip.AddrPort) (*loop.Socket, error) {
	s, err := loop.Listen(a, loop.Options{PacketInfo: true, Trains: true})
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		err = fmt.Errorf("%w: another program has the port, choose another one", err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		err = fmt.Errorf("%w: this host has no such address", err)
	}
	if err != nil {
		return nil, fmt.Errorf("--listen %v: %w", a, err)
	}
	return s, nil
}

// signals are those that ask for the end.
func signals() <-chan os.Signal {
	c := make(chan os.Signal, 4)
	signal.Ignore(syscall.SIGPIPE, syscall.SIGXFSZ)
	signal.Notify(c, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(c, syscall.SIGHUP)
	}
	return c
}

// begun gives a context that a signal ends, for as long as the part has not begun.
func begun(ctx context.Context, calls <-chan os.Signal) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	over := make(chan struct{})
	go func() {
		select {
		case <-calls:
			cancel(errSignal)
		case <-over:
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
	go func() {
		for _, f := range []func(){func() { d.begin(stop) }, stop} {
			select {
			case <-ctx.Done():
				return
			case <-calls:
				f()
			}
		}
	}()
	err := d.waker.Run(ctx, d.program, d.sock)
	d.Close(time.Now())
	last, cancel := context.WithTimeout(context.Background(), ending)
	defer cancel()
	_ = d.waker.Wait(last) // what is not over then, others take over
	d.waker.Flush(time.Now())
	if ctx.Err() != nil {
		err = nil
	}
	d.log.Info("stopped", "open", d.Open())
	return err
}

// begin begins to drain, and has stop called when all is over, or the time for it is.
func (d *daemon) begin(stop func()) {
	d.waker.Post(func(now time.Time) {
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

// show serves the status page, when there is to be one.
func show(
	addr string, e overview.Source, self string, counts func() []overview.Count, log *slog.Logger,
) error {
	if addr == "" {
		return nil
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("--http %s: %w", addr, err)
	}
	go func() {
		log.Error("the status page has ended", "error", overview.NewPage(e, self, counts).Serve(l))
	}()
	log.Info("status page", "http", l.Addr())
	return nil
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
