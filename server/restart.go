package server

import (
	"time"

	"mdalp/sched"
)

// Start takes up what former processes left in the store, and must come before all else;
// without it the first call does the same. Transactions whose limit has not passed, by the
// wall clock since their offer, are open again: their clients go on as if nothing had
// been. The others are settled, each with its verdict. It fails when the store cannot
// tell; nothing of it is known then, and nothing lost.
func (s *Ledger) Start(now time.Time) error {
	if s.wheel != nil {
		return nil
	}
	s.now = now
	found, err := s.cfg.Store.Recover()
	// As many as there may be of each kind, and one that is about to be forgotten.
	most := s.cfg.Remember + s.cfg.MaxOpen + 2*s.cfg.Concurrent + unusedKept + len(found) + 1
	s.wheel = sched.NewWheel(now, timers+most)
	judged := 0
	for k := range found {
		if r := &found[k]; r.Judged && r.Err == nil && !s.cfg.KeepPartial {
			r.Spool.Keep()
			judged++
			continue
		}
		s.takeUp(now, &found[k])
	}
	if judged > 0 {
		s.cfg.Log.Info("incomplete payloads of former runs are kept, as was said of each", "payloads", judged)
	}
	s.wheel.Arm(timerSweep, now)
	s.work(now)
	return err
}

// takeUp makes a transaction of what was found.
func (s *Ledger) takeUp(now time.Time, r *Recovered) {
	if r.Err != nil {
		s.cfg.Log.Error("a spool of a former run cannot be read, it stays as it is",
			"tid", r.TID, "path", r.Path, "err", r.Err)
		return
	}
	if r.Place != nil {
		s.takeUpPlace(now, r)
		return
	}
	t := &transaction{flow: flow{tid: r.TID}, client: r.Client, segment: r.Segment, spool: r.Spool,
		found: true, phase: open}
	s.register(t, s.origin(sourceOf(r.Client.Addr(), false)))
	for g, err := range r.Segments {
		if err != nil {
			t.err, t.over = err, true
			break
		}
		t.index.Add(g.Seq, int(g.Length), g.Sum)
		if i := int(g.Receiver); i < len(t.shares) { // there may have been more of them
			t.shares[i].Segments++
			t.shares[i].Bytes += int64(g.Length)
		}
	}
	if r.High > 0 {
		t.index.Note(min(r.High-1, s.segments))
	}
	if t.used = t.index.Segments() > 0; t.used {
		s.used++
		t.origin.bytes += t.index.Bytes()
	}
	s.stats.Recovered++
	// A clock that was set back tells nothing of the time that has passed.
	age := max(0, now.Sub(r.Offered))
	t.start, t.last, t.stored = now.Add(-age), now, now
	t.limit = t.start.Add(s.cfg.Limit)
	s.cfg.Log.Info("transaction of a former run found",
		"tid", t.tid, "client", t.client, "bytes", t.index.Bytes(),
		"age", age, "path", r.Path)
	if age >= s.cfg.Limit {
		// Nobody will send more. It was silent at its limit if its last segment came long
		// enough before; else it is as it is with one that was cut off there.
		if t.last = t.limit.Add(-s.cfg.Idle); age-r.Silent > s.cfg.Limit-s.cfg.Idle {
			t.last = now
		}
		s.settle(now, t)
		return
	}
	// A whole one must have the time to show that it is silent.
	if s.quiet(t) && t.limit.Before(now.Add(s.cfg.Idle)) {
		t.limit = now.Add(s.cfg.Idle)
	}
	s.enter(t)
	s.arm(t, s.due(t))
	s.beat(now)
}

// gaveUp is how long beyond Silence a client may be heard of again: it gives up a minute
// after the last answer.
const gaveUp = time.Minute

// takeUpPlace makes a transaction of an extended payload that was found, as if its client
// had been heard just now. One that is too old is kept, to be resumed, and so is a sealed one:
// its transaction's keys went with the process, and in the clear anybody could go on with it.
func (s *Ledger) takeUpPlace(now time.Time, r *Recovered) {
	s.stats.Recovered++
	if r.Key.sealed() || s.cfg.Base || s.byTID[r.TID] != nil || r.Silent >= s.cfg.Silence+gaveUp {
		if len(r.Have) == 0 {
			r.Place.Discard()
			return
		}
		r.Place.Keep(r.Have)
		s.cfg.Log.Debug("a payload of a former run is kept",
			keyed(r.Key.Name, []any{"tid", r.TID, "path", r.Path})...)
		return
	}
	t := &transaction{flow: flow{tid: r.TID}, client: r.Client, segment: s.cfg.SegmentLimit, spool: r.Spool,
		found: true, phase: open}
	s.register(t, s.origin(sourceOf(r.Client.Addr(), false)))
	s.extend(t, r.Size, int64(r.Segment), r.Place, r.Have).name = r.Name
	t.start, t.last, t.stored = now.Add(-max(0, now.Sub(r.Offered))), now, now
	t.limit = now.Add(s.cfg.Silence)
	s.cfg.Log.Info("payload of a former run found",
		"tid", t.tid, "client", t.client, "bytes", r.Size, "there", t.ext.bytes(), "path", r.Path)
	s.enter(t)
	s.arm(t, t.limit)
	s.beat(now)
	s.attend(t)
}
