package server

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mdalp/loop"
	"mdalp/seal"
	"mdalp/wire"
)

// A sealedRig is a rig whose server takes sealed transactions.
type sealedRig struct {
	*rig
	w    *Sealed
	keys map[string]seal.Key
	rnd  *rand.ChaCha8
}

func newSealedRig(t testing.TB, cfg Config, require bool, names ...string) *sealedRig {
	t.Helper()
	r := &sealedRig{keys: make(map[string]seal.Key), rnd: rand.NewChaCha8([32]byte{1})}
	ring := new(seal.Keyring)
	for _, name := range names {
		k, err := seal.NewKey(r.rnd)
		if err == nil {
			err = ring.Add(name, k)
		}
		if err != nil {
			t.Fatal(err)
		}
		r.keys[name] = k
	}
	def(&cfg.FirstTID, 7)
	def(&cfg.Segment, 1200)
	def(&cfg.Window, 64)
	if cfg.Receivers == nil {
		cfg.Receivers = three
	}
	r.rig = &rig{t: t, now: epoch}
	cfg.Settled = func(res Result) { r.results = append(r.results, res) }
	w, err := NewSealed(cfg, ring, require, r.rnd)
	if err != nil {
		t.Fatal(err)
	}
	r.w, r.s = w, w.Server
	w.Expire(r.now)
	return r
}

// give hands the server a datagram, and returns all that it sends.
func (r *sealedRig) give(local, peer netip.AddrPort, b []byte) (out []sent) {
	r.w.Receive(r.now, &loop.Envelope{Peer: peer, Local: local, At: r.now}, bytes.Clone(b))
	return r.flush()
}

func (r *sealedRig) flush() (out []sent) {
	for {
		var e loop.Envelope
		b, ok := r.w.Transmit(r.now, &e, nil)
		if !ok {
			return out
		}
		out = append(out, sent{e, string(b)})
	}
}

// silent says that a datagram draws nothing and changes nothing but one counter.
func (r *sealedRig) silent(local netip.AddrPort, b []byte, counter func(*Stats) *uint64) {
	r.t.Helper()
	want := r.s.Stats()
	want.Datagrams++
	*counter(&want)++
	if out := r.give(local, client, b); len(out) > 0 {
		r.t.Fatalf("%.80q drew %q", b, texts(out))
	}
	if d := cmp.Diff(want, r.s.Stats()); d != "" {
		r.t.Fatalf("%.80q: %s", b, d)
	}
}

func unopened(s *Stats) *uint64 { return &s.Unopened }
func replayed(s *Stats) *uint64 { return &s.Replayed }

// A holder is a client that has a key.
type holder struct {
	r     *sealedRig
	i     *seal.Initiator
	s     *seal.Session
	tid   int64
	offer string // as it came
}

func (r *sealedRig) holder(k seal.Key) *holder {
	r.t.Helper()
	i, err := seal.NewInitiator(k, r.rnd)
	if err != nil {
		r.t.Fatal(err)
	}
	return &holder{r: r, i: i}
}

// begin has a holder ask, and gives it the offer.
func (r *sealedRig) begin(name string) *holder {
	r.t.Helper()
	h := r.holder(r.keys[name])
	h.take(r.give(orch, client, h.i.Intent(nil)))
	return h
}

func (h *holder) take(out []sent) {
	h.r.t.Helper()
	if len(out) != 1 {
		h.r.t.Fatalf("sent %q", texts(out))
	}
	a, err := h.i.Finish([]byte(out[0].b))
	if err != nil || a.Session == nil {
		h.r.t.Fatalf("%v, %+v", err, a)
	}
	m, _ := wire.Parse(a.Plain)
	if _, err := wire.ParseReceivers(m.Data); err != nil {
		h.r.t.Fatalf("%q: %v", a.Plain, err)
	}
	h.s, h.tid, h.offer = a.Session, m.TID, out[0].b
}

