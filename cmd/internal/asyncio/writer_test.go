package asyncio

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// far is a bound that no working test comes near.
const far = time.Minute

// gate is an output that takes one Write for each answer it is given, and tells of each.
type gate struct {
	wrote  chan string
	answer chan error
}

func newGate() *gate { return &gate{make(chan string), make(chan error)} }

func (g *gate) Write(b []byte) (int, error) {
	g.wrote <- string(b)
	if err := <-g.answer; err != nil {
		return 0, err
	}
	return len(b), nil
}

// want lets one Write through, or fail with err.
func (g *gate) want(t *testing.T, text string, err error) {
	t.Helper()
	if got := <-g.wrote; got != text {
		t.Errorf("written: %q, want %q", got, text)
	}
	g.answer <- err
}

func write(t *testing.T, a *Writer, text string) {
	t.Helper()
	if n, err := a.Write([]byte(text)); n != len(text) || err != nil {
		t.Errorf("Write: %d, %v", n, err)
	}
}

// The output takes nothing for a while: what has room waits, and one line tells of the rest.
func TestFull(t *testing.T) {
	g := newGate()
	a := NewWriter(g, 10)
	write(t, a, "first\n")
	if got := <-g.wrote; got != "first\n" {
		t.Errorf("written: %q", got)
	}
	write(t, a, "four\n")
	write(t, a, "five\n")
	write(t, a, "x\n")
	write(t, a, "y\nz\n")
	g.answer <- nil
	if got := <-g.wrote; got != "four\nfive\n3 lines lost\n" {
		t.Errorf("written: %q", got)
	}
	write(t, a, "again\n")
	g.answer <- nil
	g.want(t, "again\n", nil)
	if err := a.Close(far); err != nil {
		t.Error(err)
	}
}

// What does not fit at all is lost, and nothing else is.
func TestLongLine(t *testing.T) {
	g := newGate()
	a := NewWriter(g, 10)
	a.Notice = func(n int) string { return strings.Repeat("!", n) + "\n" }
	write(t, a, "longer than the room\n")
	g.want(t, "!\n", nil)
	write(t, a, "short\n")
	g.want(t, "short\n", nil)
	if err := a.Close(far); err != nil {
		t.Error(err)
	}
}

// An output that fails is tried again with what comes next, and not before.
func TestError(t *testing.T) {
	g := newGate()
	a := NewWriter(g, 100)
	write(t, a, "a\nb\n")
	g.want(t, "a\nb\n", syscall.ENOSPC)
	write(t, a, "c\n")
	g.want(t, "2 lines lost\nc\n", syscall.ENOSPC)
	write(t, a, "d\n")
	g.want(t, "3 lines lost\nd\n", nil)
	write(t, a, "e\n")
	g.want(t, "e\n", nil)
	if err := a.Close(far); err != nil {
		t.Error(err)
	}
}

// A pipe whose reader is gone loses lines and does no harm.
func TestGone(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	r.Close()
	a := NewWriter(w, 100)
	write(t, a, "nobody\n")
	if err := a.Close(far); err != nil {
		t.Error(err)
	}
	if a.failed != 1 {
		t.Errorf("%d lines lost, want 1", a.failed)
	}
}

// Close writes what waits, but is not held up by an output that takes nothing.
func TestClose(t *testing.T) {
	var all strings.Builder
	a := NewWriter(&all, 100)
	write(t, a, "a\n")
	write(t, a, "b\n")
	if err := a.Close(far); err != nil || all.String() != "a\nb\n" {
		t.Errorf("%v, written: %q", err, all.String())
	}
	write(t, a, "late\n")
	if got := all.String(); got != "a\nb\n" {
		t.Errorf("written after Close: %q", got)
	}

	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	a = NewWriter(w, 1<<20)
	write(t, a, strings.Repeat("x", 1<<20))
	if err := a.Close(time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Close of a full pipe: %v", err)
	}
	// Its goroutine ends with the pipe.
	r.Close()
	<-a.done
	w.Close()
}
