package server

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"mdalp/loop"
)

// asks is a manifest that asks for the verdict on a payload.
func asks(seq, size, segment int, payload string) string {
	return manifest(seq, fmt.Sprintf("'bytes': %d, 'seg': %d, 'sha256': '%x'", size, segment, sha256.Sum256([]byte(payload))))
}

// letters is the payload that numbered segments of 100 bytes make.
func letters(size int) string {
	var b strings.Builder
	for seq := 0; b.Len() < size; seq++ {
		b.WriteString(strings.Repeat(string(rune('a'+seq%26)), 100))
	}
	return b.String()[:size]
}

// verdict asks for the verdict on numbered segments, and whether it is complete.
func (r *rig) verdict(m *Memory, seq, size int) ([]byte, bool) {
	want := letters(size)
	r.want(r.to(orch, client, asks(seq, size, 100, want)), state(seq, "'complete'"))
	p, _ := m.Payload(7)
	return p, string(p) == want
}

// The verdict is told as soon as it is there; that it is not comes after a while.
func TestVerdictSoon(t *testing.T) {
	for _, c := range []struct {
		name  string
		takes time.Duration
		want  string
	}{
		{"soon", 40 * time.Millisecond, "'complete'"},
		{"late", time.Second, "'busy', 'wait': 50"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := new(Memory)
			var l later
			r := newExtendedRig(t, Config{Store: m, Beside: l.beside})
			l.announce(r, 100, 100)
			r.to(sao, client, numbered(0, 0, 100))
			r.want(r.to(orch, client, asks(1, 100, 100, letters(100))))
			sent := r.pass(c.takes)
			l.do(r)
			var said []string
			for _, d := range append(sent, r.pass(time.Second)...) {
				said = append(said, d.b)
			}
			r.want(said, state(1, c.want))
			r.want(r.to(orch, client, asks(2, 100, 100, letters(100))), state(2, "'complete'"))
		})
	}
}

// From the last segment to the verdict, and what is said after it.
func TestVerdict(t *testing.T) {
	m := new(Memory)
	var l later
	r := newExtendedRig(t, Config{Store: m, Beside: l.beside})
	l.announce(r, 250, 100)
	want := letters(250)
	r.to(sao, client, numbered(0, 0, 100))
	r.to(ireland, client, numbered(2, 0, 50))
	// Asked too early.
	r.want(r.to(orch, client, asks(1, 250, 100, want)), state(1, "'incomplete', 'have': '0,2'"))
	r.want(r.to(orch, client, strings.Replace(asks(2, 250, 100, want), "'sha256'", "'from': 1, 'sha256'", 1)), state(2, "'incomplete', 'have': '2'"))
	r.to(sao, client, numbered(1, 1, 100))
	// All is there and nobody has asked: it is not finished.
	if len(r.results) != 0 || len(l.jobs) != 0 {
		t.Fatal("settled before it was asked")
	}
	r.want(r.to(orch, client, manifest(3, "'bytes': 250, 'seg': 100")), state(3, "'open', 'win': 64, 'have': '0-2'"))
	r.want(r.to(orch, client, asks(4, 250, 100, want)))
	r.want(r.to(orch, client, asks(5, 250, 100, want)), state(5, "'busy', 'wait': 50"))
	// A segment that comes again meanwhile is acknowledged.
	r.want(r.to(sao, client, numbered(1, 2, 100)), acked(2, "0-2"))
	// It may take longer than a client may be silent.
	r.pass(40 * time.Second)
	r.want(r.to(orch, client, asks(6, 250, 100, want)), state(6, "'busy', 'wait': 50"))
	l.do(r)
	res := r.result()
	if p, _ := m.Payload(7); string(p) != want || !res.Status || !res.Extended || res.Bytes != 250 || res.SHA256 != sha256.Sum256(p) ||
		res.Comment != Completed || res.Receivers[0].Bytes != 200 || len(res.Missing) != 0 {
		t.Errorf("payload %q, %+v", p, res)
	}
	r.want(r.to(orch, client, asks(7, 250, 100, want)), state(7, "'complete'"))
	// Segments that were long on their way.
	r.want(r.to(sao, client, numbered(1, 3, 100)))
	r.want(r.to(sao, client, "Type:2;TID:7;SEQ:1;DATA:x"))
	for k := range 11 { // at least two minutes
		r.pass(10*time.Second + 900*time.Millisecond)
		r.want(r.to(orch, client, asks(8+k, 250, 100, want)), state(8+k, "'complete'"))
	}
	r.pass(2 * time.Minute)
	r.want(r.to(orch, client, asks(30, 250, 100, want)), state(30, "'refused'"))
	if len(r.s.byTID) != 0 || r.s.remembered != 0 {
		t.Errorf("%d transactions are remembered", len(r.s.byTID))
	}
	r.addsUp()
}

