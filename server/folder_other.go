//go:build !linux

package server

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// A folder is a directory that this process alone writes to. There is none but on Linux.
type folder struct{ path, boot string }

func openFolder(path string) (*folder, error) {
	return nil, &fs.PathError{Op: "open", Path: path, Err: errors.ErrUnsupported}
}

func viewFolder(path string) (*folder, error) { return openFolder(path) }

type fact struct {
	bytes int64
	size  int64
	when  time.Time
}

func (f *folder) take() error                                { return errors.ErrUnsupported }
func (f *folder) close()                                     {}
func (f *folder) full(name string) string                    { return filepath.Join(f.path, name) }
func (f *folder) create(string, uint32) (*os.File, error)    { return nil, errors.ErrUnsupported }
func (f *folder) reopen(string, int) (*os.File, error)       { return nil, errors.ErrUnsupported }
func (f *folder) remove(string) error                        { return errors.ErrUnsupported }
func (f *folder) stat(string) (fact, error)                  { return fact{}, errors.ErrUnsupported }
func (f *folder) gone() error                                { return errors.ErrUnsupported }
func (f *folder) exists(string) (bool, error)                { return false, errors.ErrUnsupported }
func (f *folder) rename(from, to string) error               { return errors.ErrUnsupported }
func (f *folder) flush() error                               { return errors.ErrUnsupported }
func (f *folder) names(func(string) error) error             { return errors.ErrUnsupported }
func (f *folder) free() (bytes, files, all int64, err error) { return 0, 0, 0, errors.ErrUnsupported }
func (f *folder) make(string, uint32) (file, error)          { return nil, errors.ErrUnsupported }
func (f *folder) open(string, int) (file, error)             { return nil, errors.ErrUnsupported }
func (f *folder) replace(from, to string) error              { return errors.ErrUnsupported }
func (f *folder) link(from, to string) error                 { return errors.ErrUnsupported }
func nextData(f *os.File, off int64) int64                   { return off }
