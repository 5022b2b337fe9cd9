package server

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"mdalp/wire"
)

// The payloads of these tests: segments of 100 bytes, the last of 50.
const (
	placeSegment  = 100
	placeSegments = 40
	placeBytes    = placeSegment*placeSegments - 50
)

func placeMeta(tid int64) Meta {
	return Meta{TID: tid, Segment: placeSegment, Client: spoolClient, Offered: spoolTime, Name: "a name"}
}

// placed is the payload of a transaction.
func placed(tid int64) []byte {
	b := bytes.Repeat(fmt.Appendf(nil, "%d, ", tid), placeBytes)
	for k := range b {
		b[k] += byte(k / placeSegment)
	}
	return b[:placeBytes]
}

func newPlace(t testing.TB, s Placer, tid int64) Place {
	t.Helper()
	p, err := s.Place(placeMeta(tid), placeBytes)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// write writes segments of the payload, and says so.
func write(t testing.TB, p Place, payload []byte, rs ...wire.Range) {
	t.Helper()
	for _, r := range rs {
		off := r.First * placeSegment
		if err := p.Write(payload[off:min(int64(len(payload)), (r.Last+1)*placeSegment)], off); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Taken(rs); err != nil {
		t.Fatal(err)
	}
}

// found is what a Dir recovers of places.
func found(t testing.TB, d *Dir) map[int64]Recovered {
	t.Helper()
	rs, err := d.Recover()
	if err != nil {
		t.Fatal(err)
	}
	m := make(map[int64]Recovered)
	for _, r := range rs {
		if _, twice := m[r.TID]; twice || r.Err != nil || r.Place == nil || r.Spool == nil || r.Segments != nil {
			t.Fatalf("found %+v", r)
		}
		m[r.TID] = r
	}
	return m
}

// next is the Dir of the next process.
func next(t testing.TB, d *Dir) *Dir {
	t.Helper()
	d.Close()
	return newDir(t, d.f.Path())
}

func have(r Recovered) string { return string(wire.AppendRanges(nil, r.Have)) }

func digest(tid int64) *[sha256.Size]byte {
	sum := sha256.Sum256(placed(tid))
	return &sum
}

func wholeRange() wire.Range { return wire.Range{First: 0, Last: placeSegments - 1} }

// From the announcement to the name.
func TestPlace(t *testing.T) {
	for _, named := range []bool{false, true} {
		path := t.TempDir()
		d := newDirWith(t, path, DirOptions{Reserve: -1, Names: named})
		p := newPlace(t, d, 7)
		if got := names(t, path); got != "7.journal 7.part" {
			t.Fatalf("made %q", got)
		}
		payload := placed(7)
		write(t, p, payload, wire.Range{First: 20, Last: 39})
		write(t, p, payload, wire.Range{First: 0, Last: 9}, wire.Range{First: 11, Last: 19})
		if err := errors.Join(p.Hash(1000), p.Sync(), p.Hash(1000), p.Sync()); err != nil {
			t.Fatal(err)
		}
		write(t, p, payload, wire.Range{First: 10, Last: 10})
		want := "7.bin"
		if named {
			want = "7-a name"
		}
		sum, file, err := p.Publish(digest(7))
		if err != nil || sum != *digest(7) || file != filepath.Join(path, want) {
			t.Fatalf("%x, %q, %v", sum, file, err)
		}
		holds(t, file, payload)
		if got := names(t, path); got != ".completed "+want {
			t.Errorf("left %q", got)
		}
		if d.room.spools != 0 || d.room.copies != 0 || d.room.files != 0 || d.room.accounted != placeBytes {
			t.Errorf("accounted for %+v", &d.room)
		}
		// The number is taken, for the next process too.
		for range 2 {
			if _, err := d.Create(7, 100); !errors.Is(err, fs.ErrExist) {
				t.Errorf("made again: %v", err)
			}
			d = next(t, d)
			if len(found(t, d)) != 0 {
				t.Error("found something")
			}
		}
	}
}

// With another digest nothing is left; without one that is asked for, nothing is compared.
func TestPlaceDigest(t *testing.T) {
	path := t.TempDir()
	d := newDir(t, path)
	p := newPlace(t, d, 7)
	write(t, p, placed(7), wholeRange())
	if _, file, err := p.Publish(digest(8)); !errors.Is(err, ErrDamaged) || file != "" || names(t, path) != "" {
		t.Errorf("%q, %v, left %q", file, err, names(t, path))
	}
	p = newPlace(t, d, 8)
	write(t, p, placed(8), wholeRange())
	if sum, _, err := p.Publish(nil); err != nil || sum != *digest(8) {
		t.Errorf("%x, %v", sum, err)
	}
	if d.room.spools != 0 || d.room.copies != 0 || d.room.files != 0 {
		t.Errorf("accounted for %+v", &d.room)
	}
}

// Nobody's file is written to, replaced or removed.
func TestPlaceTaken(t *testing.T) {
	for _, name := range []string{"7.part", "7.journal"} {
		path := t.TempDir()
		d := newDir(t, path)
		mine := filepath.Join(path, name)
		if err := os.WriteFile(mine, []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Place(placeMeta(7), placeBytes); !errors.Is(err, fs.ErrExist) || names(t, path) != name {
			t.Errorf("%v, left %q", err, names(t, path))
		}
		if _, err := d.Create(7, 100); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%v", err)
		}
		holds(t, mine, []byte("mine"))
		if d.room.spools != 0 || d.room.copies != 0 || d.room.files != 0 {
			t.Errorf("accounted for %+v", &d.room)
		}
	}
	path := t.TempDir()
	p := newPlace(t, newDir(t, path), 7)
	write(t, p, placed(7), wholeRange())
	mine := filepath.Join(path, "7.bin")
	if err := os.WriteFile(mine, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, file, err := p.Publish(digest(7)); !errors.Is(err, fs.ErrExist) || file != "" {
			t.Errorf("%q, %v", file, err)
		}
	}
	holds(t, mine, []byte("mine"))
	os.Remove(mine)
	if _, file, err := p.Publish(digest(7)); err != nil || file != mine {
		t.Errorf("%q, %v", file, err)
	}
}

// What was taken is there for the next process; after a loss of power, what was flushed.
func TestPlaceRecovers(t *testing.T) {
	for _, tt := range []struct {
		name           string
		do             func(p Place, write func(first, last int64))
		killed, outage string // ranges
	}{
		{"announced", func(p Place, write func(first, last int64)) {}, "", ""},
		{"taken", func(p Place, write func(first, last int64)) { write(3, 9); write(20, 39) }, "3-9,20-39", ""},
		{"flushed", func(p Place, write func(first, last int64)) { write(3, 9); p.Sync(); write(8, 20) }, "3-20", "3-9"},
		{"flushed in parts", func(p Place, write func(first, last int64)) {
			write(0, 1)
			p.Sync()
			p.Sync()
			write(4, 5)
			write(2, 3)
			p.Sync()
			write(39, 39)
		}, "0-5,39", "0-5"},
		{"kept", func(p Place, write func(first, last int64)) { write(5, 6); p.Keep(nil) }, "5-6", "5-6"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := t.TempDir()
			d := newDir(t, path)
			p := newPlace(t, d, 7)
			tt.do(p, func(first, last int64) { write(t, p, placed(7), wire.Range{First: first, Last: last}) })
			d = next(t, d)
			for range 2 { // to look changes nothing
				r := found(t, d)[7]
				if r.Meta != placeMeta(7) && !r.Offered.Equal(spoolTime) || r.Size != placeBytes || have(r) != tt.killed || r.Path != filepath.Join(path, "7.part") ||
					r.Client != spoolClient || r.Name != "a name" || r.Segment != placeSegment || r.Silent > time.Hour {
					t.Fatalf("%+v", r)
				}
				d = next(t, d)
			}
			d.boot = "another"
			r := found(t, d)[7]
			if have(r) != tt.outage {
				t.Fatalf("after a loss of power %q, want %q", have(r), tt.outage)
			}
			// What is taken from here on is believed, and what was before is not.
			write(t, r.Place, placed(7), wire.Range{First: 30, Last: 30})
			var want rangeSet
			for _, x := range r.Have {
				want.put(x)
			}
			want.put(wire.Range{First: 30, Last: 30})
			d = next(t, d)
			d.boot = "another"
			r = found(t, d)[7]
			if diff := cmp.Diff(want.rs, r.Have); diff != "" {
				t.Fatal(diff)
			}
			write(t, r.Place, placed(7), wholeRange())
			if _, _, err := r.Place.Publish(digest(7)); err != nil || names(t, path) != ".completed 7.bin" {
				t.Errorf("%v, left %q", err, names(t, path))
			}
			if d.room.spools != 0 || d.room.copies != 0 || d.room.files != 0 {
				t.Errorf("accounted for %+v", &d.room)
			}
		})
	}
}

// What a process may leave when it ends between two steps.
func TestPlaceLeftovers(t *testing.T) {
	const both, nothing = "7.journal 7.part", ""
	head := func() string { m := placeMeta(7); return string(appendJournalHead(nil, &m, placeBytes)) }
	some := func() string {
		return string(newSealer(7, newDir(t, t.TempDir()).boot).appendTaken([]byte(head()), wire.Range{First: 0, Last: 1}))
	}
	payload := string(placed(7))
	for _, tt := range []struct {
		name  string
		files map[string]string
		left  string
		found int
		err   string
	}{
		{"a journal that was not written", map[string]string{"7.journal": ""}, nothing, 0, ""},
		{"a journal that was half written", map[string]string{"7.journal": head()[:100]}, nothing, 0, ""},
		{"a journal alone", map[string]string{"7.journal": head()}, nothing, 0, ""},
		{"a payload that was not allocated", map[string]string{"7.journal": head(), "7.part": ""}, nothing, 0, ""},
		{"a loss of power took the journal", map[string]string{"7.journal": strings.Repeat("\x00", 600), "7.part": payload}, nothing, 0, ""},
		{"and all of it", map[string]string{"7.journal": "", "7.part": payload}, nothing, 0, ""},
		{"a journal written anew", map[string]string{"7.journal": head(), "7.part": payload, "7.new.journal": "x"}, both, 1, ""},
		{"published", map[string]string{"7.journal": some(), "7.bin": payload}, "7.bin", 0, ""},
		{"published by name", map[string]string{"7.journal": some(), "7-a name": payload}, "7-a name", 0, ""},
		{"another payload", map[string]string{"7.journal": some(), "7.bin": "x"}, "7.bin 7.journal", 1, "1 bytes, its journal tells of 3950"},
		{"a payload of another size", map[string]string{"7.journal": some(), "7.part": "x"}, both, 1, "1 bytes, its journal tells of 3950"},
		{"a payload alone", map[string]string{"7.part": payload}, "7.part", 1, "whose journal is gone"},
		{"a damaged head", map[string]string{"7.journal": "x" + head()[1:], "7.part": payload}, both, 1, "not a journal"},
		{"another's journal", map[string]string{"8.journal": some(), "8.part": payload}, "8.journal 8.part", 1, "the journal of transaction 7"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := t.TempDir()
			for name, text := range tt.files {
				if err := os.WriteFile(filepath.Join(path, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			rs, err := newDir(t, path).Recover()
			if err != nil || len(rs) != tt.found || names(t, path) != tt.left {
				t.Fatalf("%+v, %v, left %q", rs, err, names(t, path))
			}
			for _, r := range rs {
				if (r.Err == nil) != (tt.err == "") || r.Err != nil && !strings.Contains(r.Err.Error(), tt.err) || (r.Place == nil) != (r.Err != nil) {
					t.Errorf("%+v", r)
				}
			}
		})
	}
}

// Whatever is taken and flushed, and however often the journal is written anew: it tells
// what was taken, after a loss of power what was flushed, and stays short.
func TestJournalProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		path, err := os.MkdirTemp("", "journal")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(path)
		open := func(boot string) *Dir {
			d, err := NewDir(path, DirOptions{Reserve: -1})
			if err != nil {
				t.Fatal(err)
			}
			d.boot = boot
			return d
		}
		boot := "0"
		d := open(boot)
		place, err := d.Place(placeMeta(7), placeBytes)
		if err != nil {
			t.Fatal(err)
		}
		p := place.(*dirPlace)
		var taken, stable rangeSet
		for k := range rapid.IntRange(1, 30).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			default:
				first := rapid.Int64Range(0, placeSegments-1).Draw(t, "first")
				r := wire.Range{First: first, Last: rapid.Int64Range(first, placeSegments-1).Draw(t, "last")}
				if err := p.Taken([]wire.Range{r}); err != nil {
					t.Fatal(err)
				}
				taken.put(r)
			case 6:
				if err := p.Sync(); err != nil {
					t.Fatal(err)
				}
				stable.rs = slices.Clone(taken.rs)
			case 7:
				p.most = 0 // the next flush writes it anew
			case 8, 9:
				d.Close()
				if rapid.Bool().Draw(t, "outage") {
					boot = fmt.Sprint(k + 1)
					taken.rs = slices.Clone(stable.rs)
					taken.near = 0
				}
				d = open(boot)
				rs, err := d.Recover()
				if err != nil || len(rs) != 1 || rs[0].Err != nil {
					t.Fatalf("%+v, %v", rs, err)
				}
				if diff := cmp.Diff(taken.rs, rs[0].Have); len(taken.rs) > 0 && diff != "" || len(rs[0].Have) != len(taken.rs) {
					t.Fatal(diff)
				}
				p = rs[0].Place.(*dirPlace)
			}
		}
		// Written anew, it is as short as can be.
		p.most = 0
		if err := errors.Join(p.Taken([]wire.Range{{First: 0, Last: 0}}), p.Sync()); err != nil {
			t.Fatal(err)
		}
		is, err := d.f.Stat("7.journal")
		if want := int64(journalHead + entryBytes*p.stable.len()); err != nil || is.Size != want {
			t.Fatalf("%d bytes, %v, want %d", is.Size, err, want)
		}
		d.Close()
	})
}

