package server

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"mdalp/internal/disk"
	"mdalp/wire"
)

func init() {
	// place goes on with what it finds, resumes every third of it as another, and then
	// takes new payloads, until it is killed. It tells of every range once it is taken.
	roles["place"] = func(args []string) {
		fmt.Fprintln(os.Stderr, placeForEver(args[0]))
		os.Exit(1)
	}
}

// origin is whose payload a transaction of the process under test brings: the one that it
// was resumed from in the end.
func originOf(tid int64) int64 { return tid % 1000 }

func placeForEver(path string) error {
	d, err := NewDir(path, DirOptions{Reserve: -1})
	if err != nil {
		return err
	}
	rs, err := d.Recover()
	if err != nil {
		return err
	}
	for _, r := range rs {
		if r.Err != nil {
			return r.Err
		}
		p, tid, have := r.Place, r.TID, r.Have
		if tid%3 == 0 {
			p.Keep(have)
			m := r.Meta
			m.TID += 1000
			fmt.Println("resuming", tid, 0, 0)
			if p, have, err = d.Resume(m, tid, r.Size); err != nil {
				return err
			}
			fmt.Println("resumed", tid, 0, 0)
			tid = m.TID
		}
		if err := fillPlace(p, tid, have); err != nil {
			return err
		}
	}
	for tid := int64(1); ; tid++ {
		_, err := d.Create(tid, 100)
		if _, again := d.Create(tid+1000, 100); err != nil || again != nil {
			continue
		}
		p, err := d.Place(placeMeta(tid), placeBytes)
		if err != nil {
			return err
		}
		if err := fillPlace(p, tid, nil); err != nil {
			return err
		}
	}
}

// fillPlace writes what is missing, the last first, and publishes. Every fifth transaction is
// left as it is.
func fillPlace(p Place, tid int64, have []wire.Range) error {
	var there rangeSet
	for _, r := range have {
		there.put(r)
	}
	payload := placed(originOf(tid))
	for k := int64(placeSegments/4 - 1); k >= 0; k-- {
		r := wire.Range{First: 4 * k, Last: 4*k + 3}
		if there.covers(r) {
			continue
		}
		if err := p.Write(payload[400*k:min(400*k+400, placeBytes)], 400*k); err != nil {
			return err
		}
		if err := p.Taken([]wire.Range{r}); err != nil {
			return err
		}
		fmt.Println("taken", tid, r.First, r.Last)
		if (k+tid)%3 == 0 {
			p.(*dirPlace).most = int64(k%2) << 40
			if err := p.Sync(); err != nil {
				return err
			}
		}
	}
	if tid%5 == 0 {
		return nil
	}
	if _, _, err := p.Publish(digest(originOf(tid))); err != nil {
		return err
	}
	fmt.Println("published", tid, 0, 0)
	return nil
}

// killed runs the process under test for a while and kills it; take is told its lines.
func killed(t *testing.T, path string, round int, take func(what string, tid int64, r wire.Range)) {
	t.Helper()
	cmd := exec.Command(os.Args[0], path)
	cmd.Env = append(os.Environ(), roleVariable+"=place")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	line := func() {
		var what string
		var tid int64
		var r wire.Range
		if _, err := fmt.Sscan(lines.Text(), &what, &tid, &r.First, &r.Last); err != nil {
			t.Fatalf("%q: %v", lines.Text(), err)
		}
		take(what, tid, r)
	}
	for range 1 + round*23%61 {
		if lines.Scan() {
			line()
		}
	}
	// A different moment every time, without a clock: after a bit of work.
	sha256.Sum256(make([]byte, round%7*100_000))
	cmd.Process.Kill()
	for lines.Scan() {
		line()
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("not killed: %v", err)
	}
}

