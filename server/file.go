package server

import (
	"crypto/rand"
	"io"
	"os"
	"strings"
)

// A file is an open file of a folder.
type file interface {
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
	// Sync brings all of it to the disk, Datasync what is needed to read it again.
	Sync() error
	Datasync() error
	// Fact tells of it.
	Fact() (fact, error)
}

// unique is what no other process has.
func unique() string { return rand.Text() }

// bootID tells one start of the machine from another (random(4)). Where it is not known,
// no two processes agree, and what counts is what was flushed.
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	id := strings.TrimSpace(string(b))
	if err != nil || id == "" {
		return "of one process: " + unique()
	}
	return id
}
