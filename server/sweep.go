package server

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"time"

	"mdalp/internal/disk"
)

// DefaultRetention is how long a Dir keeps what was not published whole, where nothing
// else is said.
const DefaultRetention = 24 * time.Hour

// A leftover is a file that a retention is for.
type leftover struct {
	name string
	disk.Fact
	tid  int64
	kept map[int64]struct{} // which it stands in; nil for what was published
}

// Sweep removes, of partial payloads and of spools that were kept, those last written
// longer than keep ago, and then the oldest, as long as all of them together hold more
// than so many bytes. A keep of 0 is DefaultRetention, less is no end; 0 bytes are no
// bound. A whole payload is never removed, nor the spool of a transaction under way.
//
// It also counts anew what the directory holds, so that what somebody took away makes
// room. It may take a while, and is called beside the server's goroutine, one call at a
// time. With an error some may have been removed.
//
// How old they are the clock says that stamps them, and no other: this process's was read when it began,
// and may have been set since, and the directory may be another machine's.
func (d *Dir) Sweep(keep time.Duration, bytes int64) (removed []string, err error) {
	if keep == 0 {
		keep = DefaultRetention
	}
	left, err := d.survey()
	if err != nil || len(left) == 0 {
		return nil, err
	}
	now, err := d.f.Clock()
	if err != nil {
		return nil, err
	}
	slices.SortFunc(left, func(a, b leftover) int { return a.When.Compare(b.When) })
	var all int64
	for _, l := range left {
		all += l.Bytes
	}
	for _, l := range left {
		old := keep > 0 && now.Sub(l.When) > keep
		if !old && (bytes <= 0 || all <= bytes) {
			break
		}
		if !d.claim(l.kept, l.tid) {
			continue // somebody has just taken it up
		}
		if e := d.f.Remove(l.name); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
			d.unclaim(l.kept, l.tid)
			continue
		}
		if strings.HasSuffix(l.name, partSuffix) {
			d.f.Remove(fileName(l.tid, journalSuffix)) // else the next Recover does
			d.forgive(l.tid)
		}
		d.room.give(0, 0, 0, -l.Bytes)
		all -= l.Bytes
		removed = append(removed, d.f.Full(l.name))
	}
	return removed, err
}

// has reports whether nobody has that one open.
func (d *Dir) has(kept map[int64]struct{}, tid int64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, ok := kept[tid]
	return ok
}

// claim takes what nobody has open, so that nobody else does; what was published is
// everybody's.
func (d *Dir) claim(kept map[int64]struct{}, tid int64) bool {
	if kept == nil {
		return true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	_, ok := kept[tid]
	delete(kept, tid)
	return ok
}

func (d *Dir) unclaim(kept map[int64]struct{}, tid int64) {
	if kept != nil {
		d.mu.Lock()
		kept[tid] = struct{}{}
		d.mu.Unlock()
	}
}

// survey counts what files of ours hold that nobody works on, and gives those that may
// be swept.
func (d *Dir) survey() (left []leftover, err error) {
	var settled int64
	before := d.room.published()
	err = d.f.Names(func(name string) error {
		tid, suffix, ok := parseName(name)
		if !ok || suffix == assemblySuffix || suffix == wholeSuffix && d.room.max == 0 {
			return nil
		}
		var kept map[int64]struct{}
		switch suffix {
		case rewriteSuffix:
			return nil
		case spoolSuffix:
			kept = d.kept
		case partSuffix, journalSuffix:
			kept = d.held
		case namedSuffix:
			if d.room.max == 0 {
				return nil
			}
		}
		if kept != nil && !d.has(kept, tid) {
			return nil
		}
		is, err := d.f.Stat(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // somebody took it away
		}
		if err != nil {
			return err
		}
		settled += is.Bytes
		if suffix != wholeSuffix && suffix != namedSuffix && suffix != journalSuffix {
			left = append(left, leftover{name, is, tid, kept})
		}
		return nil
	})
	if err == nil {
		d.room.counted(settled, before)
	}
	return left, err
}
