package fleet

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"mdalp/fleet/engine"
	"mdalp/server"
	"mdalp/wire"
)

// early reports whether a transaction was taken for one of the base protocol, since what the
// engine told was older than what its client was told. It is to be asked again.
func (r *Receiver) early(s *stand) bool {
	if have, _, _, _ := s.spool.Have(); len(have) > 0 || s.syncing || s.asking {
		return false
	}
	s.spool.Close()
	s.state, s.spool, s.flow = unknown, nil, nil
	return true
}

// segment takes a segment of the base protocol.
func (r *Receiver) segment(now time.Time, s *stand, m *wire.Message) (*server.Flow, bool) {
	if s.problem != "" { // what came before may be gone
		r.counts.Dropped++
		return nil, false
	}
	taken, known, err := s.spool.Put(m.Seq, m.Data, s.shut)
	if err != nil {
		r.counts.Failed++
		r.cfg.Log.Error("store failed, the segment is not acknowledged", "tid", s.tid, "err", err)
	}
	if !taken && !known {
		r.counts.Dropped++
		return nil, false
	}
	if taken {
		s.last, s.unsynced = now, true
	}
	return s.flow, known
}

// deadBase gives what a receiver has in its spool that does not answer.
func (t *trans) deadBase(a *engine.Answer, id string) error {
	have, bytes, high, over, err := t.s.shared.SpoolOf(t.rec.TID, id)
	// A receiver that could not flush may have acknowledged more than anybody can read.
	a.Have, a.Bytes, a.High, a.Over = have, bytes, max(high, a.High), over
	return err
}

// have is what is there. Of an extended payload whose flush failed that is what was flushed before,
// which its journal may not say yet; of one of the base protocol nobody knows what is there then but
// who reads it, and that more was acknowledged, perhaps.
func (r *Receiver) have(now time.Time, s *stand) engine.Answer {
	a := engine.Answer{Idle: -1}
	if !s.last.IsZero() {
		a.Idle = now.Sub(s.last)
	}
	if s.state == extended {
		a.Have, a.File = s.part.Have(), s.part.File()
	} else {
		a.Have, a.Bytes, a.High, a.Over = s.spool.Have()
		a.Problem = s.problem
	}
	return a
}

// Begin implements [server.Spool].
func (t *trans) Begin(server.Meta) {}

// Note implements [server.Spool]. Nothing comes here.
func (t *trans) Note(int64) {}

// Put implements [server.Spool]. Nothing comes here.
func (t *trans) Put(int64, int, []byte, uint32) error { return errors.ErrUnsupported }

// Gather implements [server.Gatherer]. The last time it is in the record, so that receivers that
// start anew take nothing more either.
func (t *trans) Gather(sure, final bool) (server.Gathered, error) {
	switch {
	case t.astray():
		return server.Gathered{}, server.ErrElsewhere
	case final:
		return t.settled()
	case t.bound:
		return t.ask(false, true)
	}
	if t.rec.State == engine.Settling { // it was not over
		if err := t.turns(briefTries, func(r *engine.Record) {
			r.State, r.Base = engine.Created, false
		}); err != nil {
			return server.Gathered{}, err
		}
	}
	g, err := t.ask(false, false)
	if err == nil && sure {
		r := t.rec
		err = t.update(&r) // as it is; nothing that is read tells as much
	}
	return g, err
}

// astray leaves a transaction that by its record is an extended one, and for its server still one
// of the base protocol, or nothing, as its opening failed on the way back. It is taken over as what
// it is.
func (t *trans) astray() bool {
	if t.rec.Bytes == 0 || t.lost {
		return t.lost
	}
	t.lose()
	return true
}

// turns is change of one that is of the base protocol, or nothing yet: what is astray stays as it is,
// also where that is found out only now.
func (t *trans) turns(tries int, f func(*engine.Record)) error {
	err := t.change(tries, func(r *engine.Record) {
		if r.Bytes == 0 {
			f(r)
		}
	})
	if err == nil && t.astray() {
		err = server.ErrElsewhere
	}
	return err
}

