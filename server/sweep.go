package server

import (
	"errors"
	"io/fs"
	"slices"
	"time"
)

// DefaultRetention is how long a Dir keeps what was not published whole, where nothing
// else is said.
const DefaultRetention = 24 * time.Hour

// A leftover is a file that a retention is for.
type leftover struct {
	name string
	fact
	tid  int64
	kept bool // a spool
}

// Sweep removes, of partial payloads and of spools that were kept, those last written
// longer than keep ago, and then the oldest, as long as all of them together hold more
// than so many bytes. A keep of 0 is DefaultRetention, less is no end; 0 bytes are no
// bound. A whole payload is never removed, nor the spool of a transaction under way.
//
// It also counts anew what the directory holds, so that what somebody took away makes
// room. It may take a while, and is called beside the server's goroutine, one call at a
// time. With an error some may have been removed.
func (d *Dir) Sweep(now time.Time, keep time.Duration, bytes int64) (removed []string, err error) {
	if keep == 0 {
		keep = DefaultRetention
	}
	left, err := d.survey()
	if err != nil {
		return nil, err
	}
	slices.SortFunc(left, func(a, b leftover) int { return a.when.Compare(b.when) })
	var all int64
	for _, l := range left {
		all += l.bytes
	}
	for _, l := range left {
		old := keep > 0 && now.Sub(l.when) > keep
		if !old && (bytes <= 0 || all <= bytes) {
			break
		}
		if e := d.f.remove(l.name); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
			continue
		}
		if l.kept {
			d.mu.Lock()
			delete(d.kept, l.tid)
			d.mu.Unlock()
		}
		d.room.give(0, 0, 0, -l.bytes)
		all -= l.bytes
		removed = append(removed, d.f.full(l.name))
	}
	return removed, err
}

// survey counts what files of ours hold that nobody works on, and gives those that may
// be swept.
func (d *Dir) survey() (left []leftover, err error) {
	var settled int64
	before := d.room.published()
	err = d.f.names(func(name string) error {
		tid, suffix, ok := parseName(name)
		if !ok || suffix == assemblySuffix || suffix == wholeSuffix && d.room.max == 0 {
			return nil
		}
		kept := suffix == spoolSuffix
		if kept {
			d.mu.Lock()
			_, kept = d.kept[tid]
			d.mu.Unlock()
			if !kept {
				return nil
			}
		}
		is, err := d.f.stat(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // somebody took it away
		}
		if err != nil {
			return err
		}
		settled += is.bytes
		if suffix != wholeSuffix {
			left = append(left, leftover{name, is, tid, kept})
		}
		return nil
	})
	if err == nil {
		d.room.counted(settled, before)
	}
	return left, err
}
