package disk

import (
	"errors"
	"io/fs"
	"testing"
	"time"
)

// A directory's clock is the one that its files are stamped by. It takes one that is taken.
func TestClock(t *testing.T) {
	dir := t.TempDir()
	d, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	stamp := func(name string) time.Time {
		t.Helper()
		f, err := d.Make(name, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		is, err := f.Fact()
		if err != nil {
			t.Fatal(err)
		}
		return is.When
	}
	before := stamp("before")
	at, err := d.Clock()
	if after := stamp("after"); err != nil || at.Before(before) || at.After(after) {
		t.Errorf("%v, and not from %v to %v; %v", at, before, after, err)
	}
	_, other, _ := both(t)
	if at, err := other.Clock(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of one that nobody has taken: %v, %v", at, err)
	}
}
