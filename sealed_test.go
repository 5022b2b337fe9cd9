package mdalp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"mdalp/internal/pcapng"
	"mdalp/loop"
	"mdalp/seal"
	"mdalp/wire"
)

// secret is the key of these tests.
var secret = seal.Key{1, 2, 3}

func chance(seed byte) io.Reader { return rand.NewChaCha8([32]byte{seed}) }

// A keeper is a session with a key, and the other end of it: it opens what the session
// sends, and seals what it is told to answer.
type keeper struct {
	*bench
	h    loop.Handler
	ring seal.Keyring
	hand *seal.Responder
	keys *seal.Session
	own  io.Reader
	tap  *tap
}

func keep(t *testing.T, size int, cfg run) *keeper {
	t.Helper()
	if cfg.Key == nil {
		cfg.Key = &secret
	}
	cfg.Balance = max(cfg.Balance, BalanceEqual)
	k := &keeper{bench: start(t, size, cfg), own: chance(9)}
	if err := k.ring.Add("office", secret); err != nil {
		t.Fatal(err)
	}
	k.h = k.s.handler(chance(1))
	return k
}

// sealed takes all datagrams that are due, as they are.
func (k *keeper) sealed(now time.Time) []sent { return drain(k.h, now) }

// flush takes all datagrams that are due, and opens them. An intent is opened too: it reads
// "Type:0;".
func (k *keeper) flush(now time.Time) []sent {
	k.t.Helper()
	out := k.sealed(now)
	for i, d := range out {
		out[i].Data = k.open(d)
	}
	return out
}

func (k *keeper) open(d sent) string {
	k.t.Helper()
	b := []byte(d.Data)
	if m, err := wire.Parse(b); err == nil && m.Type != wire.Intent {
		n, line := m.Seq, seal.Orchestrator
		if m.Type == wire.Data {
			n, line = m.Num, k.place(netip.MustParseAddrPort(d.To))
		}
		plain, err := k.keys.Channel(line).Open(b, len(b)-len(m.Data), uint64(n))
		if err != nil {
			k.t.Fatalf("%.60q does not open: %v", d.Data, err)
		}
		return string(plain)
	}
	if len(b) != seal.IntentSize {
		k.t.Fatalf("an intent of %d bytes", len(b))
	}
	r, err := seal.Open(&k.ring, b)
	if err != nil {
		k.t.Fatalf("%.60q does not open: %v", b, err)
	}
	k.hand = r
	return "Type:0;"
}

// place is the channel of a receiver of extendedOffer.
func (k *keeper) place(a netip.AddrPort) int {
	return slices.Index([]netip.AddrPort{receiverA, receiverB}, a)
}

// raw lets a datagram come in as it is.
func (k *keeper) raw(now time.Time, from netip.AddrPort, b string) {
	k.h.Receive(now, &loop.Envelope{Peer: from, At: now}, []byte(b))
}

// seals gives a datagram sealed, and in has it come in.
func (k *keeper) seals(from netip.AddrPort, plain string) string {
	k.t.Helper()
	m, err := wire.Parse([]byte(plain))
	if err != nil {
		k.t.Fatal(err)
	}
	var out []byte
	switch line := seal.Orchestrator; m.Type {
	case wire.Offer:
		out, k.keys, err = k.hand.Offer(nil, m.TID, []byte(plain), k.own)
	default:
		if m.Type == wire.Ack {
			line = k.place(from)
		}
		out, err = k.keys.Channel(line).Seal([]byte(plain), len(plain)-len(m.Data), uint64(m.Seq))
	}
	if err != nil {
		k.t.Fatalf("%q: %v", plain, err)
	}
	return string(out)
}

func (k *keeper) in(now time.Time, from netip.AddrPort, plain string) {
	k.t.Helper()
	k.raw(now, from, k.seals(from, plain))
}

func (k *keeper) want(now time.Time, want ...sent) {
	k.t.Helper()
	if got := k.flush(now); !slices.Equal(got, want) {
		k.t.Fatalf("sent %s, want %s", brief(got), brief(want))
	}
}

// next lets time pass until the session wants something sent, or has ended.
func (k *keeper) next() (now time.Time, out []sent) {
	k.t.Helper()
	for range 100 {
		at, ok := k.h.Next()
		if !ok {
			return now, nil
		}
		now = at
		k.h.Expire(at)
		if out = k.flush(at); len(out) > 0 {
			return at, out
		}
	}
	k.t.Fatal("nothing is sent")
	return now, nil
}

