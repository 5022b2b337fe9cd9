package server

import (
	"crypto/sha256"
	"errors"
	"time"

	"mdalp/wire"
)

// A goal is what becomes of the segments of a transaction that settles.
type goal uint8

const (
	whole   goal = iota // a payload under its final name
	partial             // a payload that says that it is incomplete
	keep                // they stay as they are
)

// How long a payload that could not be published waits for the next try.
const (
	firstPause = time.Second
	mostPause  = time.Minute
)

// settle begins to settle t, now that its payload is expected, silent or out of time.
// From here on it takes no more segments and holds no place.
func (s *Ledger) settle(now time.Time, t *transaction) {
	t.goal = keep
	switch {
	case s.complete(now, t):
		t.goal = whole
	case s.cfg.KeepPartial:
		t.goal = partial
	}
	s.unplace(t)
	t.phase, t.opening = settling, nil
	if t.ext != nil {
		s.concludeBlocks(t)
		s.desk.admit(now)
		return
	}
	if !t.used {
		// Nothing came: there is nothing to keep, and nothing empty is stored.
		t.spool.Discard()
		s.verdict(now, t, outcome{})
		return
	}
	s.conclude(t)
	s.desk.admit(now)
}

// complete reports whether all of the payload is there, as far as can be told without
// its hash: it has the expected size, or is whole and has been silent for Idle.
func (s *Ledger) complete(now time.Time, t *transaction) bool {
	if t.ext != nil {
		return t.ext.whole() && t.ext.dialog.verdict == wire.Unknown
	}
	if s.cfg.Expect != nil {
		return s.arrived(t)
	}
	return s.quiet(t) && (t.closed || now.Sub(t.last) >= s.cfg.Idle)
}

// An outcome is what a job beside the loop gives.
type outcome struct {
	sum    [sha256.Size]byte
	path   string
	kept   string
	err    error
	differ bool // the payload is not the expected one
	cut    bool // the server was closed first
}

// conclude has the job done that t's goal asks for: to put the payload together, hold it
// against the expected one, and give it its name; or to leave it as it is.
func (s *Ledger) conclude(t *transaction) {
	if t.ext != nil {
		s.concludeBlocks(t)
		return
	}
	t.busy = true
	s.wheel.Stop(t.slot)
	spool, goal, want := t.spool, t.goal, s.cfg.Expect
	have := t.index.Stored(nil)
	s.beside(func() func(time.Time) {
		var d outcome
		switch goal {
		case keep:
			if j, ok := spool.(Judger); ok {
				j.Judged()
			}
			d.kept = spool.Keep()
		default:
			d.sum, d.err = spool.Assemble(have)
			d.differ = d.err == nil && goal == whole && want != nil && d.sum != want.SHA256
			if !d.differ && d.err == nil {
				d.path, d.err = spool.Publish(goal == partial)
			}
		}
		return func(now time.Time) { s.concluded(now, t, d) }
	})
}

// concluded takes what the job has done. A payload that could not be published stays where
// it is, and is tried again: what was acknowledged is not given up.
func (s *Ledger) concluded(now time.Time, t *transaction, d outcome) {
	t.busy = false
	switch {
	case errors.Is(d.err, ErrElsewhere):
		s.verdict(now, t, outcome{cut: true})
		return
	case errors.Is(d.err, ErrMissing): // what came is kept, as it is all there will be
		t.err, t.goal = d.err, keep
		s.conclude(t)
		return
	case d.differ:
		t.sum, t.checked = d.sum, true
		s.reopen(now, t)
		return
	case d.err != nil && (d.path == "" || t.ext == nil):
		// With a path it is there, but a loss of power may take it.
		if t.err == nil {
			t.err = d.err
		}
		s.stats.Retried++
		if s.closed {
			s.cut(now, t)
			return
		}
		t.pause = min(max(firstPause, 2*t.pause), mostPause)
		s.arm(t, now.Add(t.pause))
		what := "the payload is kept as it came, to publish it is tried again"
		if d.path != "" {
			what = "the payload is there, but not known to survive a loss of power; " +
				"to flush it is tried again"
		}
		s.tell(now, tellPublish, what, "tid", t.tid, "in", t.pause, "err", d.err)
		return
	case d.err != nil && t.err == nil:
		t.err = d.err
	}
	if d.sum != ([sha256.Size]byte{}) {
		t.sum = d.sum
	}
	s.verdict(now, t, d)
}

// reopen lets a transaction go on whose bytes are not the expected ones: it has its
// verdict at its limit, as one whose bytes never come.
func (s *Ledger) reopen(now time.Time, t *transaction) {
	t.phase = open
	if s.closed {
		s.cut(now, t)
		return
	}
	if !now.Before(t.limit) {
		s.settle(now, t)
		return
	}
	s.enter(t)
	s.arm(t, t.limit)
}

// cut keeps what there is of a transaction when the server ends. The next one on this
// store takes it up again.
func (s *Ledger) cut(now time.Time, t *transaction) {
	s.unplace(t)
	t.phase, t.busy, t.opening = settling, true, nil
	retain := t.spool.Keep
	if t.ext != nil {
		have, _ := t.ext.have.from(nil, 0, mostRanges+1)
		place := t.ext.place
		retain = func() string { return place.Keep(have) }
	}
	s.beside(func() func(time.Time) {
		d := outcome{kept: retain(), cut: true}
		return func(now time.Time) { s.verdict(now, t, d) }
	})
}
