package disk

import (
	"errors"
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// A diskFile is an open file of a Dir.
type diskFile struct{ *os.File }

// Datasync implements [File] (fdatasync(2)).
func (f diskFile) Datasync() error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if !errors.Is(err, unix.EINTR) {
			return f.failed("fdatasync", err)
		}
	}
}

// Allocate implements [File] (fallocate(2)).
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

// Fact implements [File].
func (f diskFile) Fact() (Fact, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return Fact{}, f.failed("stat", err)
	}
	return factOf(&st), nil
}

func (f diskFile) failed(op string, err error) error {
	if err == nil {
		return nil
	}
	return &os.PathError{Op: op, Path: f.Name(), Err: err}
}

// Data implements [File] (lseek(2), SEEK_DATA). It moves the file's own offset, which
// nobody uses.
func (f diskFile) Data(off int64) int64 {
	at, err := f.Seek(off, unix.SEEK_DATA)
	switch {
	case err == nil:
		return at
	case errors.Is(err, unix.ENXIO):
		return math.MaxInt64
	default:
		return off // a file system that does not know
	}
}

// Replace implements [Folder].
func (f *Dir) Replace(from, to string) error {
	return f.renamed(from, to, unix.Renameat(f.fd, from, f.fd, to))
}

// Link implements [Folder].
func (f *Dir) Link(from, to string) error {
	err := unix.Linkat(f.fd, from, f.fd, to, 0)
	if unsupported(err) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EMLINK) {
		err = errors.ErrUnsupported
	}
	return f.renamed(from, to, err)
}
