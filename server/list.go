package server

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"mdalp/internal/disk"
)

// A Kind says what a directory has of a transaction.
type Kind uint8

// The kinds of what is in a directory.
const (
	Whole          Kind = iota // a whole payload
	Partial                    // what came of an incomplete payload, put together
	UnfinishedBase             // segments of the base protocol, not put together
	Unfinished                 // an extended payload of which segments are missing, or which nobody asked for
)

// String gives a word or two.
func (k Kind) String() string {
	return [...]string{"whole", "partial", "unfinished base", "unfinished"}[k]
}

// An Entry is what a directory has of one transaction.
type Entry struct {
	TID  int64
	Kind Kind
	// Files are its files, the payload's first.
	Files []string
	// Bytes is what there is of the payload: of an unfinished one of the base protocol
	// about, with what its segments need to be found again.
	Bytes int64
	// Size is what the payload has when it is whole; 0 when that is not known.
	Size int64
	// Segment is how many bytes a segment has; 0 when that is not known.
	Segment  int
	Modified time.Time
	Client   netip.AddrPort // the zero value when it is not known
	Offered  time.Time      // likewise
	Name     string         // what its client calls it
	Key      string         // of an unfinished one that was sealed, the name of its key
	// SHA256 is the digest that it was published with; zero when that is not known.
	SHA256 [sha256.Size]byte
	// Err says why it cannot be read; what else is told may be missing then.
	Err error
}

// List tells what is in the directory of a [Dir], by rising TID. It changes nothing, and
// takes no lock: what a process that has it is about to do may show in half. The error is
// that of the directory.
func List(dir string) ([]Entry, error) {
	f, err := disk.View(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	d := &Dir{f: f, boot: f.Boot(), completed: completed{f: f}}
	known := d.completed.all()
	var es []Entry
	err = f.Names(func(name string) error {
		tid, suffix, ok := parseName(name)
		if !ok || suffix == journalSuffix || suffix == rewriteSuffix || suffix == assemblySuffix {
			return nil
		}
		e := Entry{TID: tid, Files: []string{f.Full(name)}}
		is, err := f.Stat(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it has another name by now
		}
		e.Err, e.Modified, e.Bytes = err, is.When, is.Size
		switch suffix {
		case wholeSuffix, namedSuffix:
			c := known[tid]
			e.Size, e.Segment, e.SHA256 = is.Size, c.segment, c.sum
			if suffix == namedSuffix {
				e.Name = name[len(fileName(tid, namedSuffix)):]
			}
		case partialSuffix:
			e.Kind = Partial
		case spoolSuffix:
			e.Kind, e.Bytes = UnfinishedBase, is.Bytes
			e.spool(d)
		case partSuffix:
			e.Kind = Unfinished
			e.place(d)
		}
		es = append(es, e)
		return nil
	})
	slices.SortStableFunc(es, func(a, b Entry) int { return cmp.Compare(a.TID, b.TID) })
	return es, err
}

// spool reads the head of a spool.
func (e *Entry) spool(d *Dir) {
	f, err := d.f.Open(fileName(e.TID, spoolSuffix), os.O_RDONLY)
	if err != nil {
		e.Err = err
		return
	}
	defer f.Close()
	head := make([]byte, headBytes)
	n, err := f.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		e.Err = err
		return
	}
	m, err := parseHead(head[:n])
	e.meta(&m, err)
}

// place reads the journal of an extended payload.
func (e *Entry) place(d *Dir) {
	p := d.newPlace(Meta{TID: e.TID, Segment: 1}, 1)
	size := e.Bytes
	e.Files = append(e.Files, d.f.Full(p.name(journalSuffix)))
	err := p.readJournal(new(Recovered))
	if err == nil && size != p.size {
		err = fmt.Errorf("%d bytes, its journal tells of %d", size, p.size)
	}
	e.meta(&p.meta, err)
	if err != nil {
		return
	}
	x := extended{size: p.size, segment: int64(p.meta.Segment), total: p.total}
	for _, r := range p.have() {
		x.have.put(r)
	}
	e.Size, e.Bytes = p.size, x.bytes()
}

func (e *Entry) meta(m *Meta, err error) {
	if e.Err = err; err != nil {
		return
	}
	e.Segment, e.Client, e.Offered, e.Name, e.Key = m.Segment, m.Client, m.Offered, m.Name, m.Key.Name
	if m.TID != e.TID {
		e.Err = fmt.Errorf("of transaction %d", m.TID)
	}
}

// Verify reads what there is of a transaction, and gives the digest of a payload that is
// whole or partial. It fails with [ErrDamaged] when that is not the one it was published
// with, and with what List found to be wrong. Of an unfinished one the digest is zero: of
// the base protocol its segments are read, each of which says whether it is intact; of the
// extended protocol nothing but a verdict can tell.
func (e *Entry) Verify() (sum [sha256.Size]byte, err error) {
	if e.Err != nil {
		return sum, e.Err
	}
	f, err := disk.View(filepath.Dir(e.Files[0]))
	if err != nil {
		return sum, err
	}
	defer f.Close()
	if e.Kind == UnfinishedBase {
		d := &Dir{f: f}
		d.blocks.New = func() any { return new(block) }
		s := &dirSpool{d: d, meta: Meta{TID: e.TID, Segment: e.Segment}}
		n := 0
		for _, err := range s.segments() {
			if err != nil {
				return sum, err
			}
			n++
		}
		if n == 0 {
			return sum, fmt.Errorf("%s: no segment is intact", e.Files[0])
		}
		return sum, nil
	}
	if e.Kind == Unfinished {
		return sum, nil
	}
	g, err := f.Open(filepath.Base(e.Files[0]), os.O_RDONLY)
	if err != nil {
		return sum, err
	}
	defer g.Close()
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(g, 0, 1<<62)); err != nil {
		return sum, err
	}
	h.Sum(sum[:0])
	if e.SHA256 != [sha256.Size]byte{} && sum != e.SHA256 {
		return sum, fmt.Errorf("%s: %w", e.Files[0], ErrDamaged)
	}
	return sum, nil
}

// Remove removes all that a directory has of some transactions, and gives the names of the
// files. It takes the directory for that: it fails with [ErrLocked] when a process has it.
func Remove(dir string, tids ...int64) (removed []string, err error) {
	f, err := disk.View(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := f.Take(); err != nil {
		return nil, err
	}
	var found []string
	err = f.Names(func(name string) error {
		if tid, _, ok := parseName(name); ok && slices.Contains(tids, tid) {
			found = append(found, name)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(found)
	for _, name := range found {
		if err := f.Remove(name); err != nil {
			return removed, err
		}
		removed = append(removed, f.Full(name))
	}
	if removed != nil {
		err = f.Flush()
	}
	return removed, err
}
