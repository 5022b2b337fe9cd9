package server

import (
	"errors"
	"fmt"
	"time"

	"mdalp/wire"
)

// announced begins to make an extended transaction of what was announced; refusal says why
// not. The manifest is answered when there is a place for the payload.
func (s *Orchestrator) announced(now time.Time, t *transaction, m *announcement) (refusal string) {
	if s.cfg.Base {
		return "only the base protocol is spoken here"
	}
	switch {
	case s.cfg.Expect != nil && m.Bytes != s.cfg.Expect.Size:
		return fmt.Sprintf("a payload of %d bytes is expected", s.cfg.Expect.Size)
	case m.Bytes > s.mostBlocks:
		return fmt.Sprintf("too large: %d bytes are the most", s.mostBlocks)
	case m.Seg > int64(s.cfg.Segment) && m.Seg > wire.MinSegment:
		return fmt.Sprintf("'seg' is more than %d", s.cfg.Segment)
	}
	// Whoever announces knows the number of the transaction and is there: it counts as one
	// that has a segment.
	if (t.place == none || !t.used) && !s.takes(t) {
		return "too many transactions"
	}
	t.opening = m
	if old := s.byTID[m.Resume]; old != nil && old.key().Print != t.key().Print {
		m.Resume = wire.Absent // to who has another key it is not there
	}
	if old := s.byTID[m.Resume]; old != nil && old != t && old.ext != nil && s.yields(now, old, t) {
		return ""
	}
	s.makePlace(now, t)
	return ""
}

// yields closes a transaction that t is to resume, if it is under way, and reports whether
// there is something to wait for: that it is closed, or nothing at all. To know its number
// is to be the one who sent it.
func (s *Orchestrator) yields(now time.Time, old, t *transaction) bool {
	x, m := old.ext, t.opening
	if (old.phase < settled || x.dialog.verdict == wire.Complete) &&
		(x.size != m.Bytes || x.segment != m.Seg) {
		s.opened(now, t, m, nil, nil, &SizesError{x.size, x.segment})
		return true
	}
	if old.phase == settled {
		return false
	}
	x.heir = t // who comes later has it, as in a repeated intent
	s.burst(now)
	if old.phase == open {
		old.deny("another transaction has resumed it")
		s.settle(now, old)
	}
	return true
}

// inherit has the transaction go on that waits for t.
func (s *Orchestrator) inherit(now time.Time, t *transaction) {
	if t.ext == nil || t.ext.heir == nil {
		return
	}
	h := t.ext.heir
	t.ext.heir = nil
	if h.opening != nil {
		s.makePlace(now, h)
	}
}

// makePlace has a place made for what t announced.
func (s *Orchestrator) makePlace(now time.Time, t *transaction) {
	m := t.opening
	store, ok := s.cfg.Store.(Placer)
	if !ok || s.cfg.sinks {
		s.opened(now, t, m, sink{}, nil, nil)
		return
	}
	is := Meta{TID: t.tid, Segment: int(m.Seg), Client: t.client, Offered: t.start, Name: m.Name,
		Key: t.key()}
	from, size := m.Resume, m.Bytes
	s.beside(func() func(time.Time) {
		var place Place
		var have []wire.Range
		var err error
		if from == wire.Absent {
			place, err = store.Place(is, size)
		} else {
			place, have, err = store.Resume(is, from, size)
		}
		return func(now time.Time) { s.opened(now, t, m, place, have, err) }
	})
}

// opened takes the place that was made for what t announced, or why there is none.
func (s *Orchestrator) opened(now time.Time, t *transaction, m *announcement, place Place,
	have []wire.Range, err error) {
	if t.opening != m { // it is of the base protocol now, or over
		if err == nil {
			s.giveUp(place, have)
		}
		return
	}
	t.opening = nil
	var sizes *SizesError
	switch {
	case errors.As(err, &sizes):
		s.refuseManifest(t, m, "sizes that differ from those of what is held", sizes)
		return
	case errors.Is(err, ErrElsewhere): // its client asks the others, too, and one of them has it
		s.cut(now, t)
		return
	case err != nil:
		s.tell(now, tellStore, "a payload is refused", "tid", t.tid, "bytes", m.Bytes, "err", err)
		s.refuseManifest(t, m, reason(err), nil)
		return
	}
	x := s.extend(t, m.Bytes, m.Seg, place, have)
	x.name, x.told = m.Name, true
	s.stats.Announced++
	s.cfg.Log.Info("payload announced", t.line("tid", t.tid, "client", t.client, "bytes", m.Bytes,
		"segment", m.Seg, "there", x.bytes())...)
	s.arm(t, now.Add(s.cfg.Silence))
	s.said(now, t, m)
	s.attend(t)
}
