package server

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"os"
	"sync"

	"mdalp/internal/disk"
	"mdalp/wire"
)

const (
	// journalMost is how much a journal grows before it is written anew.
	journalMost = 1 << 20
	// journalSpare is set aside for what comes to it until then.
	journalSpare = 256 << 10
)

// dirPlace is the place of one extended payload in a Dir.
//
// Until it has its name, three files may be there, and what a crash leaves of them is
// always one of these: a journal alone, of which nothing was told yet; journal and payload;
// the payload under its name and a journal that is not needed any more. So the journal is
// made first and removed last.
type dirPlace struct {
	d     *Dir
	meta  Meta
	own   string // whose journal it is, where several write to one payload, see [Part],
	bare  bool   // and that it is not made yet
	id    uint64 // and which file it is about, see disk.Fact
	size  int64
	total int64 // segments
	seals sealer

	// What the server's goroutine and the jobs beside it share.
	mu      sync.Mutex
	part    disk.File // opened when it is needed
	journal disk.File
	end     int64    // of the journal
	fresh   rangeSet // taken, and not known to be on the disk
	scratch []byte
	spent   error // see broken

	// Of the jobs, which run one at a time.
	flushing rangeSet // what a flush under way is about
	stable   rangeSet
	most     int64 // from this length on the journal is written anew
	hash     hash.Hash
	hashed   int64
	sum      [sha256.Size]byte
	path     string   // under its name
	linked   bool     // it is another payload too, and nothing may be written to it
	lasting  bool     // the names of its files are on the disk
	onDisk   []string // suffixes of the files that are there and ours, the first to be removed first
	found    bool     // by its journal, and not written anew since, see renew
	// broken is the error of a flush, see place_broken.go. astray says that the journal tells
	// of more than was flushed before it.
	broken error
	astray bool

	// What the room has accounted for. sparse says that no blocks are set aside, so that
	// each write takes of what is kept.
	sparse              bool
	stored, kept, files int64
	journaled           int64 // of stored, the journal's
}

func (d *Dir) newPlace(m Meta, size int64) *dirPlace {
	return &dirPlace{d: d, meta: m, size: size, total: segmentsOf(size, m.Segment),
		seals: newSealer(m.TID, d.boot), most: journalHead + journalMost}
}

// segmentsOf is how many segments a payload of size bytes has.
func segmentsOf(size int64, segment int) int64 { return (size-1)/int64(segment) + 1 }

// placeSuffixes are those of a place, in the order in which the files go.
var placeSuffixes = []string{partSuffix, journalSuffix}

func (p *dirPlace) name(suffix string) string {
	if p.own != "" && suffix != partSuffix {
		suffix = "." + p.own + suffix
	}
	return fileName(p.meta.TID, suffix)
}

// Place implements [Placer]. Room for the payload is set aside at once, so that a full disk
// is told now; where a file system cannot do that, an account is kept.
//
// What was taken survives the death of the process. What was flushed, see Sync, survives the
// loss of power.
func (d *Dir) Place(m Meta, size int64) (Place, error) {
	if m.Segment < 1 || m.Segment > wire.MaxSegment || size < 1 || size > MostBytes {
		return nil, fmt.Errorf("a payload of %d bytes, segments of %d", size, m.Segment)
	}
	if err := d.f.Gone(); err != nil {
		return nil, err
	}
	p := d.newPlace(m, size)
	if err := p.make(); err != nil {
		p.Discard()
		return nil, err
	}
	return p, nil
}

// spare is what is set aside for the journal: two entries for each segment are the most
// where there are few.
func (p *dirPlace) spare() int64 {
	n := min(journalHead+2*entryBytes*p.total, journalMost+journalSpare)
	return (n + diskBlock - 1) / diskBlock * diskBlock
}

// make makes both files.
func (p *dirPlace) make() (err error) {
	spare := p.spare()
	if err := p.take(spare, spare, p.size+diskBlock); err != nil {
		return err
	}
	if p.journal, err = p.d.f.Make(p.name(journalSuffix), 0o600); err != nil {
		return err
	}
	p.onDisk = []string{journalSuffix}
	if err = p.journal.Allocate(spare, true); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	if _, err = p.journal.WriteAt(appendJournalHead(nil, &p.meta, p.size), 0); err != nil {
		return err
	}
	p.end = journalHead
	return p.allocate()
}

