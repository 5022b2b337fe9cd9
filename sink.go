package mdalp

import (
	"io"
	"sync"
	"time"
)

const (
	// sinkRoom bounds what waits for a capture to be written, in bytes.
	sinkRoom = 4 << 20
	// sinkWait is how long Send waits at its end for what is left of a capture, and
	// sinkGrace if it was cancelled or its deadline has passed.
	sinkWait  = 2 * time.Second
	sinkGrace = 100 * time.Millisecond
)

// A sink is an io.Writer before another that may block for as long as it likes, as a pipe
// does whose reader has stopped: what is written waits in memory, and a goroutine hands it
// on. Whoever writes asks full before.
type sink struct {
	w    io.Writer
	room int

	mu     sync.Mutex
	wait   []byte // what waits
	taken  int    // bytes that the goroutine has taken and not written yet
	err    error  // the first of w; nothing is written after it
	closed bool
	more   chan struct{} // has one element when there is something to do
	done   chan struct{} // closed when the goroutine has ended
}

// newSink starts the goroutine of a sink that holds about room bytes.
func newSink(w io.Writer, room int) *sink {
	s := &sink{w: w, room: room, more: make(chan struct{}, 1), done: make(chan struct{})}
	go s.run()
	return s
}

// Write implements io.Writer. It never blocks; its error is that of an earlier write.
func (s *sink) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, s.err
	}
	s.wait = append(s.wait, b...)
	s.wake()
	return len(b), nil
}

// full reports whether what waits has used up the room.
func (s *sink) full() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.wait)+s.taken >= s.room
}

// wake lets the goroutine look.
func (s *sink) wake() {
	select {
	case s.more <- struct{}{}:
	default: // it will look anyway
	}
}

// run hands on what was written, until the sink is closed or w fails.
func (s *sink) run() {
	defer close(s.done)
	var b []byte
	for range s.more {
		s.mu.Lock()
		b, s.wait = s.wait, b[:0]
		s.taken = len(b)
		end := s.closed
		s.mu.Unlock()
		var err error
		if len(b) > 0 {
			_, err = s.w.Write(b)
		}
		s.mu.Lock()
		s.taken = 0
		s.err = err
		s.mu.Unlock()
		if end || err != nil {
			return
		}
	}
}

// close waits until all is written, at most for limit, and gives the error of the writer.
// late tells that some is not written yet: that goes on by itself.
func (s *sink) close(limit time.Duration) (late bool, err error) {
	s.mu.Lock()
	s.closed = true
	s.wake()
	s.mu.Unlock()
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-s.done:
		return false, s.err
	case <-t.C:
		return true, nil
	}
}
