package server

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"mdalp/internal/disk"
	"mdalp/wire"
)

// A Shared directory is what one of several processes has of it, none of which owns it:
// a payload on its way is one file there, and each that writes to it has a journal of its own
// beside it. Who puts it together is not for the share to say.
type Shared struct {
	d     *Dir
	dirty []*Part
	train partTrain
}

// A partTrain is segments in a row that are not written yet.
type partTrain struct {
	p   *Part
	off int64
	b   []byte
}

// NewShared is that of a folder that nobody has taken.
func NewShared(f disk.Folder) (*Shared, error) {
	d := &Dir{f: f, boot: f.Boot(), busy: newBusy(), kept: make(map[int64]struct{})}
	d.blocks.New = func() any { return new(block) }
	if err := d.room.open(f, DirOptions{}); err != nil {
		return nil, err
	}
	return &Shared{d: d}, nil
}

// Room is about how many bytes of payload the directory has room for; negative is no bound.
func (s *Shared) Room() int64 { return s.d.Room() }

// PartName, JournalName and WholeName are the names of the file of a payload on its way, of
// the journal of one that writes to it, and of the payload when it is whole.
func PartName(tid int64) string { return fileName(tid, partSuffix) }

// JournalName is said at [PartName].
func JournalName(tid int64, writer string) string { return fileName(tid, "."+writer+journalSuffix) }

// WholeName is said at [PartName].
func WholeName(tid int64) string { return fileName(tid, wholeSuffix) }