// The journal of a long transfer stays short.
func TestJournalIsBounded(t *testing.T) {
	path := t.TempDir()
	d := newDir(t, path)
	const total = 1 << 20
	place, err := d.Place(Meta{TID: 7, Segment: 100, Client: spoolClient, Offered: spoolTime}, 100*total)
	if err != nil {
		t.Fatal(err)
	}
	longest := int64(0)
	rs := []wire.Range{{}}
	for seq := range int64(total / 4) {
		rs[0] = wire.Range{First: seq, Last: seq}
		if err := place.Taken(rs); err != nil {
			t.Fatal(err)
		}
		if seq%8192 == 0 {
			if err := place.Sync(); err != nil {
				t.Fatal(err)
			}
			is, err := d.f.Stat("7.journal")
			if err != nil {
				t.Fatal(err)
			}
			longest = max(longest, is.Size)
		}
	}
	if longest > journalMost+16384*entryBytes {
		t.Errorf("%d bytes", longest)
	}
	if r := found(t, next(t, d))[7]; have(r) != fmt.Sprintf("0-%d", total/4-1) {
		t.Errorf("have %q", have(r))
	}
}

// To write and to note it allocates nothing.
func TestPlaceAllocates(t *testing.T) {
	p := newPlace(t, newDir(t, t.TempDir()), 7)
	b, rs := make([]byte, placeSegment), []wire.Range{{First: 3, Last: 4}, {First: 9, Last: 9}}
	if n := testing.AllocsPerRun(100, func() {
		if p.Write(b, 300) != nil || p.Taken(rs) != nil {
			t.Fatal("failed")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Segments come while what came before is flushed and hashed.
func TestPlaceBeside(t *testing.T) {
	d := newDir(t, t.TempDir())
	p := newPlace(t, d, 7)
	payload := placed(7)
	write(t, p, payload, wire.Range{First: 0, Last: 0})
	done := make(chan error)
	go func() {
		var err error
		for k := range 50 {
			p.(*dirPlace).most = int64(k%2) << 40
			err = errors.Join(err, p.Sync(), p.Hash(100))
		}
		done <- err
	}()
	order := rand.New(rand.NewPCG(1, 2)).Perm(placeSegments)
	for _, seq := range order {
		write(t, p, payload, wire.Range{First: int64(seq), Last: int64(seq)})
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if _, file, err := p.Publish(digest(7)); err != nil {
		t.Error(err)
	} else {
		holds(t, file, payload)
	}
}

func TestCleanName(t *testing.T) {
	for name, want := range map[string]string{
		"":                       "",
		" ":                      "",
		"a":                      "7-a",
		"räksmörgås.txt":         "7-räksmörgås.txt",
		"../../etc/passwd":       "7-.._.._etc_passwd",
		`C:\x`:                   "7-C:_x",
		"-rf":                    "7--rf",
		".":                      "7-.",
		"a\nb\x00":               "7-a_b_",
		"\u202egnp.exe":          "7-_gnp.exe",
		strings.Repeat("ä", 200): "7-" + strings.Repeat("ä", 126),
		"\xff":                   "7-_",
	} {
		if got := ClientName(7, name); got != want || len(got) > mostName {
			t.Errorf("%q became %q, want %q", name, got, want)
		}
		if tid, suffix, ok := parseName(want); want != "" && (!ok || tid != 7 || suffix != namedSuffix) {
			t.Errorf("%q is no name of ours", want)
		}
		if want != "" && !IsWholeName(7, want) {
			t.Errorf("%q is no name of transaction 7", want)
		}
	}
}

// A name that somebody has written down is that of a whole payload of the transaction, and
// nothing else in the directory or outside.
func TestIsWholeName(t *testing.T) {
	for _, name := range []string{"7.bin", "7-a", "7-.bin", "7--", "7-a b", "7-" + strings.Repeat("x", 253)} {
		if !IsWholeName(7, name) {
			t.Errorf("%q is refused", name)
		}
	}
	for _, name := range []string{
		"", ".", "..", "/", "7", "7-", "-a", "a", "8-a", "8.bin", "07-a", "+7-a", "7-../a", "../7-a", "/7-a", `7-\a`,
		"7-a\x00", "7-a\n", "7-\u202eb", "7-\u2028", "7-\xff", "7-\ufffd", "7-" + strings.Repeat("x", 254),
		".fleet", ".lock", ".completed", "7.part", "7.journal", "7.r1.journal", "7.spool", "7.r1.spool", "7.1.new.spool",
		"7.new.journal", "7.partial", "7.bin.bin",
	} {
		if IsWholeName(7, name) {
			t.Errorf("%q is taken", name)
		}
	}
}
