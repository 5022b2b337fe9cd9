package server

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

// A folder is a directory that this process alone writes to. Everything is opened
// from its descriptor, by plain names and never through a symbolic link, so that
// nobody can lead a write elsewhere, and so that a file under its name needs no
// descriptor but its own. Its methods may be called from any goroutine.
type folder struct {
	path string
	dir  *os.File
	fd   int // of dir
	lock *os.File
	boot string // see bootID

	mu    sync.Mutex // of batch, and of a rename that has to look first
	batch *batch     // the next flush, which has not begun
	turn  sync.Mutex // of the flush under way
}

// A batch is all who wait for the same flush of the directory.
type batch struct {
	done chan struct{}
	err  error
}

// openFolder makes the directory at path, if need be, and takes it for this process.
// Until that is done nothing in it is touched.
func openFolder(path string) (*folder, error) {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, err
	}
	f, err := viewFolder(path)
	if err != nil {
		return nil, err
	}
	if err := f.take(); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

// viewFolder opens a directory that another process may have, to read from it.
func viewFolder(path string) (*folder, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return &folder{path: path, dir: os.NewFile(uintptr(fd), path), fd: fd, boot: bootID()}, nil
}

// take locks the directory. The lock is the kernel's (flock(2)): it goes with the
// process, however that ends. The file stays, for whoever removes one that is locked
// lets the next process lock another of the same name.
func (f *folder) take() (err error) {
	f.lock, err = f.reopen(lockName, unix.O_RDWR|unix.O_CREAT)
	if err != nil {
		return err
	}
	err = unix.Flock(int(f.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("%s: %w%s", f.path, ErrLocked, f.owner())
	}
	if err != nil {
		return &fs.PathError{Op: "lock", Path: f.full(lockName), Err: err}
	}
	// Who holds it is a help for the one that is refused, and nothing else.
	if f.lock.Truncate(0) == nil {
		f.lock.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	return nil
}

// owner tells the process that holds the lock, where its file says so.
func (f *folder) owner() string {
	b := make([]byte, 20)
	n, _ := f.lock.ReadAt(b, 0)
	pid, err := strconv.ParseUint(strings.TrimSpace(string(b[:n])), 10, 31)
	if err != nil {
		return ""
	}
	return fmt.Sprintf(" (process %d)", pid)
}

func (f *folder) close() {
	if f.lock != nil {
		f.lock.Close()
	}
	f.dir.Close()
}

func (f *folder) full(name string) string { return filepath.Join(f.path, name) }

// create makes a file that is not there yet, and is no link either.
func (f *folder) create(name string, mode uint32) (*os.File, error) {
	fd, err := f.openat(name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL, mode)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), f.full(name)), nil
}

// reopen opens a regular file that is there. O_NONBLOCK is for the pipe that somebody
// put in its place: it must not stop the server.
func (f *folder) reopen(name string, flags int) (*os.File, error) {
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
		return nil, &fs.PathError{Op: "open", Path: f.full(name), Err: err}
	}
	return os.NewFile(uintptr(fd), f.full(name)), nil
}

func (f *folder) openat(name string, flags int, mode uint32) (int, error) {
	for {
		fd, err := unix.Openat(f.fd, name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
		if err == nil {
			return fd, nil
		}
		if !errors.Is(err, unix.EINTR) {
			return 0, &fs.PathError{Op: "open", Path: f.full(name), Err: err}
		}
	}
}

func (f *folder) remove(name string) error {
	if err := unix.Unlinkat(f.fd, name, 0); err != nil {
		return &fs.PathError{Op: "remove", Path: f.full(name), Err: err}
	}
	return nil
}

// A fact is what the directory tells of a file: what it takes on the disk, without
// holes, and when it was written last.
type fact struct {
	bytes int64
	size  int64 // with holes, and without what lies beyond its end
	when  time.Time
}

func factOf(st *unix.Stat_t) fact {
	return fact{min(st.Size, st.Blocks*512), st.Size, time.Unix(st.Mtim.Unix())}
}

// stat tells of a file, and not of what a link leads to.
func (f *folder) stat(name string) (fact, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(f.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fact{}, &fs.PathError{Op: "stat", Path: f.full(name), Err: err}
	}
	return factOf(&st), nil
}

// gone is the error of a directory that somebody removed. What has its name now is
// another, which we have no lock of.
func (f *folder) gone() error {
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

// exists reports whether there is anything of that name.
func (f *folder) exists(name string) (bool, error) {
	_, err := f.stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// rename gives a file another name, and never in place of one that is there: it then
// fails with fs.ErrExist. Not every file system can do that by itself (renameat2(2):
// EINVAL), nor has links; then it is looked up first, which is enough against all
// but those who ignore the lock.
func (f *folder) rename(from, to string) error {
	err := unix.Renameat2(f.fd, from, f.fd, to, unix.RENAME_NOREPLACE)
	if !unsupported(err) {
		return f.renamed(from, to, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	err = unix.Linkat(f.fd, from, f.fd, to, 0)
	if err == nil {
		// A second name that stays is removed by the next start.
		unix.Unlinkat(f.fd, from, 0)
		return nil
	}
	if !unsupported(err) && !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EMLINK) {
		return f.renamed(from, to, err)
	}
	there, err := f.exists(to)
	switch {
	case err != nil:
		return err
	case there:
		return f.renamed(from, to, unix.EEXIST)
	}
	return f.renamed(from, to, unix.Renameat(f.fd, from, f.fd, to))
}

func (f *folder) renamed(from, to string, err error) error {
	if err == nil {
		return nil
	}
	return &os.LinkError{Op: "rename", Old: f.full(from), New: f.full(to), Err: err}
}

// unsupported reports whether a file system has no such call.
func unsupported(err error) bool {
	return errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EOPNOTSUPP)
}

// flush brings the names to the disk (fsync(2)). All who come while one flush is under
// way share the next.
func (f *folder) flush() error {
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

// names calls g for every name in the directory. It opens the directory once more, as
// it may be called from several goroutines.
func (f *folder) names(g func(name string) error) error {
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

// free is how many bytes, and how many files, the file system can still take from an
// ordinary user, and how many bytes it has in all. A file system that does not count
// files has no end of them.
func (f *folder) free() (bytes, files, all int64, err error) {
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

// product does not overflow: what a file system says of itself may be anything.
func product(n uint64, unit int64) int64 {
	const most = 1 << 62
	if unit <= 0 || n > most/uint64(unit) {
		return most
	}
	return int64(n) * unit
}

// nextData is where from off on a file may hold something; its end, if there is nothing
// more but a hole (lseek(2), SEEK_DATA).
func nextData(f *os.File, off int64) int64 {
	at, err := f.Seek(off, unix.SEEK_DATA)
	switch {
	case err == nil:
		return at
	case errors.Is(err, unix.ENXIO):
		return 1<<63 - 1
	default:
		return off // a file system that does not know
	}
}