var (
	intentSent = sent{sockUDP, "18.139.29.142:4650", "Type:0;"}
	segments   = func() []sent {
		return []sent{segmentOf(receiverA, 0, 0, 4800), segmentOf(receiverA, 1, 1, 4800), segmentOf(receiverB, 2, 0, 4800), segmentOf(receiverB, 3, 1, 4800)}
	}
)

// near tells an instant from others that are more than a few ticks of the timers away.
func near(at time.Time, after float64) bool { return at.Sub(ms(after)).Abs() < 10*time.Millisecond }

// TestSealed goes through a whole transaction.
func TestSealed(t *testing.T) {
	k := keep(t, 4800, run{})
	first := k.sealed(t0)
	if len(first) != 1 || k.open(first[0]) != "Type:0;" {
		t.Fatalf("sent %s", brief(first))
	}
	at, _ := k.h.Next()
	k.h.Expire(at)
	if at, _ = k.h.Next(); !near(at, 1000) {
		t.Fatalf("asked again after %v", at.Sub(t0))
	}
	k.h.Expire(at)
	if again := k.sealed(at); !slices.Equal(again, first) {
		t.Fatal("the intent is another when it is repeated")
	}
	k.in(at, orchestrator, extendedOffer)
	k.want(at, manifestOf(0, "'bytes': 4800, 'seg': 1200"))
	k.in(at, orchestrator, stateOf(0, "'open', 'win': 2, 'have': ''"))
	out := k.sealed(at)
	for i, d := range out {
		// Of one length, or they would leave one by one.
		if n := len("Type:2;TID:7;SEQ:0;NUM:00;DATA:") + 1200 + seal.Overhead; len(d.Data) != n {
			t.Errorf("segment %d is a datagram of %d bytes, want %d", i, len(d.Data), n)
		}
		out[i].Data = k.open(d)
	}
	if !slices.Equal(out, segments()) {
		t.Fatalf("sent %s", brief(out))
	}
	k.in(at, receiverA, "Type:3;TID:7;SEQ:0;NUM:1;DATA:0-1;")
	k.in(at, receiverB, "Type:3;TID:7;SEQ:0;NUM:1;DATA:0-1;")
	got := k.flush(at)
	if len(got) != 1 || !strings.Contains(got[0].Data, "'sha256': '") {
		t.Fatalf("sent %s", brief(got))
	}
	k.in(at, orchestrator, stateOf(1, "'complete'"))
	if err := k.ended(); err != nil {
		t.Fatal(err)
	}
	if r := k.s.report; !r.Sealed || !r.Extended || !r.Verified || r.Acked != 4800 || r.Dropped.Total() != 0 {
		t.Errorf("%+v", r)
	}
}

