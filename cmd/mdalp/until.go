package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"mdalp"
)

// cancelBySignal gives a context that the first SIGINT, SIGTERM or SIGHUP cancels;
// another one, a second later, ends the process.
func cancelBySignal(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	// Room for one, so that a signal is not lost before the goroutine runs.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	// nohup(1) has it ignored, and that is to stay so.
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(signals, syscall.SIGHUP)
	}
	go func() {
		select {
		case s := <-signals:
			cancel(interrupted{s})
			// The same signal may come twice, from the terminal and by way of the lab.
			time.Sleep(time.Second)
			// From here on the signal does what it does by default, and ends a process that hangs.
			signal.Stop(signals)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { signal.Stop(signals); cancel(nil) }
}

// A bound is the instant at which --deadline ends what a command does, or the zero value
// for never.
type bound struct{ at time.Time }

// after gives the bound of a time from now on; 0 is never.
func after(d time.Duration) bound {
	if d == 0 {
		return bound{}
	}
	return bound{time.Now().Add(d)}
}

// on gives a context that ends at the bound too. Its cause then is one of an incomplete
// transfer. What it names is what the time ran out over, as "-f FILE was opened".
func (b bound) on(ctx context.Context, during string) (context.Context, context.CancelFunc) {
	if b.at.IsZero() {
		return ctx, func() {}
	}
	cause := fmt.Errorf("%w: %w while %s", mdalp.ErrIncomplete, mdalp.ErrDeadline, during)
	return context.WithDeadlineCause(ctx, b.at, cause)
}

// left is the time until then for a session, in which 0 means no bound. It is never less
// than a nanosecond, which a session ends on by itself, with a report.
func (b bound) left() time.Duration {
	if b.at.IsZero() {
		return 0
	}
	return max(time.Until(b.at), 1)
}

// within calls open, which may wait for ever, as for the other end of a FIFO, and gives
// up when ctx ends, with its cause. The goroutine that waits is left behind then, and
// ends with the process.
func within[T any](ctx context.Context, open func() (T, error)) (T, error) {
	type opened struct {
		v   T
		err error
	}
	// With room for one, so that a result that nobody takes any more does not keep it.
	done := make(chan opened, 1)
	go func() {
		v, err := open()
		done <- opened{v, err}
	}()
	select {
	case o := <-done:
		return o.v, o.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}