// Verdicts that are not complete.
func TestNoVerdict(t *testing.T) {
	segments := datagrams(numbered(0, 0, 100), numbered(1, 1, 100), numbered(2, 2, 50))
	want := letters(250)
	for _, tt := range []struct {
		name string
		cfg  Config
		in   []dgram
		ask  string
		want string
		held int64 // less when it does not go on
	}{
		{"another digest", Config{}, segments, asks(1, 250, 100, "other"), "'damaged'", 0},
		{"another size", Config{}, segments, asks(1, 251, 100, want), "'refused', 'bytes': 250, 'seg': 100, 'comment': 'sizes that differ from those announced'", 250},
		{"not the payload that is expected", Config{Expect: &Payload{250, sha256.Sum256([]byte("other"))}}, segments, asks(1, 250, 100, want),
			"'refused', 'comment': 'another payload is expected'", -250},
		{"nothing came", Config{}, nil, asks(1, 250, 100, want), "'incomplete', 'have': ''", 250},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := new(Memory)
			tt.cfg.Store = m
			r := newExtendedRig(t, tt.cfg)
			r.announce(250, 100)
			r.in(tt.in...)
			r.want(r.to(orch, client, tt.ask), state(1, tt.want))
			if m.Used() != max(tt.held, -tt.held) {
				t.Errorf("%d bytes are held, want %d", m.Used(), tt.held)
			}
			if _, ok := m.Payload(7); ok {
				t.Error("it is published")
			}
			if tt.held > 0 { // it goes on
				r.in(segments...)
				if p, ok := r.verdict(m, 2, 250); !ok {
					t.Errorf("payload %q", p)
				}
				return
			}
			if res := r.result(); res.Status || res.Path != "" {
				t.Errorf("%+v", res)
			}
			// The first verdict stands, whatever comes.
			r.in(segments...)
			r.want(r.to(orch, client, strings.Replace(tt.ask, "SEQ:1;", "SEQ:2;", 1)), state(2, tt.want))
			r.addsUp()
		})
	}
}

// The expected payload is one as any other.
func TestExpectedBlocks(t *testing.T) {
	m := new(Memory)
	r := newExtendedRig(t, Config{Store: m, Expect: &Payload{250, sha256.Sum256([]byte(letters(250)))}})
	r.announce(250, 100)
	r.in(datagrams(numbered(2, 0, 50), numbered(1, 1, 100), numbered(0, 2, 100))...)
	if p, ok := r.verdict(m, 1, 250); !ok || !r.result().Status {
		t.Errorf("%q, %+v", p, r.results)
	}
}

// Silence ends an extended transaction after 30 s: from the offer the base protocol's limit
// holds, then it counts from each answered manifest and each new segment.
func TestSilence(t *testing.T) {
	const ms = time.Millisecond
	again := manifest(1, "'bytes': 250, 'seg': 100")
	for _, tt := range []struct {
		name string
		in   []dgram // one every 29 s
		end  time.Duration
		have int64
	}{
		{"after the announcement", nil, 30 * time.Second, 0},
		{"after a manifest", []dgram{{again, orch, client}}, 59 * time.Second, 0},
		{"after a segment", datagrams(numbered(0, 0, 100)), 59 * time.Second, 100},
		{"a repeated segment is not new", datagrams(numbered(0, 0, 100), numbered(0, 1, 100)), 59 * time.Second, 100},
		{"what is dropped is nothing", datagrams(numbered(0, 0, 99)), 30 * time.Second, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := new(Memory)
			r := newExtendedRig(t, Config{Store: m})
			r.announce(250, 100)
			began := r.now
			for _, d := range tt.in {
				r.pass(29 * time.Second)
				r.in(d)
			}
			r.pass(tt.end - r.now.Sub(began) - ms)
			if len(r.results) != 0 {
				t.Fatal("too early")
			}
			r.pass(3 * ms)
			if res := r.result(); res.Status || res.Bytes != tt.have || res.Comment != Incomplete {
				t.Errorf("%+v", res)
			}
			resumable, held := "", int64(0)
			if tt.have > 0 { // its room is kept, so that it can be resumed
				resumable, held = "'resume': 7, ", 250
			}
			if m.Used() != held {
				t.Errorf("%d bytes are held, want %d", m.Used(), held)
			}
			r.want(r.to(orch, client, manifest(5, "'bytes': 250, 'seg': 100")), state(5, "'refused', "+resumable+"'comment': 'it was silent for too long'"))
		})
	}
	r := newExtendedRig(t, Config{})
	r.to(orch, client, "Type:0;")
	r.pass(DefaultLimit - ms)
	r.want(r.to(orch, client, again), state(1, "'open', 'win': 64, 'have': ''"))
}

// A loop that stood still has not heard its clients: that is no silence of theirs.
func TestStalledBlocks(t *testing.T) {
	m := new(Memory)
	r := newExtendedRig(t, Config{Store: m})
	r.announce(250, 100)
	r.pass(10 * time.Second)
	r.now = r.now.Add(40 * time.Second)
	r.in(datagrams(numbered(0, 0, 100), numbered(1, 1, 100), numbered(2, 2, 50))...)
	if p, ok := r.verdict(m, 1, 250); !ok {
		t.Errorf("%q", p)
	}
}