// Killed at any moment, a process leaves all that it said was taken, at its place, under the
// one number or the other that resumes it, and no payload but whole ones.
func TestPlaceKilled(t *testing.T) {
	path := t.TempDir()
	taken := make(map[int64]*rangeSet) // by whose payload it is
	published := make(map[int64]bool)
	resumed, parts := 0, 0
	for round := range 40 {
		killed(t, path, round, func(what string, tid int64, r wire.Range) {
			switch what {
			case "taken":
				if taken[originOf(tid)] == nil {
					taken[originOf(tid)] = new(rangeSet)
				}
				taken[originOf(tid)].put(r)
			case "published":
				published[originOf(tid)] = true
			case "resumed":
				resumed++
			}
		})
		es, err := os.ReadDir(path)
		if err != nil {
			t.Fatal(err)
		}
		whole := make(map[int64]bool)
		for _, e := range es {
			if stem, ok := strings.CutSuffix(e.Name(), wholeSuffix); ok {
				tid, _ := strconv.ParseInt(stem, 10, 64)
				holds(t, filepath.Join(path, e.Name()), placed(originOf(tid)))
				whole[originOf(tid)] = true
			}
		}
		d := newDir(t, path)
		rs := found(t, d)
		d.Close()
		parts += len(rs)
		there := make(map[int64]*rangeSet)
		for tid, r := range rs {
			b, err := os.ReadFile(r.Path)
			if err != nil || len(b) != placeBytes || there[originOf(tid)] != nil {
				t.Fatalf("round %d: %d: %d bytes, %v", round, tid, len(b), err)
			}
			u := new(rangeSet)
			there[originOf(tid)] = u
			for _, x := range r.Have {
				u.put(x)
				from, to := x.First*placeSegment, min((x.Last+1)*placeSegment, placeBytes)
				if string(b[from:to]) != string(placed(originOf(tid))[from:to]) {
					t.Fatalf("round %d: %d: what is said to be there is not: %v", round, tid, x)
				}
			}
		}
		for tid, s := range taken {
			for _, r := range s.rs {
				if !whole[tid] && (there[tid] == nil || !there[tid].covers(r)) {
					t.Fatalf("round %d: %v of %d was taken, and is not there", round, r, tid)
				}
			}
			if published[tid] && !whole[tid] {
				t.Fatalf("round %d: %d was published, and is not there", round, tid)
			}
		}
	}
	if resumed < 10 || parts < 20 || len(published) < 20 {
		t.Errorf("%d resumed, %d parts, %d published: the rounds show nothing", resumed, parts, len(published))
	}
}

// A full disk is told at the announcement, and what has its place has its room, whatever
// else fills the disk.
func TestPlaceDiskFull(t *testing.T) {
	path := mount(t, "tmpfs", 0, "size=256k")
	if path == "" {
		return
	}
	d := newDir(t, path)
	payload := make([]byte, 100<<10)
	place := func(tid int64) (Place, error) {
		return d.Place(Meta{TID: tid, Segment: 1000, Offered: spoolTime}, int64(len(payload)))
	}
	p, err := place(7)
	if err != nil {
		t.Fatal(err)
	}
	q, err := place(8)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := place(9); !errors.Is(err, ErrFull) || names(t, path) != "7.journal 7.part 8.journal 8.part" {
		t.Errorf("%v, left %q", err, names(t, path))
	}
	// Somebody else takes the rest, until there is nothing.
	other, err := os.Create(filepath.Join(path, "other"))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for err == nil {
		_, err = other.Write(make([]byte, 4096))
	}
	for k, x := range []Place{p, q} {
		total := int64(len(payload)+999) / 1000
		for seq := range total {
			r := []wire.Range{{First: seq, Last: seq}}
			if err := errors.Join(x.Write(payload[1000*seq:min(1000*seq+1000, int64(len(payload)))], 1000*seq), x.Taken(r)); err != nil {
				t.Fatal(err)
			}
		}
		sum := sha256.Sum256(payload)
		if err := x.Sync(); err != nil {
			t.Error(err)
		}
		if _, _, err := x.Publish(&sum); err != nil {
			t.Errorf("%d: %v", k, err)
		}
	}
}

// The disk says that it is full when the account has not seen it coming.
func TestPlaceNoSpace(t *testing.T) {
	path := mount(t, "tmpfs", 0, "size=256k")
	if path == "" {
		return
	}
	d := newDir(t, path)
	d.room.free, d.room.left = 1<<40, 1<<40
	if _, err := d.Place(Meta{TID: 7, Segment: 1000, Offered: spoolTime}, 300<<10); !errors.Is(err, syscall.ENOSPC) || names(t, path) != "" {
		t.Errorf("%v, left %q", err, names(t, path))
	}
	if d.room.spools != 0 || d.room.copies != 0 || d.room.files != 0 {
		t.Errorf("accounted for %+v", &d.room)
	}
}

