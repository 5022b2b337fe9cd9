package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A Dir is a Folder of the kernel's. Everything is opened from its descriptor, so that a
// file under its name needs no descriptor but its own.
type Dir struct {
	path string
	dir  *os.File
	fd   int // of dir
	lock *os.File
	boot string // see bootID

	mu    sync.Mutex // of batch, and of a rename that has to look first
	batch *batch     // the next flush, which has not begun
	turn  sync.Mutex // of the flush under way
}

// Open makes the directory at path, if need be, and takes it for this process. Until that
// is done nothing in it is touched.
func Open(path string) (*Dir, error) {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, err
	}
	f, err := View(path)
	if err != nil {
		return nil, err
	}
	if err := f.Take(); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// View opens a directory that another process may have, to read from it.
func View(path string) (*Dir, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return &Dir{path: path, dir: os.NewFile(uintptr(fd), path), fd: fd, boot: bootID()}, nil
}

// Path implements [Folder].
func (f *Dir) Path() string { return f.path }

// Full implements [Folder].
func (f *Dir) Full(name string) string { return filepath.Join(f.path, name) }

// Boot implements [Folder].
func (f *Dir) Boot() string { return f.boot }

// Fd is the directory's descriptor, for who must know the system calls that are about it.
func (f *Dir) Fd() int { return f.fd }

// Take implements [Folder]. The lock is the kernel's (flock(2)): it goes with the
// process, however that ends. The file stays, for whoever removes one that is locked
// lets the next process lock another of the same name.
func (f *Dir) Take() (err error) {
	f.lock, err = f.reopen(LockName, unix.O_RDWR|unix.O_CREAT)
	if err != nil {
		return err
	}
	err = unix.Flock(int(f.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("%s: %w%s", f.path, ErrLocked, f.owner())
	}
	if err != nil {
		return &fs.PathError{Op: "lock", Path: f.Full(LockName), Err: err}
	}
	// Who holds it is a help for the one that is refused, and nothing else.
	if f.lock.Truncate(0) == nil {
		f.lock.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	return nil
}

// owner tells the process that holds the lock, where its file says so.
func (f *Dir) owner() string {
	b := make([]byte, 20)
	n, _ := f.lock.ReadAt(b, 0)
	pid, err := strconv.ParseUint(strings.TrimSpace(string(b[:n])), 10, 31)
	if err != nil {
		return ""
	}
	return fmt.Sprintf(" (process %d)", pid)
}

// Close implements [Folder].
func (f *Dir) Close() {
	if f.lock != nil {
		f.lock.Close()
	}
	f.dir.Close()
}

// Make implements [Folder].
func (f *Dir) Make(name string, mode uint32) (File, error) {
	fd, err := f.openat(name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL, mode)
	if err != nil {
		return nil, err
	}
	return diskFile{os.NewFile(uintptr(fd), f.Full(name))}, nil
}

// Open implements [Folder].
func (f *Dir) Open(name string, flags int) (File, error) {
	g, err := f.reopen(name, flags)
	if err != nil {
		return nil, err
	}
	return diskFile{g}, nil
}

// reopen opens a regular file that is there. O_NONBLOCK is for the pipe that somebody
// put in its place: it must not stop the server.
func (f *Dir) reopen(name string, flags int) (*os.File, error) {
	fd, err := f.openat(name, flags|unix.O_NONBLOCK, 0o644)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
		err = errors.New("not a regular file")
	}
	if err == nil {
		err = unix.SetNonblock(fd, false) // else Go would have epoll watch it
	}
	if err != nil {
		unix.Close(fd)
		return nil, &fs.PathError{Op: "open", Path: f.Full(name), Err: err}
	}
	return os.NewFile(uintptr(fd), f.Full(name)), nil
}

func (f *Dir) openat(name string, flags int, mode uint32) (int, error) {
	for {
		fd, err := unix.Openat(f.fd, name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
		if err == nil {
			return fd, nil
		}
		if !errors.Is(err, unix.EINTR) {
			return 0, &fs.PathError{Op: "open", Path: f.Full(name), Err: err}
		}
	}
}

// Remove implements [Folder].
func (f *Dir) Remove(name string) error {
	if err := unix.Unlinkat(f.fd, name, 0); err != nil {
		return &fs.PathError{Op: "remove", Path: f.Full(name), Err: err}
	}
	return nil
}

func factOf(st *unix.Stat_t) Fact {
	return Fact{min(st.Size, st.Blocks*512), st.Size, time.Unix(st.Mtim.Unix()), st.Ino, uint64(st.Nlink)}
}

// Stat implements [Folder].
func (f *Dir) Stat(name string) (Fact, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(f.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return Fact{}, &fs.PathError{Op: "stat", Path: f.Full(name), Err: err}
	}
	return factOf(&st), nil
}

// Clock implements [Folder]. What a file is touched with is for its server to say.
func (f *Dir) Clock() (time.Time, error) {
	now := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Nsec: unix.UTIME_NOW}}
	if err := unix.UtimesNanoAt(f.fd, LockName, now, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return time.Time{}, &fs.PathError{Op: "touch", Path: f.Full(LockName), Err: err}
	}
	is, err := f.Stat(LockName)
	return is.When, err
}

// Gone implements [Folder]. What has its name now is another, which we have no lock of.
func (f *Dir) Gone() error {
	var st unix.Stat_t
	err := unix.Fstat(f.fd, &st)
	if err == nil && st.Nlink == 0 {
		err = unix.ENOENT
	}
	if err != nil {
		return &fs.PathError{Op: "open", Path: f.path, Err: err}
	}
	return nil
}

// Names implements [Folder]. It opens the directory once more, as it may be called from
// several goroutines.
func (f *Dir) Names(g func(name string) error) error {
	fd, err := unix.Openat(f.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: f.path, Err: err}
	}
	dir := os.NewFile(uintptr(fd), f.path)
	defer dir.Close()
	for {
		names, err := dir.Readdirnames(4096)
		for _, name := range names {
			if err := g(name); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Free implements [Folder]. A file system that does not count files has no end of them.
func (f *Dir) Free() (bytes, files, all int64, err error) {
	var st unix.Statfs_t
	for {
		if err = unix.Fstatfs(f.fd, &st); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return 0, 0, 0, &fs.PathError{Op: "statfs", Path: f.path, Err: err}
	}
	unit := int64(st.Frsize)
	if unit == 0 {
		unit = int64(st.Bsize)
	}
	files = int64(st.Ffree)
	if st.Files == 0 {
		files = 1 << 62
	}
	return product(st.Bavail, unit), files, product(st.Blocks, unit), nil
}

// ReadOnly implements [Folder] (statfs(2), ST_RDONLY).
func (f *Dir) ReadOnly() bool {
	var st unix.Statfs_t
	return unix.Fstatfs(f.fd, &st) == nil && st.Flags&unix.ST_RDONLY != 0
}

// product does not overflow: what a file system says of itself may be anything.
func product(n uint64, unit int64) int64 {
	const most = 1 << 62
	if unit <= 0 || n > most/uint64(unit) {
		return most
	}
	return int64(n) * unit
}
