package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"mdalp/cmd/internal/asyncio"
	"mdalp/cmd/internal/usage"
)

// grace is how long an output may still take what is written to it once the command has
// been told to end, by a signal or its deadline. Who reads it takes it in milliseconds.
const grace = time.Second / 2

// errUnread is what an output fails with that nobody reads.
var errUnread = errors.New("nobody reads it")

// await waits until done is closed, and after the end of ctx no longer than grace. Then
// it gives the signal that ended ctx, or else errUnread.
func await(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	t := time.NewTimer(grace)
	defer t.Stop()
	select {
	case <-done:
		return nil
	case <-t.C:
	}
	var sig interrupted
	if errors.As(context.Cause(ctx), &sig) {
		return sig
	}
	return errUnread
}

// toStdout writes a result, and waits for its reader as long as it takes; see deliver.
func toStdout(text []byte) error { return deliver(context.Background(), text) }

// deliver writes a result to standard output, before the end of ctx or in the grace after
// it. That nobody reads it any more is no error, as after head(1); that it is lost, as on a
// full disk, is one. Every command gives its result in one call, so that a pipe gets all or
// nothing of it.
func deliver(ctx context.Context, text []byte) error {
	if len(text) == 0 {
		return nil
	}
	var err error
	done := make(chan struct{})
	// Left behind where the reader has stopped; it ends with the process.
	go func() {
		_, err = os.Stdout.Write(text)
		close(done)
	}()
	if e := await(ctx, done); e != nil {
		return fmt.Errorf("standard output: %w", e)
	}
	if err != nil && !errors.Is(err, syscall.EPIPE) {
		return fmt.Errorf("standard output: %w", usage.File(err))
	}
	return nil
}

// logRoom is how many bytes of lines may wait for standard error.
const logRoom = 4 << 20

// An errorOutput is standard error, written from a goroutine of its own: the loop that
// sends must not wait for a terminal that was stopped, or a pipe that nobody reads. Lines
// for which there is no room are dropped, and a line tells how many. That goroutine is
// there only when something was written.
type errorOutput struct {
	mu     sync.Mutex
	to     io.Writer // the file, or the screen around it
	notice func(int) string
	w      *asyncio.Writer // nil while nothing waits
}

// stderr is where log lines, notes and errors go, of all commands.
var stderr = &errorOutput{to: os.Stderr}

// Write implements io.Writer. It takes whole lines, and neither waits nor fails.
func (o *errorOutput) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.w == nil {
		o.w = asyncio.NewWriter(o.to, logRoom)
		o.w.Notice = o.notice
	}
	return o.w.Write(b)
}

// flush waits until all has been written, as long as await does.
func (o *errorOutput) flush(ctx context.Context) {
	o.mu.Lock()
	w := o.w
	o.w = nil
	o.mu.Unlock()
	if w == nil {
		return
	}
	done := make(chan struct{})
	go func() {
		w.Close(1 << 62) // await knows when to stop waiting
		close(done)
	}()
	await(ctx, done)
}

// pass changes where it leads to, and how it tells of lines that are missing. Nothing
// may be waiting.
func (o *errorOutput) pass(to io.Writer, notice func(int) string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.to, o.notice = to, notice
}
