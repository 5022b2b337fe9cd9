package fleet

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"mdalp/fleet/engine"
	"mdalp/server"
	"mdalp/wire"
)

// resumed is the writer of the journal that says what a transaction took over from another.
// No receiver has that name.
const resumed = "+"

// place is an extended payload, whose bytes receivers put at their places.
type place struct{ *trans }

// total is how many segments it has.
func (t *trans) total() int64 { return (t.rec.Bytes-1)/t.rec.Segment + 1 }

// Place implements [server.Placer].
func (s *store) Place(m server.Meta, size int64) (server.Place, error) {
	t := s.find(m.TID)
	if t == nil {
		return nil, server.ErrElsewhere
	}
	if err := s.shared.MakePart(m.TID, size); err != nil {
		return nil, err
	}
	if err := t.open(m, size, 0); err != nil {
		return nil, err
	}
	return &place{t}, nil
}

// open has the receivers know where its segments go.
func (t *trans) open(m server.Meta, size, from int64) error {
	return t.change(briefTries, func(r *engine.Record) {
		r.State, r.Bytes, r.Segment, r.Name, r.Resumed = engine.Open, size, int64(m.Segment), m.Name, from
	})
}

// Write implements [server.Place]. Nothing comes here.
func (p *place) Write([]byte, int64) error { return errors.ErrUnsupported }

// Taken implements [server.Place]. Nothing comes here.
func (p *place) Taken([]wire.Range) error { return errors.ErrUnsupported }

// Sync implements [server.Place]. Receivers flush by themselves.
func (p *place) Sync() error { return nil }

// Hash implements [server.Place]. All of it is hashed in the end, when no receiver writes to
// it any more.
func (p *place) Hash(int64) error { return nil }

// Gather implements [server.Gatherer].
func (p *place) Gather() (server.Gathered, error) {
	g, err := p.ask(false, false)
	if err != nil {
		return g, err
	}
	g.Have = server.Union(p.total(), g.Have)
	return g, nil
}

// ask asks the receivers what they have. Of one that does not answer it is what its journal
// says. A payload that has its name is all there.
func (t *trans) ask(flush, shut bool) (g server.Gathered, err error) {
	s := t.s
	ids := make([]string, len(t.rec.Receivers))
	for i, r := range t.rec.Receivers {
		ids[i] = r.ID
	}
	ctx, cancel := context.WithTimeout(s.ctx, askFor)
	defer cancel()
	answers := s.engine.Ask(ctx, &engine.Ask{TID: t.rec.TID, Flush: flush, Close: shut}, ids)
	if s.ctx.Err() != nil {
		return g, server.ErrElsewhere
	}
	s.count(func(c *Counts) { c.Asks += uint64(len(ids)) })
	g.Idle = -1
	g.Shares = make([]server.Share, len(ids))
	sets := make([][]wire.Range, 0, len(ids)+1)
	for i := range answers {
		a := &answers[i]
		if a.Err != nil || a.Problem != "" {
			s.count(func(c *Counts) { c.Silent++ })
			if err := t.dead(a, ids[i]); err != nil {
				return g, err
			}
		}
		sets = append(sets, a.Have)
		if a.Idle >= 0 && (g.Idle < 0 || a.Idle < g.Idle) {
			g.Idle = a.Idle
		}
		g.High, g.Over = max(g.High, a.High), g.Over || a.Over
		for _, r := range a.Have {
			g.Shares[i].Segments += r.Last - r.First + 1
		}
		g.Shares[i].Bytes = a.Bytes
		if t.rec.Segment > 0 {
			g.Shares[i].Bytes = min(t.rec.Bytes, g.Shares[i].Segments*t.rec.Segment)
		}
	}
	if t.rec.Resumed != 0 {
		rs, err := s.shared.Journal(t.rec.TID, resumed)
		if err != nil {
			return g, err
		}
		sets = append(sets, rs)
	}
	if t.rec.Segment > 0 && t.named() {
		sets = append(sets, []wire.Range{{First: 0, Last: t.total() - 1}})
	}
	g.Have = server.Union(1<<62, sets...)
	return g, nil
}

