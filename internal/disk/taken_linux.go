package disk

import (
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"
)

// Taken fails as [Open] would because of another process: with ErrLocked if one has the
// directory at path. It takes nothing and makes nothing, but for an instant nobody else can
// take the directory.
func Taken(path string) error {
	f, err := View(path)
	if err != nil {
		return err
	}
	defer f.Close()
	f.lock, err = f.reopen(LockName, unix.O_RDWR)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // nobody ever had it
	}
	if err != nil {
		return err
	}
	// The lock goes with the descriptor.
	err = unix.Flock(int(f.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("%s: %w%s", path, ErrLocked, f.owner())
	}
	if err != nil {
		return &fs.PathError{Op: "lock", Path: f.Full(LockName), Err: err}
	}
	return nil
}
