// Package asyncio writes lines to an output that may be slow, stuck or gone, without
// making anybody wait for it.
package asyncio

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// A Writer hands what is written to it on to an [io.Writer] from a goroutine of its own.
// It is for logs: a pipe that nobody reads, a terminal that was stopped or a full disk
// must not hold up the program that has something to say. Its methods may be called
// from any goroutine.
type Writer struct {
	// Notice gives the line that stands in the output where n lines are missing. It may
	// be set before the first Write; by default the line is "N lines lost".
	Notice func(n int) string

	limit int
	done  chan struct{} // closed when the goroutine ends

	mu     sync.Mutex
	wake   sync.Cond // there is something to do for the goroutine
	wait   []byte    // what it takes next
	failed int       // lines that the output refused: they came before those in wait
	lost   int       // lines for which there was no room: they came after those in wait
	closed bool
}

// NewWriter starts a Writer to w. At most limit bytes wait while w takes as many others.
// Close ends it.
func NewWriter(w io.Writer, limit int) *Writer {
	a := &Writer{limit: limit, done: make(chan struct{})}
	a.wake.L = &a.mu
	go a.run(w)
	return a
}

// Write takes whole lines, one or several. It never waits and never fails: where there
// is no room, all of b is dropped and counted, and so is what follows until the output
// has taken what waits, so that a gap is in one place. Once the output flows again, a
// line tells how many are missing.
func (a *Writer) Write(b []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed || a.lost > 0 || len(a.wait)+len(b) > a.limit {
		a.lost += lines(b)
	} else {
		a.wait = append(a.wait, b...)
	}
	a.wake.Signal()
	return len(b), nil
}

// Close has everything written that waits, and ends the Writer. It does not wait longer
// than timeout for that: then it gives [os.ErrDeadlineExceeded], and what is left may or
// may not be written. What is written to a closed Writer is dropped.
func (a *Writer) Close(timeout time.Duration) error {
	a.mu.Lock()
	a.closed = true
	a.wake.Signal()
	a.mu.Unlock()
	t := time.NewTimer(timeout)
	defer t.Stop()
	select {
	case <-a.done:
		return nil
	case <-t.C:
		return os.ErrDeadlineExceeded
	}
}

// run is the goroutine. An error of the output loses what it was given and no more: the
// disk may have room again, and a FIFO another reader.
func (a *Writer) run(w io.Writer) {
	defer close(a.done)
	var spare []byte
	for {
		out, mine, ok := a.next(spare)
		if !ok {
			return
		}
		n, err := w.Write(out)
		if err != nil {
			a.mu.Lock()
			// A notice is no line that anybody missed, but what it told is still untold.
			a.failed += max(lines(out[n:]), 1) + mine
			a.mu.Unlock()
		}
		spare = out[:0]
	}
}

// next waits for something to write and takes it, with notices of what is missing before
// and after. mine is how many lines more than its own out stands for. ok is false when
// the Writer is closed and empty.
func (a *Writer) next(spare []byte) (out []byte, mine int, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	// Lines that failed are told with the next ones, lest a gone reader be tried for ever.
	for len(a.wait) == 0 && a.lost == 0 && !a.closed {
		a.wake.Wait()
	}
	if len(a.wait) == 0 && a.lost == 0 {
		return nil, 0, false
	}
	if a.failed == 0 {
		out, a.wait = a.wait, spare
	} else {
		out, mine = append(spare, a.notice(a.failed)...), a.failed-1
		out = append(out, a.wait...)
		a.wait = a.wait[:0]
	}
	if a.lost > 0 {
		out, mine = append(out, a.notice(a.lost)...), mine+a.lost-1
	}
	a.failed, a.lost = 0, 0
	return out, mine, true
}

func (a *Writer) notice(n int) string {
	if a.Notice != nil {
		return a.Notice(n)
	}
	if n == 1 {
		return "1 line lost\n"
	}
	return fmt.Sprintf("%d lines lost\n", n)
}

// lines counts them in b; a last one without its end is one, too.
func lines(b []byte) int {
	n := bytes.Count(b, []byte{'\n'})
	if len(b) > 0 && b[len(b)-1] != '\n' {
		n++
	}
	return n
}
