package sim

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"time"

	"mdalp/internal/disk"
)

// sector is what a disk writes whole or not at all, in bytes.
const sector = 512

// ErrDied is the error of every operation of a process that has died.
var ErrDied = errors.New("the process has died")

// A Disk is a directory in memory that knows what of it was flushed. A process can die in
// the midst of any operation on it, and then what it did stays; or the power is lost, and
// then of all that was not flushed each sector, each length and each name may be there or
// not, whatever came first. The zero value is not ready, see NewDisk. It is for one
// goroutine.
type Disk struct {
	// Stop is the operation, counted from 1, in which the process dies; 0 is none. It is
	// done in half if Half says so, and if it can be, else not at all. Operations are all
	// that change something, flushes included.
	Stop int
	Half bool
	// Fail, if not nil, gives the error of an operation that is about to be done, so that
	// nothing is done. After the error of a flush what it was about is on no disk, and
	// counts as flushed from then on (fsync(2), NOTES).
	Fail func(op, name string) error
	// Now tells the time of writes.
	Now func() time.Time
	// Apart has machines see nothing of what another has not flushed, see Machine.
	Apart bool

	names map[string]*inode // as processes see them
	kept  map[string]*inode // as they are on the disk
	moves []move            // of names, not flushed
	boot  int
	done  int // operations
	died  bool
	last  string

	machines int
	made     uint64 // files
}

// An inode is a file, whatever its names.
type inode struct {
	data    []byte // as processes see it
	kept    []byte // as it is on the disk
	changes []change
	when    time.Time
	id      uint64
	failed  []badFlush
}

// A badFlush is a flush that failed on a machine: all there that have the file open are told of it once,
// as by Linux, since what it was about may have been theirs.
type badFlush struct {
	by  int
	err error
}

// A change is bytes at a place, or a new length.
type change struct {
	off   int64
	bytes []byte
	size  int64
	by    int  // the machine; 0 is the disk's own
	shown bool // all see it
}

// A move takes the name from away, and gives the name to to a file; either may be empty.
type move struct {
	from, to string
	file     *inode
}

// NewDisk makes an empty one.
func NewDisk() *Disk { return &Disk{names: map[string]*inode{}, kept: map[string]*inode{}} }

// Ops is how many operations were begun.
func (d *Disk) Ops() int { return d.done }

// Last is what the last operation was, as "write 7.part 0+100".
func (d *Disk) Last() string { return d.last }

// Died reports whether the process has died.
func (d *Disk) Died() bool { return d.died }

// Files gives what is in every file, as processes see it.
func (d *Disk) Files() map[string][]byte {
	all := make(map[string][]byte)
	for name, f := range d.names { // order does not show
		all[name] = slices.Clone(f.data)
	}
	return all
}

// begin begins an operation. half says that it is the last one, and to be done in half.
func (d *Disk) begin(op, name string) (half bool, err error) {
	if d.died {
		return false, ErrDied
	}
	d.done++
	d.last = op + " " + name
	if d.done == d.Stop {
		d.died = true
		return d.Half, ErrDied
	}
	if d.Fail != nil {
		if err = d.Fail(op, name); err != nil {
			err = &fs.PathError{Op: op, Path: name, Err: err}
		}
	}
	return false, err
}

// move changes names.
func (d *Disk) move(m move) {
	m.apply(d.names)
	d.moves = append(d.moves, m)
}

// Path implements disk.Folder.
func (d *Disk) Path() string { return "disk" }

// Full implements disk.Folder.
func (d *Disk) Full(name string) string { return d.Path() + "/" + name }

// Boot implements disk.Folder.
func (d *Disk) Boot() string { return strconv.Itoa(d.boot) }

// Take implements disk.Folder.
func (d *Disk) Take() error { return nil }

// Close implements disk.Folder.
func (d *Disk) Close() {}

// Gone implements disk.Folder.
func (d *Disk) Gone() error {
	if d.died {
		return ErrDied
	}
	return nil
}

// Make implements disk.Folder.
func (d *Disk) Make(name string, _ uint32) (disk.File, error) {
	if _, err := d.begin("make", name); err != nil {
		return nil, err
	}
	if d.names[name] != nil {
		return nil, &fs.PathError{Op: "open", Path: d.Full(name), Err: fs.ErrExist}
	}
	d.made++
	f := &inode{when: d.now(), id: d.made}
	d.move(move{to: name, file: f})
	return &diskFile{d: d, name: name, f: f}, nil
}

// Open implements disk.Folder. There are no flags but those that make a file that is not
// there.
func (d *Disk) Open(name string, flags int) (disk.File, error) {
	switch f := d.names[name]; {
	case d.died:
		return nil, ErrDied
	case f != nil:
		return &diskFile{d: d, name: name, f: f, told: len(f.failed)}, nil
	case flags&os.O_CREATE != 0:
		return d.Make(name, 0)
	}
	return nil, &fs.PathError{Op: "open", Path: d.Full(name), Err: fs.ErrNotExist}
}

// Stat implements disk.Folder.
func (d *Disk) Stat(name string) (disk.Fact, error) {
	f, err := d.Open(name, 0)
	if err != nil {
		return disk.Fact{}, err
	}
	return f.Fact()
}

// Names implements disk.Folder.
func (d *Disk) Names(f func(name string) error) error {
	for _, name := range sorted(d.names) {
		if err := f(name); err != nil {
			return err
		}
	}
	return nil
}

// Remove implements disk.Folder.
func (d *Disk) Remove(name string) error {
	if d.names[name] == nil {
		return &fs.PathError{Op: "remove", Path: d.Full(name), Err: fs.ErrNotExist}
	}
	if _, err := d.begin("remove", name); err != nil {
		return err
	}
	d.move(move{from: name})
	return nil
}

// Rename implements disk.Folder.
func (d *Disk) Rename(from, to string) error {
	if d.names[to] != nil {
		return &fs.PathError{Op: "rename", Path: d.Full(to), Err: fs.ErrExist}
	}
	return d.Replace(from, to)
}

// Replace implements disk.Folder.
func (d *Disk) Replace(from, to string) error {
	f := d.names[from]
	if f == nil {
		return &fs.PathError{Op: "rename", Path: d.Full(from), Err: fs.ErrNotExist}
	}
	if _, err := d.begin("rename", from+" "+to); err != nil {
		return err
	}
	d.move(move{from, to, f})
	return nil
}

// Link implements disk.Folder.
func (d *Disk) Link(from, to string) error {
	f := d.names[from]
	switch {
	case f == nil:
		return &fs.PathError{Op: "link", Path: d.Full(from), Err: fs.ErrNotExist}
	case d.names[to] != nil:
		return &fs.PathError{Op: "link", Path: d.Full(to), Err: fs.ErrExist}
	}
	if _, err := d.begin("link", from+" "+to); err != nil {
		return err
	}
	d.move(move{to: to, file: f})
	return nil
}

// Flush implements disk.Folder.
func (d *Disk) Flush() error {
	if _, err := d.begin("flush", "directory"); err != nil {
		return err
	}
	for _, m := range d.moves {
		m.apply(d.kept)
	}
	d.moves = nil
	return nil
}

// Free implements disk.Folder.
func (d *Disk) Free() (bytes, files, all int64, err error) { return 1 << 40, 1 << 40, 1 << 40, nil }

// Clock implements disk.Folder.
func (d *Disk) Clock() (time.Time, error) { return d.now(), nil }

// ReadOnly implements disk.Folder: it never is.
func (d *Disk) ReadOnly() bool { return false }

func (d *Disk) now() time.Time {
	if d.Now == nil {
		return Epoch
	}
	return d.Now()
}
