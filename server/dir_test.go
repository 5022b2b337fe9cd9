package server

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The test binary runs itself again as one of these.
const roleVariable = "MDALP_SERVER_TEST_ROLE"

func TestMain(m *testing.M) {
	if os.Getenv(roleVariable) == "publish" {
		publishForEver(os.Args[1])
	}
	os.Exit(m.Run())
}

func names(t *testing.T, dir string) string {
	t.Helper()
	es, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var s []string
	for _, e := range es {
		s = append(s, e.Name())
	}
	return strings.Join(s, " ")
}

func newDir(t *testing.T, path string) *Dir {
	t.Helper()
	d, err := NewDir(path)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDirPublishes(t *testing.T) {
	payload := random(5000)
	gs := cut(payload, 963, 1981, 2056)
	path := filepath.Join(t.TempDir(), "made", "here")
	r := newRig(t, Config{FirstTID: 3740, Store: newDir(t, path), Expect: &Payload{5000, sha256.Sum256(payload)}})
	r.to(orch, client, "Type:0;")
	if got := names(t, path); got != "" {
		t.Errorf("an intent alone made %q", got)
	}
	for i := len(gs) - 1; i >= 0; i-- {
		if len(r.results) != 0 {
			t.Fatal("settled too early")
		}
		if i == 0 && names(t, path) != "3740.spool" {
			t.Errorf("on the way there is %q", names(t, path))
		}
		r.want(r.to(three[gs[i].to].Addr, client, gs[i].message(3740)), fmt.Sprintf("Type:3;TID:3740;SEQ:%d;", i))
	}
	res := r.result()
	if !res.Status || res.Path != filepath.Join(path, "3740.bin") {
		t.Errorf("%+v", res)
	}
	if got, err := os.ReadFile(res.Path); err != nil || string(got) != string(payload) {
		t.Errorf("the payload did not arrive as it was: %v", err)
	}
	if got := names(t, path); got != "3740.bin" {
		t.Errorf("in the end there is %q", got)
	}

	// A second server on the same directory does not write over it.
	r = newRig(t, Config{FirstTID: 3740, Store: newDir(t, path)})
	if out := r.to(orch, client, "Type:0;"); len(out) != 1 || !strings.HasPrefix(out[0], "Type:1;TID:3741;") {
		t.Errorf("offered %q", out)
	}
}

func TestDirIncomplete(t *testing.T) {
	for _, keep := range []bool{false, true} {
		path := t.TempDir()
		r := newRig(t, Config{FirstTID: 7, Store: newDir(t, path), KeepPartial: keep})
		r.to(orch, client, "Type:0;")
		r.to(orch, stranger, "Type:0;") // sends nothing
		for _, g := range []segment{{0, 0, "ab"}, {1, 5000, "cd"}, {2, 2, "e"}} {
			r.to(three[g.to].Addr, client, g.message(7))
		}
		r.pass(DefaultLimit + time.Second)
		slices.SortFunc(r.results, func(a, b Result) int { return int(a.TID - b.TID) })
		if len(r.results) != 2 || r.results[0].Complete || r.results[1].Path != "" {
			t.Fatalf("%+v", r.results)
		}
		if !keep {
			if got := names(t, path); got != "" || r.results[0].Path != "" {
				t.Errorf("left %q", got)
			}
			continue
		}
		if got, err := os.ReadFile(filepath.Join(path, "7.partial")); string(got) != "abecd" || names(t, path) != "7.partial" {
			t.Errorf("%q, %v, %q", got, err, names(t, path))
		}
		if res := r.results[0]; res.Path != filepath.Join(path, "7.partial") || res.SHA256 != sha256.Sum256([]byte("abecd")) {
			t.Errorf("%+v", res)
		}
	}
}

// Only what a server left unfinished is removed.
func TestDirSweeps(t *testing.T) {
	path := t.TempDir()
	for _, name := range []string{"1.spool", "22.new.spool", "3.bin", "4.partial", "x.spool", "-5.spool", "6.spool.bin", ".spool", "notes"} {
		if err := os.WriteFile(filepath.Join(path, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	newDir(t, path)
	if got, want := names(t, path), "-5.spool .spool 3.bin 4.partial 6.spool.bin notes x.spool"; got != want {
		t.Errorf("left %q, want %q", got, want)
	}
	if _, err := NewDir(filepath.Join(path, "notes")); !errors.Is(err, syscall.ENOTDIR) || !strings.Contains(err.Error(), "notes") {
		t.Errorf("a file as directory: %v", err)
	}
}

// A store that cannot write: no false acknowledgement, one line in the log, a
// verdict that says so; and it goes on when it can write again.
func TestDirGone(t *testing.T) {
	for _, heals := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "store")
		var log strings.Builder
		r := newRig(t, Config{FirstTID: 7, Store: newDir(t, path), Log: textLog(&log)})
		r.to(orch, client, "Type:0;")
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			r.want(r.to(sao, client, "Type:2;TID:7;SEQ:0;DATA:x"))
		}
		if n := strings.Count(log.String(), "store failed"); n != 1 || !strings.Contains(log.String(), "7.spool") {
			t.Errorf("%d errors in the log: %s", n, &log)
		}
		if heals {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
			for i := range 3 {
				r.want(r.to(three[i].Addr, client, fmt.Sprintf("Type:2;TID:7;SEQ:%d;DATA:x", i)), fmt.Sprintf("Type:3;TID:7;SEQ:%d;", i))
			}
		}
		r.pass(DefaultLimit + time.Second)
		res := r.result()
		if res.Status != heals || !errors.Is(res.Err, fs.ErrNotExist) || heals && res.Path == "" {
			t.Errorf("%+v", res)
		}
		if st := r.s.Stats(); st.StoreErrors != 3 || st.Acks != st.Stored {
			t.Errorf("%+v", st)
		}
		r.addsUp()
	}
}

// The last segment was refused: what is there looks whole, and is not.
func TestRefusedLastSegment(t *testing.T) {
	r := newRig(t, Config{FirstTID: 7, Store: &Memory{Limit: 16 << 10}})
	r.to(orch, client, "Type:0;")
	var stored int
	for i := range 100 {
		g := segment{i % 3, int64(i), strings.Repeat("x", 100)}
		stored += len(r.to(three[g.to].Addr, client, g.message(7)))
	}
	if stored == 0 || stored == 100 {
		t.Fatalf("%d of 100 stored", stored)
	}
	r.pass(DefaultLimit + time.Second)
	if res := r.result(); res.Complete || !errors.Is(res.Err, ErrFull) || res.Missing[0].First != int64(stored) {
		t.Errorf("%+v", res)
	}
}

// A payload that cannot be put together or named is not complete.
func TestDirCannotPublish(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(path string) error
	}{
		{"no place for it", func(path string) error { return os.Mkdir(filepath.Join(path, "7.new.spool"), 0o700) }},
		{"the name is a directory", func(path string) error { return os.MkdirAll(filepath.Join(path, "7.bin", "x"), 0o700) }},
		{"the spool is cut off", func(path string) error { return os.Truncate(filepath.Join(path, "7.spool"), 1) }},
		{"the spool is overwritten", func(path string) error {
			return os.WriteFile(filepath.Join(path, "7.spool"), []byte("\xff\xff"), 0o600)
		}},
		{"the directory is gone", func(path string) error { return os.RemoveAll(path) }},
	}
	// A spool that was cut off behind our back has no segment to give.
	s := &dirSpool{d: newDir(t, t.TempDir()), tid: 7, segment: 100}
	if _, err := s.Put(0, []byte("x")); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int64{0, 1, 2} {
		if err := s.f.Truncate(size); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Assemble(); err == nil || !strings.Contains(err.Error(), "7.spool: segment 0 is damaged") {
			t.Errorf("cut off at %d: %v", size, err)
		}
	}
	s.Discard()

	for _, tt := range tests {
		for _, expect := range []*Payload{nil, {2, sha256.Sum256([]byte("xy"))}} {
			path := filepath.Join(t.TempDir(), "store")
			r := newRig(t, Config{FirstTID: 7, Store: newDir(t, path), Expect: expect, KeepPartial: true})
			r.to(orch, client, "Type:0;")
			r.to(sao, client, "Type:2;TID:7;SEQ:0;DATA:x")
			if err := tt.spoil(path); err != nil {
				t.Fatal(err)
			}
			// The segment itself is stored as long as its file is open.
			r.want(r.to(sao, client, "Type:2;TID:7;SEQ:1;DATA:y"), "Type:3;TID:7;SEQ:1;")
			r.pass(DefaultLimit + time.Second)
			res := r.result()
			if res.Status || res.Complete || res.Err == nil || !strings.Contains(res.Err.Error(), path+"/7.") {
				t.Errorf("%s: %+v", tt.name, res)
			}
			if fi, err := os.Lstat(filepath.Join(path, "7.bin")); err == nil && fi.Mode().IsRegular() {
				t.Errorf("%s: there is a payload", tt.name)
			}
		}
	}
}

// killed is the payload that publishForEver publishes under each number.
func killed(tid int64) []byte { return []byte(strings.Repeat(strconv.FormatInt(tid, 10)+"\n", 20000)) }

// publishForEver publishes payloads until the process is killed.
func publishForEver(path string) {
	d, err := NewDir(path)
	for tid := int64(1); err == nil; tid++ {
		var sp Spool
		if sp, err = d.Create(tid, 1000); errors.Is(err, fs.ErrExist) {
			err = nil
			continue
		}
		payload := killed(tid)
		for seq := int64(0); err == nil && len(payload) > 0; seq++ {
			n := min(1000, len(payload))
			_, err = sp.Put(seq, payload[:n])
			payload = payload[n:]
		}
		if err == nil {
			_, err = sp.Assemble()
		}
		if err == nil {
			_, err = sp.Publish(false)
		}
		fmt.Println(tid)
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
