package fleet

import (
	"errors"
	"strings"
	"time"

	"mdalp/fleet/engine/model"
	"mdalp/internal/disk"
)

// stepFolder is the shared directory as one process has it: whoever uses it beside a loop may be
// killed before any operation. It counts the names that payloads get.
type stepFolder struct {
	disk.Folder
	m      *model.Model
	named  map[string]int
	single bool // no file can have two names
	host   *dirHost
}

// A dirHost is the directory's host, which is away until that time.
type dirHost struct{ back time.Time }

// step holds up whoever is about to change something, and is beside a loop.
func (f *stepFolder) step() {
	if f.host != nil {
		f.m.StepUntil(f.host.back)
		return
	}
	f.m.Step()
}

func (f *stepFolder) Make(name string, mode uint32) (disk.File, error) {
	f.step()
	g, err := f.Folder.Make(name, mode)
	if err != nil {
		return nil, err
	}
	// A store bounds how many assemble at once by waiting, which a strand that is held up here
	// would make last for ever.
	return stepFile{g, f, strings.HasSuffix(name, ".new.spool")}, nil
}

func (f *stepFolder) Open(name string, flags int) (disk.File, error) {
	g, err := f.Folder.Open(name, flags)
	if err != nil {
		return nil, err
	}
	return stepFile{g, f, false}, nil
}

func (f *stepFolder) Rename(from, to string) error {
	f.step()
	err := f.Folder.Rename(from, to)
	if err == nil && strings.HasSuffix(to, ".bin") {
		f.named[to]++
	}
	return err
}

func (f *stepFolder) Link(from, to string) error {
	f.step()
	if f.single {
		return errors.ErrUnsupported
	}
	return f.Folder.Link(from, to)
}

func (f *stepFolder) Remove(name string) error { f.step(); return f.Folder.Remove(name) }
func (f *stepFolder) Flush() error             { f.step(); return f.Folder.Flush() }

type stepFile struct {
	disk.File
	f     *stepFolder
	swift bool // is not held up at writes
}

func (f stepFile) WriteAt(b []byte, off int64) (int, error) {
	if !f.swift {
		f.f.step()
	}
	return f.File.WriteAt(b, off)
}
func (f stepFile) Sync() error     { f.f.step(); return f.File.Sync() }
func (f stepFile) Datasync() error { f.f.step(); return f.File.Datasync() }
