package disk

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Rename implements [Folder]. Not every file system can do that by itself (renameat2(2):
// EINVAL, as with NFS).
func (f *Dir) Rename(from, to string) error {
	err := unix.Renameat2(f.fd, from, f.fd, to, unix.RENAME_NOREPLACE)
	if unsupported(err) {
		err = f.relink(from, to)
	}
	return f.renamed(from, to, err)
}

// relink is Rename by a second name, which NFS makes in one step at its server. A machine that
// did it and was not answered asks again, and is then told that there is one (link(2), BUGS).
// Nor has every file system links; then it is looked first, which is enough against all but
// those who ignore the lock.
func (f *Dir) relink(from, to string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := unix.Linkat(f.fd, from, f.fd, to, 0)
	if err == nil || errors.Is(err, unix.EEXIST) && f.same(from, to) {
		// A second name that stays is removed by the next start, or by who settles next.
		unix.Unlinkat(f.fd, from, 0)
		return nil
	}
	if !unsupported(err) && !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EMLINK) {
		return err
	}
	there, err := Exists(f, to)
	switch {
	case err != nil:
		return err
	case there:
		return unix.EEXIST
	}
	return unix.Renameat(f.fd, from, f.fd, to)
}

// same reports whether both names are one file's.
func (f *Dir) same(a, b string) bool {
	var x, y unix.Stat_t
	return unix.Fstatat(f.fd, a, &x, unix.AT_SYMLINK_NOFOLLOW) == nil &&
		unix.Fstatat(f.fd, b, &y, unix.AT_SYMLINK_NOFOLLOW) == nil && x.Dev == y.Dev && x.Ino == y.Ino
}

func (f *Dir) renamed(from, to string, err error) error {
	if err == nil {
		return nil
	}
	return &os.LinkError{Op: "rename", Old: f.Full(from), New: f.Full(to), Err: err}
}
