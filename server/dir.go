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
)

// Names in a Dir: a transaction's number and one of these. Nothing else of a name
// ever comes from the network.
const (
	wholeSuffix    = ".bin"       // a whole payload
	partialSuffix  = ".partial"   // what there was of an incomplete one
	spoolSuffix    = ".spool"     // segments as they came
	assemblySuffix = ".new.spool" // a payload that has no name yet
)

// Dir is a Store in a directory, which belongs to it alone.
//
// A segment is written to the transaction's spool file as soon as it comes, so
// that a full disk is seen before it is acknowledged. A payload is put together
// in a second file, flushed to the disk, and renamed: under its final name,
// <TID>.bin, there is never a half of one, however the process ends. While that
// happens the payload is on the disk twice.
//
// The spool is not flushed segment by segment: an acknowledged segment survives
// the death of the process, not the loss of power.
type Dir struct {
	path   string
	record []byte // scratch of Put
	block  []byte // scratch of Assemble
}

// NewDir opens the directory at path, makes it if need be, shows that it can be
// written, and removes what a former process left unfinished there.
func NewDir(path string) (*Dir, error) {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, err
	}
	if err := sweep(path); err != nil {
		return nil, err
	}
	// Better now than with the first segment. 0 is no transaction's number.
	probe := filepath.Join(path, "0"+spoolSuffix)
	if err := os.WriteFile(probe, nil, 0o600); err != nil {
		return nil, err
	}
	if err := os.Remove(probe); err != nil {
		return nil, err
	}
	return &Dir{path: path}, nil
}

// sweep removes spool files, and only those: a name is a number and the suffix.
func sweep(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	for {
		names, err := d.Readdirnames(1024)
		for _, name := range names {
			stem, ok := strings.CutSuffix(name, assemblySuffix)
			if !ok {
				stem, ok = strings.CutSuffix(name, spoolSuffix)
			}
			if _, bad := strconv.ParseUint(stem, 10, 63); !ok || bad != nil {
				continue
			}
			if err := os.Remove(filepath.Join(path, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Create implements [Store]. Files are made when the first segment comes, so an
// intent alone costs nothing here.
func (d *Dir) Create(tid int64, segment int) (Spool, error) {
	s := &dirSpool{d: d, tid: tid, segment: segment}
	name := s.name(wholeSuffix)
	switch _, err := os.Lstat(name); {
	case err == nil:
		return nil, errTaken(name)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	return s, nil
}

// errTaken says that name is that of an earlier payload.
func errTaken(name string) error { return fmt.Errorf("%s: %w", name, fs.ErrExist) }
