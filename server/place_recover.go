package server

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"

	"mdalp/internal/disk"
	"mdalp/wire"
)

// leftovers are the files of places that a former process left.
type leftovers struct {
	journals, parts map[int64]bool
	rewrites        []string
}

// note takes note of a file; false when it is none of a place.
func (l *leftovers) note(d *Dir, name string, tid int64, suffix string) bool {
	switch suffix {
	case journalSuffix:
		l.journals[tid] = true
	case partSuffix:
		l.parts[tid] = true
	case rewriteSuffix:
		l.rewrites = append(l.rewrites, name)
	case namedSuffix:
		d.mu.Lock()
		d.named[tid] = name
		d.mu.Unlock()
	default:
		return false
	}
	return true
}

// places gives what can be gone on with. A journal whose head is not intact is told and left
// alone, as is a payload without one. Removed are what was written anew and not put in
// place, and journals of payloads that were published, or of which there is nothing.
func (d *Dir) places(l *leftovers) (found []Recovered) {
	for _, name := range l.rewrites {
		d.f.Remove(name)
	}
	for _, tid := range slices.Sorted(maps.Keys(l.journals)) {
		p := d.newPlace(Meta{TID: tid, Segment: 1}, 1)
		r := Recovered{Meta: Meta{TID: tid}, Path: d.f.Full(p.name(journalSuffix))}
		if r.Err = p.revive(&r, l.parts[tid]); errors.Is(r.Err, errNothing) {
			continue
		}
		if r.Err == nil {
			r.Meta, r.Size, r.Place = p.meta, p.size, p
			r.Path = d.f.Full(p.name(partSuffix))
			// Its client may yet turn out to speak the base protocol.
			r.Spool = &dirSpool{d: d, meta: Meta{TID: tid, Segment: DefaultSegmentLimit}}
		}
		found = append(found, r)
	}
	for _, tid := range slices.Sorted(maps.Keys(l.parts)) {
		if !l.journals[tid] {
			name := d.f.Full(fileName(tid, partSuffix))
			found = append(found, Recovered{Meta: Meta{TID: tid}, Path: name,
				Err: errors.New("a part of a payload whose journal is gone")})
		}
	}
	return found
}

// errNothing is the error of a journal of which nothing can be gone on with, and which is
// removed.
var errNothing = errors.New("nothing is there")

// revive reads the journal and looks at the payload. With an error nothing is changed, but
// for errNothing.
func (p *dirPlace) revive(r *Recovered, there bool) error {
	switch err := p.readJournal(r); {
	case errors.Is(err, errNothing):
		p.onDisk = placeSuffixes
		p.Discard()
		return err
	case err != nil:
		return err
	}
	if !there {
		return p.finish()
	}
	is, err := p.d.f.Stat(p.name(partSuffix))
	if err != nil {
		return err
	}
	if is.Size != p.size {
		if len(r.Have) > 0 {
			return fmt.Errorf("%s: %d bytes, its journal tells of %d",
				p.d.f.Full(p.name(partSuffix)), is.Size, p.size)
		}
		// The process was killed while it made it, and nobody was told.
		p.onDisk = placeSuffixes
		p.Discard()
		return errNothing
	}
	p.onDisk = placeSuffixes
	p.found = true
	p.sparse = is.Bytes < p.size
	p.account(is.Bytes)
	return nil
}

// account accounts for a place that is there already, whose payload takes so many bytes.
func (p *dirPlace) account(bytes int64) {
	p.stored, p.kept, p.files, p.journaled = bytes+p.end, p.size-bytes+diskBlock, 1, p.end
	p.d.room.found(p.stored, p.kept, p.files)
}

// readJournal reads what the journal says, and changes nothing.
func (p *dirPlace) readJournal(r *Recovered) error {
	f, err := p.d.f.Open(p.name(journalSuffix), os.O_RDONLY)
	if err != nil {
		return err
	}
	defer f.Close()
	is, err := f.Fact()
	if err != nil {
		return err
	}
	head := make([]byte, min(journalHead, is.Size))
	if _, err := f.ReadAt(head, 0); err != nil && err != io.EOF {
		return err
	}
	if len(head) < journalHead || len(bytes.TrimLeft(head, "\x00")) == 0 {
		// The process was killed before it was written, or a loss of power took it before
		// anything was flushed.
		return errNothing
	}
	m, size, err := parseJournalHead(head)
	if err == nil && m.TID != p.meta.TID {
		err = fmt.Errorf("the journal of transaction %d", m.TID)
	}
	if err != nil {
		return &fs.PathError{Op: "recover", Path: f.Name(), Err: err}
	}
	p.meta, p.size, p.total = m, size, segmentsOf(size, m.Segment)
	p.id = binary.BigEndian.Uint64(head[fileAt:])
	r.written = is.When
	var taken rangeSet
	if err := p.readEntries(f, is.Size, &taken); err != nil {
		return err
	}
	for _, x := range taken.rs {
		if !p.stable.covers(x) {
			p.fresh.put(x)
		}
	}
	r.Have = p.have()
	return nil
}

// have is all that is there.
func (p *dirPlace) have() []wire.Range {
	var have rangeSet
	for _, r := range p.stable.rs {
		have.put(r)
	}
	for _, r := range p.fresh.rs {
		have.put(r)
	}
	return have.rs
}

// readEntries reads the entries of a journal of size bytes. The next one stands behind the
// last that is whole.
func (p *dirPlace) readEntries(f disk.File, size int64, taken *rangeSet) error {
	p.end = journalHead + (size-journalHead)/entryBytes*entryBytes
	p.most = p.end + journalMost
	b := make([]byte, min(p.end-journalHead, 3200*entryBytes))
	for at := int64(journalHead); at < p.end; at += int64(len(b)) {
		b = b[:min(int64(len(b)), p.end-at)]
		if _, err := f.ReadAt(b, at); err != nil {
			return err
		}
		p.seals.read(b, p.total, taken, &p.stable)
	}
	return nil
}

// finish ends a Publish that was cut off between its last steps, or forgets a place of
// which there is a journal alone. Before its name, a payload was flushed; the name may not
// have been.
func (p *dirPlace) finish() error {
	// It may have been another's choice whether clients give names.
	for _, name := range []string{ClientName(p.meta.TID, p.meta.Name), p.name(wholeSuffix)} {
		if name == "" {
			continue
		}
		is, err := p.d.f.Stat(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if is.Size != p.size {
			return fmt.Errorf("%s: %d bytes, its journal tells of %d", p.d.f.Full(name), is.Size, p.size)
		}
		break
	}
	// Or another transaction has the payload, whose name was not flushed.
	if err := p.d.f.Flush(); err != nil {
		return err
	}
	return errors.Join(p.d.f.Remove(p.name(journalSuffix)), errNothing)
}
