package server

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync/atomic"

	"mdalp/wire"
)

// A partTrain is segments in a row that are not written yet.
type partTrain struct {
	p   *Part
	off int64
	b   []byte
}

// A Part is a payload on its way, as one of its writers has it. Its journal is made when it is
// flushed first: one that is whole before needs none, and to make a file, flush it and remove it
// would cost most of what a small payload does. Its methods are called from one goroutine, but
// for Sync and Flush, which may block, are called beside it, and one at a time.
type Part struct {
	p     *dirPlace
	s     *Shared
	have  rangeSet
	fresh []wire.Range // written, or about to be, and not in the journal
	dirty bool         // it stands in Shared.dirty
	err   error

	flushed int64       // segments that Flush has flushed, of those that no journal has
	astray  atomic.Bool // see Astray
}

// OpenPart opens one that [Shared.MakePart] has made, with the journal of that writer, if there
// is one. It fails with fs.ErrNotExist where the payload has no file, or has its
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
		p.bare, err = true, nil
	}
	if err == nil {
		err = p.identify()
	}
	if err != nil {
		p.close()
		return nil, err
	}
	p.found = !p.bare
	x := &Part{p: p, s: s}
	for _, r := range p.have() {
		x.have.put(r)
	}
	return x, nil
}

// identify finds out which file it is. A journal that is about another one, which had this name
// before, tells of nothing that is here.
func (p *dirPlace) identify() error {
	f, err := p.file()
	if err != nil {
		return err
	}
	is, err := f.Fact()
	if err == nil && !p.bare && p.id != is.ID {
		p.journal.Close()
		p.journal, p.bare, p.end = nil, true, 0
		p.fresh, p.stable = rangeSet{}, rangeSet{}
		err = p.d.f.Remove(p.name(journalSuffix))
	}
	p.id = is.ID
	return err
}

// File tells which file it is, see disk.Fact.
func (p *Part) File() uint64 { return p.p.id }

// makeJournal makes a journal with nothing in it. Its payload has to be there: else one
// would be left that nobody removes.
func (p *dirPlace) makeJournal() error {
	if _, err := p.d.f.Stat(p.name(partSuffix)); err != nil {
		return err
	}
	j, err := p.d.f.Make(p.name(journalSuffix), 0o600)
	if err != nil {
		return err
	}
	if _, err = j.WriteAt(p.head(nil), 0); err != nil {
		j.Close()
		p.d.f.Remove(p.name(journalSuffix))
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.journal, p.end, p.bare = j, journalHead, false
	return nil
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

// Flush flushes what has come, and has no journal made to say so: it is for a payload that is
// about to be whole. Noted reports whether the journal says it all the same.
func (p *Part) Flush() (noted bool, err error) {
	q := p.p
	q.mu.Lock()
	bare, n := q.bare, q.fresh.n
	q.mu.Unlock()
	switch {
	case !bare || q.broken != nil:
		return true, p.Sync()
	case n == p.flushed: // who asks again costs nothing
		return false, nil
	}
	err = q.breaks(q.part.Datasync())
	if err == nil { // the file stays open as long as this one
		p.flushed = n
	}
	return false, err
}

// Sync is [Place].Sync. After an error the journal tells of what was flushed before alone, or there
// is none any more; where neither can be done, Astray says so, and Sync is to be called again.
func (p *Part) Sync() error {
	err := p.p.Sync()
	if p.p.astray {
		p.p.withdraw()
	}
	p.astray.Store(p.p.astray)
	return err
}

// Astray reports whether the journal says more than is there, after a flush that failed.
func (p *Part) Astray() bool { return p.astray.Load() }

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