// Where a file system sets nothing aside, an account of it is kept; where a flush fails,
// nothing that it was about is believed any more; and where there is no descriptor or a file
// cannot be so large, nothing is left. The kernel itself refuses the calls.
func TestPlaceRefused(t *testing.T) {
	for _, role := range []string{"no fallocate", "no data flushed", "no file flushed", "no directory flushed", "no links", "limits"} {
		t.Run(role, func(t *testing.T) {
			if againSub(t, "confined") {
				return
			}
			path := t.TempDir()
			d := newDir(t, path)
			refusedPlaces[role](t, d, path)
			if d.room.spools != 0 || d.room.copies != 0 || d.room.files != 0 {
				t.Errorf("accounted for %+v", &d.room)
			}
		})
	}
}

var refusedPlaces = map[string]func(t *testing.T, d *Dir, path string){
	"no fallocate": func(t *testing.T, d *Dir, path string) {
		refuse(t, refusal{unix.SYS_FALLOCATE, -1, syscall.EOPNOTSUPP})
		p := newPlace(t, d, 7)
		if is, err := os.Stat(filepath.Join(path, "7.part")); err != nil || is.Size() != placeBytes {
			t.Errorf("%v, %v", is, err)
		}
		if d.room.copies != placeBytes+diskBlock {
			t.Errorf("accounted for %+v", &d.room)
		}
		write(t, p, placed(7), wire.Range{First: 0, Last: 9})
		if d.room.copies != placeBytes-1000+diskBlock {
			t.Errorf("accounted for %+v", &d.room)
		}
		p.Keep(nil)
		p, have, err := d.Resume(placeMeta(8), 7, placeBytes)
		if err != nil || len(have) != 1 {
			t.Fatal(err)
		}
		write(t, p, placed(7), wholeRange())
		if _, file, err := p.Publish(digest(7)); err != nil {
			t.Error(err)
		} else {
			holds(t, file, placed(7))
		}
	},
	"no data flushed": func(t *testing.T, d *Dir, path string) {
		p := newPlace(t, d, 7)
		write(t, p, placed(7), wire.Range{First: 0, Last: 9})
		if err := p.Sync(); err != nil {
			t.Fatal(err)
		}
		write(t, p, placed(7), wire.Range{First: 10, Last: 39})
		refuse(t, refusal{unix.SYS_FDATASYNC, int(p.(*dirPlace).part.(interface{ Fd() uintptr }).Fd()), syscall.EIO})
		for range 2 { // that the next flush says nothing means nothing
			if err := p.Sync(); !errors.Is(err, syscall.EIO) {
				t.Errorf("flushed: %v", err)
			}
			if _, _, err := p.Publish(digest(7)); !errors.Is(err, syscall.EIO) {
				t.Errorf("published: %v", err)
			}
		}
		p.Keep(nil)
		if _, have, err := d.Resume(placeMeta(8), 7, placeBytes); err != nil || string(wire.AppendRanges(nil, have)) != "0-9" {
			t.Errorf("%v, %v", have, err)
		} else if got := names(t, path); got != "8.journal 8.part" {
			t.Errorf("left %q", got)
		}
		found(t, next(t, d))[8].Place.Discard()
		d.room = room{}
	},
	"no file flushed": func(t *testing.T, d *Dir, path string) {
		p := newPlace(t, d, 7)
		write(t, p, placed(7), wholeRange())
		refuse(t, refusal{unix.SYS_FSYNC, int(p.(*dirPlace).part.(interface{ Fd() uintptr }).Fd()), syscall.EIO})
		for range 2 {
			if _, file, err := p.Publish(digest(7)); !errors.Is(err, syscall.EIO) || file != "" {
				t.Errorf("%q, %v", file, err)
			}
		}
		if got := names(t, path); got != "7.journal 7.part" {
			t.Errorf("left %q", got)
		}
		p.Keep(nil)
		if r := found(t, next(t, d))[7]; len(r.Have) != 0 {
			t.Errorf("%+v", r)
		}
	},
	"no directory flushed": func(t *testing.T, d *Dir, path string) {
		p := newPlace(t, d, 7)
		write(t, p, placed(7), wholeRange())
		refuse(t, refusal{unix.SYS_FSYNC, d.f.(*disk.Dir).Fd(), syscall.EIO})
		for range 2 {
			if _, file, err := p.Publish(digest(7)); !errors.Is(err, syscall.EIO) || file != filepath.Join(path, "7.bin") {
				t.Errorf("%q, %v", file, err)
			}
		}
		if got := names(t, path); got != "7.bin 7.journal" {
			t.Errorf("left %q", got)
		}
		// The next process has the directory under another descriptor.
		hold, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer hold.Close()
		d.Close()
		hold2, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer hold2.Close()
		n := newDir(t, path)
		if rs := found(t, n); n.f.(*disk.Dir).Fd() == d.f.(*disk.Dir).Fd() || len(rs) != 0 || names(t, path) != "7.bin" {
			t.Errorf("%+v, left %q", rs, names(t, path))
		}
	},
	"no links": func(t *testing.T, d *Dir, path string) {
		refuse(t, refusal{unix.SYS_LINKAT, -1, syscall.EPERM})
		p := newPlace(t, d, 7)
		write(t, p, placed(7), wholeRange())
		if _, _, err := p.Publish(digest(7)); err != nil {
			t.Fatal(err)
		}
		p, have, err := d.Resume(placeMeta(8), 7, placeBytes)
		if err != nil || len(have) != 1 || have[0] != wholeRange() {
			t.Fatalf("%v, %v", have, err)
		}
		if r := found(t, newView(t, path))[8]; len(r.Have) != 1 || r.Have[0] != wholeRange() {
			t.Errorf("%+v", r)
		}
		if _, file, err := p.Publish(digest(7)); err != nil {
			t.Error(err)
		} else {
			holds(t, file, placed(7))
		}
	},
	"limits": func(t *testing.T, d *Dir, path string) {
		signal.Ignore(syscall.SIGXFSZ)
		hold, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		fd := uint64(hold.Fd())
		hold.Close()
		for n := range uint64(2) {
			limited(t, unix.RLIMIT_NOFILE, fd+n, func() {
				if _, err := d.Place(placeMeta(7), placeBytes); !errors.Is(err, syscall.EMFILE) {
					t.Errorf("without a descriptor: %v", err)
				}
			})
			if got := names(t, path); got != "" {
				t.Errorf("left %q", got)
			}
		}
		limited(t, unix.RLIMIT_FSIZE, placeBytes-1, func() {
			if _, err := d.Place(placeMeta(7), placeBytes); !errors.Is(err, syscall.EFBIG) || !full(err) {
				t.Errorf("more than a file may be: %v", err)
			}
		})
		if got := names(t, path); got != "" {
			t.Errorf("left %q", got)
		}
		p := newPlace(t, d, 7)
		write(t, p, placed(7), wire.Range{First: 1, Last: 1})
		limited(t, unix.RLIMIT_FSIZE, journalHead+entryBytes+10, func() {
			for range 2 {
				if err := p.Taken([]wire.Range{{First: 2, Last: 3}}); !errors.Is(err, syscall.EFBIG) {
					t.Errorf("more than a journal may be: %v", err)
				}
			}
		})
		write(t, p, placed(7), wire.Range{First: 5, Last: 5})
		p.Keep(nil)
		if r := found(t, next(t, d))[7]; have(r) != "1,5" {
			t.Errorf("%+v", r)
		}
	},
}

// newView is a Dir of a directory that another one has, to look at it.
func newView(t *testing.T, path string) *Dir {
	t.Helper()
	f, err := disk.View(path)
	if err != nil {
		t.Fatal(err)
	}
	d := &Dir{f: f, boot: f.Boot(), named: make(map[int64]string), completed: completed{f: f}}
	d.room.f = f
	t.Cleanup(d.Close)
	return d
}