// TestSealedTakesNothingElse: what is not sealed, not here or not now changes nothing but
// a counter.
func TestSealedTakesNothingElse(t *testing.T) {
	k := keep(t, 4800, run{})
	k.want(t0, intentSent)
	offer := k.seals(orchestrator, extendedOffer)
	for _, x := range []struct {
		from netip.AddrPort
		b    string
		want Drops
	}{
		{orchestrator, extendedOffer, Drops{Unopened: 1}},
		{orchestrator, "Type:1;TID:7;DATA:[", Drops{Unopened: 1}},
		{orchestrator, strings.Replace(offer, "TID:7", "TID:8", 1), Drops{Unopened: 1}},
		{orchestrator, strings.Replace(offer, "'noise': '", "'noise': 'AAAA", 1), Drops{Unopened: 1}},
		{orchestrator, "x", Drops{Malformed: 1}},
		{orchestrator, stateOf(0, "'open'"), Drops{Unwanted: 1}},
		{receiverA, offer, Drops{Foreign: 1}},
	} {
		k.s.report.Dropped = Drops{}
		k.raw(t0, x.from, x.b)
		if got := k.s.report.Dropped; got != x.want {
			t.Errorf("%.60q: %+v, want %+v", x.b, got, x.want)
		}
	}
	k.raw(t0, orchestrator, offer)
	k.want(t0, manifestOf(0, "'bytes': 4800, 'seg': 1200"))
	const open = "'open', 'win': 2, 'have': ''"
	state := k.seals(orchestrator, stateOf(0, open))
	k.raw(t0, orchestrator, strings.Clone(state))
	k.want(t0, segments()...)
	const plain = "Type:3;TID:7;SEQ:0;NUM:1;DATA:0-1;"
	ack := k.seals(receiverA, plain)
	for _, x := range []struct {
		from netip.AddrPort
		b    string
		want Drops
	}{
		{receiverA, plain, Drops{Unopened: 1}},
		{receiverA, "Type:3;TID:7;SEQ:0;", Drops{Unopened: 1}},
		{receiverA, ack[:len(ack)-1], Drops{Unopened: 1}},
		{receiverA, strings.Replace(ack, "NUM:1;", "NUM:0;", 1), Drops{Unopened: 1}},
		{receiverA, strings.Replace(ack, "TID:7;", "TID:8;", 1), Drops{Unopened: 1}},
		{receiverA, strings.Replace(ack, "Type:3;", "Type:5;", 1), Drops{Unwanted: 1}},
		{receiverB, ack, Drops{Unopened: 1}},
		{orchestrator, ack, Drops{Unwanted: 1}},
		{netip.MustParseAddrPort("9.9.9.9:4650"), ack, Drops{Foreign: 1}},
		{receiverA, "Type:3", Drops{Unopened: 1}},
		{receiverA, "", Drops{Malformed: 1}},
		{orchestrator, stateOf(1, "'refused'"), Drops{Unopened: 1}},
		{orchestrator, state, Drops{Replayed: 1}},
		{orchestrator, offer, Drops{Unwanted: 1}},
		{receiverA, ack, Drops{}},
		{receiverA, ack, Drops{Replayed: 1}},
	} {
		k.s.report.Dropped = Drops{}
		k.raw(t0, x.from, x.b)
		if got := k.s.report.Dropped; got != x.want {
			t.Errorf("%.60q from %v: %+v, want %+v", x.b, x.from, got, x.want)
		}
	}
	if k.s.refresh(t0); k.s.report.Acked != 2400 || k.s.phase != PhaseSending {
		t.Errorf("%d bytes acknowledged, %v", k.s.report.Acked, k.s.phase)
	}
}

// TestSealedUnanswered: the wait ends in time with a line that says why.
func TestSealedUnanswered(t *testing.T) {
	const line = "no offer: intent to 18.139.29.142:4650: "
	key := " (key " + secret.ID() + ")"
	for _, x := range []struct {
		name   string
		cfg    Config
		answer func(k *keeper)
		asked  []float64 // ms
		end    float64
		want   error
		err    string
	}{
		{"nobody", Config{}, func(*keeper) {}, []float64{0, 1000, 3000}, 5000, ErrNotSealed, line + ErrNotSealed.Error() + key},
		{"a plain offer", Config{}, func(k *keeper) { k.raw(t0, orchestrator, extendedOffer) }, []float64{0, 1000, 3000}, 5000, ErrPlain, line + ErrPlain.Error() + key},
		{"bounded", Config{IntentTimeout: 8 * time.Second}, func(*keeper) {}, []float64{0, 1000, 3000, 7000}, 8000, ErrNotSealed, line + ErrNotSealed.Error() + key},
		{"every second", Config{IntentRetry: time.Second}, func(*keeper) {}, []float64{0, 1000, 2000, 3000, 4000}, 5000, ErrNotSealed, line + ErrNotSealed.Error() + key},
		{"refused", Config{}, func(k *keeper) {
			k.h.Fail(t0, &loop.Envelope{Peer: orchestrator, Remote: true}, syscall.ECONNREFUSED)
		}, []float64{0}, 0, syscall.ECONNREFUSED, line + "connection refused"},
		{"a queue that is gone", Config{}, func(k *keeper) {
			b, err := k.hand.Wait(nil, 9*time.Second, k.own)
			if err != nil {
				t.Fatal(err)
			}
			k.raw(t0, orchestrator, string(b))
		}, []float64{0, 9000, 18000, 27000, 36000, 45000, 54000}, 60000, ErrNoAnswer, line + ErrNoAnswer.Error() + key},
	} {
		k := keep(t, 4800, run{Config: x.cfg})
		k.want(t0, intentSent)
		x.answer(k)
		asked, now := []float64{0}, t0
		for k.s.phase != PhaseFinished {
			at, out := k.next()
			if now = at; len(out) > 0 {
				asked = append(asked, float64(at.Sub(t0).Round(100*time.Millisecond).Milliseconds()))
			}
		}
		if now.Before(t0) {
			now = t0
		}
		if err := k.s.err; !slices.Equal(asked, x.asked) || !near(now, x.end) || !errors.Is(err, ErrNoOffer) || !errors.Is(err, x.want) || err.Error() != x.err {
			t.Errorf("%s: asked at %v, ended after %v: %v\nwant %v, %v ms, %s", x.name, asked, now.Sub(t0), err, x.asked, x.end, x.err)
		}
	}
}

