package server

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mdalp/wire"
)

// What a transaction left goes on as another's, however often, and whoever ends meanwhile.
func TestPlaceResumes(t *testing.T) {
	path := t.TempDir()
	d := newDir(t, path)
	payload := placed(1)
	p := newPlace(t, d, 1)
	write(t, p, payload, wire.Range{First: 0, Last: 3})
	if err := p.Sync(); err != nil {
		t.Fatal(err)
	}
	for tid := int64(1); tid < 8; tid++ {
		write(t, p, payload, wire.Range{First: 5 * tid, Last: 5*tid + 3})
		p.Keep(nil)
		switch tid % 3 {
		case 1: // the next process
			d = next(t, d)
			r := found(t, d)[tid]
			r.Place.Keep(r.Have)
		case 2: // after a loss of power: what is kept is flushed
			d = next(t, d)
			d.boot = "another"
			r := found(t, d)[tid]
			r.Place.Keep(r.Have)
		}
		m := placeMeta(tid + 1)
		m.Name = "another name"
		var have []wire.Range
		var err error
		if p, have, err = d.Resume(m, tid, placeBytes); err != nil {
			t.Fatal(err)
		}
		want := "0-3"
		for k := range tid {
			want += fmt.Sprintf(",%d-%d", 5*k+5, 5*k+8)
		}
		if got := string(wire.AppendRanges(nil, have)); got != want {
			t.Fatalf("have %q, want %q", got, want)
		}
		if got := names(t, path); got != fmt.Sprintf("%d.journal %d.part", tid+1, tid+1) {
			t.Fatalf("left %q", got)
		}
		// There is nothing left of it to resume.
		q, have, err := d.Resume(placeMeta(100), tid, placeBytes)
		if err != nil || len(have) != 0 {
			t.Fatalf("%v, %v", have, err)
		}
		q.Discard()
	}
	write(t, p, payload, wholeRange())
	sum, file, err := p.Publish(digest(1))
	if err != nil || sum != *digest(1) || names(t, path) != ".completed 8.bin" {
		t.Errorf("%v, left %q", err, names(t, path))
	}
	holds(t, file, payload)
	if d.room.spools != 0 || d.room.copies != 0 || d.room.files != 0 || d.room.accounted != placeBytes {
		t.Errorf("accounted for %+v", &d.room)
	}
}

// Sizes that differ change nothing.
func TestPlaceResumesSizes(t *testing.T) {
	path := t.TempDir()
	d := newDir(t, path)
	p := newPlace(t, d, 7)
	write(t, p, placed(7), wire.Range{First: 0, Last: 3})
	p.Keep(nil)
	q := newPlace(t, d, 6)
	write(t, q, placed(6), wholeRange())
	if _, _, err := q.Publish(digest(6)); err != nil {
		t.Fatal(err)
	}
	before := names(t, path)
	for _, tid := range []int64{6, 7} {
		for _, tt := range []struct{ size, segment int }{{placeBytes + 1, placeSegment}, {placeBytes - 1, placeSegment}, {placeBytes, placeSegment + 1}} {
			var sizes *SizesError
			_, _, err := d.Resume(Meta{TID: 8, Segment: tt.segment}, tid, int64(tt.size))
			if !errors.As(err, &sizes) || *sizes != (SizesError{placeBytes, placeSegment}) || names(t, path) != before {
				t.Errorf("%d: %+v: %v, left %q", tid, tt, err, names(t, path))
			}
		}
	}
	if _, have, err := d.Resume(placeMeta(8), 7, placeBytes); err != nil || len(have) != 1 {
		t.Errorf("%v, %v", have, err)
	}
}

// A complete payload is all there, and stays whatever comes of it.
func TestPlaceResumesComplete(t *testing.T) {
	for _, named := range []bool{false, true} {
		for _, restart := range []bool{false, true} {
			path := t.TempDir()
			d := newDirWith(t, path, DirOptions{Reserve: -1, Names: named})
			p := newPlace(t, d, 7)
			write(t, p, placed(7), wholeRange())
			_, file, err := p.Publish(digest(7))
			if err != nil {
				t.Fatal(err)
			}
			base := filepath.Base(file)
			if restart {
				os.Remove(filepath.Join(path, completedName)) // which is a help, and no more
				d = next(t, d)
				found(t, d)
			}
			for k, want := range []error{ErrDamaged, nil} {
				m := placeMeta(int64(8 + k))
				m.Name = ""
				p, have, err := d.Resume(m, 7, placeBytes)
				if err != nil || len(have) != 1 || have[0] != wholeRange() {
					t.Fatalf("%v, %v", have, err)
				}
				if err := p.Write([]byte("x"), 0); err == nil {
					t.Error("the payload of another was written to")
				}
				if _, _, err = p.Publish(digest(int64(8 - k))); !errors.Is(err, want) {
					t.Errorf("%v, want %v", err, want)
				}
				holds(t, file, placed(7))
			}
			holds(t, filepath.Join(path, "9.bin"), placed(7))
			if got := names(t, path); !strings.Contains(got, base) || strings.Contains(got, "part") || strings.Contains(got, "journal") {
				t.Errorf("left %q", got)
			}
			if d.room.spools != 0 || d.room.copies != 0 || d.room.files != 0 {
				t.Errorf("accounted for %+v", &d.room)
			}
		}
	}
}

