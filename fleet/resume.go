package fleet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"mdalp/fleet/engine"
	"mdalp/server"
	"mdalp/wire"
)

// Resume implements [server.Placer].
func (s *store) Resume(m server.Meta, from, size int64) (server.Place, []wire.Range, error) {
	t := s.find(m.TID)
	if t == nil {
		return nil, nil, server.ErrElsewhere
	}
	if t.rec.Base {
		return nil, nil, fmt.Errorf("transaction %d: %w", m.TID, errBase)
	}
	old, err := s.fence(from, printOf(&m.Key))
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
// To another key than its own nothing is there.
func (s *store) fence(tid int64, print string) (*trans, error) {
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
		if r.Print != print {
			cancel()
			return nil, nil
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

// move gives what is there of old to t. The payload gets its new name first: what is known of it
// goes with the file. Then the journal of that is made and flushed. Where it ends before the new
// record, it is done once more, by another perhaps.
func (s *store) move(t, old *trans, m server.Meta) (have []wire.Range, err error) {
	part := server.PartName(m.TID)
	whole := old.rec.State == engine.Complete || old.named()
	if whole {
		have = []wire.Range{{First: 0, Last: old.total() - 1}}
	} else {
		old.moved = part
		g, err := old.ask(true, true)
		if err != nil {
			return nil, err
		}
		have = server.Union(old.total(), g.Have)
	}
	err = s.shift(old, part, whole)
	if errors.Is(err, fs.ErrExist) {
		// It was done before, by one that came no further, if nothing is left to be moved; else
		// another made it for a payload that begins anew.
		if _, serr := s.folder.Stat(server.PartName(old.rec.TID)); serr == nil || whole {
			s.folder.Remove(part)
			err = s.shift(old, part, whole)
		}
	}
	switch {
	case errors.Is(err, fs.ErrExist):
	case errors.Is(err, fs.ErrNotExist): // somebody took it away
		return nil, s.shared.MakePart(m.TID, old.rec.Bytes)
	case err != nil:
		return nil, err
	}
	is, err := s.folder.Stat(part)
	if err != nil {
		return nil, err
	}
	if !whole && is.ID != old.part {
		have = nil // it is not the file of which that was there
	}
	if !whole && old.silent && len(have) > 0 { // what a receiver took that is gone, it may not have flushed
		if err := s.harden(part); err != nil {
			return nil, err
		}
	}
	return have, s.shared.Leave(m, old.rec.Bytes, resumed, is.ID, have)
}

// harden flushes a file.
func (s *store) harden(name string) error {
	f, err := s.folder.Open(name, os.O_RDWR)
	if err != nil {
		return err
	}
	defer f.Close()
	return s.flush(f.Sync)
}

// shift gives a payload its new name; one that is whole keeps the old one, too.
func (s *store) shift(old *trans, part string, whole bool) error {
	if !whole {
		return s.folder.Rename(server.PartName(old.rec.TID), part)
	}
	err := s.folder.Link(old.file(), part)
	if errors.Is(err, errors.ErrUnsupported) {
		err = s.copy(old.file(), part, old.rec.Bytes)
	}
	return err
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
	return s.flush(out.Sync)
}