// TestSealedQueue: who is told to wait asks with the same intent, and takes the offer that
// comes in the end.
func TestSealedQueue(t *testing.T) {
	k := keep(t, 4800, run{})
	intent := k.sealed(t0)
	k.open(intent[0])
	for i := range 20 {
		b, err := k.hand.Wait(nil, 4*time.Second, k.own)
		if err != nil {
			t.Fatal(err)
		}
		now := ms(float64(4000 * i))
		k.raw(now, orchestrator, string(b))
		k.raw(now.Add(time.Second), orchestrator, string(b)) // who replays it keeps nobody waiting
		var again []sent
		for len(again) == 0 {
			at, _ := k.h.Next()
			k.h.Expire(at)
			now, again = at, k.sealed(at)
		}
		if !slices.Equal(again, intent) || !near(now, float64(4000*(i+1))) {
			t.Fatalf("round %d: sent %s after %v", i, brief(again), now.Sub(t0))
		}
	}
	k.in(ms(80_000), orchestrator, extendedOffer)
	k.want(ms(80_000), manifestOf(0, "'bytes': 4800, 'seg': 1200"))
}

// TestSealedAnew: a transaction that gets no answers any more is gone on with in another,
// by a new handshake.
func TestSealedAnew(t *testing.T) {
	const anew = "'bytes': 4800, 'seg': 1200"
	for _, x := range []struct {
		name    string
		numbers int64
		opened  bool
		resume  string
	}{
		{"no answer to the announcement", 0, false, anew},
		{"no receiver answers", 0, true, anew + ", 'resume': 7"},
		{"keys that are used up", 2, true, anew + ", 'resume': 7"},
	} {
		k := keep(t, 4800, run{numbers: x.numbers})
		first := k.sealed(t0)
		k.open(first[0])
		k.in(t0, orchestrator, extendedOffer)
		k.want(t0, manifestOf(0, anew))
		if x.opened {
			k.in(t0, orchestrator, stateOf(0, "'open', 'have': ''"))
			out := k.flush(t0)
			if len(out) < 4 || x.numbers == 0 && !slices.Equal(out, segments()) {
				t.Fatalf("%s: sent %s", x.name, brief(out))
			}
		}
		var now time.Time
		var again []sent
		for len(again) == 0 || !strings.HasPrefix(again[0].Data, "Type:0;") {
			at, ok := k.h.Next()
			if !ok {
				t.Fatalf("%s: %v", x.name, k.s.err)
			}
			k.h.Expire(at)
			now, again = at, k.sealed(at)
		}
		if again[0] == first[0] || len(again) != 1 || now.Sub(t0) > 20*time.Second {
			t.Fatalf("%s: after %v %s", x.name, now.Sub(t0), brief(again))
		}
		k.open(again[0])
		k.in(now, orchestrator, strings.Replace(extendedOffer, "TID:7", "TID:8", 1))
		if got := k.flush(now); len(got) != 1 || got[0].Data != "Type:4;TID:8;SEQ:0;DATA:{"+x.resume+"};" {
			t.Errorf("%s: sent %s", x.name, brief(got))
		}
	}
}

// TestSealedGivesUp: a server that never answers what is sealed is asked a few times.
func TestSealedGivesUp(t *testing.T) {
	k := keep(t, 4800, run{})
	for tid := 7; ; tid++ {
		at, out := k.next()
		if out == nil {
			if tid != 7+mostRenewed+1 || !errors.Is(k.s.err, ErrIncomplete) || !errors.Is(k.s.err, ErrNoAnswer) {
				t.Errorf("after %d transactions: %v", tid-7, k.s.err)
			}
			return
		}
		if out[0] != intentSent {
			t.Fatalf("sent %s", brief(out))
		}
		k.in(at, orchestrator, strings.Replace(extendedOffer, "TID:7", fmt.Sprint("TID:", tid), 1))
		for range announcements {
			if _, out = k.next(); len(out) != 1 {
				t.Fatalf("sent %s", brief(out))
			}
		}
	}
}