// Whatever of the steps of a resumption was done before the process ended: one of the two
// has what was there.
func TestPlaceResumesHalf(t *testing.T) {
	for step := range 4 {
		path := t.TempDir()
		d := newDir(t, path)
		p := newPlace(t, d, 7)
		write(t, p, placed(7), wire.Range{First: 0, Last: 3}, wire.Range{First: 9, Last: 9})
		p.Keep(nil)
		d.Close()
		file := func(name string) string { return filepath.Join(path, name) }
		m := placeMeta(8)
		journal := appendJournalHead(nil, &m, placeBytes)
		for _, r := range []wire.Range{{First: 0, Last: 3}, {First: 9, Last: 9}} {
			journal = newSealer(8, d.boot).appendStable(journal, r)
		}
		for k, do := range []func() error{
			func() error { return os.WriteFile(file("8.new.journal"), journal, 0o600) },
			func() error { return os.Rename(file("8.new.journal"), file("8.journal")) },
			func() error { return os.Rename(file("7.part"), file("8.part")) },
			func() error { return os.Remove(file("7.journal")) },
		} {
			if k <= step {
				if err := do(); err != nil {
					t.Fatal(err)
				}
			}
		}
		rs := found(t, newDir(t, path))
		tid := int64(7 + step/2)
		if len(rs) != 1 || have(rs[tid]) != "0-3,9" || names(t, path) != fmt.Sprintf("%d.journal %d.part", tid, tid) {
			t.Errorf("after step %d: %+v, left %q", step, rs, names(t, path))
		}
	}
}

// What is kept goes when it is old, or too much; what somebody has open stays.
func TestPlaceSwept(t *testing.T) {
	path := t.TempDir()
	d := newDirWith(t, path, DirOptions{Reserve: -1, MaxBytes: 1 << 20})
	for tid := int64(1); tid <= 4; tid++ {
		p := newPlace(t, d, tid)
		write(t, p, placed(tid), wire.Range{First: 0, Last: 3})
		if tid < 4 {
			p.Keep(nil)
		}
		when := time.Now().Add(time.Duration(tid-10) * time.Hour)
		if err := os.Chtimes(filepath.Join(path, fmt.Sprintf("%d.part", tid)), when, when); err != nil {
			t.Fatal(err)
		}
	}
	removed, err := d.Sweep(8*time.Hour+time.Minute, 0)
	if err != nil || len(removed) != 1 || names(t, path) != "2.journal 2.part 3.journal 3.part 4.journal 4.part" {
		t.Errorf("%q, %v, left %q", removed, err, names(t, path))
	}
	removed, err = d.Sweep(-1, placeBytes)
	if err != nil || len(removed) != 1 || names(t, path) != "3.journal 3.part 4.journal 4.part" {
		t.Errorf("%q, %v, left %q", removed, err, names(t, path))
	}
	// What is resumed is not kept any more.
	p, have, err := d.Resume(placeMeta(5), 3, placeBytes)
	if err != nil || len(have) != 1 {
		t.Fatal(err)
	}
	if removed, err = d.Sweep(time.Nanosecond, 0); err != nil || len(removed) != 0 {
		t.Errorf("%q, %v, left %q", removed, err, names(t, path))
	}
	p.Keep(nil)
	age(t, path, time.Hour, time.Now())
	if removed, err = d.Sweep(time.Nanosecond, 0); err != nil || len(removed) != 1 || names(t, path) != "4.journal 4.part" {
		t.Errorf("%q, %v, left %q", removed, err, names(t, path))
	}
	if _, have, err = d.Resume(placeMeta(6), 3, placeBytes); err != nil || len(have) != 0 {
		t.Errorf("%v, %v", have, err)
	}
}

