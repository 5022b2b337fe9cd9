package server

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mdalp/internal/disk"
	"mdalp/wire"
)

// The test binary runs itself again as one of these.
const roleVariable = "MDALP_SERVER_TEST_ROLE"

var roles = map[string]func(args []string){}

func TestMain(m *testing.M) {
	if role := roles[os.Getenv(roleVariable)]; role != nil {
		role(os.Args[1:])
	}
	os.Exit(m.Run())
}

// names are the files in dir but for the lock.
func names(t testing.TB, dir string) string {
	t.Helper()
	es, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var s []string
	for _, e := range es {
		if e.Name() != disk.LockName {
			s = append(s, e.Name())
		}
	}
	return strings.Join(s, " ")
}

func newDir(t testing.TB, path string) *Dir { return newDirWith(t, path, DirOptions{Reserve: -1}) }

func newDirWith(t testing.TB, path string, o DirOptions) *Dir {
	t.Helper()
	d, err := NewDir(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

var (
	spoolClient = netip.MustParseAddrPort("203.0.113.7:40000")
	spoolTime   = time.Unix(1700000000, 5)
)

// piece is the data of segment seq: no two are alike, and few of one length.
func piece(tid, seq int64, segment int) []byte {
	b := bytes.Repeat(fmt.Appendf(nil, "%d/%d ", tid, seq), segment/4+1)
	return b[:1+int(seq*7919+tid)%segment]
}

// pieces is the payload of n segments.
func pieces(tid, n int64, segment int) (b []byte) {
	for seq := range n {
		b = append(b, piece(tid, seq, segment)...)
	}
	return b
}

func newSpool(t testing.TB, s Store, tid int64, segment int) Spool {
	t.Helper()
	sp, err := s.Create(tid, segment)
	if err != nil {
		t.Fatal(err)
	}
	sp.Begin(Meta{TID: tid, Segment: segment, Client: spoolClient, Offered: spoolTime})
	return sp
}

// put stores the pieces of these segments.
func put(t testing.TB, sp Spool, tid int64, segment int, seqs ...int64) {
	t.Helper()
	for _, seq := range seqs {
		b := piece(tid, seq, segment)
		if err := sp.Put(seq, int(seq%3), b, Sum(b)); err != nil {
			t.Fatalf("segment %d: %v", seq, err)
		}
	}
}

func upTo(n int64) (seqs []int64) {
	for seq := range n {
		seqs = append(seqs, seq)
	}
	return seqs
}

func all(n int64) []wire.Range { return []wire.Range{{First: 0, Last: n - 1}} }

// publish assembles and publishes, and checks the hash.
func publish(t testing.TB, sp Spool, have []wire.Range, partial bool, want []byte) string {
	t.Helper()
	sum, err := sp.Assemble(have)
	if err != nil {
		t.Fatal(err)
	}
	if sum != sha256.Sum256(want) {
		t.Error("the hash is of something else")
	}
	path, err := sp.Publish(partial)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func holds(t testing.TB, path string, want []byte) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s: %d bytes, %v, want %d", path, len(got), err, len(want))
	}
}

// recovered gives what Recover finds, read to the end.
func recovered(t testing.TB, d *Dir) ([]Recovered, [][]Record) {
	t.Helper()
	rs, err := d.Recover()
	if err != nil {
		t.Fatal(err)
	}
	var all [][]Record
	for _, r := range rs {
		var records []Record
		if r.Err == nil {
			for rec, err := range r.Segments {
				if err != nil {
					t.Fatal(err)
				}
				records = append(records, rec)
			}
		}
		all = append(all, records)
	}
	return rs, all
}

// ranges are those of records.
func ranges(records []Record) (have []wire.Range) {
	for _, r := range records {
		if k := len(have) - 1; k >= 0 && have[k].Last == r.Seq-1 {
			have[k].Last++
		} else {
			have = append(have, wire.Range{First: r.Seq, Last: r.Seq})
		}
	}
	return have
}

func TestDirStores(t *testing.T) {
	for _, segment := range []int{1, 7, 100, 60000} {
		for _, n := range []int64{1, 2, 50, 9000} {
			if n*int64(segment) > 1<<20 {
				continue
			}
			path := filepath.Join(t.TempDir(), "made", "here")
			d := newDir(t, path)
			sp := newSpool(t, d, 3740, segment)
			if got := names(t, path); got != "" {
				t.Errorf("without a segment there is %q", got)
			}
			seqs := upTo(n)
			slices.Reverse(seqs)
			put(t, sp, 3740, segment, seqs...)
			if got := names(t, path); got != "3740.spool" {
				t.Errorf("on the way there is %q", got)
			}
			// Assembled once too early, as when it was not the expected payload.
			if _, err := sp.Assemble(all((n + 1) / 2)); err != nil {
				t.Fatal(err)
			}
			want := pieces(3740, n, segment)
			file := publish(t, sp, all(n), false, want)
			if file != filepath.Join(path, "3740.bin") || names(t, path) != "3740.bin" {
				t.Errorf("%s, in the end there is %q", file, names(t, path))
			}
			holds(t, file, want)
		}
	}
}

// Ranges with gaps, and the name of what is not whole.
func TestDirPartial(t *testing.T) {
	path := t.TempDir()
	d := newDir(t, path)
	sp := newSpool(t, d, 7, 100)
	put(t, sp, 7, 100, 0, 2, 3, 5000)
	want := slices.Concat(piece(7, 0, 100), piece(7, 2, 100), piece(7, 3, 100), piece(7, 5000, 100))
	file := publish(t, sp, []wire.Range{{First: 0, Last: 0}, {First: 2, Last: 3}, {First: 5000, Last: 5000}}, true, want)
	holds(t, file, want)
	if file != filepath.Join(path, "7.partial") || names(t, path) != "7.partial" {
		t.Errorf("%s, %q", file, names(t, path))
	}
}

// Nothing is made of nothing, and nothing is left of what was not wanted.
func TestDirEmpty(t *testing.T) {
	path := t.TempDir()
	d := newDir(t, path)
	sp := newSpool(t, d, 7, 100)
	if kept := sp.Keep(); kept != "" {
		t.Errorf("kept %q", kept)
	}
	sp = newSpool(t, d, 7, 100)
	sp.Discard()
	sp = newSpool(t, d, 7, 100)
	put(t, sp, 7, 100, 0)
	if _, err := sp.Publish(false); !errors.Is(err, ErrEmpty) {
		t.Errorf("published what was not assembled: %v", err)
	}
	if _, err := sp.Assemble(nil); !errors.Is(err, ErrEmpty) || names(t, path) != "7.spool" {
		t.Errorf("assembled nothing: %v, %q", err, names(t, path))
	}
	sp.Discard()
	if got := names(t, path); got != "" {
		t.Errorf("left %q", got)
	}
}

// A number is taken as long as there is anything of it.
func TestDirTaken(t *testing.T) {
	path := t.TempDir()
	d := newDir(t, path)
	for _, name := range []string{"7.bin", "7.partial", "7.spool", "7.new.spool"} {
		if err := os.WriteFile(filepath.Join(path, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Create(7, 100); !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s is there: %v", name, err)
		}
		os.Remove(filepath.Join(path, name))
	}
	if _, err := d.Create(7, 100); err != nil {
		t.Error(err)
	}
}

// A name that is taken is never given again; what was acknowledged stays, and is
// published when the name is free.
func TestDirNeverReplaces(t *testing.T) {
	for _, partial := range []bool{false, true} {
		path := t.TempDir()
		d := newDir(t, path)
		sp := newSpool(t, d, 7, 100)
		put(t, sp, 7, 100, 0, 1)
		if _, err := sp.Assemble(all(2)); err != nil {
			t.Fatal(err)
		}
		other := filepath.Join(path, map[bool]string{false: "7.bin", true: "7.partial"}[partial])
		if err := os.WriteFile(other, []byte("another's"), 0o600); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if file, err := sp.Publish(partial); file != "" || !errors.Is(err, fs.ErrExist) {
				t.Errorf("%q, %v", file, err)
			}
		}
		holds(t, other, []byte("another's"))
		os.Remove(other)
		if file, err := sp.Publish(partial); file != other || err != nil {
			t.Errorf("%q, %v", file, err)
		}
		holds(t, other, pieces(7, 2, 100))
	}
}

// A spool that somebody has written to or cut off is not put together, and not
// removed either.
func TestDirDamaged(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(file string) error
	}{
		{"cut off", func(file string) error { return os.Truncate(file, headBytes+108+3) }},
		{"overwritten", func(file string) error { return os.WriteFile(file, bytes.Repeat([]byte("\xff"), 400), 0o600) }},
		{"empty", func(file string) error { return os.Truncate(file, 0) }},
	} {
		path := t.TempDir()
		d := newDir(t, path)
		sp := newSpool(t, d, 7, 100)
		put(t, sp, 7, 100, 0, 1)
		if err := tt.spoil(filepath.Join(path, "7.spool")); err != nil {
			t.Fatal(err)
		}
		if _, err := sp.Assemble(all(2)); err == nil || !strings.Contains(err.Error(), "7.spool: segment") {
			t.Errorf("%s: %v", tt.name, err)
		}
		if got := names(t, path); got != "7.spool" {
			t.Errorf("%s: there is %q", tt.name, got)
		}
	}
}