// TestSealedPlace: a receiver's channel is its place in the offer, whatever was left out.
func TestSealedPlace(t *testing.T) {
	for _, x := range []struct {
		name, entry string
		cfg         Config
	}{
		{"the second of mode 2", "{'ip_address': '177.71.168.45', 'seg': 1200, 'win': 64}", Config{Balance: BalanceNone, Receiver: 2}},
		{"behind one that is left out", "{'ip_address': '127.0.0.1', 'seg': 1200, 'win': 64}", Config{}},
		{"behind one that is merged", "{'ip_address': '177.71.168.45', 'seg': 1200, 'win': 64}, {'ip_address': '177.71.168.45', 'seg': 1200, 'win': 64}", Config{}},
	} {
		k := keep(t, 4800, run{Config: x.cfg})
		k.want(t0, intentSent)
		k.in(t0, orchestrator, "Type:1;TID:7;DATA:["+x.entry+", {'ip_address': '54.200.52.112', 'seg': 1200, 'win': 64}];")
		k.flush(t0)
		k.in(t0, orchestrator, stateOf(0, "'open', 'have': ''"))
		for _, d := range k.sealed(t0) {
			want := strings.Count(x.entry, "{")
			if d.To != receiverB.String() {
				want = 0
			}
			b := []byte(d.Data)
			m, err := wire.Parse(b)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := k.keys.Channel(want).Open(b, len(b)-len(m.Data), uint64(m.Num)); err != nil {
				t.Errorf("%s: %.60q to %s is not of channel %d: %v", x.name, d.Data, d.To, want, err)
			}
		}
	}
}

// TestSealedBase: the base protocol is not sealed, neither by who asks for it nor by an offer.
func TestSealedBase(t *testing.T) {
	if _, err := newRun(&Config{Orchestrator: orchestrator, Key: &secret, Base: true}); !errors.Is(err, ErrConfig) {
		t.Errorf("a key and base: %v", err)
	}
	k := keep(t, 4800, run{})
	k.want(t0, intentSent)
	k.in(t0, orchestrator, "Type:1;TID:7;DATA:[{'ip_address': '177.71.168.45'}];")
	if err := k.ended(); !errors.Is(err, ErrBadOffer) {
		t.Error(err)
	}
}

