package server

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// What a server makes of its store: when it goes well, when it does not, and when the
// process ends in between.

func TestDirPublishes(t *testing.T) {
	payload := random(5000)
	gs := cut(payload, 963, 1981, 2056)
	path := filepath.Join(t.TempDir(), "made", "here")
	d := newDir(t, path)
	r := newRig(t, Config{FirstTID: 3740, Store: d, Expect: &Payload{5000, sha256.Sum256(payload)}})
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
	holds(t, res.Path, payload)
	if got := names(t, path); got != "3740.bin" {
		t.Errorf("in the end there is %q", got)
	}
	d.Close()

	// The next server on the same directory does not write over it.
	r = newRig(t, Config{FirstTID: 3740, Store: newDir(t, path)})
	if out := r.to(orch, client, "Type:0;"); len(out) != 1 || !strings.HasPrefix(out[0], "Type:1;TID:3741;") {
		t.Errorf("offered %q", out)
	}
}

// What was acknowledged of a payload that is not whole is there, be it as it came, be it
// put together.
func TestDirIncomplete(t *testing.T) {
	for _, keep := range []bool{false, true} {
		path := t.TempDir()
		d := newDir(t, path)
		r := newRig(t, Config{FirstTID: 7, Store: d, KeepPartial: keep})
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
		res := r.results[0]
		if keep {
			holds(t, filepath.Join(path, "7.partial"), []byte("abecd"))
			if res.Path != filepath.Join(path, "7.partial") || names(t, path) != "7.partial" || res.SHA256 != sha256.Sum256([]byte("abecd")) {
				t.Errorf("%+v, %q", res, names(t, path))
			}
			continue
		}
		if res.Kept != filepath.Join(path, "7.spool") || names(t, path) != "7.spool" {
			t.Errorf("%+v, %q", res, names(t, path))
		}
		d.Close()
		_, records := recovered(t, newDir(t, path))
		if len(records) != 1 || len(records[0]) != 3 || records[0][2].Sum != Sum([]byte("cd")) {
			t.Errorf("%+v", records)
		}
	}
}

// A store that cannot write: no false acknowledgement, one line in the log, a verdict
// that says so.
func TestDirGone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	var log strings.Builder
	r := newRig(t, Config{FirstTID: 7, Store: newDir(t, path), Log: textLog(&log)})
	r.to(orch, client, "Type:0;")
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		r.want(r.to(sao, client, "Type:2;TID:7;SEQ:0;DATA:x"))
	}
	if n := strings.Count(log.String(), "store failed"); n != 1 || !strings.Contains(log.String(), "7.spool") {
		t.Errorf("%d errors in the log: %s", n, &log)
	}
	r.pass(DefaultLimit + time.Second)
	if res := r.result(); res.Status || !errors.Is(res.Err, fs.ErrNotExist) || res.Path != "" {
		t.Errorf("%+v", res)
	}
	if st := r.s.Stats(); st.StoreErrors != 3 || st.Acks != 0 {
		t.Errorf("%+v", st)
	}
	r.addsUp()
}

// The last segment was refused: what is there looks whole, and is not.
func TestRefusedLastSegment(t *testing.T) {
	r := newRig(t, Config{FirstTID: 7, Store: &Memory{Limit: 16 << 10}, RoomPerOffer: -1})
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

// A payload that cannot be put together or named is no payload yet. What was
// acknowledged stays, and is published when that is possible again.
func TestDirCannotPublish(t *testing.T) {
	tests := []struct {
		name  string
		spoil string
	}{
		{"no place for it", "7.new.spool"},
		{"its name is taken", "7.bin"},
	}
	for _, tt := range tests {
		for _, expect := range []*Payload{nil, {2, sha256.Sum256([]byte("xy"))}} {
			path := t.TempDir()
			var log strings.Builder
			r := newRig(t, Config{FirstTID: 7, Store: newDir(t, path), Expect: expect, Log: textLog(&log)})
			r.to(orch, client, "Type:0;")
			r.to(sao, client, "Type:2;TID:7;SEQ:0;DATA:x")
			if err := os.Mkdir(filepath.Join(path, tt.spoil), 0o700); err != nil {
				t.Fatal(err)
			}
			r.want(r.to(sao, client, "Type:2;TID:7;SEQ:1;DATA:y"), "Type:3;TID:7;SEQ:1;")
			r.pass(DefaultLimit + time.Hour)
			if len(r.results) != 0 || !strings.Contains(names(t, path), "7.spool") || !strings.Contains(log.String(), tt.spoil) {
				t.Errorf("%s: %+v, %q, %s", tt.name, r.results, names(t, path), &log)
			}
			if err := os.Remove(filepath.Join(path, tt.spoil)); err != nil {
				t.Fatal(err)
			}
			r.pass(2 * mostPause)
			if res := r.result(); !res.Complete || res.Path != filepath.Join(path, "7.bin") || !errors.Is(res.Err, fs.ErrExist) || names(t, path) != "7.bin" {
				t.Errorf("%s: %+v, %q", tt.name, res, names(t, path))
			}
			holds(t, filepath.Join(path, "7.bin"), []byte("xy"))
		}
	}
}

// What looks whole to the next process is not, when the last of it was refused.
func TestRefusedThenKilled(t *testing.T) {
	tests := []struct {
		name string
		last string // a segment that is not stored
		cfg  Config
	}{
		{"too much", "Type:2;TID:7;SEQ:2;DATA:yy", Config{MaxBytes: 3}},
		{"too long", "Type:2;TID:7;SEQ:2;DATA:yyyy", Config{SegmentLimit: 3}},
		{"out of bounds", "Type:2;TID:7;SEQ:90;DATA:yy", Config{MaxBytes: 3}},
		{"nothing", "", Config{}},
	}
	for _, tt := range tests {
		path := t.TempDir()
		d := newDir(t, path)
		cfg := tt.cfg
		cfg.FirstTID, cfg.Store = 7, d
		r := newRig(t, cfg)
		r.to(orch, client, "Type:0;")
		for seq := range 2 {
			r.want(r.to(sao, client, fmt.Sprintf("Type:2;TID:7;SEQ:%d;DATA:x", seq)), fmt.Sprintf("Type:3;TID:7;SEQ:%d;", seq))
		}
		if tt.last != "" {
			r.want(r.to(sao, client, tt.last))
		}
		d.Close() // and nothing else, as when it is killed
		cfg.Store = newDir(t, path)
		r = newRig(t, cfg)
		r.pass(DefaultLimit + time.Second)
		res := r.result()
		if whole := tt.last == ""; res.Complete != whole || (res.Path == "") == whole || names(t, path) != map[bool]string{true: "7.bin", false: "7.spool"}[whole] {
			t.Errorf("%s: %+v, %q", tt.name, res, names(t, path))
		}
	}
}
