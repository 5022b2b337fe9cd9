package server

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"sync"

	"mdalp/internal/disk"
)

// Names in a Dir: a transaction's number and one of these. Nothing else of a name
// ever comes from the network.
const (
	wholeSuffix    = ".bin"       // a whole payload
	partialSuffix  = ".partial"   // what there was of an incomplete one
	spoolSuffix    = ".spool"     // segments as they came
	assemblySuffix = ".new.spool" // a payload that has no name yet
	partSuffix     = ".part"      // an extended payload on its way: each byte at its place
	journalSuffix  = ".journal"   // what of that is there
	rewriteSuffix  = ".new.journal"
	namedSuffix    = "-" // a whole payload, with its client's name behind
)

// More names in a Dir, which are no transaction's.
const (
	probeName     = ".probe"
	completedName = ".completed" // see completed
)

// ErrLocked is the error of a directory that another process uses.
var ErrLocked = disk.ErrLocked

// DirOptions set up a [Dir]. The zero value is right for a disk of its own.
type DirOptions struct {
	// MaxBytes is the most that the directory may hold, in bytes; 0 is no bound.
	// Counted are payloads, whole and partial, spools, and what the payloads of open
	// spools will take; not files of other names.
	MaxBytes int64
	// Reserve is how many bytes stay free on the disk for others; 0 is a hundredth of
	// the disk, less is none.
	Reserve int64
	// Names puts the name that a client gave an extended payload behind its number,
	// <TID>-<name>, instead of ".bin".
	Names bool
}

// Dir is a Store in a directory, which belongs to it alone: a lock in it keeps other
// processes away.
//
// A segment is written to the transaction's spool file as soon as it comes, so
// that a full disk is seen before it is acknowledged. A payload is put together
// in a second file, flushed to the disk, and renamed: under its final name,
// <TID>.bin, there is never a half of one, however the process ends. While that
// happens the payload is on the disk twice; room for that is kept from the first
// segment on.
//
// The spool is not flushed segment by segment: an acknowledged segment survives
// the death of the process, not the loss of power. The next process finds it, see
// [Dir.Recover].
//
// An extended payload needs no second file: its bytes are written at their place, in
// <TID>.part, for which room is set aside at once, and <TID>.journal tells what of it is
// there, see [Dir.Place].
type Dir struct {
	f       disk.Folder
	boot    string // see [disk.Folder]
	room    room
	scratch []byte    // of Put
	blocks  sync.Pool // of *block
	busy    busy

	mu   sync.Mutex
	kept map[int64]struct{} // spools that nobody has open,
	held map[int64]struct{} // and extended payloads,
	// astray those of them whose journals tell of more than was flushed.
	astray map[int64]struct{}
	// named are the payloads that have a client's name.
	named     map[int64]string
	names     bool
	completed completed
}

// A busy bounds how many jobs read and hash at the same time. Many may wait for the disk, so
// that one flush of the directory is for all of them; but the processor is the loop's too.
type busy chan struct{}

// mostBusy is the most at the same time.
const mostBusy = 4

func newBusy() busy { return make(busy, mostBusy) }

// work runs f, of a block at most, when it is its turn.
func (b busy) work(f func()) {
	if b != nil { // whoever only looks at a store has it for himself
		b <- struct{}{}
		defer func() { <-b }()
	}
	f()
}

// NewDir opens the directory at path, makes it if need be, takes it for this process,
// and shows that it can be written. It fails with ErrLocked when another process has
// it. Nothing that is there is touched.
func NewDir(path string, o DirOptions) (*Dir, error) {
	if o.MaxBytes < 0 {
		return nil, fmt.Errorf("%s: a bound of %d bytes", path, o.MaxBytes)
	}
	f, err := disk.Open(path)
	if err != nil {
		return nil, err
	}
	d, err := NewDirIn(f, o)
	if err != nil {
		f.Close()
	}
	return d, err
}

// NewDirIn is NewDir in a folder that is taken already.
func NewDirIn(f disk.Folder, o DirOptions) (*Dir, error) {
	d := &Dir{f: f, boot: f.Boot(), busy: newBusy(),
		kept: make(map[int64]struct{}), held: make(map[int64]struct{}), astray: make(map[int64]struct{}),
		named: make(map[int64]string), names: o.Names, completed: completed{f: f}}
	d.blocks.New = func() any { return new(block) }
	err := d.probe()
	if err == nil {
		err = d.room.open(f, o)
	}
	if err == nil && o.MaxBytes > 0 {
		_, err = d.survey()
	}
	if err != nil {
		return nil, err
	}
	return d, nil
}

// probe shows now, and not with the first segment, whether files can be made.
func (d *Dir) probe() error {
	// One that a former process left, or anything else of that name.
	if err := d.f.Remove(probeName); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	p, err := d.f.Make(probeName, 0o600)
	if err != nil {
		return err
	}
	p.Close()
	return d.f.Remove(probeName)
}

// Close gives the directory up to other processes. Spools are to be published, kept or
// discarded before.
func (d *Dir) Close() {
	d.completed.close()
	d.f.Close()
}

// Create implements [Store]. Files are made when the first segment comes, so an
// intent alone costs nothing here.
func (d *Dir) Create(tid int64, segment int) (Spool, error) {
	if segment < 1 || segment > maxSegment {
		return nil, fmt.Errorf("segments of %d bytes", segment)
	}
	if err := d.f.Gone(); err != nil {
		return nil, err
	}
	s := &dirSpool{d: d, meta: Meta{TID: tid, Segment: segment}}
	d.mu.Lock()
	name, taken := d.named[tid]
	d.mu.Unlock()
	if taken {
		return nil, errTaken(d.f.Full(name))
	}
	for _, suffix := range []string{wholeSuffix, partialSuffix, spoolSuffix, assemblySuffix,
		partSuffix, journalSuffix} {
		name := s.name(suffix)
		there, err := disk.Exists(d.f, name)
		if err != nil {
			return nil, err
		}
		if there {
			return nil, errTaken(d.f.Full(name))
		}
	}
	return s, nil
}

// Room implements [Store].
func (d *Dir) Room() int64 { return d.room.payload() }

// errTaken says that name is that of an earlier payload.
func errTaken(name string) error { return fmt.Errorf("%s: %w", name, fs.ErrExist) }

// fileName is the name of one of a transaction's files.
func fileName(tid int64, suffix string) string { return strconv.FormatInt(tid, 10) + suffix }

// parseName is the opposite of fileName; false for names that are not ours. The suffix of
// a payload with a client's name is namedSuffix.
func parseName(name string) (tid int64, suffix string, ok bool) {
	k := strings.IndexAny(name, ".-")
	if k < 0 {
		return 0, "", false
	}
	digits, suffix := name[:k], name[k:]
	switch suffix {
	case wholeSuffix, partialSuffix, spoolSuffix, assemblySuffix, partSuffix, journalSuffix, rewriteSuffix:
	default:
		if suffix[0] != '-' || len(suffix) == 1 {
			return 0, "", false
		}
		suffix = namedSuffix
	}
	tid, err := strconv.ParseInt(digits, 10, 64)
	// "+1" and "01" are numbers, and no names that we give.
	return tid, suffix, err == nil && tid >= 0 && strconv.FormatInt(tid, 10) == digits
}