// sealed seals a datagram to a receiver, or to the orchestrator.
func (h *holder) sealed(channel int, plain string) []byte {
	h.r.t.Helper()
	b := []byte(of(int(h.tid), plain))
	m, err := wire.Parse(b)
	n := m.Num
	if channel == seal.Orchestrator {
		n = m.Seq
	}
	if err == nil {
		b, err = h.s.Channel(channel).Seal(b, len(b)-len(m.Data), uint64(n))
	}
	if err != nil {
		h.r.t.Fatal(err)
	}
	return b
}

// says seals a datagram, and opens what comes of it.
func (h *holder) says(channel int, plain string) string {
	h.r.t.Helper()
	local := orch
	if channel != seal.Orchestrator {
		local = three[channel].Addr
	}
	out := h.r.give(local, client, h.sealed(channel, plain))
	if len(out) != 1 {
		h.r.t.Fatalf("%q drew %q", plain, texts(out))
	}
	return h.opened(channel, out[0])
}

func (h *holder) opened(channel int, d sent) string {
	h.r.t.Helper()
	b := []byte(d.b)
	m, err := wire.Parse(b)
	if err == nil {
		b, err = h.s.Channel(channel).Open(b, len(b)-len(m.Data), uint64(m.Seq))
	}
	if err != nil {
		h.r.t.Fatalf("%q: %v", d.b, err)
	}
	return string(b)
}

func (h *holder) want(got, want string) {
	h.r.t.Helper()
	if want = of(int(h.tid), want); got != want {
		h.r.t.Fatalf("opened %q, want %q", got, want)
	}
}

// A whole sealed transaction: what the server within says comes sealed, and it is told of the
// key. What was recorded of it, or is made up by who knows its number, draws nothing and
// changes nothing but counters.
func TestSealedTransaction(t *testing.T) {
	r := newSealedRig(t, Config{}, true, "north", "south")
	h, other := r.begin("north"), r.begin("south")
	if h.tid != 7 || other.tid != 8 {
		t.Fatalf("%d, %d", h.tid, other.tid)
	}
	h.want(h.says(seal.Orchestrator, manifest(0, sizes250)), state(0, "'open', 'win': 64, 'have': ''"))
	other.want(other.says(seal.Orchestrator, manifest(0, sizes250)), state(0, "'open', 'win': 64, 'have': ''"))
	if n := r.s.Snapshot(r.now); n.Transactions[0].Key != "north" || n.Transactions[1].Key != "south" {
		t.Errorf("%+v", n.Transactions)
	}

	// Every byte of a segment and of a manifest is what it was, or it does not open.
	segment, ask := h.sealed(0, numbered(0, 0, 100)), h.sealed(seal.Orchestrator, manifest(3, sizes250))
	for i := range segment[len("Type:2;TID:7;"):] {
		b := bytes.Clone(segment)
		b[i+len("Type:2;TID:7;")] ^= 1
		if m, err := wire.Parse(b); err == nil && m.TID == 7 {
			r.silent(sao, b, unopened)
		}
	}
	for i := range ask[len("Type:4;TID:7;"):] {
		b := bytes.Clone(ask)
		b[i+len("Type:4;TID:7;")] ^= 1
		if m, err := wire.Parse(b); err == nil && m.TID == 7 {
			r.silent(orch, b, unopened)
		}
	}
	for n := range len(segment) {
		if m, err := wire.Parse(segment[:n]); err == nil && m.TID == 7 {
			r.silent(sao, segment[:n], unopened)
		}
	}
	// In the clear, by who knows the number; at another receiver; of another transaction.
	r.silent(sao, []byte(numbered(0, 0, 100)), unopened)
	r.silent(sao, []byte("Type:2;TID:7;SEQ:0;DATA:in the clear"), unopened)
	r.silent(orch, []byte(manifest(1, sizes250)), unopened)
	r.silent(orch, []byte("Type:4;TID:7;SEQ:1;"), unopened)
	r.silent(three[1].Addr, segment, unopened)
	r.silent(sao, []byte(of(8, string(segment))), unopened)
	r.silent(sao, []byte("Type:3;TID:7;SEQ:0;NUM:0;DATA:0;"), func(s *Stats) *uint64 { return &s.Unexpected })
	r.silent(orch, segment, func(s *Stats) *uint64 { return &s.Elsewhere })

	// After all that the right ones are as good as ever, once.
	out := r.give(sao, host(9), segment)
	if len(out) != 1 || out[0].env.Peer != host(9) || out[0].env.Local != sao {
		t.Fatalf("sent %+v", out)
	}
	h.want(h.opened(0, out[0]), acked(0, "0"))
	r.silent(sao, segment, replayed)
	out = r.give(orch, host(9), ask)
	h.want(h.opened(seal.Orchestrator, out[0]), state(3, "'open', 'win': 64, 'have': '0'"))
	r.silent(orch, ask, replayed)

	h.want(h.says(1, numbered(1, 0, 100)), acked(0, "0"))
	h.want(h.says(0, numbered(2, 1, 50)), acked(1, "0-1"))
	h.want(h.says(seal.Orchestrator, manifest(4, asked250())), state(4, "'complete'"))
	if res := r.result(); !res.Status || res.Key != "north" {
		t.Errorf("%+v", res)
	}
	// The verdict is repeated to who asks anew, and segments are late.
	h.want(h.says(seal.Orchestrator, manifest(5, asked250())), state(5, "'complete'"))
	r.silent(sao, h.sealed(0, numbered(0, 2, 100)), func(s *Stats) *uint64 { return &s.Late })
	r.silent(orch, ask, replayed)

	r.pass(10 * time.Minute)
	if len(r.w.byTID)+len(r.w.byHandshake) != 0 {
		t.Errorf("%d transactions, %d handshakes are remembered", len(r.w.byTID), len(r.w.byHandshake))
	}
	if out := r.give(orch, client, h.sealed(seal.Orchestrator, manifest(6, asked250()))); len(out) != 0 {
		t.Errorf("sent %q", texts(out))
	}
	r.addsUp()
}

