package server

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// of is a message of transaction 7 as one of another.
func of(tid int, b string) string {
	return strings.Replace(b, "TID:7;", fmt.Sprintf("TID:%d;", tid), 1)
}

// another opens transaction 8 for the same client.
func (r *rig) another() {
	r.t.Helper()
	if got := r.to(orch, client, "Type:0;"); len(got) != 1 || !strings.HasPrefix(got[0], "Type:1;TID:8;") {
		r.t.Fatalf("sent %q", got)
	}
}

// besides runs a test where jobs are done in place and where they are done later, with the
// stores that there are.
func besides(t *testing.T, f func(t *testing.T, r *rig, do func() []string, payload func(tid int) string)) {
	for _, kind := range []string{"memory", "directory"} {
		for _, late := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, late %t", kind, late), func(t *testing.T) {
				cfg := Config{}
				var l later
				if late {
					cfg.Beside = l.beside
				}
				path := t.TempDir()
				m := new(Memory)
				payload := func(tid int) string { b, _ := m.Payload(int64(tid)); return string(b) }
				cfg.Store = m
				if kind == "directory" {
					cfg.Store = newDir(t, path)
					payload = func(tid int) string {
						b, _ := os.ReadFile(filepath.Join(path, fmt.Sprintf("%d.bin", tid)))
						return string(b)
					}
				}
				r := newExtendedRig(t, cfg)
				do := func() []string {
					out := texts(r.drain())
					for len(l.jobs) > 0 {
						l.do(r)
						out = append(out, texts(r.drain())...)
					}
					return out
				}
				do()
				f(t, r, do, payload)
				r.addsUp()
			})
		}
	}
}

const sizes250 = "'bytes': 250, 'seg': 100"

// give hands the server a datagram, and returns all that comes of it.
func (r *rig) give(do func() []string, d dgram) []string {
	return append(texts(r.in(d)), do()...)
}

// A client that was cut off goes on as another transaction with what is held of the first;
// it may be silent for too long, or still be open.
func TestResume(t *testing.T) {
	for _, silent := range []bool{true, false} {
		besides(t, func(t *testing.T, r *rig, do func() []string, payload func(int) string) {
			resume := of(8, manifest(0, sizes250+", 'resume': 7"))
			r.to(orch, client, "Type:0;")
			r.want(r.give(do, dgram{manifest(0, sizes250), orch, client}), state(0, "'open', 'win': 64, 'have': ''"))
			r.want(r.give(do, dgram{b: numbered(0, 0, 100)}), acked(0, "0"))
			r.want(r.give(do, dgram{b: numbered(2, 1, 50)}), acked(1, "0-1"))
			if silent {
				for range 40 {
					r.pass(time.Second)
					do()
				}
				r.want(r.give(do, dgram{manifest(1, sizes250), orch, client}), state(1, "'refused', 'resume': 7, 'comment': 'it was silent for too long'"))
			}
			r.another()
			r.want(r.give(do, dgram{resume, orch, client}), of(8, state(0, "'open', 'win': 64, 'have': '0,2'")))
			if res := r.result(); res.TID != 7 || res.Status || res.Bytes != 150 {
				t.Errorf("%+v", res)
			}
			// What is late for 7 is not taken.
			r.want(r.give(do, dgram{b: numbered(1, 2, 100)}))
			r.want(r.give(do, dgram{b: numbered(0, 3, 100)}))
			if !silent {
				r.want(r.give(do, dgram{manifest(1, sizes250), orch, client}), state(1, "'refused', 'comment': 'another transaction has resumed it'"))
			}
			// To say it again changes nothing.
			r.want(r.give(do, dgram{strings.Replace(resume, "SEQ:0", "SEQ:1", 1), orch, client}), of(8, state(1, "'open', 'win': 64, 'have': '0,2'")))
			// What is there needs not come again, and decides that it is extended.
			r.want(r.give(do, dgram{b: "Type:2;TID:8;SEQ:0;DATA:x"}))
			r.want(r.give(do, dgram{b: of(8, numbered(1, 0, 100))}), of(8, acked(0, "0")))
			got := r.give(do, dgram{of(8, asks(2, 250, 100, letters(250))), orch, client})
			if last := got[len(got)-1]; last != of(8, state(2, "'complete'")) && last != of(8, state(2, "'busy', 'wait': 50")) {
				t.Errorf("sent %q", got)
			}
			r.want(r.give(do, dgram{of(8, asks(3, 250, 100, letters(250))), orch, client}), of(8, state(3, "'complete'")))
			if payload(8) != letters(250) || payload(7) != "" {
				t.Errorf("%q, %q", payload(8), payload(7))
			}
			if len(r.results) != 2 || !r.results[1].Status || r.results[1].Bytes != 250 {
				t.Errorf("%+v", r.results)
			}
		})
	}
}

