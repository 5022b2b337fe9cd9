package disk

import (
	"errors"

	"golang.org/x/sys/unix"
)

// A batch is all who wait for the same flush of the directory.
type batch struct {
	done chan struct{}
	err  error
}

// unsupported reports whether a file system has no such call.
func unsupported(err error) bool {
	return errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EOPNOTSUPP)
}

// Flush implements [Folder] (fsync(2)).
func (f *Dir) Flush() error {
	f.mu.Lock()
	b := f.batch
	first := b == nil
	if first {
		b = &batch{done: make(chan struct{})}
		f.batch = b
	}
	f.mu.Unlock()
	if !first {
		<-b.done
		return b.err
	}
	f.turn.Lock()
	defer f.turn.Unlock()
	f.mu.Lock()
	f.batch = nil // who comes from here on may be too late for this one
	f.mu.Unlock()
	// Some file systems cannot flush a directory: CIFS, FUSE. There is nothing to be
	// done about that, and nothing that would be lost by going on.
	if err := f.dir.Sync(); !unsupported(err) {
		b.err = err
	}
	close(b.done)
	return b.err
}
