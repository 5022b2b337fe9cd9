package server

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"mdalp/internal/disk"
	"mdalp/wire"
)

// Resume implements [Placer].
func (d *Dir) Resume(m Meta, from, size int64) (Place, []wire.Range, error) {
	if d.claim(d.held, from) { // so that neither the sweep nor another one takes it
		p, err := d.move(m, from, size)
		if err == nil {
			return p, p.have(), nil
		}
		d.unclaim(d.held, from)
		if errors.Is(err, errOthers) || errors.Is(err, errNothing) { // its journal is on no disk
			return d.anew(m, size)
		}
		return nil, nil, err
	}
	d.mu.Lock()
	name := d.named[from]
	d.mu.Unlock()
	if name == "" {
		name = fileName(from, wholeSuffix)
	}
	is, err := d.f.Stat(name)
	if err == nil {
		c, ok := d.completed.find(from)
		if ok && !c.of(&m.Key) || !ok && m.Key.sealed() {
			return d.anew(m, size)
		}
		if ok && (c.size != size || c.segment != m.Segment) || is.Size != size {
			return nil, nil, &SizesError{is.Size, int64(max(c.segment, wire.MinSegment))}
		}
		p, err := d.double(m, name, size)
		if err != nil {
			return nil, nil, err
		}
		return p, p.have(), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	return d.anew(m, size)
}

// errOthers is the error of what is another key's. To who resumes it, it is not there.
var errOthers = errors.New("it is another key's")

// anew makes a place for a payload of which nothing is held.
func (d *Dir) anew(m Meta, size int64) (Place, []wire.Range, error) {
	p, err := d.Place(m, size)
	return p, nil, err
}

// move gives what is held of a transaction to another, which is m's.
//
// The new journal is made first, under its name and flushed; then the payload gets its new
// name, and that is flushed; then the old journal goes. So whenever it ends, one of the two
// has both files, and the journal that stands alone is for nothing.
func (d *Dir) move(m Meta, from, size int64) (p *dirPlace, err error) {
	old := d.newPlace(Meta{TID: from, Segment: 1}, 1)
	if err := old.readJournal(new(Recovered)); err != nil {
		return nil, err
	}
	if old.meta.Key.Print != m.Key.Print {
		return nil, errOthers
	}
	if old.size != size || old.meta.Segment != m.Segment {
		return nil, &SizesError{old.size, int64(old.meta.Segment)}
	}
	is, err := d.f.Stat(old.name(partSuffix))
	if err != nil {
		return nil, err
	}
	p = d.newPlace(m, size)
	p.stable = old.stable
	if !d.isAstray(from) {
		p.fresh = old.fresh
	}
	p.found = p.fresh.n > 0
	if err := p.adopt(); err != nil {
		p.Discard()
		return nil, err
	}
	if err := d.f.Rename(old.name(partSuffix), p.name(partSuffix)); err != nil {
		p.Discard()
		return nil, err
	}
	p.onDisk = placeSuffixes
	d.forgive(from)
	p.sparse = is.Bytes < size
	d.room.give(0, 0, 0, -is.Bytes-old.end)
	p.account(is.Bytes)
	if p.lasting = d.f.Flush() == nil; p.lasting {
		d.f.Remove(old.name(journalSuffix))
	}
	return p, nil
}

// isAstray reports whether a journal tells of more than was flushed.
func (d *Dir) isAstray(tid int64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, astray := d.astray[tid]
	return astray
}

// forgive forgets that, as the journal goes.
func (d *Dir) forgive(tid int64) {
	d.mu.Lock()
	delete(d.astray, tid)
	d.mu.Unlock()
}

// adopt makes the journal of a payload that has no file yet.
func (p *dirPlace) adopt() error {
	for _, suffix := range placeSuffixes {
		if there, err := disk.Exists(p.d.f, p.name(suffix)); err != nil {
			return err
		} else if there {
			return errTaken(p.d.f.Full(p.name(suffix)))
		}
	}
	if err := p.rewrite(); err != nil {
		p.d.f.Remove(p.name(journalSuffix)) // it may have its name, and be not flushed
		return err
	}
	p.onDisk = []string{journalSuffix}
	return nil
}

// double makes a place of a payload that is complete. That stays what it is: its bytes get a
// second name, or are copied where a file cannot have one.
func (d *Dir) double(m Meta, name string, size int64) (*dirPlace, error) {
	p := d.newPlace(m, size)
	if err := p.double(name); err != nil {
		p.Discard()
		return nil, err
	}
	return p, nil
}

func (p *dirPlace) double(name string) error {
	p.stable.put(wire.Range{First: 0, Last: p.total - 1})
	if err := p.adopt(); err != nil {
		return err
	}
	err := p.d.f.Link(name, p.name(partSuffix))
	if err == nil {
		p.linked, p.onDisk = true, placeSuffixes
		p.account(p.size)
		err = p.d.f.Flush() // the journal says that it is there
		p.lasting = err == nil
		return err
	}
	if !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	// The journal must not say what is not there yet.
	p.stable.clear()
	if err := p.rewrite(); err != nil {
		return err
	}
	if err := p.take(p.end, diskBlock, p.size+diskBlock); err != nil {
		return err
	}
	if err := p.allocate(); err != nil {
		return err
	}
	if err := p.fill(name); err != nil {
		return err
	}
	p.stable.put(wire.Range{First: 0, Last: p.total - 1})
	return p.rewrite()
}

// fill copies a payload, and flushes the copy.
func (p *dirPlace) fill(name string) error {
	from, err := p.d.f.Open(name, os.O_RDONLY)
	if err != nil {
		return err
	}
	defer from.Close()
	sparse := p.sparse
	b := make([]byte, blockBytes)
	for at := int64(0); at < p.size; at += int64(len(b)) {
		b = b[:min(int64(len(b)), p.size-at)]
		if _, err := from.ReadAt(b, at); err != nil && err != io.EOF {
			return err
		}
		if _, err := p.part.WriteAt(b, at); err != nil {
			return err
		}
		if sparse {
			p.wrote(int64(len(b)))
		}
	}
	return p.part.Sync()
}
