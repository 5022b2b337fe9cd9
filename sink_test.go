package mdalp

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"mdalp/loop"
)

// TestSink hands on what is written, in order.
func TestSink(t *testing.T) {
	var got bytes.Buffer
	s := newSink(&got, 100)
	var want bytes.Buffer
	for n := range 1000 {
		line := bytes.Repeat([]byte{byte(n)}, n%50)
		want.Write(line)
		if k, err := s.Write(line); k != len(line) || err != nil {
			t.Fatal(k, err)
		}
	}
	if late, err := s.close(time.Minute); late || err != nil {
		t.Fatal(late, err)
	}
	if !bytes.Equal(got.Bytes(), want.Bytes()) {
		t.Errorf("%d bytes are handed on, want %d", got.Len(), want.Len())
	}
}

// TestSinkStuck: a writer that blocks holds nobody up.
func TestSinkStuck(t *testing.T) {
	r, w := io.Pipe() // without a reader, the first write blocks
	s := newSink(w, 100)
	for range 10 {
		if s.full() {
			t.Fatal("it is full too early")
		}
		s.Write(make([]byte, 10))
	}
	if !s.full() {
		t.Error("it takes more than its room")
	}
	if late, _ := s.close(time.Millisecond); !late {
		t.Error("it says that all is written")
	}
	// What waits is written once somebody reads.
	if b, err := io.ReadAll(io.LimitReader(r, 100)); len(b) != 100 || err != nil {
		t.Error(len(b), err)
	}
	<-s.done
}

// TestSinkError: the first error ends it, and is told.
func TestSinkError(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	defer w.Close()
	s := newSink(w, 100)
	s.Write([]byte("x"))
	<-s.done
	if _, err := s.Write([]byte("y")); !errors.Is(err, os.ErrClosed) && err == nil {
		t.Error("no error")
	}
	if late, err := s.close(time.Minute); late || err == nil {
		t.Error(late, err)
	}
}

// TestTapFull leaves packets out where there is no room, and tells how many.
func TestTapFull(t *testing.T) {
	log, text := logged()
	var capture bytes.Buffer
	b, tap := tapped(t, 50, Config{Capture: &capture, Balance: BalanceNone, Logger: log}, 0)
	full := false
	tap.full = func() bool { return full }
	drain(tap, ms(0))
	full = true
	tap.Receive(ms(1), &loop.Envelope{Peer: orchestrator, At: ms(1)}, []byte(captured))
	drain(tap, ms(1))
	full = false
	tap.Receive(ms(2), &loop.Envelope{Peer: receiverA, At: ms(2)}, []byte("Type:3;TID:3740;SEQ:0;"))
	drain(tap, ms(2))
	tap.close()
	tap.end(false, nil)
	if err := b.ended(); err != nil {
		t.Fatal(err)
	}
	if got := lines(t, capture.Bytes()); len(got) != 2 {
		t.Errorf("%q", got)
	}
	if !strings.Contains(text.String(), `"left out"=2 "end missing"=false`) {
		t.Errorf("told: %s", text)
	}
}