// dead gives what a receiver has that does not answer.
func (t *trans) dead(a *engine.Answer, id string) (err error) {
	t.s.log.Debug("a receiver does not answer, its journal is read", "tid", t.rec.TID, "receiver", id,
		"problem", a.Problem)
	*a = engine.Answer{Idle: -1}
	if t.rec.Segment > 0 {
		a.Have, err = t.s.shared.Journal(t.rec.TID, id)
	} else {
		err = t.deadBase(a, id)
	}
	return err
}

// named reports whether a payload has its name, and is whole so: one that settled it came
// no further.
func (t *trans) named() bool {
	f := t.s.folder
	if _, err := f.Stat(server.PartName(t.rec.TID)); !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	is, err := f.Stat(server.WholeName(t.rec.TID))
	return err == nil && is.Size == t.rec.Bytes
}

// Keep implements [server.Place]: what is there stays, to be resumed, or for the next
// orchestrator where this one is leaving.
func (p *place) Keep([]wire.Range) string {
	t, s := p.trans, p.s
	defer t.end()
	if t.lost || s.left() {
		return ""
	}
	t.ask(true, true)
	if err := t.change(briefTries, func(r *engine.Record) { r.State = engine.Kept }); err != nil {
		return ""
	}
	return s.folder.Full(server.PartName(t.rec.TID))
}

// Discard implements [server.Place].
func (p *place) Discard() {
	t := p.trans
	if g, err := t.ask(false, true); err != nil || len(g.Have) > 0 {
		p.Keep(g.Have) // something came of which nobody had told the server
		return
	}
	defer t.end()
	if t.change(briefTries, func(r *engine.Record) { r.State = engine.Void }) == nil {
		t.remove(server.PartName(t.rec.TID))
	}
}

