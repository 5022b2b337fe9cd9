package server

import (
	"context"
	"log/slog"
	"time"
)

// The server's own timers. Those of transactions come behind them.
const (
	timerBeat  = iota // places, the queue, stalls, lines of the log
	timerSweep        // of the store
	timers
)

const (
	// mostBeat is how often at least a server with transactions looks at itself,
	// waitBeat how often while clients wait.
	mostBeat = time.Second
	waitBeat = reclaimEvery
	// stall is how late the loop may be before that counts as its own standstill.
	stall = 100 * time.Millisecond
	// sweepEvery is how often the store is asked to do away with what is old.
	sweepEvery = 2 * time.Minute
)

// A Sweeper is a [Store] that does away with what it kept of incomplete payloads.
type Sweeper interface {
	// Sweep removes what was last written to longer ago than keep, by the store's own clock,
	// and then the oldest beyond so many bytes; keep below 0 is no end, 0 bytes no bound. What is in
	// use stays, and whole payloads do. It may block, and is called beside the server's
	// goroutine, one call at a time, while other methods are called.
	Sweep(keep time.Duration, bytes int64) (removed []string, err error)
}

// beat sees to it that the server looks at itself, soon if somebody waits.
func (s *Ledger) beat(now time.Time) {
	// Four times in Idle, so that a stall is seen for what it is.
	at := now.Add(max(waitBeat, min(mostBeat, s.cfg.Idle/4)))
	if s.desk.Waiting() > 0 {
		at = now.Add(waitBeat)
	}
	if !s.wheel.Armed(timerBeat) || at.Before(s.beats) {
		s.beats = at
		s.wheel.Arm(timerBeat, at)
	}
}

// timer does what one of the server's own timers is for.
func (s *Ledger) timer(now time.Time, id int) {
	if id == timerSweep {
		s.sweep(now)
		return
	}
	if late := now.Sub(s.beats); late > stall {
		s.stalled(late)
	}
	s.desk.admit(now)
	s.flushes()
	if s.draining {
		s.drainUnused(now)
	}
	if more := s.flush(now); more || s.open > 0 || s.desk.Waiting() > 0 {
		s.beat(now)
	}
}

// stalled moves what waits for a client's silence by the time in which it could not be
// heard: the loop was late, whatever the cause.
func (s *Ledger) stalled(late time.Duration) {
	s.stats.Stalls++
	s.stood += late
	for _, t := range s.slots {
		if t != nil && t.phase == open && s.now.Sub(t.last) > late {
			t.last = t.last.Add(late)
			if t.ext != nil {
				t.limit = t.limit.Add(late)
			}
		}
	}
}

// sweep has the store do away with what is old.
func (s *Ledger) sweep(now time.Time) {
	w, ok := s.cfg.Store.(Sweeper)
	if !ok || s.closed {
		return
	}
	s.wheel.Arm(timerSweep, now.Add(sweepEvery))
	if s.sweeping {
		return
	}
	s.sweeping = true
	keep, bytes := s.cfg.Keep, s.cfg.KeepBytes
	s.beside(func() func(time.Time) {
		removed, err := w.Sweep(keep, bytes)
		return func(now time.Time) {
			s.sweeping = false
			if len(removed) > 0 {
				s.cfg.Log.Info("kept long enough, removed", "files", len(removed), "first", removed[0])
			}
			if err != nil {
				s.tell(now, tellSweep, "the store cannot be swept", "err", err)
			}
		}
	})
}

// beside has a job done outside the loop, or where there is no outside, at the end of this
// call.
func (s *Ledger) beside(job func() func(time.Time)) {
	s.running++
	counted := func() func(time.Time) {
		back := job()
		return func(now time.Time) {
			s.running--
			if now.After(s.now) {
				s.now = now
			}
			if back != nil {
				back(s.now)
			}
			s.work(s.now)
		}
	}
	if s.cfg.Beside != nil {
		s.cfg.Beside(counted)
		return
	}
	s.jobs.push(counted)
}

// work does the jobs that are to be done in place. One may bring the next.
func (s *Ledger) work(now time.Time) {
	for s.jobs.len() > 0 {
		s.jobs.pop()()(now)
	}
}

// The kinds of lines of the log that strangers or a broken store can cause without end.
const (
	tellStore = iota
	tellStart
	tellPublish
	tellRoom
	tellUnused
	tellSweep
	tellIntent
	tellOffer
	tells
)

// linesAtOnce is how many lines of what clients do in good faith too are written in a row.
const linesAtOnce = 20

// every is the time in which as many lines of a kind are written as burst says; more of them
// are counted.
func every(kind int) time.Duration {
	switch kind {
	case tellRoom, tellUnused, tellSweep, tellIntent, tellOffer:
		return time.Minute
	}
	return 5 * time.Second
}

// burst is how many lines of a kind are written in the time that every gives.
func burst(kind int) int {
	if kind == tellIntent || kind == tellOffer {
		return linesAtOnce
	}
	return 1
}

// A line is what is known of a kind of lines.
type line struct {
	what string
	at   time.Time // the first of a row was written
	row  int       // written since
	more int       // not written since
}

// may tells whether a line of a kind may be written now, and counts it in any case. Who asks
// first spares what the line's values cost.
func (s *Ledger) may(now time.Time, kind int, what string) bool {
	l := &s.lines[kind]
	if l.at.IsZero() || now.Sub(l.at) >= every(kind) {
		l.at, l.row = now, 0
	}
	l.what = what
	if l.row++; l.row <= burst(kind) {
		return true
	}
	// How many were not written is told at a beat.
	if l.more++; l.more == 1 {
		s.beat(now)
	}
	return false
}

// tell writes a line of the log, or counts it.
func (s *Ledger) tell(now time.Time, kind int, what string, attrs ...any) {
	if !s.may(now, kind, what) {
		return
	}
	level := slog.LevelError
	if kind == tellRoom || kind == tellPublish {
		level = slog.LevelWarn
	} else if kind == tellUnused {
		level = slog.LevelInfo
	}
	s.cfg.Log.Log(context.Background(), level, what, attrs...)
	s.beat(now)
}

// flush writes how many lines were not written, once their time has come. It tells whether
// some still wait.
func (s *Ledger) flush(now time.Time) (wait bool) {
	for k := range s.lines {
		l := &s.lines[k]
		switch {
		case l.more == 0:
		case s.closed || now.Sub(l.at) >= every(k):
			s.cfg.Log.Warn("and more of these", "line", l.what, "more", l.more)
			l.at, l.row, l.more = now, 1, 0
		default:
			wait = true
		}
	}
	return wait
}
