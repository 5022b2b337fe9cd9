package server

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mdalp/internal/disk"
)

// A bound counts what is there, what is on its way, and the second copy of that.
func TestDirBound(t *testing.T) {
	path := t.TempDir()
	for _, name := range []string{"1.bin", "2.partial", "notes"} {
		if err := os.WriteFile(filepath.Join(path, name), make([]byte, 100_000), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d := newDirWith(t, path, DirOptions{MaxBytes: 250_000, Reserve: -1})
	if n := d.Room(); n < 15_000 || n > 25_000 {
		t.Errorf("room for %d bytes in 50,000", n)
	}
	sp := newSpool(t, d, 7, 1000)
	data := make([]byte, 1000)
	stored := int64(0)
	for ; ; stored++ {
		if err := sp.Put(stored, 0, data, Sum(data)); err != nil {
			if !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), path+": store is full: its bound is 250000 bytes") {
				t.Fatal(err)
			}
			break
		}
	}
	if stored < 15 || stored > 25 || d.Room() != 0 {
		t.Errorf("%d segments of 1,000 bytes in 50,000, room for %d", stored, d.Room())
	}
	other := newSpool(t, d, 8, 1000)
	if err := other.Put(0, 0, data, Sum(data)); !errors.Is(err, ErrFull) || strings.Contains(names(t, path), "8.") {
		t.Errorf("another: %v, %q", err, names(t, path))
	}
	publish(t, sp, all(stored), false, make([]byte, 1000*stored))
	if n := d.Room(); n < 5_000 || n > 15_000 {
		t.Errorf("room for %d bytes when the second copy is gone", n)
	}
	// What an operator takes away makes room, when it is looked for.
	os.Remove(filepath.Join(path, "1.bin"))
	if removed, err := d.Sweep(-1, 0); len(removed) != 0 || err != nil {
		t.Errorf("%q, %v", removed, err)
	}
	if n := d.Room(); n < 45_000 || n > 65_000 {
		t.Errorf("room for %d bytes without 1.bin", n)
	}
}

// A spool that is kept counts, and is counted once.
func TestDirBoundKept(t *testing.T) {
	path := t.TempDir()
	d := newDirWith(t, path, DirOptions{MaxBytes: 1_000_000, Reserve: -1})
	sp := newSpool(t, d, 7, 1000)
	put(t, sp, 7, 1000, upTo(100)...)
	before := d.Room()
	sp.Keep()
	kept := d.Room()
	if kept <= before || kept > 480_000 {
		t.Errorf("room for %d bytes, then for %d", before, kept)
	}
	d.Close()
	d = newDirWith(t, path, DirOptions{MaxBytes: 1_000_000, Reserve: -1})
	rs, _ := recovered(t, d)
	if n := d.Room(); n != before {
		t.Errorf("room for %d bytes with the spool recovered, there was for %d", n, before)
	}
	rs[0].Spool.Keep()
	if n := d.Room(); n != kept {
		t.Errorf("room for %d bytes with the spool kept, there was for %d", n, kept)
	}
	age(t, path, 25*time.Hour, time.Now())
	if removed, err := d.Sweep(0, 0); len(removed) != 1 || err != nil || names(t, path) != "" {
		t.Errorf("%q, %v, %q", removed, err, names(t, path))
	}
	if n := d.Room(); n <= kept || n > 500_000 {
		t.Errorf("room for %d bytes in an empty store", n)
	}
}

// A reserve that the disk does not have leaves no room for a byte.
func TestDirReserve(t *testing.T) {
	path := t.TempDir()
	d := newDirWith(t, path, DirOptions{Reserve: math.MaxInt64})
	sp := newSpool(t, d, 7, 100)
	if err := sp.Put(0, 0, []byte("x"), Sum([]byte("x"))); !errors.Is(err, ErrFull) || d.Room() != 0 || names(t, path) != "" {
		t.Errorf("%v, room for %d, %q", err, d.Room(), names(t, path))
	}
	if d := newDirWith(t, t.TempDir(), DirOptions{}); d.Room() == 0 {
		t.Error("no room by default")
	}
}

