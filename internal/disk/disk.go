// Package disk is the seam between a store and the file system that it is in: a directory
// that belongs to one process, and files in it. [Open] gives those of the kernel; the
// simulation has others, which lose what was not flushed.
package disk

import (
	"crypto/rand"
	"errors"
	"io"
	"os"
	"strings"
	"time"
)

// ErrLocked is the error of a directory that another process uses.
var ErrLocked = errors.New("another mdalpd uses this directory")

// LockName is the file in a [Dir] that its process has locked.
const LockName = ".lock"

// A Folder is a directory that one process alone writes to. Its files have plain names, and
// are never behind a symbolic link, so that nobody can lead a write elsewhere. Names are not
// on the disk before Flush, nor is what a file holds before its Sync: until then the loss of
// power may take any of it, in any order. The methods may be called from any goroutine.
type Folder interface {
	// Path is where it is, Full the path of a file in it.
	Path() string
	Full(name string) string
	// Boot tells one start of the machine from another. Where it is not known, no two
	// processes agree, and what counts is what was flushed.
	Boot() string
	// Take locks it for this process, or fails with ErrLocked.
	Take() error
	// Close gives it up.
	Close()
	// Gone is the error of a directory that somebody removed, whatever has its name now.
	Gone() error

	// Make makes a file that is not there yet, and is no link either.
	Make(name string, mode uint32) (File, error)
	// Open opens a regular file that is there, with flags of open(2).
	Open(name string, flags int) (File, error)
	// Stat tells of a file, and not of what a link leads to. Its error is fs.ErrNotExist
	// where nothing has that name.
	Stat(name string) (Fact, error)
	// Names calls f for every name, in no order, until that fails.
	Names(f func(name string) error) error
	// Remove takes a file's name away.
	Remove(name string) error
	// Rename gives a file another name, and never in place of one that is there: it then
	// fails with fs.ErrExist. Replace puts it in that one's place.
	Rename(from, to string) error
	Replace(from, to string) error
	// Link gives a file a second name. It fails with errors.ErrUnsupported where a file
	// system has no such thing.
	Link(from, to string) error
	// Flush brings the names to the disk. All who come while one flush is under way share
	// the next.
	Flush() error
	// Free is how many bytes, and how many files, can still be taken by an ordinary user,
	// and how many bytes there are in all.
	Free() (bytes, files, all int64, err error)
	// Clock is what time it is by the clock that files are stamped by, see Fact.When: that of a file
	// server, where the directory is on one, and never one that a process has read before. It
	// fails where nothing can be written, or nobody has taken the directory.
	Clock() (time.Time, error)
	// ReadOnly reports whether its file system is one that nothing is written to now, as some
	// become after an error of their disk.
	ReadOnly() bool
}

// A File is an open file of a folder.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Name is its path.
	Name() string
	// Truncate gives it so many bytes.
	Truncate(n int64) error
	// Allocate sets blocks aside for its first n bytes, which it has then, unless they are
	// to lie beyond its end. It fails with errors.ErrUnsupported where that cannot be.
	Allocate(n int64, beyond bool) error
	// Sync brings all of it to the disk, Datasync what is needed to read it again. After an
	// error nobody knows what of it is there.
	Sync() error
	Datasync() error
	// Fact tells of it.
	Fact() (Fact, error)
	// Data is where from off on it may hold something, and its end, or beyond, where
	// nothing more follows but a hole.
	Data(off int64) int64
}

// A Fact is what a directory tells of a file.
type Fact struct {
	Bytes int64 // that it takes on the disk, without holes
	Size  int64 // with holes, and without what lies beyond its end
	// When it was written last, by a clock that may be another machine's: Folder.Clock tells how long
	// ago that is, and no other clock does.
	When time.Time
	// ID tells a file from all others that are there, whatever its names; it is the same on every
	// machine that shares the directory.
	ID uint64
	// Links is how many names it has.
	Links uint64
}

// Exists reports whether there is anything of that name.
func Exists(f Folder, name string) (bool, error) {
	_, err := f.Stat(name)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// unique is what no other process has.
func unique() string { return rand.Text() }

// bootID tells one start of the machine from another (random(4)).
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	id := strings.TrimSpace(string(b))
	if err != nil || id == "" {
		return "of one process: " + unique()
	}
	return id
}
