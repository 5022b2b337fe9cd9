package server

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// A diskFile is a file of a folder on a disk.
type diskFile struct{ *os.File }

// Datasync implements file (fdatasync(2)).
func (f diskFile) Datasync() error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if !errors.Is(err, unix.EINTR) {
			return f.failed("fdatasync", err)
		}
	}
}

// Allocate implements file (fallocate(2)).
func (f diskFile) Allocate(n int64, beyond bool) error {
	var mode uint32
	if beyond {
		mode = unix.FALLOC_FL_KEEP_SIZE
	}
	for {
		err := unix.Fallocate(int(f.Fd()), mode, 0, n)
		switch {
		case errors.Is(err, unix.EINTR):
		case unsupported(err):
			return f.failed("fallocate", errors.ErrUnsupported)
		default:
			return f.failed("fallocate", err)
		}
	}
}

// Fact implements file.
func (f diskFile) Fact() (fact, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return fact{}, f.failed("stat", err)
	}
	return factOf(&st), nil
}

func (f diskFile) failed(op string, err error) error {
	if err == nil {
		return nil
	}
	return &os.PathError{Op: op, Path: f.Name(), Err: err}
}

// make makes a file that is not there yet.
func (f *folder) make(name string, mode uint32) (file, error) {
	g, err := f.create(name, mode)
	if err != nil {
		return nil, err
	}
	return diskFile{g}, nil
}

// open opens a file that is there.
func (f *folder) open(name string, flags int) (file, error) {
	g, err := f.reopen(name, flags)
	if err != nil {
		return nil, err
	}
	return diskFile{g}, nil
}

// replace gives a file another name, in place of one that has it.
func (f *folder) replace(from, to string) error {
	return f.renamed(from, to, unix.Renameat(f.fd, from, f.fd, to))
}

// link gives a file a second name. It fails with errors.ErrUnsupported where a file system
// has no such thing.
func (f *folder) link(from, to string) error {
	err := unix.Linkat(f.fd, from, f.fd, to, 0)
	if unsupported(err) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EMLINK) {
		err = errors.ErrUnsupported
	}
	return f.renamed(from, to, err)
}