// MakePart makes the file of a payload of size bytes, with its room set aside where the file
// system can do that. One that is there already, of that size, is as good. It fails as the
// disk does.
func (s *Shared) MakePart(tid, size int64) error {
	name := PartName(tid)
	f, err := s.d.f.Make(name, 0o644)
	if errors.Is(err, fs.ErrExist) {
		is, err := s.d.f.Stat(name)
		if err == nil && is.Size != size {
			err = fmt.Errorf("%s: %d bytes, and not %d", s.d.f.Full(name), is.Size, size)
		}
		return err
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if err = f.Allocate(size, false); errors.Is(err, errors.ErrUnsupported) {
		err = f.Truncate(size)
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		s.d.f.Remove(name)
	}
	return err
}

// A Part is a payload on its way, as one of its writers has it. Its methods are called from
// one goroutine, but for Sync, which may block, is called beside it, and not twice at a time.
type Part struct {
	p     *dirPlace
	s     *Shared
	have  rangeSet
	fresh []wire.Range // written, or about to be, and not in the journal
	dirty bool         // it stands in Shared.dirty
	err   error
}

// OpenPart opens one that [Shared.MakePart] has made, with the journal of that writer, which
// is made if need be. It fails with fs.ErrNotExist where the payload has no file, or has its
// name by now.
func (s *Shared) OpenPart(m Meta, size int64, writer string) (*Part, error) {
	p := s.d.newPlace(m, size)
	p.own = writer
	err := p.readJournal(new(Recovered))
	if errors.Is(err, errNothing) { // its writer died before it had written anything
		if err = s.d.f.Remove(p.name(journalSuffix)); err == nil {
			err = fs.ErrNotExist
		}
	}
	if err == nil && (p.size != size || p.meta.Segment != m.Segment) {
		err = fmt.Errorf("%s: of another payload", s.d.f.Full(p.name(journalSuffix)))
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = p.makeJournal()
	}
	if err == nil {
		_, err = p.file()
	}
	if err != nil {
		p.close()
		return nil, err
	}
	x := &Part{p: p, s: s}
	for _, r := range p.have() {
		x.have.put(r)
	}
	return x, nil
}

// makeJournal makes a journal with nothing in it. Its payload has to be there: else one
// would be left that nobody removes.
func (p *dirPlace) makeJournal() (err error) {
	if _, err := p.d.f.Stat(p.name(partSuffix)); err != nil {
		return err
	}
	if p.journal, err = p.d.f.Make(p.name(journalSuffix), 0o600); err != nil {
		return err
	}
	p.end = journalHead
	_, err = p.journal.WriteAt(appendJournalHead(nil, &p.meta, p.size), 0)
	return err
}

// Have is all that is there.
func (p *Part) Have() []wire.Range { return slices.Clone(p.have.rs) }

// Take takes segment seq, which has its place and its length by what was announced. It is
// there from the next [Shared.Burst] on, if Err gives nothing then; known says that it was
// there before.
func (p *Part) Take(seq int64, data []byte) (taken, known bool) {
	if p.have.has(seq) {
		return false, true
	}
	if p.err != nil {
		return false, false
	}
	off := seq * int64(p.p.meta.Segment)
	w := &p.s.train
	if w.p != p || w.off+int64(len(w.b)) != off || len(w.b)+len(data) > trainBytes {
		if p.s.write(); p.err != nil {
			return false, false
		}
	}
	if _, full := p.have.add(seq, p.have.len() < mostRanges); full {
		return false, false
	}
	if w.p == nil {
		w.p, w.off = p, off
	}
	w.b = append(w.b, data...)
	if k := len(p.fresh) - 1; k >= 0 && p.fresh[k].Last == seq-1 {
		p.fresh[k].Last++
	} else {
		p.fresh = append(p.fresh, wire.Range{First: seq, Last: seq})
	}
	if !p.dirty {
		p.dirty = true
		p.s.dirty = append(p.s.dirty, p)
	}
	return true, false
}

// Err is the first error of a write. What was taken by then and not before the last burst is
// not there, and nothing more is taken.
func (p *Part) Err() error { return p.err }

// Has reports whether segment seq is there.
func (p *Part) Has(seq int64) bool { return p.have.has(seq) }

// Bytes is how many bytes of the payload are there.
func (p *Part) Bytes() int64 {
	x := extended{size: p.p.size, segment: int64(p.p.meta.Segment), total: p.p.total, have: p.have}
	return x.bytes()
}

// write writes the segments that stand together.
func (s *Shared) write() {
	w := &s.train
	p := w.p
	if p == nil {
		return
	}
	w.p = nil
	if err := p.p.Write(w.b, w.off); err != nil {
		p.failed(err)
	}
	w.b = w.b[:0]
}

// Burst writes what was taken since the last, and notes it in the journals.
func (s *Shared) Burst() {
	if len(s.dirty) == 0 {
		return
	}
	s.write()
	for _, p := range s.dirty {
		p.dirty = false
		if p.err == nil {
			if err := p.p.Taken(p.fresh); err != nil {
				p.failed(err)
			}
		}
		p.fresh = p.fresh[:0]
	}
	clear(s.dirty)
	s.dirty = s.dirty[:0]
}

// failed ends what a part takes.
func (p *Part) failed(err error) {
	p.err = err
	for _, r := range p.fresh {
		p.have.remove(r)
	}
	p.fresh = p.fresh[:0]
}

// Sync is [Place].Sync. After an error the journal tells of what was flushed before alone.
func (p *Part) Sync() error {
	err := p.p.Sync()
	if p.p.broken != nil {
		p.p.mu.Lock()
		p.p.fresh.clear()
		p.p.mu.Unlock()
		p.p.rewrite()
	}
	return err
}

// Broken takes the error of Sync, once that has ended: what is there is what was flushed.
func (p *Part) Broken(err error) {
	p.failed(err)
	p.have = rangeSet{}
	for _, r := range p.p.stable.rs {
		p.have.put(r)
	}
}

// Close lets go of its files.
func (p *Part) Close() { p.p.close() }

// Journal gives what the journal of a writer says that is not asked itself: what it had
// flushed, and what it had taken, if that was since this machine's start and on it. Without a
// journal that is nothing.
func (s *Shared) Journal(tid int64, writer string) ([]wire.Range, error) {
	p := s.d.newPlace(Meta{TID: tid, Segment: 1}, 1)
	p.own = writer
	err := p.readJournal(new(Recovered))
	if errors.Is(err, errNothing) || errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return p.have(), nil
}

// Leave writes a journal of that writer which says that rs are there, flushed, and flushes it.
func (s *Shared) Leave(m Meta, size int64, writer string, rs []wire.Range) error {
	p := s.d.newPlace(m, size)
	p.own = writer
	for _, r := range rs {
		p.stable.put(r)
	}
	defer p.close()
	return p.rewrite()
}

// Union gives the ranges of several sets as one, which rise and do not touch; none of total
// or above.
func Union(total int64, sets ...[]wire.Range) []wire.Range {
	var all rangeSet
	for _, rs := range sets {
		for _, r := range rs {
			if r.First >= 0 && r.First <= r.Last && r.Last < total {
				all.put(r)
			}
		}
	}
	return all.rs
}
