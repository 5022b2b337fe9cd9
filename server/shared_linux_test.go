package server

import (
	"os"
	"path/filepath"
	"testing"

	"mdalp/internal/disk"
	"mdalp/wire"
)

func testShared(t *testing.T) (*Shared, string) {
	dir := t.TempDir()
	f, err := disk.View(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	s, err := NewShared(f, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s, dir
}

// The file of a payload whose maker died before it had its size gets it from the next one.
func TestMakePartAgain(t *testing.T) {
	s, dir := testShared(t)
	path := filepath.Join(dir, PartName(7))
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.MakePart(7, 1000); err != nil {
			t.Fatal(err)
		}
		if is, err := os.Stat(path); err != nil || is.Size() != 1000 {
			t.Fatalf("%v, %v", is, err)
		}
	}
	if err := s.MakePart(7, 500); err != nil {
		t.Fatal(err)
	}
	if is, err := os.Stat(path); err != nil || is.Size() != 500 {
		t.Errorf("behind a payload that was longer: %v, %v", is, err)
	}
}

// A loss of power may take the head of a spool and leave segments: those are there, and more can
// come.
func TestSpoolWithoutHead(t *testing.T) {
	s, dir := testShared(t)
	put := func(w *Writer, seq int64) {
		t.Helper()
		if taken, _, err := w.Put(seq, []byte("payload;"), false); !taken || err != nil {
			t.Fatal(taken, err)
		}
	}
	m := Meta{TID: 7, Segment: DefaultSegmentLimit}
	w, err := s.OpenSpool(m, "r")
	if err != nil {
		t.Fatal(err)
	}
	put(w, 0)
	put(w, 1)
	w.Close()
	f, err := os.OpenFile(filepath.Join(dir, SpoolName(7, "r")), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(make([]byte, headBytes), 0); err != nil {
		t.Fatal(err)
	}
	f.Close()
	for want := int64(1); want <= 2; want++ {
		have, bytes, high, over, err := s.SpoolOf(7, "r")
		if err != nil || len(have) != 1 || have[0] != (wire.Range{Last: want}) || bytes != 8*(want+1) || high != want+1 || over {
			t.Fatalf("%v, %d bytes, high %d, %v, %v", have, bytes, high, over, err)
		}
		if w, err = s.OpenSpool(m, "r"); err != nil {
			t.Fatal(err)
		}
		put(w, want+1)
		w.Close()
	}
}

// What a journal says is about one file, and nothing where another has its name.
func TestJournalOfFile(t *testing.T) {
	s, dir := testShared(t)
	m := Meta{TID: 7, Segment: 100}
	for n := range 2 {
		path := filepath.Join(dir, PartName(7))
		if n == 1 { // it is moved elsewhere, and made anew
			if err := os.Rename(path, filepath.Join(dir, PartName(8))); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.MakePart(7, 1000); err != nil {
			t.Fatal(err)
		}
		is, err := s.d.f.Stat(PartName(7))
		if err != nil {
			t.Fatal(err)
		}
		told, err := s.Journal(7, "r", is.ID)
		if err != nil || len(told) != 0 {
			t.Fatalf("file %d: its journal tells of %v, %v", n, told, err)
		}
		p, err := s.OpenPart(m, 1000, "r")
		if err != nil || len(p.Have()) != 0 || p.File() != is.ID {
			t.Fatalf("file %d: %v is there, of file %d, and not %d, %v", n, p.Have(), p.File(), is.ID, err)
		}
		if taken, _ := p.Take(3, make([]byte, 100)); !taken {
			t.Fatal("a segment is not taken")
		}
		s.Burst()
		if err := p.Sync(); err != nil {
			t.Fatal(err)
		}
		p.Close()
		if told, err = s.Journal(7, "r", is.ID); err != nil || len(told) != 1 || told[0] != (wire.Range{First: 3, Last: 3}) {
			t.Fatalf("file %d: its journal tells of %v, %v", n, told, err)
		}
	}
}