// Sizes that differ are told, and the first transaction stays as it was. Of one that nobody
// knows there is nothing, and of itself neither.
func TestResumeOthers(t *testing.T) {
	besides(t, func(t *testing.T, r *rig, do func() []string, payload func(int) string) {
		r.to(orch, client, "Type:0;")
		r.give(do, dgram{manifest(0, sizes250), orch, client})
		r.want(r.give(do, dgram{b: numbered(1, 0, 100)}), acked(0, "0"))
		r.another()
		differ := func(seq int) string {
			return of(8, state(seq, "'refused', 'bytes': 250, 'seg': 100, 'comment': 'sizes that differ from those of what is held'"))
		}
		r.want(r.give(do, dgram{of(8, manifest(0, "'bytes': 251, 'seg': 100, 'resume': 7")), orch, client}), differ(0))
		r.want(r.give(do, dgram{of(8, manifest(1, "'bytes': 250, 'seg': 101, 'resume': 7")), orch, client}), differ(1))
		r.want(r.give(do, dgram{b: numbered(2, 1, 50)}), acked(1, "0-1"))
		for range 40 {
			r.pass(time.Second)
			do()
		}
		r.want(r.give(do, dgram{of(8, manifest(2, "'bytes': 251, 'seg': 100, 'resume': 7")), orch, client}), differ(2))
		for k, tid := range []int{99, 8} {
			r.want(r.give(do, dgram{of(8+k, manifest(3, fmt.Sprintf("%s, 'resume': %d", sizes250, tid+k))), orch, client}), of(8+k, state(3, "'open', 'win': 64, 'have': ''")))
			if k == 0 {
				r.to(sao, client, of(8, numbered(0, 0, 100))) // so that the next intent opens another one
				r.to(orch, client, "Type:0;")
			}
		}
	})
}

// What is complete is all held, and compared as always.
func TestResumeComplete(t *testing.T) {
	besides(t, func(t *testing.T, r *rig, do func() []string, payload func(int) string) {
		r.to(orch, client, "Type:0;")
		r.give(do, dgram{manifest(0, sizes250), orch, client})
		for k, n := range []int{100, 100, 50} {
			r.give(do, dgram{b: numbered(k, k, n)})
		}
		r.give(do, dgram{asks(1, 250, 100, letters(250)), orch, client})
		for k, want := range []string{"'damaged'", "'complete'"} {
			tid := 8 + k
			r.to(orch, client, "Type:0;")
			r.want(r.give(do, dgram{of(tid, manifest(0, sizes250+", 'resume': 7")), orch, client}), of(tid, state(0, "'open', 'win': 64, 'have': '0-2'")))
			digest := letters(250)
			if k == 0 {
				digest = "other"
			}
			r.give(do, dgram{of(tid, asks(1, 250, 100, digest)), orch, client})
			r.want(r.give(do, dgram{of(tid, asks(2, 250, 100, digest)), orch, client}), of(tid, state(2, want)))
			if payload(7) != letters(250) || (payload(tid) == letters(250)) != (k == 1) {
				t.Errorf("%q, %q", payload(7), payload(tid))
			}
		}
	})
}

