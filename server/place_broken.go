package server

import (
	"errors"
	"io"
	"io/fs"
	"slices"

	"mdalp/internal/disk"
	"mdalp/wire"
)

// A kernel that cannot write a page tells of it at the next flush, once, and takes the page for
// written from then on: a process that reads it finds what is nowhere else, and whoever flushes
// next is told that all is well (fsync(2), NOTES). So what a journal calls taken is only as good
// as the next flush. After one that failed it is taken back, see correct; and who finds what
// another process had taken cannot know how its last flush ended, and writes it anew, see renew.

// breaks takes the outcome of a flush that is for good.
func (p *dirPlace) breaks(err error) error {
	if p.broken = err; err != nil {
		p.astray = true
		p.correct()
	}
	return err
}

// correct has the journal say no more than what was flushed, after a flush that failed. Entries of
// what was taken are blanked where they stand: that needs no room, and no flush either, as nobody
// believes them after a loss of power. With an error the journal is astray: it says too much.
func (p *dirPlace) correct() error {
	j, err := p.spend()
	if j == nil || err != nil {
		return err
	}
	is, err := j.Fact()
	if err != nil {
		return err
	}
	var said rangeSet
	err = revise(j, is.Size, func(entry []byte) {
		r, stable, ok := p.seals.parseEntry(entry)
		switch {
		case ok && !stable:
			clear(entry)
		case ok && r.Last < p.total:
			said.put(r)
		}
	})
	if err == nil {
		p.mu.Lock()
		p.stable, p.astray = said, false
		p.mu.Unlock()
	}
	return err
}

// spend has nothing taken any more, and gives the journal, to which only jobs write from then on: the
// loop does not wait for them. Nil is none.
func (p *dirPlace) spend() (disk.File, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spent = p.broken
	p.fresh.clear()
	p.flushing.clear()
	if p.bare {
		p.astray = false
		return nil, nil
	}
	err := p.opened()
	return p.journal, err
}

// revise writes the entries of a journal of size bytes anew where they stand, each as f leaves it. A
// loss of power finds each sector as it was or as it is.
func revise(j disk.File, size int64, f func(entry []byte)) error {
	b := make([]byte, max(0, min(size-journalHead, 3200*entryBytes)))
	for at := int64(journalHead); at < size; at += int64(len(b)) {
		b = b[:min(int64(len(b)), size-at)]
		n, err := j.ReadAt(b, at)
		if err != nil && err != io.EOF {
			return err
		}
		for e := b[:n]; len(e) >= entryBytes; e = e[entryBytes:] {
			f(e[:entryBytes])
		}
		if _, err := j.WriteAt(b[:n], at); err != nil {
			return err
		}
	}
	return nil
}

// renew writes anew what a former process, or a former transaction, had taken and not flushed, before
// anything of it is hashed or flushed, and has the journal say once more what is there: its entries may
// not be on the disk either. What is read is what is there, whatever it was: the digest in the end is
// of what the next flush brings to the disk.
func (p *dirPlace) renew() error {
	if !p.found {
		return nil
	}
	f, err := p.file()
	if err != nil {
		return err
	}
	p.mu.Lock()
	rs := slices.Clone(p.fresh.rs) // what is taken from now on is ours
	p.mu.Unlock()
	for _, r := range rs {
		if err := p.again(f, r); err != nil {
			return err
		}
	}
	if _, err := p.journal.WriteAt(p.head(nil), 0); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.stable.rs {
		p.fresh.put(r)
	}
	p.stable.clear()
	p.found = false
	return nil
}

// again writes segments as they are there.
func (p *dirPlace) again(f disk.File, r wire.Range) error {
	b := p.d.blocks.Get().(*block)
	defer p.d.blocks.Put(b)
	if cap(b.in) < blockBytes {
		b.in = make([]byte, blockBytes)
	}
	segment := int64(p.meta.Segment)
	at, end := r.First*segment, min((r.Last+1)*segment, p.size)
	for at < end {
		in := b.in[:min(blockBytes, end-at)]
		if _, err := f.ReadAt(in, at); err != nil {
			return err
		}
		if _, err := f.WriteAt(in, at); err != nil {
			return err
		}
		at += int64(len(in))
	}
	return nil
}

// withdraw is correct for one of several who write to a payload: where its journal cannot be
// corrected, it goes.
func (p *dirPlace) withdraw() error {
	if p.correct() == nil {
		return nil
	}
	if err := p.d.f.Remove(p.name(journalSuffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.journal != nil {
		p.journal.Close()
	}
	p.journal, p.bare, p.end, p.astray = nil, true, 0, false
	return nil
}