// A retention is for what was not published whole, and that nobody works on.
func TestSweep(t *testing.T) {
	now := time.Now()
	tests := []struct {
		name  string
		keep  time.Duration
		bytes int64
		gone  string
	}{
		{"a day", 0, 0, "1.spool 2.partial"},
		{"an hour", time.Hour, 0, "1.spool 2.partial 3.spool 4.partial"},
		{"for ever", -1, 0, ""},
		{"no more bytes than the newest has", -1, 25_000, "1.spool 2.partial 3.spool"},
		{"no bytes to speak of", -1, 1, "1.spool 2.partial 3.spool 4.partial 5.partial"},
		{"a day, and enough bytes", 24 * time.Hour, 1 << 30, "1.spool 2.partial"},
	}
	for _, tt := range tests {
		path := t.TempDir()
		d := newDir(t, path)
		for tid, sp := range map[int64]string{1: "spool", 3: "spool", 6: "open"} {
			s := newSpool(t, d, tid, 1000)
			put(t, s, tid, 1000, upTo(20)...)
			if sp == "spool" {
				s.Keep()
			}
		}
		for _, name := range []string{"2.partial", "4.partial", "5.partial", "7.bin", "8.spool", "9.new.spool", "x.partial"} {
			if err := os.WriteFile(filepath.Join(path, name), make([]byte, 10_000), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		age := map[string]time.Duration{"1.spool": 100 * time.Hour, "2.partial": 25 * time.Hour, "3.spool": 23 * time.Hour, "4.partial": 2 * time.Hour, "5.partial": time.Minute}
		es, err := os.ReadDir(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range es {
			old, ok := age[e.Name()]
			if !ok {
				old = 1000 * time.Hour // and not ours to sweep
			}
			if err := os.Chtimes(filepath.Join(path, e.Name()), time.Time{}, now.Add(-old)); err != nil {
				t.Fatal(err)
			}
		}
		before := names(t, path)
		removed, err := d.Sweep(tt.keep, tt.bytes)
		for i, name := range removed {
			removed[i] = filepath.Base(name)
		}
		if got := strings.Join(removed, " "); got != tt.gone || err != nil {
			t.Errorf("%s: removed %q, %v, want %q", tt.name, got, err, tt.gone)
		}
		for _, name := range removed {
			before = strings.TrimSpace(strings.ReplaceAll(" "+before+" ", " "+name+" ", " "))
		}
		if got := names(t, path); got != before {
			t.Errorf("%s: there is %q, want %q", tt.name, got, before)
		}
	}
}

// age has all files of a directory last written so long before then.
func age(t *testing.T, path string, by time.Duration, then time.Time) {
	t.Helper()
	es, err := os.ReadDir(path)
	for _, e := range es {
		if err == nil {
			err = os.Chtimes(filepath.Join(path, e.Name()), time.Time{}, then.Add(-by))
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A clockOf is a directory whose clock stands.
type clockOf struct {
	disk.Folder
	at time.Time
}

func (f clockOf) Clock() (time.Time, error) { return f.at, nil }

// The clock of the directory's machine may be days ahead or behind: how old something is does not
// depend on it.
func TestOtherClock(t *testing.T) {
	for _, by := range []time.Duration{-100 * time.Hour, 0, 100 * time.Hour} {
		path, at := t.TempDir(), time.Now().Add(by)
		d := newDir(t, path)
		s := newSpool(t, d, 7, 1000)
		put(t, s, 7, 1000, upTo(3)...)
		d.Close()
		d = newDir(t, path)
		d.f = clockOf{d.f, at}
		age(t, path, 2*time.Hour, at)
		rs, err := d.Recover()
		if err != nil || len(rs) != 1 || rs[0].Silent.Round(time.Second) != 2*time.Hour {
			t.Fatalf("%v: %+v, %v", by, rs, err)
		}
		rs[0].Spool.Keep()
		age(t, path, 2*time.Hour, at)
		if removed, err := d.Sweep(4*time.Hour, 0); len(removed) != 0 || err != nil {
			t.Errorf("%v: %q, %v", by, removed, err)
		}
		if removed, err := d.Sweep(time.Hour, 0); len(removed) != 1 || err != nil {
			t.Errorf("%v: %q, %v", by, removed, err)
		}
	}
}
