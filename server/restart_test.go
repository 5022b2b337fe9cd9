package server

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mdalp/loop"
)

// What a former process left: its client goes on where it was, or the verdict is given.
func TestRestart(t *testing.T) {
	const left = DefaultLimit - 3*time.Second
	both := []string{"Type:2;TID:7;SEQ:0;DATA:one", "Type:2;TID:7;SEQ:2;DATA:three"}
	for _, tt := range []struct {
		name     string
		cfg      Config
		written  time.Duration // when the last segment came
		segments []string
		away     time.Duration // from the offer to the next process
		then     []string      // what the client sends to it
		whole    bool
		file     string
		settles  time.Duration // after the start, at most
	}{
		{"its client goes on", Config{}, 0, both, time.Second, []string{"Type:2;TID:7;SEQ:1;DATA:two"}, true, "7.bin", DefaultIdle},
		{"its client is gone", Config{}, 0, both, time.Second, nil, false, "7.spool", DefaultLimit},
		{"its limit has passed", Config{}, 0, both, DefaultLimit, nil, false, "7.spool", 0},
		{"partial", Config{KeepPartial: true}, 0, both, DefaultLimit, nil, false, "7.partial", 0},
		{"whole", Config{}, 0, both[:1], DefaultLimit, nil, true, "7.bin", 0},
		{"whole, and the limit is near", Config{}, left, both[:1], left, nil, true, "7.bin", DefaultIdle},
		{"cut off at its limit", Config{}, left, both[:1], DefaultLimit, nil, false, "7.spool", 0},
		{"expected", Config{Expect: &Payload{3, sha256.Sum256([]byte("one"))}}, left, both[:1], time.Hour, nil, true, "7.bin", 0},
		{"not expected", Config{Expect: &Payload{3, sha256.Sum256([]byte("two"))}}, left, both[:1], time.Hour, nil, false, "7.spool", 0},
		{"the clock was set back", Config{}, 0, both, -time.Hour, []string{"Type:2;TID:7;SEQ:1;DATA:two"}, true, "7.bin", DefaultIdle},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, cfg := t.TempDir(), tt.cfg
			cfg.FirstTID, cfg.Expect = 7, nil
			begin := func(now time.Time) (*rig, *Dir) {
				d, err := NewDir(dir, DirOptions{})
				if err != nil {
					t.Fatal(err)
				}
				d.f = clockOf{d.f, now}
				cfg.Store = d
				return newRigAt(t, now, cfg), d
			}
			r, d := begin(epoch)
			r.to(orch, client, "Type:0;")
			for k, b := range tt.segments {
				r.to(three[k].Addr, client, b)
			}
			d.Close() // as its death does
			spool, at := filepath.Join(dir, "7.spool"), epoch.Add(tt.written)
			if err := os.Chtimes(spool, at, at); err != nil {
				t.Fatal(err)
			}

			cfg.Expect = tt.cfg.Expect
			r, d = begin(epoch.Add(tt.away))
			defer d.Close()
			for _, b := range tt.then {
				if n := len(r.to(oregon, client, b)); n != 1 {
					t.Errorf("%q draws %d acknowledgements", b, n)
				}
			}
			r.pass(tt.settles + 10*time.Millisecond)
			res := r.result()
			if res.Complete != tt.whole || !res.Recovered || res.Client != client || res.TID != 7 {
				t.Errorf("%+v", res)
			}
			if name := filepath.Join(dir, tt.file); res.Path != name && res.Kept != name {
				t.Errorf("%q, %q", res.Path, res.Kept)
			}
			if res.Receivers[0].Segments != 1 || res.Receivers[0].Bytes != 3 || r.s.Stats().Recovered != 1 {
				t.Errorf("%+v", res.Receivers)
			}
			if tt.whole && len(tt.then) > 0 {
				if b, err := os.ReadFile(res.Path); string(b) != "onetwothree" {
					t.Errorf("%q, %v", b, err)
				}
			}
			r.addsUp()
		})
	}
}

// A repeated segment of a transaction that was recovered is acknowledged, another one of
// its number is not; and its number is not given again.
func TestRestartKnowsSegments(t *testing.T) {
	dir := t.TempDir()
	for run := range 2 {
		d, err := NewDir(dir, DirOptions{})
		if err != nil {
			t.Fatal(err)
		}
		r := newRig(t, Config{FirstTID: 7, Receivers: one, Store: d})
		if run == 0 {
			r.want(r.to(orch, client, "Type:0;"), offerOf(7))
			for seq := range 5000 {
				r.s.Receive(r.now, &loop.Envelope{Peer: client, Local: sao}, fmt.Appendf(nil, "Type:2;TID:7;SEQ:%d;DATA:%d", seq, seq))
				r.drain()
			}
		} else {
			r.want(r.to(sao, client, "Type:2;TID:7;SEQ:4999;DATA:4999"), "Type:3;TID:7;SEQ:4999;")
			r.want(r.to(sao, client, "Type:2;TID:7;SEQ:4998;DATA:4999"))
			r.want(r.to(orch, client, "Type:0;"), offerOf(8))
			if st := r.s.Stats(); st.Duplicates != 1 || st.Conflicts != 1 {
				t.Errorf("%+v", st)
			}
		}
		d.Close()
	}
}

// The verdict on what was kept is given once, and not at every start.
func TestRestartTold(t *testing.T) {
	dir := t.TempDir()
	var log bytes.Buffer
	for run := range 4 {
		d, err := NewDir(dir, DirOptions{})
		if err != nil {
			t.Fatal(err)
		}
		cfg := Config{FirstTID: 7, Receivers: one, Store: d, Log: textLog(&log), KeepPartial: run == 3}
		r := newRigAt(t, epoch.Add(time.Duration(run)*DefaultLimit), cfg)
		if run == 0 {
			r.want(r.to(orch, client, "Type:0;"), offerOf(7))
			r.to(sao, client, "Type:2;TID:7;SEQ:1;DATA:x") // and it dies
		}
		r.pass(time.Second)
		if want := run == 1 || run == 3; (len(r.results) == 1) != want {
			t.Errorf("run %d: %+v", run, r.results)
		}
		d.Close()
		said := strings.Contains(log.String(), "are kept, as was said of each\" payloads=1\n")
		if lines := strings.Count(log.String(), "\n"); run == 2 && (lines != 1 || !said) {
			t.Errorf("%d lines: %s", lines, log.String())
		}
		log.Reset()
	}
	if b, err := os.ReadFile(filepath.Join(dir, "7.partial")); string(b) != "x" {
		t.Errorf("%q, %v", b, err)
	}
}