// While a place is made, what else comes is not mixed up: the newest manifest is answered,
// a base segment decides, and who ends meanwhile leaves nothing.
func TestOpening(t *testing.T) {
	setup := func() (*rig, *later, *Memory) {
		m, l := new(Memory), new(later)
		r := newExtendedRig(t, Config{Store: m, Beside: l.beside})
		r.to(orch, client, "Type:0;")
		r.want(r.to(orch, client, manifest(3, sizes250)))
		return r, l, m
	}
	r, l, m := setup()
	r.want(r.to(orch, client, manifest(2, sizes250)))
	r.want(r.to(orch, client, asks(4, 250, 100, letters(250))))
	r.want(r.to(orch, client, manifest(5, "'bytes': 251, 'seg': 100")))
	r.want(r.to(sao, client, numbered(0, 0, 100))) // nobody has answered it yet
	l.do(r)
	r.want(texts(r.drain()), state(4, "'incomplete', 'have': ''"))
	if m.Used() != 250 || len(l.jobs) != 0 || r.s.Stats().WrongKind != 1 {
		t.Errorf("%d bytes are held, %+v", m.Used(), r.s.Stats())
	}

	r, l, _ = setup()
	r.want(r.to(sao, client, "Type:2;TID:7;SEQ:0;DATA:base"), "Type:3;TID:7;SEQ:0;")
	for len(l.jobs) > 0 {
		l.do(r)
	}
	r.want(texts(r.drain()))
	r.want(r.to(orch, client, manifest(9, sizes250)))
	if t := r.s.byTID[7]; t.ext != nil || t.opening != nil {
		r.t.Error("it is extended all the same")
	}

	for _, end := range []func(r *rig){func(r *rig) { r.s.Close(r.now) }, func(r *rig) { r.pass(DefaultLimit + time.Second) }} {
		r, l, m = setup()
		end(r)
		for len(l.jobs) > 0 {
			l.do(r)
		}
		if r.s.Open() != 0 || r.s.running != 0 || m.Used() != 0 || len(r.results) != 1 || r.results[0].Extended {
			t.Errorf("%d open, %d bytes are held, %+v", r.s.Open(), m.Used(), r.results)
		}
	}
}

// What a former process left of an extended payload: its client goes on as if nothing had
// been; one that does not come is given up, and can be resumed; one of long ago too.
func TestRestartBlocks(t *testing.T) {
	for _, tt := range []struct {
		name string
		away time.Duration
		goes bool // its client goes on
		open bool
	}{
		{"its client goes on", 40 * time.Second, true, true},
		{"its client is gone", 40 * time.Second, false, true},
		{"long ago", DefaultSilence + gaveUp, false, false},
		{"the clock was set back", -time.Hour, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			d := newDir(t, dir)
			r := newExtendedRig(t, Config{Store: d})
			r.to(orch, client, "Type:0;")
			r.to(orch, client, manifest(0, sizes250+", 'name': 'n'"))
			r.want(texts(r.in(dgram{b: numbered(0, 0, 100)}, dgram{b: numbered(2, 1, 50)})), acked(0, "0-1"))
			d.Close() // as its death does
			if err := os.Chtimes(filepath.Join(dir, "7.journal"), epoch, epoch); err != nil {
				t.Fatal(err)
			}
			d = newDir(t, dir)
			d.f = clockOf{d.f, epoch.Add(tt.away)}
			r = startRig(t, epoch.Add(tt.away), Config{Store: d, FirstTID: 7, Segment: 1200, Window: 64})
			if r.s.Open() != map[bool]int{true: 1}[tt.open] || r.s.Stats().Recovered != 1 {
				t.Fatalf("%d open, %+v", r.s.Open(), r.s.Stats())
			}
			if tt.goes {
				r.want(r.to(orch, client, manifest(4, sizes250)), state(4, "'open', 'win': 64, 'have': '0,2'"))
				r.want(r.to(sao, client, "Type:2;TID:7;SEQ:0;DATA:base"))
				r.want(texts(r.in(dgram{b: numbered(2, 8, 50)}, dgram{b: numbered(1, 9, 100)})), acked(0, "8-9"))
				r.want(r.to(orch, client, asks(5, 250, 100, letters(250))), state(5, "'complete'"))
				res := r.result()
				if b, err := os.ReadFile(res.Path); string(b) != letters(250) || !res.Status || !res.Recovered || res.Name != "n" || res.Bytes != 250 {
					t.Errorf("%q, %v, %+v", b, err, res)
				}
				r.addsUp()
				return
			}
			r.pass(DefaultSilence + time.Second)
			if tt.open {
				if res := r.result(); res.Status || res.Kept != filepath.Join(dir, "7.part") || res.Bytes != 150 {
					t.Errorf("%+v", res)
				}
			}
			r.another()
			r.want(r.to(orch, client, of(8, manifest(0, sizes250+", 'resume': 7"))), of(8, state(0, "'open', 'win': 64, 'have': '0,2'")))
		})
	}
}

