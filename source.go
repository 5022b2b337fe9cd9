package mdalp

import (
	"errors"
	"fmt"
	"io"
)

// How much of the payload is held in memory: a payload of up to half of
// supplyMemory whole, of a larger one a window for each receiver. Together they
// are what a transfer costs in memory, whatever the payload's size; smaller
// windows mean more reads.
const (
	supplyMemory = 2 << 20 // bytes, over all receivers
	wholeLimit   = supplyMemory / 2
	windowMin    = 1 << 10
	windowMax    = 16 << 10 // more would leave the processor's cache before it is sent
)

// A supply reads a payload as its segments are sent.
type supply struct {
	r       io.ReaderAt
	size    int64
	window  int64
	arena   []byte   // n windows; pages that no receiver fills cost nothing
	at      []extent // what each window holds
	whole   bool
	failure error

	// Of a stream: what is not next in a window is read alone, into scratch, and last is
	// where such a read ended.
	scratch []byte
	last    int64
}

// An extent is a range of bytes of the payload.
type extent struct{ off, end int64 }

// open takes the memory for n receivers, about as much as memory says.
func (s *supply) open(r io.ReaderAt, size int64, n int, memory int64) {
	s.r, s.size = r, size
	if size <= memory/2 {
		s.whole = true
		s.arena = make([]byte, size)
		s.fill(s.arena, 0)
		return
	}
	s.window = min(windowMax, max(windowMin, memory/int64(n)&^(windowMin-1)))
	s.arena = make([]byte, int64(n)*s.window)
	s.at = make([]extent, n)
}

// bytes gives length bytes at off, for receiver i's window. They are valid until
// the next call. The window goes on from where it is asked: a receiver's segments
// are read in order, and a repetition is of the last one.
func (s *supply) bytes(i int, off int64, length int) ([]byte, error) {
	end := off + int64(length)
	if s.whole {
		return s.arena[off:end], s.failure
	}
	w := s.arena[int64(i)*s.window:][:s.window]
	if a := &s.at[i]; off < a.off || end > a.end {
		n := min(s.window, s.size-off)
		s.fill(w[:n], off)
		*a = extent{off, off + n}
	}
	return w[off-s.at[i].off:][:length], s.failure
}

// Windows of a stream: large, as a train of segments is sent at once.
const streamMost = 128 << 10

// stream takes the memory for an extended transfer over n receivers, whose segments are of
// so many bytes, about as much as memory says.
func (s *supply) stream(r io.ReaderAt, size int64, n, segment int, memory int64) {
	s.r, s.size = r, size
	s.window = max(min(streamMost, memory/int64(n)), int64(segment))
	s.window = min(s.window, size)
	s.arena = make([]byte, int64(n)*s.window)
	s.at = make([]extent, n)
	s.scratch = make([]byte, segment)
}

// next is bytes of a stream. A window goes on where it ends. What stands elsewhere is a
// lost segment, and read alone; the second in a row is a new run.
func (s *supply) next(i int, off int64, length int) ([]byte, error) {
	end := off + int64(length)
	w := s.arena[int64(i)*s.window:][:s.window]
	a := &s.at[i]
	if off < a.off || end > a.end {
		if (off < a.off || off > a.end) && off != s.last {
			b := s.scratch[:length]
			s.fill(b, off)
			s.last = end
			return b, s.failure
		}
		n := min(s.window, s.size-off)
		s.fill(w[:n], off)
		*a = extent{off, off + n}
	}
	return w[off-a.off:][:length], s.failure
}

// fill reads b from off. What goes wrong is kept: nothing wrong is ever sent.
func (s *supply) fill(b []byte, off int64) {
	n, err := s.r.ReadAt(b, off)
	if n == len(b) || s.failure != nil {
		return
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = fmt.Errorf("it ends at byte %d instead of %d: %w", off+int64(n), s.size, io.ErrUnexpectedEOF)
	}
	s.failure = fmt.Errorf("%w: %w", ErrPayload, err)
}
