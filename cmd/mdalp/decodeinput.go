package main

import (
	"fmt"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"mdalp/cmd/internal/usage"
)

// patience is how long a capture on standard input may go on behind a signal before that
// is told, or ends it.
const patience = time.Second

// An input is a capture that is read until its end or until a signal.
//
// Ctrl-C reaches all of a pipeline, such as tcpdump | mdalp decode -. The other end writes
// what it still has and ends, so standard input is read on until then; a second signal
// ends it. A file has no other end, and is read no further.
type input struct {
	name  string
	stop  chan struct{} // closed when it is to end
	once  sync.Once
	cause os.Signal // set before stop is closed
	done  chan struct{}
	// What the goroutine that reads has: to open a named pipe, or to read one, may take for
	// ever.
	chunks chan []byte
	spare  chan []byte
	got    atomic.Int64 // bytes that were read
	err    error        // set before chunks is closed
	chunk  []byte       // that left is of
	left   []byte
}

// newInput begins to read name, "-" for standard input.
func newInput(name string) *input {
	in := &input{name: name, stop: make(chan struct{}), done: make(chan struct{}), chunks: make(chan []byte),
		spare: make(chan []byte, 2)}
	for range cap(in.spare) {
		in.spare <- make([]byte, 64<<10)
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT)
	go in.watch(signals)
	go in.pump()
	return in
}

// close ends it. A goroutine that waits for standard input stays: only the next byte or
// the end can wake it, and the process ends soon.
func (in *input) close() { close(in.done) }

// watch takes signals until the input is closed.
func (in *input) watch(signals chan os.Signal) {
	defer signal.Stop(signals)
	var late <-chan time.Time
	var first os.Signal
	for {
		select {
		case <-in.done:
			return
		case s := <-signals:
			if s == syscall.SIGQUIT { // Go would end it with a dump of goroutines
				fmt.Fprintf(os.Stderr, "mdalp: %s: %d bytes of the capture so far\n",
					usage.Text(in.name), in.got.Load())
				continue
			}
			if first != nil || in.name != "-" {
				in.end(s)
				return
			}
			first, late = s, time.After(patience)
		case <-late:
			// Who sends SIGTERM need not sit at a terminal to send it twice.
			if first == syscall.SIGTERM {
				in.end(first)
				return
			}
			fmt.Fprintln(os.Stderr, "mdalp: -: reading on until the capture ends; interrupt again to stop")
		}
	}
}

// end makes the next Read the last.
func (in *input) end(s os.Signal) {
	in.once.Do(func() {
		in.cause = s
		close(in.stop)
	})
}

// pump opens and reads it.
func (in *input) pump() {
	defer close(in.chunks)
	f := os.Stdin
	if in.name != "-" {
		if f, in.err = os.Open(in.name); in.err != nil {
			return
		}
		defer f.Close()
	}
	for {
		select {
		case <-in.done:
			return
		case b := <-in.spare:
			n, err := f.Read(b[:cap(b)])
			in.got.Add(int64(n))
			if n > 0 {
				select {
				case in.chunks <- b[:n]:
				case <-in.done:
					return
				}
			}
			if err != nil {
				in.err = err
				return
			}
		}
	}
}

// Read implements io.Reader. Behind a signal that ends it the error is interrupted.
func (in *input) Read(b []byte) (int, error) {
	select {
	case <-in.stop:
		return 0, interrupted{in.cause}
	default:
	}
	if len(in.left) == 0 {
		select {
		case <-in.stop:
			return 0, interrupted{in.cause}
		case next, ok := <-in.chunks:
			if !ok {
				return 0, in.err
			}
			in.chunk, in.left = next, next
		}
	}
	n := copy(b, in.left)
	if in.left = in.left[n:]; len(in.left) == 0 {
		in.spare <- in.chunk
	}
	return n, nil
}
