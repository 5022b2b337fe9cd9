package server

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

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

// NewShared is that of a folder that nobody has taken. now reads a clock; nil is the machine's.
func NewShared(f disk.Folder, now func() time.Time) (*Shared, error) {
	d := &Dir{f: f, boot: f.Boot(), busy: newBusy(), kept: make(map[int64]struct{})}
	d.blocks.New = func() any { return new(block) }
	d.room.now = now
	if err := d.room.open(f, DirOptions{}); err != nil {
		return nil, err
	}
	return &Shared{d: d}, nil
}

// Room is about how many bytes of payload the directory has room for; negative is no bound. What the
// directory said may be a second old, as others write there too.
func (s *Shared) Room() int64 { return s.d.Room() }

// PartName, JournalName and WholeName are the names of the file of a payload on its way, of
// the journal of one that writes to it, and of the payload when it is whole.
func PartName(tid int64) string { return fileName(tid, partSuffix) }

// JournalName is said at [PartName].
func JournalName(tid int64, writer string) string { return fileName(tid, "."+writer+journalSuffix) }

// WholeName is said at [PartName].
func WholeName(tid int64) string { return fileName(tid, wholeSuffix) }

// IsSpoolName reports whether a file in such a directory has segments of the base protocol.
func IsSpoolName(name string) bool {
	_, ok := UnfinishedName(name)
	return ok && strings.HasSuffix(name, spoolSuffix)
}

// UnfinishedName gives the transaction of which a file in such a directory is, unless it is a whole
// payload: the file of a payload on its way, or what one of those has that write to it.
func UnfinishedName(name string) (tid int64, ok bool) {
	digits, rest, _ := strings.Cut(name, ".")
	writer, kind, _ := strings.Cut(rest, ".")
	switch {
	case "."+rest == partSuffix:
	case writer != "" && strings.HasSuffix("."+kind, journalSuffix): // one that is being rewritten, too
	case writer != "" && strings.HasSuffix("."+kind, spoolSuffix):
	default:
		return 0, false
	}
	tid, err := strconv.ParseInt(digits, 10, 64)
	return tid, err == nil && tid >= 0 && strconv.FormatInt(tid, 10) == digits
}

// MakePart makes the file of a payload of size bytes, with its room set aside where the file
// system can do that. One that is there already is as good; where whoever made it came no further,
// or lost its power, it is given its size. A longer one is of a payload that came to nothing before
// its transaction was opened, and goes. It fails as the disk does.
func (s *Shared) MakePart(tid, size int64) error {
	name := PartName(tid)
	f, err := s.d.f.Make(name, 0o644)
	ours := err == nil
	if errors.Is(err, fs.ErrExist) {
		is, serr := s.d.f.Stat(name)
		switch {
		case serr != nil || is.Size == size:
			return serr
		case is.Size < size:
			f, err = s.d.f.Open(name, os.O_RDWR)
		default:
			if err = s.d.f.Remove(name); err == nil || errors.Is(err, fs.ErrNotExist) {
				f, err = s.d.f.Make(name, 0o644)
			}
			ours = err == nil
		}
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
	if err != nil && ours {
		s.d.f.Remove(name)
	}
	return err
}

// Journal gives what the journal of a writer says that is not asked itself, about that file (see
// disk.Fact): what it had flushed, and what it had taken, if that was since this machine's start
// and on it. Without a journal that is nothing.
func (s *Shared) Journal(tid int64, writer string, file uint64) ([]wire.Range, error) {
	p := s.d.newPlace(Meta{TID: tid, Segment: 1}, 1)
	p.own = writer
	err := p.readJournal(new(Recovered))
	if errors.Is(err, errNothing) || errors.Is(err, fs.ErrNotExist) || err == nil && p.id != file {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return p.have(), nil
}

// Leave writes a journal of that writer which says that rs are there, flushed, in that file, and
// flushes it.
func (s *Shared) Leave(m Meta, size int64, writer string, file uint64, rs []wire.Range) error {
	p := s.d.newPlace(m, size)
	p.own, p.id = writer, file
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