// allocate makes the file of the payload.
func (p *dirPlace) allocate() (err error) {
	if p.part, err = p.d.f.Make(p.name(partSuffix), 0o644); err != nil {
		return err
	}
	p.onDisk = placeSuffixes
	err = p.part.Allocate(p.size, false)
	if p.sparse = errors.Is(err, errors.ErrUnsupported); p.sparse {
		return p.part.Truncate(p.size)
	}
	if err == nil {
		p.wrote(p.size)
	}
	return err
}

// take accounts for n bytes of files, disk of them to be taken now, and more to be kept.
func (p *dirPlace) take(n, disk, more int64) error {
	if err := p.d.room.take(n, disk, more, 1); err != nil {
		return err
	}
	p.stored, p.kept, p.files, p.journaled = p.stored+n, p.kept+more, p.files+1, n
	return nil
}

// wrote accounts for n bytes that are in the file now, and were kept until then.
func (p *dirPlace) wrote(n int64) {
	n = min(n, p.kept)
	p.d.room.copied(n)
	p.stored, p.kept = p.stored+n, p.kept-n
}

// reckon ends the account, of which bytes stay.
func (p *dirPlace) reckon(stay int64) {
	if p.files == 0 {
		return
	}
	p.d.room.give(p.stored, p.kept, p.files, stay)
	p.stored, p.kept, p.files = 0, 0, 0
}

// opened opens the files of a place that was found. A process may have found more of them
// than it can have open.
func (p *dirPlace) opened() (err error) {
	if p.part == nil {
		if p.part, err = p.d.f.Open(p.name(partSuffix), os.O_RDWR); err != nil {
			return err
		}
	}
	if p.journal == nil && !p.bare {
		p.journal, err = p.d.f.Open(p.name(journalSuffix), os.O_RDWR)
	}
	return err
}

// file is the file of the payload.
func (p *dirPlace) file() (disk.File, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := p.opened()
	return p.part, err
}

// Write implements [Place].
func (p *dirPlace) Write(b []byte, off int64) error {
	f, err := p.file()
	if err != nil {
		return err
	}
	if p.linked {
		return errTaken(f.Name())
	}
	if _, err = f.WriteAt(b, off); err == nil && p.sparse {
		p.wrote(int64(len(b)))
	}
	return err
}

// Taken implements [Place]: one write to the journal.
func (p *dirPlace) Taken(rs []wire.Range) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.spent != nil {
		return p.spent
	}
	if err := p.opened(); err != nil {
		return err
	}
	if p.bare {
		for _, r := range rs {
			p.fresh.put(r)
		}
		return nil
	}
	p.scratch = p.scratch[:0]
	for _, r := range rs {
		p.scratch = p.seals.appendTaken(p.scratch, r)
	}
	if _, err := p.journal.WriteAt(p.scratch, p.end); err != nil {
		return err // the next one stands in its place
	}
	p.end += int64(len(p.scratch))
	for _, r := range rs {
		p.fresh.put(r)
	}
	return nil
}

// Discard implements [Place]. What cannot be removed is left to the next Recover.
func (p *dirPlace) Discard() {
	p.close()
	for _, suffix := range p.onDisk {
		p.d.f.Remove(p.name(suffix))
	}
	p.onDisk = nil
	p.reckon(0)
}

// Keep implements [Place]. What is kept is flushed, as far as it can be. While nothing can be
// written, a journal that is astray stays so: who resumes the payload is told.
func (p *dirPlace) Keep([]wire.Range) string {
	p.Sync()
	p.close()
	p.d.mu.Lock()
	p.d.held[p.meta.TID] = struct{}{}
	if p.astray {
		p.d.astray[p.meta.TID] = struct{}{}
	}
	p.d.mu.Unlock()
	p.reckon(p.stored - p.journaled + p.end)
	return p.d.f.Full(p.name(partSuffix))
}

// close lets go of the files.
func (p *dirPlace) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.part != nil {
		p.part.Close()
		p.part = nil
	}
	if p.journal != nil {
		p.journal.Close()
		p.journal = nil
	}
}
