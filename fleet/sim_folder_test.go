package fleet

import (
	"errors"
	"io/fs"
	"strings"
	"time"

	"mdalp/fleet/engine/model"
	"mdalp/internal/disk"
	"mdalp/internal/sim"
)

// stepFolder is the shared directory as one process has it: whoever uses it beside a loop may be
// killed before any operation. It counts the names that payloads get.
type stepFolder struct {
	disk.Folder
	m      *model.Model
	named  map[string]int
	single bool // no file can have two names
	disk   *sim.Disk
	ills   *ills
	of     string // whose it is
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

var errUnsupported = errors.ErrUnsupported

func (f *stepFolder) Make(name string, mode uint32) (g disk.File, err error) {
	f.step()
	err = f.do(takes, func() (err error) { g, err = f.Folder.Make(name, mode); return err })
	if err != nil {
		return nil, err
	}
	// A store bounds how many assemble at once by waiting, and has the loop wait for a journal that
	// takes another's place, which a strand that is held up here would make last for ever.
	swift := strings.HasSuffix(name, ".new.spool") || strings.HasSuffix(name, ".new.journal")
	return stepFile{g, f, swift}, nil
}

func (f *stepFolder) Open(name string, flags int) (disk.File, error) {
	if err := f.fails(reads); err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	g, err := f.Folder.Open(name, flags)
	if err != nil {
		return nil, err
	}
	return stepFile{g, f, false}, nil
}

func (f *stepFolder) Rename(from, to string) error {
	f.step()
	err := f.do(takes, func() error { return f.Folder.Rename(from, to) })
	if err == nil && strings.HasSuffix(to, ".bin") {
		f.named[to]++
	}
	return err
}

// Replace holds nobody up, see Make.
func (f *stepFolder) Replace(from, to string) error {
	return f.do(takes, func() error { return f.Folder.Replace(from, to) })
}

func (f *stepFolder) Link(from, to string) error {
	f.step()
	if f.single {
		return errUnsupported
	}
	return f.do(takes, func() error { return f.Folder.Link(from, to) })
}

func (f *stepFolder) Remove(name string) error {
	f.step()
	err := f.do(names, func() error { return f.Folder.Remove(name) })
	f.ills.stays = f.ills.stays || err != nil && !errors.Is(err, fs.ErrNotExist)
	return err
}

func (f *stepFolder) Flush() error {
	f.step()
	return f.do(names, f.Folder.Flush)
}

type stepFile struct {
	disk.File
	f     *stepFolder
	swift bool // is not held up at writes
}

func (f stepFile) Sync() error {
	f.f.step()
	return f.flush(f.File.Sync)
}

func (f stepFile) Datasync() error {
	f.f.step()
	return f.flush(f.File.Datasync)
}