// TestSealedTap: a capture has what was on the wire, and says what it is.
func TestSealedTap(t *testing.T) {
	var file bytes.Buffer
	k := keep(t, 4800, run{})
	k.tap = newTap(k.s, &file, [3]netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:4000")}, func(netip.Addr) netip.Addr { return here })
	k.tap.h, k.h = k.h, k.tap
	var want []string
	note := func(ds ...sent) {
		for _, d := range ds {
			want = append(want, d.Data)
		}
	}
	out := k.sealed(t0)
	note(out...)
	k.open(out[0])
	comes := func(from netip.AddrPort, plain string) {
		b := k.seals(from, plain)
		want = append(want, b)
		k.raw(t0, from, b)
		out := k.sealed(t0)
		note(out...)
	}
	comes(orchestrator, extendedOffer)
	comes(orchestrator, stateOf(0, "'open', 'win': 2, 'have': ''"))
	comes(receiverA, "Type:3;TID:7;SEQ:0;NUM:1;DATA:0-1;")
	k.raw(t0, receiverA, want[len(want)-1])
	want = append(want, want[len(want)-1])
	k.tap.close()
	rd, err := pcapng.NewReader(bytes.NewReader(file.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	var notes []string
	for i := 0; ; i++ {
		var p pcapng.Datagram
		err := rd.Next(&p)
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if i >= len(want) || string(p.Data) != want[i] {
			t.Errorf("datagram %d is %.60q", i, p.Data)
		}
		notes = append(notes, p.Comment)
	}
	if got := strings.Join(notes, "|"); got != "intent|offer|manifest|state|receiver 1, SEQ 0|receiver 1, SEQ 1|receiver 2, SEQ 2|receiver 2, SEQ 3|receiver 1, ack of SEQ 0|receiver 1, dropped: its number was there before" {
		t.Errorf("comments: %s", got)
	}
}

// TestSealedAllocations: a sealed segment and its acknowledgement cost no memory.
func TestSealedAllocations(t *testing.T) {
	k := keep(t, 4<<20, run{Config: Config{NoVerify: true}})
	k.want(t0, intentSent)
	k.in(t0, orchestrator, extendedOffer)
	k.flush(t0)
	k.in(t0, orchestrator, stateOf(0, "'open', 'have': ''"))
	slot, ack := make([]byte, 0, 2048), make([]byte, 0, 128)
	var acks [2]int64
	var to, from loop.Envelope
	var ranges [1]wire.Range
	now := t0
	n := testing.AllocsPerRun(2000, func() {
		to = loop.Envelope{}
		b, ok := k.h.Transmit(now, &to, slot)
		if !ok {
			now, _ = k.h.Next()
			k.h.Expire(now)
			return
		}
		m, err := wire.Parse(b)
		if err != nil || m.Type != wire.Data {
			return
		}
		place := 0
		if to.Peer == receiverB {
			place = 1
		}
		ranges[0] = wire.Range{First: 0, Last: m.Num}
		ack = wire.AppendAckRanges(ack[:0], 7, acks[place], ranges[:])
		at := bytes.Index(ack, []byte("DATA:")) + len("DATA:")
		ack, err = k.keys.Channel(place).Seal(ack, at, uint64(acks[place]))
		if err != nil {
			t.Fatal(err)
		}
		acks[place]++
		from = loop.Envelope{Peer: to.Peer, At: now}
		k.h.Receive(now, &from, ack)
	})
	k.s.refresh(now)
	if d := k.s.report.Dropped.Total(); n != 0 || d != 0 || k.s.report.Acked < 1<<20 {
		t.Errorf("%v allocations a segment, %d datagrams dropped, %d bytes acknowledged", n, d, k.s.report.Acked)
	}
}

// TestSealedOrchestrators: the next orchestrator is asked for an offer by the same handshake.
// Whoever made the offer alone is told manifests, as nobody else has its keys; where it is
// silent, the transaction goes on at the next by another handshake.
func TestSealedOrchestrators(t *testing.T) {
	k := keep(t, 4800, run{Config: Config{Orchestrators: []netip.AddrPort{second}}})
	first := k.sealed(t0)
	if len(first) != 1 || first[0].To != orchestrator.String() {
		t.Fatalf("sent %s", brief(first))
	}
	k.open(first[0])
	at, out := k.later()
	if len(out) != 1 || out[0].To != second.String() || out[0].Data != first[0].Data || !near(at, 1000) {
		t.Fatalf("sent %s after %v", brief(out), at.Sub(t0))
	}
	offer := k.seals(orchestrator, extendedOffer)
	k.raw(at, netip.MustParseAddrPort("9.9.9.9:4650"), strings.Clone(offer))
	if k.s.report.Dropped != (Drops{Foreign: 1}) {
		t.Errorf("a stranger's offer: %+v", k.s.report.Dropped)
	}
	k.raw(at, second, offer)
	to := func(d sent, a netip.AddrPort) sent { d.To = a.String(); return d }
	k.want(at, to(manifestOf(0, "'bytes': 4800, 'seg': 1200"), second))
	k.in(at, second, stateOf(0, "'open', 'win': 2, 'have': ''"))
	k.want(at, segments()...)
	k.in(at, receiverA, "Type:3;TID:7;SEQ:0;NUM:1;DATA:0-1;")
	k.in(at, receiverB, "Type:3;TID:7;SEQ:0;NUM:1;DATA:0-1;")
	asked := k.flush(at)
	for n := 1; ; n++ {
		if len(asked) != 1 || asked[0].To != second.String() || !strings.HasPrefix(asked[0].Data, "Type:4;") {
			t.Fatalf("question %d: sent %s", n, brief(asked))
		}
		if n == 2 {
			break
		}
		_, asked = k.next()
	}
	at, out = k.later()
	if len(out) != 1 || out[0].To != orchestrator.String() || len(out[0].Data) != seal.IntentSize || out[0].Data == first[0].Data {
		t.Fatalf("sent %s", brief(out))
	}
	k.open(out[0])
	k.in(at, orchestrator, strings.Replace(extendedOffer, "TID:7", "TID:8", 1))
	k.want(at, sent{sockUDP, orchestrator.String(), "Type:4;TID:8;SEQ:0;DATA:{'bytes': 4800, 'seg': 1200, 'resume': 7};"})
	k.raw(at, second, "Type:5;TID:8;SEQ:0;DATA:{'state': 'refused'};")
	if k.s.report.Dropped.Foreign != 2 || k.s.report.Moves != 2 {
		t.Errorf("%d moves, %+v", k.s.report.Moves, k.s.report.Dropped)
	}
}

// later lets time pass until something is sent, and gives it as it is.
func (k *keeper) later() (now time.Time, out []sent) {
	k.t.Helper()
	for range 100 {
		at, ok := k.h.Next()
		if !ok {
			break
		}
		k.h.Expire(at)
		if out = k.sealed(at); len(out) > 0 {
			return at, out
		}
	}
	k.t.Fatal("nothing is sent")
	return now, nil
}