// The whole payload of a client that does not ask is kept under its name; asked for
// meanwhile or afterwards, its digest counts, and what that drew is repeated.
func TestNobodyAsks(t *testing.T) {
	for _, tt := range []struct{ other, busy bool }{{false, false}, {true, false}, {false, true}, {true, true}} {
		m := new(Memory)
		var l later
		r := newExtendedRig(t, Config{Store: m, Beside: l.beside})
		l.announce(r, 250, 100)
		r.in(datagrams(numbered(0, 0, 100), numbered(1, 1, 100), numbered(2, 2, 50))...)
		r.pass(31 * time.Second)
		digest, want := letters(250), "'complete'"
		if tt.other {
			digest, want = "other", "'damaged'"
		}
		if tt.busy {
			r.want(r.to(orch, client, asks(1, 250, 100, digest)), state(1, "'busy', 'wait': 50"))
		}
		for len(l.jobs) > 0 {
			l.do(r)
		}
		r.want(r.to(orch, client, asks(2, 250, 100, digest)), state(2, want))
		r.want(r.to(orch, client, asks(3, 250, 100, letters(250))), state(3, want))
		r.want(r.to(orch, client, asks(4, 250, 100, "other")), state(4, want))
		r.want(r.to(orch, client, manifest(5, "'bytes': 250, 'seg': 100")), state(5, want))
	}
}

// A payload that cannot be published is kept, and its client is told.
func TestCannotPublish(t *testing.T) {
	f := &flaw{Memory: new(Memory), publish: syscall.EIO}
	r := newExtendedRig(t, Config{Store: f})
	r.announce(250, 100)
	r.in(datagrams(numbered(0, 0, 100), numbered(1, 1, 100), numbered(2, 2, 50))...)
	r.want(r.to(orch, client, asks(1, 250, 100, letters(250))), state(1, "'refused', 'comment': 'the store failed'"))
	if res := r.result(); res.Status || !errors.Is(res.Err, syscall.EIO) || len(f.left) != 1 {
		t.Errorf("%+v, kept %v", res, f.left)
	}
	r.addsUp()
}

// A server that ends keeps what there is, whether it is being hashed or not.
func TestCloseBlocks(t *testing.T) {
	for _, hashing := range []bool{false, true} {
		var l later
		f := &flaw{Memory: new(Memory)}
		r := newExtendedRig(t, Config{Store: f, Beside: l.beside, Receivers: one, Segment: 65000})
		size, n := 10*65000, 3
		if hashing {
			size, n = 4*hashEvery, hashEvery/65000+1
		}
		l.announce(r, size, 65000)
		for k := range n {
			r.in(dgram{b: numbered(k, k, 65000)})
		}
		if hashing != (len(l.jobs) == 1) {
			t.Fatalf("%d jobs", len(l.jobs))
		}
		r.s.Close(r.now)
		for len(l.jobs) > 0 {
			l.do(r)
		}
		if res := r.result(); !res.Cut || len(f.left) != 1 || f.left[0].Last != int64(n-1) || !r.s.Drained() {
			t.Errorf("%+v, kept %v", res, f.left)
		}
	}
}

// What came in the burst at hand is written before a server that ends settles what is whole.
func TestCloseInBurst(t *testing.T) {
	m := new(Memory)
	r := newExtendedRig(t, Config{Store: m})
	r.announce(250, 100)
	for k, n := range []int{100, 100, 50} {
		r.s.Receive(r.now, &loop.Envelope{Peer: client, Local: sao, At: r.now}, []byte(numbered(k, k, n)))
	}
	r.s.Close(r.now)
	if p, _ := m.Payload(7); string(p) != letters(250) || !r.result().Status {
		t.Errorf("stored %q", p)
	}
}

// The digest goes over nothing that has come and is not written yet, though a job comes back in the midst
// of a burst: it would be that of a hole.
func TestHashedInBurst(t *testing.T) {
	var l later
	r := newExtendedRig(t, Config{Store: new(Memory), Beside: l.beside, Receivers: one, Segment: 65000})
	l.announce(r, 4*hashEvery, 65000)
	const n = hashEvery/65000 + 1
	for k := range n {
		r.in(dgram{b: numbered(k, k, 65000)})
	}
	if len(l.jobs) != 1 {
		t.Fatalf("%d jobs", len(l.jobs))
	}
	back := l.jobs[0]()
	l.jobs = nil
	for k := n; k < 2*n; k++ {
		r.s.Receive(r.now, &loop.Envelope{Peer: client, Local: sao, At: r.now}, []byte(numbered(k, k, 65000)))
	}
	if back(r.now); len(l.jobs) != 0 {
		t.Error("what is not written is hashed")
	}
	if r.drain(); len(l.jobs) != 1 {
		t.Errorf("%d jobs when the burst is over", len(l.jobs))
	}
}

// announce is rig.announce where the place is made beside the loop.
func (l *later) announce(r *rig, size, segment int) {
	r.t.Helper()
	r.to(orch, client, "Type:0;")
	r.want(r.to(orch, client, manifest(0, fmt.Sprintf("'bytes': %d, 'seg': %d", size, segment))))
	l.do(r)
	r.want(texts(r.drain()), state(0, "'open', 'win': 64, 'have': ''"))
}