// The same message 1 draws the very same answer from wherever it comes, for as long as its
// transaction lives, and another place only afterwards.
func TestSealedRepeats(t *testing.T) {
	r := newSealedRig(t, Config{}, false, "north")
	h := r.begin("north")
	intent := h.i.Intent(nil)
	for k, from := range []netip.AddrPort{client, host(9), client} {
		out := r.give(orch, from, intent)
		if len(out) != 1 || out[0].b != h.offer || out[0].env.Peer != from {
			t.Fatalf("sent %+v", out)
		}
		if st := r.s.Stats(); st.Repeated != uint64(k+1) || st.Offers != uint64(k+2) || r.s.Open() != 1 {
			t.Errorf("%+v", st)
		}
	}
	// Written in another way it is the same, and answered once for any number until then.
	for range 5 {
		b := strings.Replace(string(intent), "{'key'", "{ 'key'", 1)
		r.w.Receive(r.now, &loop.Envelope{Peer: client, Local: orch}, []byte(b))
	}
	if out := r.flush(); len(out) != 1 || out[0].b != h.offer {
		t.Fatalf("sent %+v", out)
	}
	h.want(h.says(seal.Orchestrator, manifest(0, sizes250)), state(0, "'open', 'win': 64, 'have': ''"))
	if out := r.give(orch, host(9), intent); len(out) != 1 || out[0].b != h.offer {
		t.Fatalf("sent %+v", out)
	}
	r.pass(10 * time.Minute)
	out := r.give(orch, client, intent)
	h.take(out)
	if h.tid != 8 {
		t.Errorf("transaction %d", h.tid)
	}
	r.addsUp()
}

