package server

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mdalp/wire"
)

var errBroken = errors.New("the disk is full")

// broken is a store whose spools cannot be published as long as it says so.
type broken struct {
	Store
	fails int // so many times more
	tries int
	room  int64
	// So many times the payload gets its name, and that cannot be flushed.
	unflushed int
}

func (b *broken) Create(tid int64, segment int) (Spool, error) {
	s, err := b.Store.Create(tid, segment)
	return &brokenSpool{s, b}, err
}

func (b *broken) Room() int64 { return b.room }

type brokenSpool struct {
	Spool
	b *broken
}

func (s *brokenSpool) Assemble(have []wire.Range) (sum [sha256.Size]byte, err error) {
	if s.b.tries++; s.b.fails > 0 {
		s.b.fails--
		return sum, errBroken
	}
	return s.Spool.Assemble(have)
}

func (s *brokenSpool) Publish(partial bool) (string, error) {
	if s.b.unflushed > 0 {
		s.b.unflushed--
		return "1.bin", errBroken
	}
	return s.Spool.Publish(partial)
}

// What was acknowledged is not given up when it cannot be published: it is told once, and
// tried again, later each time, until it is there.
func TestPublishedLater(t *testing.T) {
	var log bytes.Buffer
	m := new(Memory)
	b := &broken{Store: m, fails: 8, room: -1}
	r := newRig(t, Config{Receivers: one, FirstTID: 1, Concurrent: 1, Store: b, Log: textLog(&log)})
	r.want(r.to(orch, client, "Type:0;"), offerOf(1))
	r.want(r.to(sao, client, "Type:2;TID:1;SEQ:0;DATA:payload"), "Type:3;TID:1;SEQ:0;")
	r.pass(DefaultIdle + 10*time.Millisecond)
	if b.tries != 1 || len(r.results) != 0 || r.s.Open() != 1 {
		t.Fatalf("%d tries, %d verdicts", b.tries, len(r.results))
	}
	// Meanwhile it holds no place, and what is there is acknowledged.
	r.want(r.to(orch, stranger, "Type:0;"), offerOf(2))
	r.want(r.to(sao, client, "Type:2;TID:1;SEQ:0;DATA:payload"), "Type:3;TID:1;SEQ:0;")
	r.want(r.to(sao, client, "Type:2;TID:1;SEQ:1;DATA:more"))
	// 1, 2, 4, 8, 16, 32 and then 60 s.
	r.pass(63*time.Second + 100*time.Millisecond)
	if b.tries != 7 {
		t.Errorf("%d tries in 63 s", b.tries)
	}
	r.pass(2*time.Minute + 100*time.Millisecond)
	if b.tries != 9 || len(r.results) != 2 || !r.results[1].Complete || r.results[1].TID != 1 {
		t.Fatalf("%d tries, %+v", b.tries, r.results)
	}
	if !errors.Is(r.results[1].Err, errBroken) || r.s.Stats().Retried != 8 {
		t.Errorf("%+v", r.results[1])
	}
	if p, _ := m.Payload(1); string(p) != "payload" {
		t.Errorf("payload %q", p)
	}
	if n := strings.Count(log.String(), "it is tried again"); n < 1 || n > 8 {
		t.Errorf("%d lines:\n%s", n, log.String())
	}
	r.addsUp()
}

// A payload whose directory cannot be flushed has its verdict when it could be: a loss of
// power may take the name until then.
func TestFlushedLater(t *testing.T) {
	var log bytes.Buffer
	m := new(Memory)
	b := &broken{Store: m, unflushed: 2, room: -1}
	r := newRig(t, Config{Receivers: one, FirstTID: 1, Store: b, Log: textLog(&log)})
	r.want(r.to(orch, client, "Type:0;"), offerOf(1))
	r.want(r.to(sao, client, "Type:2;TID:1;SEQ:0;DATA:payload"), "Type:3;TID:1;SEQ:0;")
	r.pass(DefaultIdle + 2*time.Second)
	if len(r.results) != 0 || b.unflushed != 0 || !strings.Contains(log.String(), "to flush it is tried again") {
		t.Fatalf("%d flushes to come, %d verdicts\n%s", b.unflushed, len(r.results), log.String())
	}
	r.pass(2 * time.Second)
	if len(r.results) != 1 || !r.results[0].Complete || !errors.Is(r.results[0].Err, errBroken) || r.s.Stats().Retried != 2 {
		t.Fatalf("%+v", r.results)
	}
	if p, _ := m.Payload(1); string(p) != "payload" {
		t.Errorf("payload %q", p)
	}
	r.addsUp()
}

// A broken store and many intents write a line now and then, and not one for each.
func TestLogIsBounded(t *testing.T) {
	var log bytes.Buffer
	b := &broken{Store: new(Memory), room: 10}
	r := newRig(t, Config{Receivers: one, Concurrent: 4000, SourceConcurrent: 4000, IntentRate: -1, OfferRate: -1, Queue: 8, Store: b, Log: textLog(&log)})
	for k := range 3000 {
		r.want(r.to(orch, port(k+1), "Type:0;"))
	}
	r.pass(2 * time.Minute)
	// Eight intents wait; the rest are counted alone.
	if n := strings.Count(log.String(), "\n"); n < 10 || n > 14 || strings.Count(log.String(), "msg=intent ") != 8 {
		t.Errorf("%d lines:\n%s", n, log.String())
	}
	b.room = -1
	// Who waits was not forgotten.
	if n := len(r.pass(time.Second)); n != 8 {
		t.Errorf("%d offers", n)
	}
	log.Reset()
	r.pass(DefaultLimit + time.Minute)
	if n := strings.Count(log.String(), "\n"); len(r.results) != 8 || n < 1 || n > 3 {
		t.Errorf("%d verdicts, %d lines:\n%s", len(r.results), n, log.String())
	}
}

