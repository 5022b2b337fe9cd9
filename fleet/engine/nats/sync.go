package nats

import (
	"context"
	"sync"
	"time"
)

// A syncer makes one write do for all who wait for one: whoever comes while a write is under
// way shares the next.
type syncer struct {
	write func(context.Context) (uint64, error)
	every time.Duration // from one write to the next, at least

	mu   sync.Mutex
	next *turn // what those who come now wait for
	busy bool
}

// A turn is one write, and those who wait for it.
type turn struct {
	done     chan struct{}
	revision uint64
	err      error
}

// after gives the revision of a write that began after the call did.
func (s *syncer) after(ctx context.Context) (uint64, error) {
	s.mu.Lock()
	if s.next == nil {
		s.next = &turn{done: make(chan struct{})}
	}
	t := s.next
	if !s.busy {
		s.busy = true
		go s.work()
	}
	s.mu.Unlock()
	select {
	case <-t.done:
		return t.revision, t.err
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

// work writes until nobody waits.
func (s *syncer) work() {
	for {
		s.mu.Lock()
		t := s.next
		s.next = nil
		s.busy = t != nil
		s.mu.Unlock()
		if t == nil {
			return
		}
		next := time.After(s.every)
		t.revision, t.err = s.write(context.Background()) // bounded by itself
		close(t.done)
		<-next
	}
}
