package server

import (
	"crypto/rand"
	"io"
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