// What a spool holds is the next process's, whatever was the last thing that this one
// did.
func TestDirRecovers(t *testing.T) {
	path := t.TempDir()
	d := newDir(t, path)
	put(t, newSpool(t, d, 12, 100), 12, 100, 0, 1, 4, 100000, 5)
	kept := newSpool(t, d, 3, 1400)
	put(t, kept, 3, 1400, upTo(400)...)
	if _, err := kept.Assemble(all(400)); err != nil {
		t.Fatal(err)
	}
	if got := kept.Keep(); got != filepath.Join(path, "3.spool") {
		t.Errorf("kept %q", got)
	}
	d.Close()

	// A process that dies while it assembles.
	if err := os.WriteFile(filepath.Join(path, "12.new.spool"), []byte("half of"), 0o600); err != nil {
		t.Fatal(err)
	}
	d = newDir(t, path)
	rs, records := recovered(t, d)
	if len(rs) != 2 || rs[0].TID != 3 || rs[1].TID != 12 || names(t, path) != "12.spool 3.spool" {
		t.Fatalf("%+v, %q", rs, names(t, path))
	}
	for _, r := range rs {
		if r.Err != nil || r.Client != spoolClient || !r.Offered.Equal(spoolTime) || r.Path != filepath.Join(path, fmt.Sprint(r.TID, ".spool")) {
			t.Errorf("%+v", r)
		}
	}
	if len(records[0]) != 400 || rs[0].Segment != 1400 {
		t.Errorf("%d segments of %d bytes", len(records[0]), rs[0].Segment)
	}
	var want []Record
	for _, seq := range []int64{0, 1, 4, 5, 100000} {
		b := piece(12, seq, 100)
		want = append(want, Record{Seq: seq, Sum: Sum(b), Length: uint16(len(b)), Receiver: uint16(seq % 3)})
	}
	if diff := cmp.Diff(want, records[1]); diff != "" {
		t.Error(diff)
	}

	// It goes on: with what was missing, or without.
	put(t, rs[1].Spool, 12, 100, 2, 3)
	publish(t, rs[1].Spool, all(6), false, pieces(12, 6, 100))
	publish(t, rs[0].Spool, all(400), false, pieces(3, 400, 1400))
	holds(t, filepath.Join(path, "12.bin"), pieces(12, 6, 100))
	holds(t, filepath.Join(path, "3.bin"), pieces(3, 400, 1400))
	if got := names(t, path); got != "12.bin 3.bin" {
		t.Errorf("left %q", got)
	}
}

