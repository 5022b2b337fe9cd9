package sim

import (
	"fmt"
	"io"
	"math"
	"slices"

	"mdalp/internal/disk"
)

// A diskFile is an open file of a Disk.
type diskFile struct {
	d    *Disk
	name string
	f    *inode
	by   int // the machine that opened it
	told int // of failed flushes
}

// Name implements disk.File.
func (f *diskFile) Name() string { return f.d.Full(f.name) }

// Close implements io.Closer. What a machine has written all see from then on, as on NFS.
func (f *diskFile) Close() error {
	f.f.show(f.by)
	return nil
}

// ReadAt implements io.ReaderAt.
func (f *diskFile) ReadAt(b []byte, off int64) (n int, err error) {
	if f.d.died {
		return 0, ErrDied
	}
	if data := f.f.seen(f.d, f.by); off < int64(len(data)) {
		n = copy(b, data[off:])
	}
	if n < len(b) {
		err = io.EOF
	}
	return n, err
}

// WriteAt implements io.WriterAt.
func (f *diskFile) WriteAt(b []byte, off int64) (n int, err error) {
	half, err := f.d.begin("write", fmt.Sprintf("%s %d+%d", f.name, off, len(b)))
	if half {
		b = b[:len(b)/2]
	} else if err != nil {
		return 0, err
	}
	if len(b) > 0 {
		f.change(change{off: off, bytes: slices.Clone(b)})
	}
	return len(b), err
}

// Truncate implements disk.File.
func (f *diskFile) Truncate(n int64) error {
	if _, err := f.d.begin("truncate", f.name); err != nil {
		return err
	}
	f.change(change{size: n})
	return nil
}

// Allocate implements disk.File.
func (f *diskFile) Allocate(n int64, beyond bool) error {
	if _, err := f.d.begin("allocate", f.name); err != nil {
		return err
	}
	if !beyond && n > int64(len(f.f.seen(f.d, f.by))) {
		f.change(change{size: n})
	}
	return nil
}

// change makes one, as processes see it.
func (f *diskFile) change(c change) {
	c.by = f.by
	f.f.data = c.done(f.f.data)
	f.f.changes = append(f.f.changes, c)
	f.f.when = f.d.now()
}

// Sync implements disk.File.
func (f *diskFile) Sync() error {
	_, err := f.d.begin("sync", f.name)
	switch {
	case f.d.died:
		return err
	case err != nil:
		f.f.forget(f.by)
		f.f.failed = append(f.f.failed, badFlush{f.by, err})
	default:
		f.f.flush(f.by)
		for _, x := range f.f.failed[f.told:] {
			if x.by == f.by {
				err = x.err
			}
		}
	}
	f.told = len(f.f.failed)
	return err
}

// Datasync implements disk.File.
func (f *diskFile) Datasync() error { return f.Sync() }

// Fact implements disk.File.
func (f *diskFile) Fact() (disk.Fact, error) {
	if f.d.died {
		return disk.Fact{}, ErrDied
	}
	n := int64(len(f.f.seen(f.d, f.by)))
	links := uint64(0)
	for _, of := range f.d.names { // order does not show
		if of == f.f {
			links++
		}
	}
	return disk.Fact{Bytes: n, Size: n, When: f.f.when, ID: f.f.id, Links: links}, nil
}

// Data implements disk.File. It knows of no holes.
func (f *diskFile) Data(off int64) int64 {
	if off < int64(len(f.f.seen(f.d, f.by))) {
		return off
	}
	return math.MaxInt64
}