// What does not open leaves nothing behind and draws nothing. Plain intents do as ever, unless
// keys are required.
func TestSealedIntents(t *testing.T) {
	for _, require := range []bool{false, true} {
		r := newSealedRig(t, Config{}, require, "north", "south")
		stranger, _ := seal.NewKey(r.rnd)
		intent := r.holder(r.keys["north"]).i.Intent(nil)
		r.silent(orch, r.holder(stranger).i.Intent(nil), unopened)
		// The one key, said to be the other.
		south := r.keys["south"]
		at := bytes.Index(intent, []byte("'key': '")) + len("'key': '")
		b := bytes.Clone(intent)
		copy(b[at:], south.ID())
		r.silent(orch, b, unopened)
		noise := bytes.Index(intent, []byte("'noise': '")) + len("'noise': '")
		for i := noise; i < len(intent)-len("AAAA'};"); i += 7 { // of the last four some bits mean nothing
			b := bytes.Clone(intent)
			if b[i]++; b[i] > 'z' {
				b[i] = 'A'
			}
			r.silent(orch, b, unopened)
		}
		for _, n := range []int{noise, len(intent) / 2, len(intent) - 2} {
			if n >= longIntent {
				r.silent(orch, intent[:n], unopened)
			}
		}
		if len(r.w.byTID)+len(r.w.byHandshake)+r.s.Open() != 0 {
			t.Error("something is left of them")
		}
		for _, b := range []string{"Type:0;", "Type:0;DATA:anything", "Type:0;DATA:{'noise': 1};"} {
			if require {
				r.silent(orch, []byte(b), func(s *Stats) *uint64 { return &s.PlainIntents })
			} else if out := r.give(orch, host(r.s.Open()), []byte(b)); len(out) != 1 {
				t.Errorf("%q drew %q", b, texts(out))
			}
		}
		open := r.s.Open()
		r.w.TakeOver(r.now, Handover{Intents: []Asked{{Client: host(8), Local: orch}}})
		if out := r.flush(); len(out) == 0 != require || (r.s.Open() == open) != require {
			t.Errorf("required %t: sent %q", require, texts(out))
		}
		r.addsUp()
	}
}

// Who has to wait is told, always in the same words, so that he knows that his key is right.
func TestSealedWait(t *testing.T) {
	r := newSealedRig(t, Config{Concurrent: 1, IntentRate: -1}, true, "north")
	r.begin("north")
	h := r.holder(r.keys["north"])
	wait := r.give(orch, client, h.i.Intent(nil))
	if len(wait) != 1 {
		t.Fatalf("sent %q", texts(wait))
	}
	if a, err := h.i.Finish([]byte(wait[0].b)); err != nil || a.Session != nil || a.Wait != queueWait {
		t.Fatalf("%+v, %v", a, err)
	}
	if again := r.give(orch, host(9), h.i.Intent(nil)); len(again) != 1 || again[0].b != wait[0].b {
		t.Fatalf("sent %q", texts(again))
	}
	if st := r.s.Stats(); st.Accepted != 2 || st.Waiting != 1 || r.w.Waiting() != 1 {
		t.Errorf("%+v", st)
	}
	// Its turn comes, and the offer goes where it asked from first.
	var out []sent
	for len(out) == 0 && r.now.Before(epoch.Add(time.Minute)) {
		r.now = r.now.Add(100 * time.Millisecond)
		r.w.Expire(r.now)
		out = r.flush()
	}
	h.take(out)
	if out[0].env.Peer != client {
		t.Errorf("to %v", out[0].env.Peer)
	}
	r.addsUp()
}

// A held offer is one that has to be waited for, too.
func TestSealedOfferDelay(t *testing.T) {
	r := newSealedRig(t, Config{OfferDelay: time.Second}, true, "north")
	h := r.holder(r.keys["north"])
	out := r.give(orch, client, h.i.Intent(nil))
	if len(out) != 1 {
		t.Fatalf("sent %q", texts(out))
	}
	if a, err := h.i.Finish([]byte(out[0].b)); err != nil || a.Wait == 0 {
		t.Fatalf("%+v, %v", a, err)
	}
	r.silent(sao, []byte(numbered(0, 0, 100)), unopened)
	r.now = r.now.Add(1100 * time.Millisecond)
	r.w.Expire(r.now)
	h.take(r.flush())
}

// A sealed offer has at most three times the bytes of its intent, whatever is configured.
func TestSealedAmplification(t *testing.T) {
	many := func(n int) (rs []Receiver) {
		for k := range n {
			rs = append(rs, Receiver{Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(k)}), 10000), Name: strings.Repeat("n", 20)})
		}
		return rs
	}
	most := 0
	for n := 1; n < 100; n++ {
		_, err := NewSealed(Config{Receivers: many(n)}, new(seal.Keyring), false, rand.NewChaCha8([32]byte{}))
		if err == nil {
			most = n
		} else if !strings.Contains(err.Error(), "may have 3591") {
			t.Fatal(err)
		}
	}
	if most < 20 || most > 50 {
		t.Errorf("%d receivers are the most", most)
	}
	r := newSealedRig(t, Config{Receivers: many(most), FirstTID: wire.MaxNumber}, true, "north")
	h := r.begin("north")
	if len(h.offer) > 3*seal.IntentSize {
		t.Errorf("an offer of %d bytes", len(h.offer))
	}
	if _, err := NewSealed(Config{Receivers: one, Base: true}, new(seal.Keyring), false, rand.NewChaCha8([32]byte{})); err == nil {
		t.Error("sealed transactions of the base protocol")
	}
}

