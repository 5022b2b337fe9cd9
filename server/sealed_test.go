package server

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mdalp/loop"
	"mdalp/wire"
)

// A credential is a sealed intent as who opened it has it: it notes what the server says.
type credential struct {
	key  Identity
	told []string
}

func (c *credential) Identity() Identity  { return c.key }
func (c *credential) Begin(tid int64)     { c.told = append(c.told, fmt.Sprintf("begin %d", tid)) }
func (c *credential) Offered([]byte) bool { return true }
func (c *credential) Settled()            { c.told = append(c.told, "settled") }
func (c *credential) End()                { c.told = append(c.told, "end") }

func (c *credential) want(t *testing.T, told string) {
	t.Helper()
	if got := strings.Join(c.told, ", "); got != told {
		t.Fatalf("it was told %q, want %q", got, told)
	}
}

var (
	north = Identity{"north", [16]byte{1}}
	south = Identity{"south", [16]byte{2}}
)

// ask has the server take a sealed intent; without a key it is a plain one.
func (r *rig) ask(k Identity) *credential {
	e := &loop.Envelope{Peer: client, Local: orch, At: r.now}
	if !k.sealed() {
		r.s.Receive(r.now, e, []byte("Type:0;"))
		return nil
	}
	c := &credential{key: k}
	r.s.SealedIntent(r.now, e, c)
	return c
}

// asked250 asks for the verdict on the payload that three segments of numbered make.
func asked250() string {
	sum := sha256.Sum256([]byte(strings.Repeat("a", 100) + strings.Repeat("b", 100) + strings.Repeat("c", 50)))
	return fmt.Sprintf("%s, 'sha256': '%x'", sizes250, sum)
}

// A sealed intent draws an offer, and its key is told wherever the transaction is. What is
// sealed proves whose it is, so it may come from anywhere.
func TestSealedIntent(t *testing.T) {
	var log bytes.Buffer
	r := newExtendedRig(t, Config{BindClients: true, Log: slog.New(slog.NewTextHandler(&log, nil))})
	c := r.ask(north)
	c.want(t, "begin 7")
	if out := texts(r.drain()); len(out) != 1 || !strings.HasPrefix(out[0], "Type:1;TID:7;DATA:[{") {
		t.Fatalf("sent %q", out)
	}
	// Another handshake is another transaction, and so is one in the clear from there.
	r.ask(north).want(t, "begin 8")
	if out := texts(r.drain()); len(out) != 1 || !strings.HasPrefix(out[0], "Type:1;TID:8;") {
		t.Fatalf("sent %q", out)
	}
	if out := r.to(orch, client, "Type:0;"); len(out) != 1 || !strings.HasPrefix(out[0], "Type:1;TID:9;") {
		t.Fatalf("sent %q", out)
	}
	elsewhere := host(9)
	r.want(r.to(orch, elsewhere, manifest(0, sizes250)), state(0, "'open', 'win': 64, 'have': ''"))
	if n := r.s.Snapshot(r.now); n.Open != 3 || n.Transactions[0].Key != "north" || n.Transactions[2].Key != "" {
		t.Errorf("%+v", n.Transactions)
	}
	var out []string
	for _, b := range []string{numbered(0, 0, 100), numbered(1, 1, 100), numbered(2, 2, 50)} {
		out = append(out, texts(r.in(dgram{b, sao, elsewhere}))...)
	}
	if len(out) != 3 {
		t.Fatalf("sent %q", out)
	}
	r.want(r.to(orch, client, manifest(1, asked250())), state(1, "'complete'"))
	if res := r.result(); res.Key != "north" || !res.Status {
		t.Errorf("%+v", res)
	}
	c.want(t, "begin 7, settled")
	r.pass(repeatFor + time.Second)
	c.want(t, "begin 7, settled, end")
	if n := r.s.Stats(); n.Sealed != 2 || n.Accepted != 3 || n.Foreign != 0 {
		t.Errorf("%+v", n)
	}
	r.addsUp()
	for _, line := range []string{"intent", "offer", `"payload announced"`, `"first segment"`, `"transaction settled"`} {
		at := strings.Index(log.String(), "msg="+line)
		if line, _, _ := strings.Cut(log.String()[max(0, at):], "\n"); at < 0 || !strings.Contains(line, " key=north") {
			t.Errorf("%s: %q", log.String(), line)
		}
	}
	if n := strings.Count(log.String(), "tid=9"); n != 1 {
		t.Errorf("%d lines of the plain one in %s", n, log.String())
	}
}