// The same of a Memory, for as long as there is room.
func TestMemoryResumes(t *testing.T) {
	m := &Memory{Limit: 3 * placeBytes}
	payload := placed(7)
	p := newPlace(t, m, 7)
	write(t, p, payload, wire.Range{First: 0, Last: 3})
	p.Keep([]wire.Range{{First: 0, Last: 3}})
	var sizes *SizesError
	if _, _, err := m.Resume(placeMeta(8), 7, 1); !errors.As(err, &sizes) {
		t.Error(err)
	}
	p, have, err := m.Resume(placeMeta(8), 7, placeBytes)
	if err != nil || string(wire.AppendRanges(nil, have)) != "0-3" || m.Used() != placeBytes {
		t.Fatalf("%v, %v, %d", have, err, m.Used())
	}
	write(t, p, payload, wire.Range{First: 4, Last: placeSegments - 1})
	if _, _, err := p.Publish(digest(7)); err != nil {
		t.Fatal(err)
	}
	for tid := int64(9); tid < 20; tid++ { // all of the complete one, whose room others need
		p, have, err := m.Resume(placeMeta(tid), tid-1, placeBytes)
		if err != nil || len(have) != 1 || have[0] != wholeRange() {
			t.Fatalf("%v, %v", have, err)
		}
		if _, _, err := p.Publish(digest(7)); err != nil {
			t.Fatal(err)
		}
		if b, _ := m.Payload(tid); string(b) != string(payload) || m.Used() > m.Limit {
			t.Fatalf("%d bytes, %d are held", len(b), m.Used())
		}
	}
	if _, have, err := m.Resume(placeMeta(30), 7, placeBytes); err != nil || len(have) != 0 {
		t.Errorf("%v, %v", have, err)
	}
}

// What is remembered of completed payloads is bounded.
func TestCompleted(t *testing.T) {
	d := newDir(t, t.TempDir())
	c := &d.completed
	if _, ok := c.find(7); ok || names(t, d.f.Path()) != "" {
		t.Errorf("found in nothing, left %q", names(t, d.f.Path()))
	}
	for tid := range int64(mostDone + 10) {
		c.add(&done{tid: tid, size: tid + 1, segment: 100, when: spoolTime.Truncate(time.Second)})
		if tid == 5 {
			c.close() // as the next process has it
		}
	}
	if c.end != (mostDone/2+10)*doneBytes || len(c.all()) != mostDone/2+10 {
		t.Errorf("%d bytes, %d", c.end, len(c.all()))
	}
	for tid, want := range map[int64]bool{0: false, mostDone/2 - 1: false, mostDone / 2: true, mostDone + 9: true, mostDone + 10: false} {
		if got, ok := c.find(tid); ok != want || ok && (got.tid != tid || got.size != tid+1 || !got.when.Equal(spoolTime.Truncate(time.Second))) {
			t.Errorf("%d: %+v, %t", tid, got, ok)
		}
	}
	if got := names(t, d.f.Path()); got != completedName {
		t.Errorf("left %q", got)
	}
}

// A directory is told of and verified while a process has it, and stays as it is.
func TestList(t *testing.T) {
	path := t.TempDir()
	d := newDirWith(t, path, DirOptions{Reserve: -1, Names: true})
	for tid := int64(1); tid <= 3; tid++ {
		p := newPlace(t, d, tid)
		write(t, p, placed(tid), wholeRange())
		if tid < 3 {
			if _, _, err := p.Publish(digest(tid)); err != nil {
				t.Fatal(err)
			}
			continue
		}
		write(t, newPlace(t, d, 4), placed(4), wire.Range{First: 39, Last: 39}, wire.Range{First: 0, Last: 0})
	}
	put(t, newSpool(t, d, 5, 100), 5, 100, 0, 1)
	sp := newSpool(t, d, 6, 100)
	put(t, sp, 6, 100, 0)
	publish(t, sp, all(1), false, pieces(6, 1, 100))
	for name, text := range map[string]string{"2-a name": "other", "7.part": "x", "8.spool": "x", "9.partial": "part", "readme": ""} {
		if err := os.WriteFile(filepath.Join(path, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	before := names(t, path)
	es, err := List(path)
	if err != nil || names(t, path) != before {
		t.Fatalf("%v, left %q", err, names(t, path))
	}
	var got []string
	for _, e := range es {
		line := fmt.Sprint(e.TID, " ", e.Kind, " ", e.Size, " ", e.Segment, " ", e.Name, " ", e.Client.IsValid(), " ", e.SHA256 != [32]byte{}, " ")
		for _, f := range e.Files {
			line += filepath.Base(f) + " "
		}
		if e.Kind != UnfinishedBase {
			line += fmt.Sprint(e.Bytes)
		}
		sum, err := e.Verify()
		if err != nil {
			line += " bad"
		} else if sum == e.SHA256 && e.Kind == Whole {
			line += " good"
		}
		got = append(got, line)
	}
	want := `1 whole 3950 100 a name false true 1-a name 3950 good
2 whole 5 100 a name false true 2-a name 5 bad
3 unfinished 3950 100 a name true false 3.part 3.journal 3950
4 unfinished 3950 100 a name true false 4.part 4.journal 150
5 unfinished base 0 100  true false 5.spool 
6 whole 7 0  false false 6.bin 7
7 unfinished 0 0  false false 7.part 7.journal 1 bad
8 unfinished base 0 0  false false 8.spool  bad
9 partial 0 0  false false 9.partial 4`
	if g := strings.Join(got, "\n"); g != want {
		t.Errorf("told\n%s\nwant\n%s", g, want)
	}
	if _, err := List(filepath.Join(path, "no")); err == nil {
		t.Error("a directory that is not there")
	}
}
