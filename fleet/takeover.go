package fleet

import (
	"context"
	"encoding/hex"
	"errors"
	"net/netip"

	"mdalp/fleet/engine"
	"mdalp/server"
	"mdalp/wire"
)

// Find implements [server.Fleet].Find.
func (s *store) look(tid int64, client netip.Addr) (*server.Found, error) {
	for n := range briefTries {
		ctx, cancel := context.WithTimeout(s.ctx, writeFor)
		r, rev, err := s.engine.Get(ctx, tid)
		cancel()
		switch {
		case errors.Is(err, engine.ErrNotFound), err == nil && (r.Client.Addr() != client || r.Sealed()):
			return nil, nil
		case err != nil:
			s.count(func(c *Counts) { c.Away++ })
			return nil, err
		case r.State.Ended():
			return ended(r), nil
		}
		f, err := s.take(r, rev)
		if !errors.Is(err, engine.ErrConflict) {
			return f, err
		}
		s.again(n)
	}
	return nil, engine.ErrConflict
}

// take makes this orchestrator the owner of a transaction, and gives what is there of it.
func (s *store) take(r *engine.Record, rev uint64) (*server.Found, error) {
	s.mu.Lock()
	s.taking[r.TID]++
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.taking[r.TID]--; s.taking[r.TID] == 0 {
			delete(s.taking, r.TID)
		}
	}()
	t := &trans{s: s, rec: *r, rev: rev}
	mine := *r
	mine.Owner, mine.Epoch = s.me, r.Epoch+1
	if mine.State == engine.Settling { // whoever settled did not come to the end
		// Of an extended payload it is clear what all of it is. One of the base protocol may have its
		// name already, or get it in a moment, so that nothing may come to it any more.
		if t.bound = mine.Base; !t.bound {
			mine.State = engine.Open
		}
	}
	ctx, cancel := context.WithTimeout(s.ctx, writeFor)
	defer cancel()
	s.count(func(c *Counts) { c.Writes++ })
	rev, err := s.engine.Update(ctx, &mine, rev)
	if err != nil {
		return nil, err
	}
	t.rec, t.rev = mine, rev
	s.count(func(c *Counts) { c.Taken++ })
	f := &server.Found{Meta: server.Meta{TID: r.TID, Segment: int(r.Segment), Client: r.Client,
		Offered: r.Offered, Name: r.Name}, Receivers: stations(r.Receivers), Spool: t,
		Unused: t.end}
	if mine.State == engine.Open {
		p := &place{t}
		if err := t.make(); err != nil { // whoever opened it may have come no further
			return nil, err
		}
		g, err := p.Gather(false, false)
		if err != nil {
			return nil, err
		}
		f.Place, f.Size, f.Have = p, r.Bytes, g.Have
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tx[r.TID] = t
	return f, nil
}

// stations is what a client was offered of receivers.
func stations(ss []engine.Station) []wire.Receiver {
	ps := make([]engine.Party, len(ss))
	for i, s := range ss {
		ps[i] = engine.Party{Addr: s.Addr, Seg: s.Seg, Win: s.Win}
	}
	return offering(ps)
}

// knows reports whether a transaction is this one's, or about to be. One that it has written
// to be its own and does not know is one of which the answer was lost.
func (s *store) knows(tid int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tx[tid] != nil || s.taking[tid] > 0
}

// orphans takes over what orchestrators have left that are gone.
func (s *store) orphans() (found []*server.Found, err error) {
	ctx, cancel := context.WithTimeout(s.ctx, 2*writeFor)
	defer cancel()
	open, err := s.engine.Unsettled(ctx)
	if err != nil {
		return nil, err
	}
	// Asked for behind the records: whoever owns one of them is told of by then.
	living, err := s.engine.Living(ctx)
	if err != nil {
		return nil, err
	}
	there, failed := make(map[string]bool), make(map[int64]bool)
	defer func() { s.failed = failed }()
	for _, p := range living {
		there[p.ID] = true
	}
	for _, e := range open {
		r := e.Record
		// One that is known here and another's finds that out by itself.
		if r.Owner != s.me && there[r.Owner] || s.knows(r.TID) {
			continue
		}
		if r.Sealed() {
			s.keep(e) // what fails is found again
			continue
		}
		f, err := s.take(r, e.Revision)
		if err != nil { // another was first, or it is tried again
			if failed[r.TID] = !errors.Is(err, engine.ErrConflict); failed[r.TID] && !s.failed[r.TID] {
				s.log.Warn("what another has left cannot be taken over now", "tid", r.TID, "err", err)
			}
			continue
		}
		found = append(found, f)
	}
	return found, nil
}

// ended is what a record of one that has ended says to a client that asks.
func ended(r *engine.Record) *server.Found {
	f := &server.Found{Meta: server.Meta{TID: r.TID, Segment: int(r.Segment), Client: r.Client, Name: r.Name},
		Receivers: stations(r.Receivers), Size: r.Bytes, Comment: r.Comment}
	switch {
	case r.State == engine.Complete && r.Bytes > 0:
		f.Verdict = wire.Complete
		hex.Decode(f.SHA256[:], []byte(r.SHA256))
	case r.State == engine.Damaged:
		f.Verdict = wire.Damaged
	case r.State == engine.Kept && r.Bytes > 0:
		f.Verdict, f.Resume = wire.Refused, true
		if f.Comment == "" {
			f.Comment = "it was silent for too long"
		}
	default:
		return nil
	}
	return f
}