// Sealed intents wait as others do, but who forges one in the clear keeps them out of nothing.
// The next process is told of none.
func TestSealedQueue(t *testing.T) {
	r := newExtendedRig(t, Config{Concurrent: 1, Queue: 4, IntentRate: -1})
	r.ask(north).want(t, "begin 7")
	r.drain()
	r.ask(Identity{})
	r.ask(Identity{})
	waits := r.ask(north)
	waits.want(t, "")
	r.ask(north)
	last, newest := r.ask(south), r.ask(south)
	r.ask(south).want(t, "end")
	if n := r.s.Stats(); n.Waiting != 1 || n.QueueFull != 1 || r.s.Waiting() != 5 {
		t.Errorf("%d wait, %+v", r.s.Waiting(), n)
	}
	// Another source has its part of the queue, at the cost of the newest.
	other := &credential{key: south}
	r.s.SealedIntent(r.now, &loop.Envelope{Peer: host(5), Local: orch}, other)
	newest.want(t, "end")
	other.want(t, "")
	if h := r.s.Handover(); len(h.Offers) != 0 || len(h.Intents) != 1 {
		t.Errorf("%+v", h)
	}
	for len(waits.told) == 0 && r.now.Before(epoch.Add(time.Minute)) {
		r.pass(100 * time.Millisecond)
	}
	waits.want(t, "begin 8")
	r.s.Drain(r.now)
	last.want(t, "end")
	r.ask(north).want(t, "end")
	waits.want(t, "begin 8")
	r.s.Close(r.now)
	waits.want(t, "begin 8, settled, end")
	r.ask(north).want(t, "end")
	r.addsUp()
}

// A store that fails leaves nobody waiting.
func TestSealedNotStarted(t *testing.T) {
	path := t.TempDir()
	d := newDir(t, path)
	d.Close()
	r := newExtendedRig(t, Config{Store: d})
	r.ask(north).want(t, "end")
	if n := r.s.Stats(); n.NotStarted != 1 {
		t.Errorf("%+v", n)
	}
}

// What came under one key is there for that key alone: while it is under way, once it was
// given up, and when it is complete. None is a key too.
func TestResumeByKey(t *testing.T) {
	keys := []Identity{{}, north, south}
	for _, first := range keys {
		for _, second := range keys {
			for _, until := range []string{"open", "silent", "complete"} {
				t.Run(fmt.Sprintf("%s, %s, %s", first.Name, second.Name, until), func(t *testing.T) {
					besides(t, func(t *testing.T, r *rig, do func() []string, payload func(int) string) {
						had := "0,2"
						r.ask(first)
						r.drain()
						r.want(r.give(do, dgram{manifest(0, sizes250), orch, client}), state(0, "'open', 'win': 64, 'have': ''"))
						r.want(r.give(do, dgram{b: numbered(0, 0, 100)}), acked(0, "0"))
						r.want(r.give(do, dgram{b: numbered(2, 1, 50)}), acked(1, "0-1"))
						switch until {
						case "silent":
							for range 40 {
								r.pass(time.Second)
								do()
							}
						case "complete":
							had = "0-2"
							r.want(r.give(do, dgram{b: numbered(1, 2, 100)}), acked(2, "0-2"))
							r.give(do, dgram{manifest(1, asked250()), orch, client})
							if len(r.results) != 1 || !r.results[0].Status {
								t.Fatalf("%+v", r.results)
							}
						}
						r.ask(second)
						r.drain()
						if first != second {
							had = ""
						}
						r.want(r.give(do, dgram{of(8, manifest(0, sizes250+", 'resume': 7")), orch, client}),
							of(8, state(0, fmt.Sprintf("'open', 'win': 64, 'have': '%s'", had))))
						if until == "open" && first != second && r.s.Open() != 2 {
							t.Error("who has another key has ended it")
						}
						// Nor does it tell how large it is.
						r.ask(second)
						r.drain()
						got := r.give(do, dgram{of(9, manifest(0, "'bytes': 251, 'seg': 100, 'resume': 7")), orch, client})
						if first != second {
							r.want(got, of(9, state(0, "'open', 'win': 64, 'have': ''")))
						}
					})
				})
			}
		}
	}
}

