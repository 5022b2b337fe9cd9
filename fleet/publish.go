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
)

// Publish implements [server.Place]. It blocks for as long as the engine is away: the client
// hears busy meanwhile, and complete only when the ledger says so at a quorum.
func (p *place) Publish(want *[sha256.Size]byte) (sum [sha256.Size]byte, path string, err error) {
	t, s := p.trans, p.s
	if s.left() {
		return sum, "", server.ErrElsewhere
	}
	if err := t.change(0, func(r *engine.Record) { r.State = engine.Settling }); err != nil {
		return sum, "", err
	}
	if err := t.close(); err != nil {
		return sum, "", err
	}
	if sum, err = t.finish(want); err != nil {
		return sum, "", err
	}
	path = s.folder.Full(t.file())
	if err := t.complete(sum); err != nil {
		return sum, path, err
	}
	return sum, path, nil
}

// close has receivers flush what they have and take nothing more, if that was not done when the
// client asked: nobody can have them take more again who has not written the record since, and then
// the one of this orchestrator would not have been taken. It fails with [server.ErrMissing].
func (t *trans) close() error {
	if t.closed {
		t.closed = false
		return nil
	}
	g, err := t.ask(true, true)
	if err != nil || t.whole(server.Union(t.total(), g.Have)) {
		return err
	}
	return t.missing()
}

// missing has receivers take segments again.
func (t *trans) missing() error {
	if err := t.change(0, func(r *engine.Record) { r.State = engine.Open }); err != nil {
		return err
	}
	return server.ErrMissing
}

// finish gives the payload its name, hashed, compared and flushed, once: one that has it got
// it from a former owner.
func (t *trans) finish(want *[sha256.Size]byte) (sum [sha256.Size]byte, err error) {
	s := t.s
	part, whole := server.PartName(t.rec.TID), t.file()
	for range 3 {
		name := part
		if t.named() {
			name = whole
		}
		// What was there before it was resumed, a receiver may have taken that died before a flush.
		var id uint64
		sum, id, err = s.hashFile(name, t.rec.Bytes, t.silent || name == whole || t.rec.Resumed != 0)
		if name == part && errors.Is(err, fs.ErrNotExist) {
			continue // another owner is first, just now
		}
		if err != nil {
			return sum, err
		}
		if name == part && id != t.part { // it is not the file of which all was there
			return sum, t.missing()
		}
		if want != nil && sum != *want {
			if name == part && t.named() {
				continue
			}
			return sum, t.damaged(name == part)
		}
		if name == whole {
			if want != nil { // who gave it its name by a link may have died before the old one went
				s.folder.Remove(part)
			}
			return sum, s.flush(s.folder.Flush)
		}
		if err = s.folder.Rename(part, whole); err == nil {
			return sum, s.flush(s.folder.Flush)
		}
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrExist) {
			return sum, err
		}
		// Another owner was first.
	}
	return sum, err
}

// damaged ends a transaction whose digest differs. Nothing is kept, unless it is complete in
// another's eyes.
func (t *trans) damaged(ours bool) error {
	if err := t.change(0, func(r *engine.Record) { r.State = engine.Damaged }); err != nil {
		return err
	}
	name := ""
	if ours {
		name = server.PartName(t.rec.TID)
	}
	t.remove(name)
	t.end()
	return server.ErrDamaged
}

// publish tells those who take payloads on.
func (s *store) publish(r *engine.Record) error {
	ctx, cancel := context.WithTimeout(s.ctx, writeFor)
	defer cancel()
	return s.engine.Publish(ctx, r)
}

// complete says to all that a payload is there: first to those who take it on, so that none
// is complete that they do not hear of, and then to the other orchestrators.
func (t *trans) complete(sum [sha256.Size]byte) error {
	s := t.s
	done := func(r *engine.Record) {
		r.State, r.SHA256, r.File = engine.Complete, hex.EncodeToString(sum[:]), t.file()
	}
	r := t.rec
	done(&r)
	for n := 0; ; n++ {
		if s.ctx.Err() != nil || n > 0 && s.left() {
			return server.ErrElsewhere
		}
		err := s.publish(&r)
		if err == nil {
			break
		}
		s.count(func(c *Counts) { c.Away++ })
		if n == 0 { // it may take long, for many
			s.log.Warn("a payload is published, and those who take it on cannot be told yet",
				"tid", r.TID, "err", err)
		}
		s.again(n)
	}
	if err := t.change(0, done); err != nil {
		return err
	}
	s.count(func(c *Counts) { c.Settled++ })
	t.remove("")
	t.end()
	return nil
}

// hashFile gives the digest of a file of that size, and which one it is, and flushes it if need be.
func (s *store) hashFile(name string, size int64, flush bool) (sum [sha256.Size]byte, id uint64, err error) {
	f, err := s.folder.Open(name, os.O_RDWR)
	if err != nil {
		return sum, 0, err
	}
	defer f.Close()
	is, err := f.Fact()
	if err == nil && is.Size != size {
		err = fmt.Errorf("%s: %d bytes, and not %d", f.Name(), is.Size, size)
	}
	if err != nil {
		return sum, 0, err
	}
	h := sha256.New()
	b := make([]byte, min(blockBytes, size))
	for at := int64(0); at < size; at += int64(len(b)) {
		b = b[:min(int64(len(b)), size-at)]
		if _, err := f.ReadAt(b, at); err != nil {
			return sum, 0, err
		}
		h.Write(b)
		if s.ctx.Err() != nil {
			return sum, 0, server.ErrElsewhere
		}
	}
	h.Sum(sum[:0])
	if flush { // what a receiver of this machine had not flushed when it died is on no disk yet
		err = s.flush(f.Sync)
	}
	return sum, is.ID, err
}

// blockBytes is how much is read and written at once.
const blockBytes = 256 << 10