// Without randomness there is no answer, and nothing in the clear instead.
func TestSealedWithoutRandom(t *testing.T) {
	r := newSealedRig(t, Config{Concurrent: 1, IntentRate: -1}, false, "north")
	r.w.random = bytes.NewReader(nil)
	for range 2 { // an offer, and that he is to wait
		if out := r.give(orch, client, r.holder(r.keys["north"]).i.Intent(nil)); len(out) != 0 {
			t.Fatalf("sent %q", texts(out))
		}
	}
	if st := r.s.Stats(); st.Unsealed != 1 {
		t.Errorf("%+v", st)
	}
}

// Sealed segments and their acknowledgements allocate no more than others.
func TestSealedAllocations(t *testing.T) {
	r := newSealedRig(t, Config{MaxBytes: 1 << 30}, true, "north")
	h := r.begin("north")
	h.says(seal.Orchestrator, manifest(0, fmt.Sprintf("'bytes': %d, 'seg': 1000", 1000*10000)))
	in, out := make([]byte, 0, 2000), make([]byte, 0, 2000)
	data, num := random(1000), int64(0)
	c := h.s.Channel(0)
	e, back := &loop.Envelope{Peer: client, Local: sao}, new(loop.Envelope)
	each := testing.AllocsPerRun(20, func() {
		for range 64 {
			in = append(wire.AppendSegmentHeader(in[:0], h.tid, num, num, 5, 5), data...)
			in, _ = c.Seal(in, len(in)-len(data), uint64(num))
			num++
			r.w.Receive(r.now, e, in)
			if _, ok := r.w.Transmit(r.now, back, out); !ok {
				t.Fatal("no acknowledgement")
			}
		}
	})
	if each > 8 {
		t.Errorf("%v allocations for 64 segments", each)
	}
}

// FuzzSealedReceive gives a server with a sealed transaction datagrams of any content. None
// of them gets more than a counter out of it, but that anybody may ask in the clear.
func FuzzSealedReceive(f *testing.F) {
	for _, b := range []string{"Type:0;", "Type:0;DATA:{'key': '00000000', 'noise': 'AAAA'};", numbered(0, 0, 100),
		manifest(0, sizes250), "Type:2;TID:7;SEQ:1;NUM:1;DATA:0123456789abcdef", "Type:3;TID:7;SEQ:0;NUM:0;DATA:0;",
		"Type:1;TID:7;DATA:{'noise': '" + base64.StdEncoding.EncodeToString(make([]byte, 48)) + "'};"} {
		f.Add([]byte(b), true)
		f.Add([]byte(b), false)
	}
	f.Fuzz(func(t *testing.T, b []byte, toOrch bool) {
		r := newSealedRig(t, Config{}, true, "north")
		h := r.begin("north")
		h.want(h.says(seal.Orchestrator, manifest(0, sizes250)), state(0, "'open', 'win': 64, 'have': ''"))
		local := sao
		if toOrch {
			local = orch
		}
		was := r.s.Stats()
		m, err := wire.Parse(b)
		out := r.give(local, client, b)
		if foreign := err == nil && m.Type == wire.ManifestType && m.TID != 7; len(out) > 0 && !foreign {
			t.Fatalf("drew %q", texts(out))
		}
		if st := r.s.Stats(); st.Datagrams != was.Datagrams+1 || st.Stored != was.Stored || st.Accepted != was.Accepted {
			t.Fatalf("%+v", st)
		}
		h.want(h.says(0, numbered(0, 0, 100)), acked(0, "0"))
		r.addsUp()
	})
}