// After a restart a sealed payload goes on by its key alone, be it unfinished or complete, and
// not by who knows its number in the clear.
func TestSealedRestart(t *testing.T) {
	for _, complete := range []bool{false, true} {
		path := t.TempDir()
		d := newDir(t, path)
		m := placeMeta(7)
		m.Key = north
		p, err := d.Place(m, placeBytes)
		if err != nil {
			t.Fatal(err)
		}
		had := wire.Range{First: 0, Last: 3}
		if complete {
			had = wholeRange()
		}
		write(t, p, placed(7), had)
		if complete {
			if _, _, err := p.Publish(digest(7)); err != nil {
				t.Fatal(err)
			}
		} else {
			es, err := List(path)
			if err != nil || len(es) != 1 || es[0].Key != "north" {
				t.Errorf("%+v, %v", es, err)
			}
		}
		d = next(t, d)
		r := newExtendedRig(t, Config{Store: d, FirstTID: 8})
		if r.s.Open() != 0 {
			t.Error("it is open in the clear")
		}
		is := Identity{"another name", north.Print}
		for i, tt := range []struct {
			key  Identity
			have string
		}{{Identity{}, ""}, {south, ""}, {is, string(wire.AppendRanges(nil, []wire.Range{had}))}} {
			r.ask(tt.key)
			r.drain()
			sizes := fmt.Sprintf("'bytes': %d, 'seg': %d, 'resume': 7", placeBytes, placeSegment)
			r.want(r.to(orch, client, of(8+i, manifest(0, sizes))),
				of(8+i, state(0, fmt.Sprintf("'open', 'win': 64, 'have': '%s'", tt.have))))
		}
		r.s.Close(r.now)
	}
}

// Whose a sealed payload was is remembered with it, and where that is lost it is nobody's.
func TestCompletedKeys(t *testing.T) {
	sealed := func(tid int64, k Identity) []byte {
		return appendAll(nil, &done{tid: tid, size: 5, segment: 100, sealed: true, key: k.Print})
	}
	plain := appendAll(nil, &done{tid: 7, size: 5, segment: 100})
	for _, tt := range []struct {
		name                string
		file                []byte
		ok                  bool
		clear, north, south bool
	}{
		{"nothing", nil, false, false, false, false},
		{"in the clear", plain, true, true, false, false},
		{"sealed", sealed(7, north), true, false, true, false},
		{"the key is lost", sealed(7, north)[doneBytes:], true, false, false, false},
		{"the key alone", sealed(7, north)[:doneBytes], false, false, false, false},
		{"twice", append(sealed(7, north), sealed(7, north)...), true, false, true, false},
		{"one behind it", append(sealed(7, north), sealed(8, south)...), true, false, true, false},
		{"one before it", append(sealed(8, south), sealed(7, north)...), true, false, true, false},
		{"the newer one holds", append(sealed(7, south), sealed(7, north)...), true, false, true, false},
		{"then in the clear", append(sealed(7, north), plain...), true, true, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := t.TempDir()
			d := newDir(t, path)
			if tt.file != nil {
				if err := os.WriteFile(filepath.Join(path, completedName), tt.file, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			c, ok := d.completed.find(7)
			none := Identity{}
			if ok != tt.ok || ok && (c.of(&none) != tt.clear || c.of(&north) != tt.north || c.of(&south) != tt.south) {
				t.Errorf("%+v, %t", c, ok)
			}
			if a, ok := d.completed.all()[7]; ok != tt.ok || ok && (a.size != 5 || a.segment != 100) {
				t.Errorf("%+v, %t", a, ok)
			}
		})
	}
}