// Cut off at any byte, a spool gives all the records that are in it to their end.
func TestDirTorn(t *testing.T) {
	from := t.TempDir()
	d := newDir(t, from)
	put(t, newSpool(t, d, 7, 10), 7, 10, upTo(5)...)
	d.Close()
	b, err := os.ReadFile(filepath.Join(from, "7.spool"))
	if err != nil {
		t.Fatal(err)
	}
	path := t.TempDir()
	file := filepath.Join(path, "7.spool")
	for n := range len(b) + 1 {
		if err := os.WriteFile(file, b[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		d := newDir(t, path)
		rs, records := recovered(t, d)
		d.Close()
		switch {
		case n == 0 || n == headBytes: // nothing was ever acknowledged
			if len(rs) != 0 || names(t, path) != "" {
				t.Fatalf("%d bytes: %+v, %q", n, rs, names(t, path))
			}
		case n < headBytes:
			if len(rs) != 1 || rs[0].TID != 7 || rs[0].Spool != nil || rs[0].Err == nil || !strings.Contains(rs[0].Err.Error(), file) {
				t.Fatalf("%d bytes: %+v", n, rs)
			}
			holds(t, file, b[:n])
		default:
			want := 0
			for seq := range int64(5) {
				if int64(n) >= headBytes+seq*18+recordHead+int64(len(piece(7, seq, 10))) {
					want++
				}
			}
			if len(rs) != 1 || rs[0].Err != nil || len(records[0]) != want {
				t.Fatalf("%d bytes: %+v, %d segments, want %d", n, rs, len(records[0]), want)
			}
		}
	}
}

// Another's bytes are no spool: they are told, and stay. Other names are not even told.
func TestDirForeign(t *testing.T) {
	path := t.TempDir()
	d := newDir(t, path)
	put(t, newSpool(t, d, 8, 100), 8, 100, 0)
	d.Close()
	if err := os.Rename(filepath.Join(path, "8.spool"), filepath.Join(path, "9.spool")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"1.spool", "22.new.spool", "3.bin", "4.partial", "x.spool", "-5.spool", "+5.spool", "05.spool", "6.spool.bin", ".spool", "notes"} {
		if err := os.WriteFile(filepath.Join(path, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(path, "10.spool"), 0o700); err != nil {
		t.Fatal(err)
	}
	before := names(t, path)
	rs, _ := recovered(t, newDir(t, path))
	var told []string
	for _, r := range rs {
		if r.Err == nil {
			t.Errorf("recovered %+v", r)
		}
		told = append(told, filepath.Base(r.Path))
	}
	if got := strings.Join(told, " "); got != "1.spool 9.spool 10.spool 22.new.spool" || names(t, path) != before {
		t.Errorf("told %s; left %s, there was %s", got, names(t, path), before)
	}
	if _, err := NewDir(filepath.Join(path, "notes"), DirOptions{}); !errors.Is(err, syscall.ENOTDIR) || !strings.Contains(err.Error(), "notes") {
		t.Errorf("a file as directory: %v", err)
	}
}

// Killed between the new name and the removal of the spool, a payload is finished; one
// that is another's is not taken for it.
func TestDirFinishes(t *testing.T) {
	want := pieces(7, 500, 1400)
	for _, suffix := range []string{wholeSuffix, partialSuffix} {
		for name, b := range map[string][]byte{"its own": want, "shorter": want[1:], "longer": append(want, 'x'), "another": bytes.Repeat([]byte("x"), len(want))} {
			path := t.TempDir()
			d := newDir(t, path)
			put(t, newSpool(t, d, 7, 1400), 7, 1400, upTo(500)...)
			d.Close()
			if err := os.WriteFile(filepath.Join(path, "7"+suffix), b, 0o600); err != nil {
				t.Fatal(err)
			}
			rs, _ := recovered(t, newDir(t, path))
			if name == "its own" {
				if len(rs) != 0 || names(t, path) != "7"+suffix {
					t.Errorf("%s: %+v, %q", name, rs, names(t, path))
				}
				continue
			}
			if len(rs) != 1 || rs[0].Err == nil || !strings.Contains(rs[0].Err.Error(), "7"+suffix) || names(t, path) != "7"+suffix+" 7.spool" {
				t.Errorf("%s: %+v, %q", name, rs, names(t, path))
			}
		}
	}
}

// What was refused is known to the next process: there is more than is stored.
func TestDirNotes(t *testing.T) {
	path := t.TempDir()
	note := func(d *Dir, sp Spool, seqs ...int64) {
		for _, seq := range seqs {
			sp.Note(seq)
		}
		sp.Keep()
		d.Close()
	}
	d := newDir(t, path)
	sp := newSpool(t, d, 7, 100)
	sp.Note(3) // before there is a file
	put(t, sp, 7, 100, 0, 1)
	note(d, sp)
	want := int64(4)
	for _, seqs := range [][]int64{{10, 12}, {5}, nil, {1 << 45}} {
		d := newDir(t, path)
		rs, records := recovered(t, d)
		if len(rs) != 1 || rs[0].High != want || len(records[0]) != 2 {
			t.Fatalf("%+v, want %d", rs, want)
		}
		note(d, rs[0].Spool, seqs...)
		for _, seq := range seqs {
			want = max(want, seq+1)
		}
	}
	if rs, _ := recovered(t, newDir(t, path)); rs[0].High != want {
		t.Errorf("%d, want %d", rs[0].High, want)
	}
}

// A segment costs one write, and nothing that has to be collected.
func TestPutAllocates(t *testing.T) {
	sp := newSpool(t, newDir(t, t.TempDir()), 7, 100)
	data := make([]byte, 100)
	seq := int64(0)
	n := testing.AllocsPerRun(1000, func() {
		if err := sp.Put(seq, 1, data, Sum(data)); err != nil {
			t.Fatal(err)
		}
		seq++
	})
	if n != 0 {
		t.Errorf("%v allocations a segment", n)
	}
}