// assembly is the file in which a base payload is put together: one of its own for each
// owner, as a former one may not know yet that it is none.
func assembly(tid int64, epoch uint64) string {
	return server.SpoolName(tid, fmt.Sprintf("%d.new", epoch))
}

// scrap removes the files in which owners have put a base payload together, or began to: one that died
// then left its own. Nobody has a use for them once the transaction has ended.
func (t *trans) scrap() {
	for epoch := uint64(1); epoch <= min(t.rec.Epoch, 64); epoch++ {
		t.s.folder.Remove(assembly(t.rec.TID, epoch))
	}
}

// Assemble implements [server.Spool]: what receivers have in their spools is put together.
// Of what was heard before, a loss of power may have taken the end since: such a payload is not whole.
func (t *trans) Assemble(heard []wire.Range) (sum [sha256.Size]byte, err error) {
	s := t.s
	if s.left() || t.astray() {
		return sum, server.ErrElsewhere
	}
	g, err := t.settled()
	if err != nil {
		return sum, err
	}
	if n := len(heard); n > 0 {
		g.High = max(g.High, heard[n-1].Last+1)
	}
	ids := make([]string, len(t.rec.Receivers))
	for i, r := range t.rec.Receivers {
		ids[i] = r.ID
	}
	name := assembly(t.rec.TID, t.rec.Epoch)
	sum, have, err := s.shared.Assemble(t.rec.TID, ids, name)
	if err == nil && (len(have) != 1 || have[0].First != 0 || have[0].Last+1 < g.High) {
		err = server.ErrMissing
	}
	if err != nil {
		s.folder.Remove(name) // a later owner, who removes the others, may have been here
		return sum, err
	}
	t.sum = sum
	return sum, nil
}

// Publish implements [server.Spool]. A payload that has its name got it from a former owner,
// of the same segments.
func (t *trans) Publish(bool) (path string, err error) {
	s := t.s
	whole := server.WholeName(t.rec.TID)
	from := assembly(t.rec.TID, t.rec.Epoch)
	err = s.folder.Rename(from, whole)
	if errors.Is(err, fs.ErrExist) {
		is, serr := s.folder.Stat(whole)
		if serr != nil {
			return "", serr
		}
		if t.sum, _, err = s.hashFile(whole, is.Size, true); err == nil {
			s.folder.Remove(from)
		}
	} else if errors.Is(err, fs.ErrNotExist) {
		if _, serr := s.folder.Stat(whole); serr == nil { // it was this one, and then the engine
			err = nil
		}
	}
	if err == nil {
		err = s.flush(s.folder.Flush)
	}
	if err != nil {
		return "", err
	}
	return s.folder.Full(whole), t.complete(t.sum)
}

// Keep implements [server.Spool].
func (t *trans) Keep() string {
	defer t.end()
	if t.astray() || t.s.left() {
		return ""
	}
	t.ask(true, true)
	if t.turns(briefTries, func(r *engine.Record) { r.State, r.Base = engine.Kept, true }) != nil {
		return ""
	}
	t.scrap()
	return t.s.folder.Full(server.SpoolName(t.rec.TID, "*"))
}

// Discard implements [server.Spool]. It does not wait for the engine.
func (t *trans) Discard() {
	t.mu.Lock()
	creating, made := t.creating, t.rev != 0
	t.dropped = true
	t.mu.Unlock()
	switch {
	case creating: // whoever does sees to it
	case !made || t.s.left() || t.rec.State.Ended() || t.astray():
		t.end()
	default:
		t.s.beside(func() func(time.Time) { t.void(); return nil })
	}
}

// void ends the record of a transaction of which nothing is there.
func (t *trans) void() {
	if t.turns(briefTries, func(r *engine.Record) { r.State = engine.Void }) == nil && t.rec.Epoch > 1 {
		t.scrap() // a former owner may have had segments that a loss of power has taken since
	}
	t.end()
}
