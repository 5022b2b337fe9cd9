package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"mdalp/cmd/internal/asyncio"
)

const (
	// logRoom is how many bytes of log may wait for a standard error that takes nothing.
	logRoom = 1 << 20
	// quiet is how long a warning or error is not said again.
	quiet = 5 * time.Second
	// lastWords is how long the end waits for the log to be written.
	lastWords = 2 * time.Second
)

// newLog makes the log to w. Where lines are missing because w took nothing, a line of
// the same form says so.
func newLog(w *asyncio.Writer) *slog.Logger {
	w.Notice = func(n int) string {
		return fmt.Sprintf("time=%s level=WARN msg=\"lines of this log are lost\" lines=%d\n", time.Now().Format("2006-01-02T15:04:05.000Z07:00"), n)
	}
	return slog.New(&calm{next: slog.NewTextHandler(w, nil), said: make(map[string]*said)})
}

// calm hands records on, but says a warning or an error once only in a while: what a
// broken disk has to say for each of thousands of datagrams would fill another one. The
// next time it is said, or when nothing comes any more, it tells how often it came. Two
// are the same if their messages are, whatever else they tell.
type calm struct {
	next slog.Handler

	mu   sync.Mutex
	said map[string]*said // by message, of which there are as many as in the source
}

// said is a message that was said a moment ago.
type said struct {
	last slog.Record // that was kept back
	kept int         // how many were
}

// Enabled implements [slog.Handler].
func (c *calm) Enabled(ctx context.Context, l slog.Level) bool { return c.next.Enabled(ctx, l) }

// Handle implements [slog.Handler].
func (c *calm) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelWarn {
		return c.next.Handle(ctx, r)
	}
	c.mu.Lock()
	s := c.said[r.Message]
	if s != nil {
		s.last, s.kept = r.Clone(), s.kept+1
		c.mu.Unlock()
		return nil
	}
	c.said[r.Message] = new(said)
	c.mu.Unlock()
	time.AfterFunc(quiet, func() { c.tell(r.Message) })
	return c.next.Handle(ctx, r)
}

// tell says the last of those that were kept back, and how many they were.
func (c *calm) tell(message string) {
	c.mu.Lock()
	s := c.said[message]
	if s == nil || s.kept == 0 {
		delete(c.said, message)
		c.mu.Unlock()
		return
	}
	r := s.last
	r.AddAttrs(slog.Int("repeated", s.kept))
	*s = said{}
	c.mu.Unlock()
	time.AfterFunc(quiet, func() { c.tell(message) })
	_ = c.next.Handle(context.Background(), r) // an asyncio.Writer has no errors
}

// flush tells all that was kept back.
func (c *calm) flush() {
	c.mu.Lock()
	var all []slog.Record
	for m, s := range c.said { // order does not show: they are told sorted
		if s.kept > 0 {
			s.last.AddAttrs(slog.Int("repeated", s.kept))
			all = append(all, s.last)
		}
		delete(c.said, m)
	}
	c.mu.Unlock()
	slices.SortFunc(all, func(a, b slog.Record) int { return a.Time.Compare(b.Time) })
	for _, r := range all {
		_ = c.next.Handle(context.Background(), r)
	}
}

// WithAttrs implements [slog.Handler].
func (c *calm) WithAttrs(as []slog.Attr) slog.Handler {
	return &calm{next: c.next.WithAttrs(as), said: make(map[string]*said)}
}

// WithGroup implements [slog.Handler].
func (c *calm) WithGroup(name string) slog.Handler {
	return &calm{next: c.next.WithGroup(name), said: make(map[string]*said)}
}