// A server that ends in order leaves what the next one goes on with; one that speaks the
// base protocol alone keeps it.
func TestCloseThenRestart(t *testing.T) {
	dir := t.TempDir()
	d := newDir(t, dir)
	r := newExtendedRig(t, Config{Store: d})
	r.announce(250, 100)
	r.in(datagrams(numbered(0, 0, 100))...)
	r.s.Close(r.now)
	if res := r.result(); !res.Cut || res.Kept != filepath.Join(dir, "7.part") {
		t.Errorf("%+v", res)
	}
	d = next(t, d)
	r = startRig(t, epoch, Config{Store: d, Base: true})
	if r.s.Open() != 0 || names(t, dir) != "7.journal 7.part" {
		t.Errorf("%d open, left %q", r.s.Open(), names(t, dir))
	}
	d = next(t, d)
	if err := os.Chtimes(filepath.Join(dir, "7.journal"), epoch, epoch); err != nil {
		t.Fatal(err)
	}
	d.f = clockOf{d.f, epoch}
	r = startRig(t, epoch, Config{Store: d, Segment: 1200, Window: 64})
	r.want(r.to(orch, client, manifest(1, sizes250)), state(1, "'open', 'win': 64, 'have': '0'"))
}

// What was taken is flushed within about a second, and at once when it is much.
func TestFlushedInTime(t *testing.T) {
	d := newDir(t, t.TempDir())
	r := newExtendedRig(t, Config{Store: d, Segment: 65000, Window: 64, Receivers: one})
	size := 2 * flushEvery
	r.announce(size, 65000)
	stable := func() int64 { return r.s.byTID[7].ext.place.(*dirPlace).stable.n }
	r.in(dgram{b: numbered(3, 0, 65000)})
	if stable() != 0 {
		t.Fatal("flushed for one segment")
	}
	r.pass(mostBeat + time.Millisecond)
	if stable() != 1 || len(r.s.unflushed) != 0 {
		t.Fatalf("%d are flushed", stable())
	}
	for k := range flushEvery/65000 + 1 {
		r.in(dgram{b: numbered(4+k, 1+k, 65000)})
	}
	if n := stable(); n != 1+flushEvery/65000+1 {
		t.Errorf("%d are flushed", n)
	}
}

// Without a store nothing is kept, and the log says so.
func TestUnkept(t *testing.T) {
	var log bytes.Buffer
	r := newExtendedRig(t, Config{Log: textLog(&log)})
	r.announce(250, 100)
	r.in(datagrams(numbered(0, 0, 100), numbered(1, 1, 100), numbered(2, 2, 50))...)
	r.want(r.to(orch, client, asks(1, 250, 100, "whatever")), state(1, "'complete'"))
	if res := r.result(); !res.Unkept || res.Path != "" || !strings.Contains(log.String(), "unkept=") {
		t.Errorf("%+v\n%s", res, log.String())
	}
}
