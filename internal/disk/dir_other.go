//go:build !linux

package disk

import (
	"errors"
	"io/fs"
)

// Open would open a directory. There is none but on Linux.
func Open(path string) (Folder, error) {
	return nil, &fs.PathError{Op: "open", Path: path, Err: errors.ErrUnsupported}
}

// View is as Open.
func View(path string) (Folder, error) { return Open(path) }

// Taken is as Open.
func Taken(path string) error {
	_, err := Open(path)
	return err
}
