package server

import (
	"errors"
	"io/fs"

	"mdalp/internal/disk"
)

// trialName is the file that Try makes. It is not that of NewDir, which a server that starts
// meanwhile may be about to make.
const trialName = ".check"

// Try fails as [NewDir] would now, with ErrLocked if another process has the directory, and
// gives about how many bytes of payload a Dir there would have room for; negative is no bound.
// The directory must be there. It is as it was afterwards: one file is made in it, flushed and
// removed.
func Try(path string, o DirOptions) (room int64, err error) {
	if err := disk.Taken(path); err != nil {
		return 0, err
	}
	f, err := disk.View(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if err := try(f); err != nil {
		return 0, err
	}
	d := &Dir{f: f, boot: f.Boot(), named: make(map[int64]string)}
	if err := d.room.open(f, o); err != nil {
		return 0, err
	}
	if o.MaxBytes > 0 {
		if _, err := d.survey(); err != nil {
			return 0, err
		}
	}
	return d.Room(), nil
}

// try writes to a directory what is flushed, and removes it.
func try(f disk.Folder) error {
	// One that a former trial left, or anything else of that name.
	if err := f.Remove(trialName); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	p, err := f.Make(trialName, 0o600)
	if err != nil {
		return err
	}
	_, err = p.WriteAt([]byte("x"), 0)
	if err == nil {
		err = p.Sync()
	}
	p.Close()
	// It goes in any case.
	if e := f.Remove(trialName); err == nil {
		err = e
	}
	if err == nil {
		err = f.Flush()
	}
	return err
}
