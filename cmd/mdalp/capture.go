package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"mdalp"
	"mdalp/cmd/internal/usage"
)

// captureRoom is how many bytes of a capture may wait for its file or its reader.
const captureRoom = 8 << 20

// captureWait is how long, at the end, a reader may take nothing before it is given up.
const captureWait = 5 * time.Second

// openCapture makes the file of --pcap, if that is given, and has c write to it. The
// transactions of several files follow each other in it, a section for each. It is made
// before anything is asked of the orchestrator, so that a folder that cannot be written
// costs no transaction. c.Capture stays nil without --pcap; a nil pointer in it would
// be a writer to Send. To open a FIFO is to wait for its reader, but not beyond ctx.
func (o *sendOptions) openCapture(ctx context.Context, c *mdalp.Config) (*capture, error) {
	if o.pcap == "" {
		return nil, nil
	}
	if o.pcap == "-" {
		return nil, usage.Errorf("--pcap -: standard output has the summary; name a file")
	}
	// Compared by what the names lead to, links too: os.Create would empty the payload before
	// it is read.
	if there, err := os.Stat(o.pcap); err == nil {
		for _, file := range o.files {
			if sent, err := os.Stat(file); err == nil && os.SameFile(there, sent) {
				return nil, usage.Errorf("--pcap %s: that is the file to send", o.pcap)
			}
		}
	}
	// Not O_RDWR, as os.Create has it: of a FIFO this would be a reader itself, and never hear
	// that the other one is gone.
	f, err := within(ctx, func() (*os.File, error) {
		return os.OpenFile(o.pcap, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
	})
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, fmt.Errorf("--pcap %s: %w", o.pcap, usage.File(err))
	}
	w := &capture{f: f, taken: make(chan struct{}, 1), done: make(chan struct{})}
	w.wake.L = &w.mu
	go w.run()
	c.Capture = w
	return w, nil
}

// A capture is the file of --pcap, written from a goroutine of its own, since it may be a
// FIFO whose reader stops. Of a capture no part can be left out, so one that falls too
// far behind ends.
type capture struct {
	f     *os.File
	taken chan struct{} // something was written
	done  chan struct{} // all was written, or it has failed

	mu     sync.Mutex
	wake   sync.Cond
	wait   []byte // what the goroutine takes next
	err    error
	closed bool
}

// Write implements io.Writer. It never waits. It fails with what was wrong with an earlier
// one, or when there is no more room.
func (w *capture) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil && len(w.wait)+len(b) > captureRoom {
		w.err = fmt.Errorf("more than %d MiB wait for what reads it", captureRoom>>20)
	}
	if w.err != nil {
		return 0, w.err
	}
	w.wait = append(w.wait, b...)
	w.wake.Signal()
	return len(b), nil
}

// run is the goroutine.
func (w *capture) run() {
	defer close(w.done)
	defer close(w.taken)
	var out []byte
	for {
		w.mu.Lock()
		for len(w.wait) == 0 && !w.closed {
			w.wake.Wait()
		}
		out, w.wait = w.wait, out[:0]
		w.mu.Unlock()
		if len(out) == 0 {
			return
		}
		// In pieces, so that a slow reader is told from one that has stopped.
		for b := out; len(b) > 0; {
			n, err := w.f.Write(b[:min(len(b), 64<<10)])
			if err != nil {
				w.mu.Lock()
				w.err, w.wait = usage.File(err), nil
				w.mu.Unlock()
				return
			}
			b = b[n:]
			select {
			case w.taken <- struct{}{}:
			default:
			}
		}
	}
}

// close writes what is left, as long as its reader takes any of it and await waits. The
// transfer is over: what is wrong now, as on a network file system that is full, is only
// told.
func (w *capture) close(ctx context.Context, c *mdalp.Config) {
	w.mu.Lock()
	told := w.err != nil // by the session, when it wrote
	w.closed = true
	w.wake.Signal()
	w.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	idle := time.AfterFunc(captureWait, cancel)
	go func() {
		for range w.taken {
			idle.Reset(captureWait)
		}
	}()
	err := await(ctx, w.done)
	idle.Stop()
	if err == nil {
		err = errors.Join(w.err, w.f.Close())
	}
	if err != nil && !told {
		c.Logger.Warn("the capture could not be written to its end", "err", err)
	}
}
