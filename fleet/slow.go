package fleet

import (
	"log/slog"
	"time"
)

const (
	// slowFlush is what one may take until the directory is said to be slow: orchestrators wait for
	// receivers for less. It is said again after tellSlowEvery.
	slowFlush     = 2 * time.Second
	tellSlowEvery = time.Minute
)

// slowness tells of flushes that took long: the directory is slow, or all that are under way are many.
type slowness struct {
	told  time.Time // when it was said last
	count uint64
}

func (w *slowness) took(log *slog.Logger, began, now time.Time) {
	d := now.Sub(began)
	if d < slowFlush {
		return
	}
	w.count++
	if w.told.IsZero() || now.Sub(w.told) >= tellSlowEvery {
		w.told = now
		log.Warn("the directory is slow", "flush", d.Round(time.Millisecond), "slow_flushes", w.count)
	}
}

// flush runs f, which has made durable what it leaves when it comes back.
func (s *store) flush(f func() error) error {
	if s.now == nil {
		return f()
	}
	began := s.now()
	err := f()
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.slow.took(s.log, began, now)
	s.counts.Slow = s.slow.count
	return err
}