// Intents that are answered, and offers, write so many lines a minute, and then their number.
func TestIntentsAreCounted(t *testing.T) {
	var log bytes.Buffer
	const intents = 300
	r := newRig(t, Config{Receivers: one, Concurrent: 4000, SourceConcurrent: 4000, IntentRate: -1, OfferRate: -1, Log: textLog(&log)})
	for k := range intents {
		r.to(orch, port(k+1), "Type:0;")
	}
	r.pass(59 * time.Second)
	for _, what := range []string{"intent", "offer"} {
		if n := strings.Count(log.String(), "msg="+what+" "); n != linesAtOnce {
			t.Errorf("%d lines of %d %ss", n, intents, what)
		}
	}
	r.pass(2 * time.Second)
	for _, what := range []string{"intent", "offer"} {
		want := fmt.Sprintf("level=WARN msg=\"and more of these\" line=%s more=%d\n", what, intents-linesAtOnce)
		if strings.Count(log.String(), want) != 1 {
			t.Errorf("%q is not there once:\n%s", want, log.String())
		}
	}
	// The next one has its line again.
	r.pass(time.Minute)
	log.Reset()
	r.to(orch, port(1000), "Type:0;")
	if got := log.String(); strings.Count(got, "msg=intent ") != 1 || strings.Count(got, "msg=offer ") != 1 {
		t.Errorf("log of one more:\n%s", got)
	}
}

// later is a loop.Beside whose jobs are done when the test says so.
type later struct{ jobs []func() func(time.Time) }

func (l *later) beside(job func() func(time.Time)) { l.jobs = append(l.jobs, job) }

func (l *later) do(r *rig) {
	jobs := l.jobs
	l.jobs = nil
	for _, j := range jobs {
		if back := j(); back != nil {
			back(r.now)
		}
	}
}

// While a payload is put together beside the loop, others are served.
func TestBeside(t *testing.T) {
	var l later
	m := new(Memory)
	sum := sha256.Sum256([]byte("xy"))
	r := newRig(t, Config{Receivers: one, FirstTID: 1, Store: m, Beside: l.beside, Expect: &Payload{2, sum}})
	r.to(orch, client, "Type:0;")
	r.want(r.to(sao, client, "Type:2;TID:1;SEQ:0;DATA:x"), "Type:3;TID:1;SEQ:0;")
	r.want(r.to(sao, client, "Type:2;TID:1;SEQ:1;DATA:y"), "Type:3;TID:1;SEQ:1;")
	if len(l.jobs) != 1 || len(r.results) != 0 {
		t.Fatalf("%d jobs, %d verdicts", len(l.jobs), len(r.results))
	}
	r.want(r.to(sao, client, "Type:2;TID:1;SEQ:1;DATA:y"), "Type:3;TID:1;SEQ:1;")
	r.want(r.to(orch, stranger, "Type:0;"), offerOf(2))
	r.pass(DefaultLimit + time.Second)
	if len(r.results) != 1 || r.results[0].TID != 2 { // of the stranger, who sent nothing
		t.Fatalf("%+v", r.results)
	}
	l.do(r)
	if len(r.results) != 2 || !r.results[1].Status || r.s.Open() != 0 {
		t.Errorf("%+v", r.results)
	}
	// One job at Close is enough for each, and it is waited for.
	r = newRig(t, Config{Receivers: one, FirstTID: 1, Store: m, Beside: l.beside})
	r.want(r.to(orch, client, "Type:0;"), offerOf(2))
	r.to(sao, client, "Type:2;TID:2;SEQ:0;DATA:x")
	r.s.Close(r.now)
	if r.s.Drained() || len(l.jobs) != 1 {
		t.Errorf("%d jobs", len(l.jobs))
	}
	l.do(r)
	if res := r.result(); !r.s.Drained() || !res.Cut {
		t.Errorf("%+v", res)
	}
}

// A payload of the expected size with other bytes is not discarded.
func TestOtherThanExpected(t *testing.T) {
	dir := t.TempDir()
	d, err := NewDir(dir, DirOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, Config{Receivers: one, FirstTID: 1, Store: d, Expect: &Payload{1, sha256.Sum256([]byte("y"))}})
	r.to(orch, client, "Type:0;")
	r.to(sao, client, "Type:2;TID:1;SEQ:0;DATA:x")
	r.pass(DefaultLimit + time.Second)
	if res := r.result(); res.Complete || res.Kept != filepath.Join(dir, "1.spool") {
		t.Errorf("%+v", res)
	}
	if _, err := os.Stat(filepath.Join(dir, "1.spool")); err != nil {
		t.Error(err)
	}
	d.Close()
}
