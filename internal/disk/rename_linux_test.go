package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// both opens a directory twice, as two machines do, which has these files, each with its name in it.
func both(t *testing.T, files ...string) (dir string, a, b *Dir) {
	t.Helper()
	dir = t.TempDir()
	for _, name := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var views [2]*Dir
	for i := range views {
		var err error
		if views[i], err = View(dir); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(views[i].Close)
	}
	return dir, views[0], views[1]
}

// has fails unless the directory has just these files, each with that text.
func has(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil || len(all) != len(files) {
		t.Errorf("there are %v, %v; %v are wanted", all, err, files)
	}
	for name, text := range files {
		if b, err := os.ReadFile(filepath.Join(dir, name)); string(b) != text {
			t.Errorf("%s holds %q, %v", name, b, err)
		}
	}
}

// However a file gets another name, it is never in place of one that is there, whoever made that.
func TestRename(t *testing.T) {
	for how, rename := range map[string]func(f *Dir, from, to string) error{
		"at once": (*Dir).Rename, "by a link": (*Dir).relink,
	} {
		t.Run(how, func(t *testing.T) {
			dir, a, b := both(t, "part", "other")
			if err := rename(a, "part", "other"); !errors.Is(err, fs.ErrExist) {
				t.Errorf("in place of another: %v", err)
			}
			has(t, dir, map[string]string{"part": "part", "other": "other"})
			if err := os.Symlink("nowhere", filepath.Join(dir, "link")); err != nil {
				t.Fatal(err)
			}
			if err := rename(a, "part", "link"); !errors.Is(err, fs.ErrExist) {
				t.Errorf("in place of a link: %v", err)
			}
			a.Remove("link")
			if err := rename(b, "part", "whole"); err != nil {
				t.Error(err)
			}
			if err := rename(a, "part", "whole"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("what is not there: %v", err)
			}
			has(t, dir, map[string]string{"whole": "part", "other": "other"})
		})
	}
}

// Two machines that give a file its name at the same instant do it once.
func TestRenameTwice(t *testing.T) {
	for how, rename := range map[string]func(f *Dir, from, to string) error{
		"at once": (*Dir).Rename, "by a link": (*Dir).relink,
	} {
		t.Run(how, func(t *testing.T) {
			for range 200 {
				dir, a, b := both(t, "part")
				var wg sync.WaitGroup
				errs := make([]error, 2)
				for i, f := range []*Dir{a, b} {
					wg.Go(func() { errs[i] = rename(f, "part", "whole") })
				}
				wg.Wait()
				done := errs[0] == nil || errs[1] == nil
				for _, err := range errs {
					if !done || err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrExist) {
						t.Fatal(errs)
					}
				}
				has(t, dir, map[string]string{"whole": "part"})
			}
		})
	}
}

// Who died between the link and the end of the old name, or was not told of the link, has done it.
func TestRelinkAgain(t *testing.T) {
	dir, a, b := both(t, "part")
	if err := a.Link("part", "whole"); err != nil {
		t.Fatal(err)
	}
	if err := b.relink("part", "whole"); err != nil {
		t.Error(err)
	}
	has(t, dir, map[string]string{"whole": "part"})
}
