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
	s, err := NewShared(f)
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
	if err := s.MakePart(7, 500); err == nil {
		t.Error("a file of another payload is taken")
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
