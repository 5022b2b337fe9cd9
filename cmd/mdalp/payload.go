package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"

	"mdalp/cmd/internal/shape"
	"mdalp/cmd/internal/usage"
)

// A payload is what is to be sent: its size must be known before the split, and
// any part of it may be asked for again.
type payload struct {
	io.ReaderAt
	io.Closer
	size  int64
	named os.FileInfo // of a plain file that was given by its name, else nil
}

// openPayload opens a file, or standard input if path is "-". It gives up when ctx
// ends: whoever opens or reads a pipe waits for the other end. Errors name the option -f,
// but for the cause of ctx, which is about the whole command.
func openPayload(ctx context.Context, path string) (*payload, error) {
	p, err := within(ctx, func() (*payload, error) { return newPayload(path) })
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("-f %s: %w", path, usage.File(err))
	}
	return p, err
}

// newPayload opens a file or standard input. What cannot be read twice, such as a
// pipe, is copied to a temporary file without a name first.
func newPayload(path string) (*payload, error) {
	f := os.Stdin
	if path != "-" {
		var err error
		if f, err = os.Open(path); err != nil {
			return nil, err
		}
	}
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	switch {
	case st.IsDir():
		return nil, errors.New("it is a directory: give a file, or - for standard input")
	// Pipes, sockets and devices have no size and give their bytes once.
	case !st.Mode().IsRegular():
		return spool(f)
	}
	// Standard input may have been read from already.
	// As by { read line; mdalp ... -f -; } <file: what is left is the payload.
	at, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil, err
	}
	if st.Size() == 0 {
		// Files of /proc and the like have no size, but may have content.
		if n, err := f.ReadAt(make([]byte, 1), at); n > 0 {
			return spool(f)
		} else if err != io.EOF {
			return nil, err
		}
	}
	size := max(0, st.Size()-at)
	// Files of sysfs say 4,096 whatever they have, and others have shrunk since. Told by their
	// last byte, before a transaction is opened for more than there is.
	if size > 0 {
		if n, err := f.ReadAt(make([]byte, 1), at+size-1); n == 0 && err == io.EOF {
			return spool(f)
		} else if n == 0 {
			return nil, err
		}
	}
	// A file that grows meanwhile is sent as long as it was; one that shrinks is an error of
	// Send, which cannot read what it promised.
	p := &payload{ReaderAt: io.NewSectionReader(f, at, size), Closer: f, size: size}
	if path != "-" {
		p.named = st
	}
	return p, nil
}

// spool copies f into a temporary file that is gone when the process is. TMPDIR must
// have room for all of it. It waits for the end of the pipe, as the size must be known
// before the payload can be split.
func spool(f *os.File) (*payload, error) {
	defer f.Close()
	dir := os.TempDir()
	tmp, err := os.CreateTemp(dir, "mdalp-*")
	if err != nil {
		return nil, fmt.Errorf("it is no plain file and must be kept while it is sent, "+
			"but in %s: %w; TMPDIR names another folder", dir, usage.File(err))
	}
	// At once, so that nothing stays behind however the process ends.
	if err := os.Remove(tmp.Name()); err != nil {
		return nil, err
	}
	size, err := io.Copy(tmp, f)
	switch {
	case err == nil:
		return &payload{ReaderAt: tmp, Closer: tmp, size: size}, nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		err = fmt.Errorf("it is no plain file and must be kept while it is sent, "+
			"but after %d bytes %s has no room: %w; TMPDIR names another folder",
			size, dir, shape.Cause(err))
	}
	tmp.Close()
	return nil, err
}

// title is the name that a server is told, for people: the file's own, without its folder, or
// "" where that is none for a protocol (PROTOCOL.md, "Messages").
func title(path string) string {
	name := filepath.Base(path)
	if path == "-" || len(name) > 255 || !utf8.ValidString(name) ||
		strings.ContainsFunc(name, unicode.IsControl) {
		return ""
	}
	return name
}
