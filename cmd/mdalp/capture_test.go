package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"strings"
	"testing"

	"mdalp"
)

// newPipeCapture is a capture to a pipe.
func newPipeCapture(t *testing.T) (*os.File, *capture) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	c := &capture{f: w, taken: make(chan struct{}, 1), done: make(chan struct{})}
	c.wake.L = &c.mu
	go c.run()
	return r, c
}

// A capture keeps what its reader has not taken, up to a bound, and then fails for good.
func TestCaptureBehind(t *testing.T) {
	_, c := newPipeCapture(t)
	block := make([]byte, 1<<20)
	var err error
	n := 0
	for ; n < 100 && err == nil; n++ {
		_, err = c.Write(block)
	}
	// As much again may be on its way to the pipe.
	if most := captureRoom >> 20; n <= most || n > 2*most+1 || err == nil || err.Error() != "more than 8 MiB wait for what reads it" {
		t.Errorf("after %d MiB: %v", n, err)
	}
	if _, again := c.Write(nil); again != err {
		t.Errorf("then %v", again)
	}
	// Told already, and nobody waits for it once the command is to end.
	var log bytes.Buffer
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c.close(ctx, &mdalp.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if log.Len() > 0 {
		t.Errorf("%s", &log)
	}
}

// All arrives, however slow the reader is, and in one piece.
func TestCaptureWhole(t *testing.T) {
	r, c := newPipeCapture(t)
	text := make(chan []byte)
	go func() {
		b, _ := io.ReadAll(r)
		text <- b
	}()
	var want []byte
	for i := range 2000 {
		b := bytes.Repeat([]byte{byte(i)}, i)
		want = append(want, b...)
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	var log bytes.Buffer
	c.close(t.Context(), &mdalp.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if got := <-text; !bytes.Equal(got, want) || log.Len() > 0 {
		t.Errorf("%d bytes of %d; %s", len(got), len(want), &log)
	}
}

// The line that stands for others has the form of the others.
func TestGap(t *testing.T) {
	for format, want := range map[string]string{
		"text":     `level=WARN msg="lines are missing here: nobody took them in time" lines=7` + "\n",
		"json":     `"level":"WARN","msg":"lines are missing here: nobody took them in time","lines":7}` + "\n",
		"original": "WARNING:__main__:lines are missing here: nobody took them in time lines=7\n",
	} { // order does not show
		if got := gap(&sendOptions{logFormat: format}, 7); !strings.HasSuffix(got, want) || strings.Count(got, "\n") != 1 {
			t.Errorf("%s: %q", format, got)
		}
	}
}
