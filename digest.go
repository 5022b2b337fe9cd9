package mdalp

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"
)

// hashBlock is how much of a payload is read at once to be hashed, in bytes.
const hashBlock = 256 << 10

// digest reads a payload and gives its SHA-256 (FIPS 180-4), and the CPU time of the
// thread that it took. It runs on a goroutine of its own, beside the sending: hashing
// before would keep the network waiting, and after it the user.
func digest(r io.ReaderAt, size int64) (sum [sha256.Size]byte, took time.Duration, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	began := threadTime()
	h := sha256.New()
	n, err := io.CopyBuffer(onlyWriter{h}, io.NewSectionReader(r, 0, size),
		make([]byte, min(hashBlock, size)))
	if err == nil && n < size {
		err = fmt.Errorf("it ends at byte %d instead of %d: %w", n, size, io.ErrUnexpectedEOF)
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	h.Sum(sum[:0])
	return sum, threadTime() - began, err
}

// A gated reads from r until it is closed, which waits for a read under way.
type gated struct {
	mu     sync.Mutex
	closed bool
	r      io.ReaderAt
}

// ReadAt implements io.ReaderAt.
func (g *gated) ReadAt(b []byte, off int64) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return 0, io.ErrClosedPipe
	}
	return g.r.ReadAt(b, off)
}

func (g *gated) close() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
}

// An onlyWriter hides what else a Writer can do, so that the buffer given is used.
type onlyWriter struct{ io.Writer }