// remove removes a file and the journals.
func (t *trans) remove(name string) {
	f := t.s.folder
	if name != "" {
		f.Remove(name)
	}
	for _, r := range t.rec.Receivers {
		if t.rec.Base {
			f.Remove(server.SpoolName(t.rec.TID, r.ID))
		} else {
			f.Remove(server.JournalName(t.rec.TID, r.ID))
		}
	}
	for epoch := uint64(1); t.rec.Base && epoch <= min(t.rec.Epoch, 64); epoch++ {
		f.Remove(assembly(t.rec.TID, epoch))
	}
	if t.rec.Resumed != 0 {
		f.Remove(server.JournalName(t.rec.TID, resumed))
	}
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

// Resume implements [server.Placer].
func (s *store) Resume(m server.Meta, from, size int64) (server.Place, []wire.Range, error) {
	t := s.find(m.TID)
	if t == nil {
		return nil, nil, server.ErrElsewhere
	}
	old, err := s.fence(from)
	if err != nil {
		return nil, nil, err
	}
	if old == nil || old.rec.Bytes == 0 {
		p, err := s.Place(m, size)
		return p, nil, err
	}
	if old.rec.Bytes != size || old.rec.Segment != int64(m.Segment) {
		return nil, nil, &server.SizesError{Bytes: old.rec.Bytes, Segment: old.rec.Segment}
	}
	have, err := s.move(t, old, m)
	if err != nil {
		return nil, nil, err
	}
	if err := t.open(m, size, from); err != nil {
		return nil, nil, err
	}
	if old.rec.State != engine.Complete {
		old.change(briefTries, func(r *engine.Record) { r.State = engine.Void })
		old.remove("")
	}
	return &place{t}, have, nil
}

// fence ends the transaction that is resumed, whoever has it, so that nobody settles it any
// more; nil where nothing is there of it. One that is complete stays what it is.
func (s *store) fence(tid int64) (*trans, error) {
	for n := range briefTries {
		ctx, cancel := context.WithTimeout(s.ctx, writeFor)
		r, rev, err := s.engine.Get(ctx, tid)
		switch {
		case errors.Is(err, engine.ErrNotFound):
			cancel()
			return nil, nil
		case err != nil:
			cancel()
			return nil, err
		}
		t := &trans{s: s, rec: *r, rev: rev}
		if r.State == engine.Complete || r.Bytes == 0 || r.State == engine.Void || r.State == engine.Damaged {
			cancel()
			if r.State != engine.Complete {
				return nil, nil
			}
			return t, nil
		}
		t.rec.Owner, t.rec.Epoch, t.rec.State = s.me, r.Epoch+1, engine.Kept
		t.rev, err = s.engine.Update(ctx, &t.rec, rev)
		cancel()
		if err == nil {
			return t, nil
		}
		s.again(n)
	}
	return nil, fmt.Errorf("transaction %d: %w", tid, engine.ErrAway)
}

// move gives what is there of old to t. The journal of that is made first and flushed; then
// the payload gets its new name. Where it ends before the new record, nothing is known of
// it, and all is sent again.
func (s *store) move(t, old *trans, m server.Meta) (have []wire.Range, err error) {
	part := server.PartName(m.TID)
	total := old.total()
	whole := old.rec.State == engine.Complete || old.named()
	if whole {
		have = []wire.Range{{First: 0, Last: total - 1}}
	} else {
		g, err := old.ask(true, true)
		if err != nil {
			return nil, err
		}
		have = server.Union(total, g.Have)
	}
	if err := s.shared.Leave(m, old.rec.Bytes, resumed, have); err != nil {
		return nil, err
	}
	if whole {
		if err = s.folder.Link(server.WholeName(old.rec.TID), part); errors.Is(err, errors.ErrUnsupported) {
			err = s.copy(server.WholeName(old.rec.TID), part, old.rec.Bytes)
		}
	} else {
		err = s.folder.Rename(server.PartName(old.rec.TID), part)
	}
	switch {
	case errors.Is(err, fs.ErrExist): // it was done before, by one that came no further
	case errors.Is(err, fs.ErrNotExist):
		// Somebody took it away. Nothing is held of it.
		s.folder.Remove(server.JournalName(m.TID, resumed))
		return nil, s.shared.MakePart(m.TID, old.rec.Bytes)
	case err != nil:
		return nil, err
	}
	return have, s.folder.Flush()
}

// copy copies a payload where a file cannot have two names.
func (s *store) copy(from, to string, size int64) error {
	in, err := s.folder.Open(from, os.O_RDONLY)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := s.folder.Make(to, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	b := make([]byte, blockBytes)
	for at := int64(0); at < size; at += int64(len(b)) {
		b = b[:min(int64(len(b)), size-at)]
		if _, err := in.ReadAt(b, at); err != nil {
			return err
		}
		if _, err := out.WriteAt(b, at); err != nil {
			return err
		}
	}
	return out.Sync()
}

// hashFile gives the digest of a file of that size.
func (s *store) hashFile(name string, size int64) (sum [sha256.Size]byte, err error) {
	f, err := s.folder.Open(name, os.O_RDWR)
	if err != nil {
		return sum, err
	}
	defer f.Close()
	is, err := f.Fact()
	if err == nil && is.Size != size {
		err = fmt.Errorf("%s: %d bytes, and not %d", f.Name(), is.Size, size)
	}
	if err != nil {
		return sum, err
	}
	h := sha256.New()
	b := make([]byte, min(blockBytes, size))
	for at := int64(0); at < size; at += int64(len(b)) {
		b = b[:min(int64(len(b)), size-at)]
		if _, err := f.ReadAt(b, at); err != nil {
			return sum, err
		}
		h.Write(b)
		if s.ctx.Err() != nil {
			return sum, server.ErrElsewhere
		}
	}
	h.Sum(sum[:0])
	// What a receiver had written and not flushed, that died on this machine, is on no disk yet.
	return sum, f.Sync()
}

// blockBytes is how much is read and written at once.
const blockBytes = 256 << 10
