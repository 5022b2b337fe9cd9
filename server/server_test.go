package server

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"mdalp/loop"
	"mdalp/wire"
)

var (
	epoch    = time.Date(2024, 3, 1, 12, 0, 0, 0, time.UTC)
	orch     = netip.MustParseAddrPort("192.0.2.1:4650")
	client   = netip.MustParseAddrPort("203.0.113.7:40000")
	stranger = netip.MustParseAddrPort("203.0.113.8:40000")

	// The receivers of the capture, in the order of its offer.
	sao     = netip.MustParseAddrPort("177.71.168.45:4650")
	oregon  = netip.MustParseAddrPort("54.200.52.112:4650")
	ireland = netip.MustParseAddrPort("52.16.180.243:4650")
	three   = []Receiver{{Addr: sao, Name: "5th Receiver"}, {Addr: oregon, Name: "4th Receiver"}, {Addr: ireland, Name: "2nd Receiver"}}
)

const offer3740 = "Type:1;TID:3740;DATA:[{'ip_address': '177.71.168.45', 'name': '5th Receiver'}, " +
	"{'ip_address': '54.200.52.112', 'name': '4th Receiver'}, {'ip_address': '52.16.180.243', 'name': '2nd Receiver'}];"

// sent is a datagram that the server gave.
type sent struct {
	env loop.Envelope
	b   string
}

// rig drives a Server by hand.
type rig struct {
	t       testing.TB
	s       *Server
	now     time.Time
	results []Result
}

func newRig(t testing.TB, cfg Config) *rig {
	t.Helper()
	return newRigAt(t, epoch, cfg)
}

// newRigAt speaks the base protocol alone, see newExtendedRig.
func newRigAt(t testing.TB, now time.Time, cfg Config) *rig {
	t.Helper()
	cfg.Base = true
	return startRig(t, now, cfg)
}

func startRig(t testing.TB, now time.Time, cfg Config) *rig {
	t.Helper()
	r := &rig{t: t, now: now}
	if cfg.Receivers == nil {
		cfg.Receivers = three
	}
	cfg.Settled = func(res Result) { r.results = append(r.results, res) }
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.s = s
	s.Expire(r.now)
	return r
}

// to hands the server a datagram and returns all that it sends then.
func (r *rig) to(local, peer netip.AddrPort, b string) []string {
	r.s.Receive(r.now, &loop.Envelope{Peer: peer, Local: local, At: r.now}, []byte(b))
	return texts(r.drain())
}

func (r *rig) drain() (out []sent) {
	for {
		var e loop.Envelope
		b, ok := r.s.Transmit(r.now, &e, nil)
		if !ok {
			return out
		}
		out = append(out, sent{e, string(b)})
	}
}

func texts(ds []sent) (out []string) {
	for _, d := range ds {
		out = append(out, d.b)
	}
	return out
}

// pass lets d go by as a loop would: waking whenever the server wants to be woken.
func (r *rig) pass(d time.Duration) (out []sent) {
	end := r.now.Add(d)
	for {
		at, ok := r.s.Next()
		if !ok || at.After(end) {
			break
		}
		if at.After(r.now) {
			r.now = at
		}
		r.s.Expire(r.now)
		out = append(out, r.drain()...)
	}
	r.now = end
	return out
}

func (r *rig) want(got []string, want ...string) {
	r.t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		r.t.Fatalf("sent %q, want %q", got, want)
	}
}

// result is the only result so far.
func (r *rig) result() Result {
	r.t.Helper()
	if len(r.results) != 1 {
		r.t.Fatalf("%d transactions settled, want 1", len(r.results))
	}
	return r.results[0]
}

// addsUp checks the promise of Stats.
func (r *rig) addsUp() {
	r.t.Helper()
	if st := r.s.Stats(); st.Datagrams != causes(st) {
		r.t.Fatalf("%d datagrams, %d accounted for: %+v", st.Datagrams, causes(st), st)
	}
}

func causes(st Stats) uint64 {
	return st.Malformed + st.Unexpected + st.AfterClose + st.Accepted + st.Repeated + st.Waiting +
		st.RateLimited + st.QueueFull + st.UnknownTID + st.Elsewhere + st.OutOfBounds + st.Empty +
		st.Oversize + st.TooMuch + st.Late + st.Stored + st.Duplicates + st.StoreErrors +
		st.Draining + st.SourceFull + st.Foreign + st.NoPlace + st.Conflicts +
		st.Challenged + st.Manifests + st.WrongKind + st.TooScattered + st.Unopened + st.Replayed + st.PlainIntents +
		st.Held + st.NotHeld + st.AsksDropped
}

// segment is a message of type 2.
type segment struct {
	to   int // receiver
	seq  int64
	data string
}

func (g segment) message(tid int64) string {
	return fmt.Sprintf("Type:2;TID:%d;SEQ:%d;DATA:%s", tid, g.seq, g.data)
}

// cut splits a payload over receivers as a client does: contiguous shares, cut
// into segments of 100 bytes.
func cut(payload []byte, shares ...int) (gs []segment) {
	for i, n := range shares {
		for part := payload[:n]; len(part) > 0; part = part[min(100, len(part)):] {
			gs = append(gs, segment{i, int64(len(gs)), string(part[:min(100, len(part))])})
		}
		payload = payload[n:]
	}
	return gs
}

func random(n int) []byte {
	b := make([]byte, n)
	rnd := rand.New(rand.NewPCG(1, uint64(n)))
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	return b
}

// The transaction of the capture: 5000 bytes over three receivers, split in 963,
// 1981 and 2056 bytes, SEQ 0 to 50.
func TestCapture(t *testing.T) {
	payload := random(5000)
	gs := cut(payload, 963, 1981, 2056)
	if len(gs) != 51 || len(gs[9].data) != 63 || len(gs[29].data) != 81 || len(gs[50].data) != 56 {
		t.Fatalf("the capture has 51 segments with tails of 63, 81 and 56 bytes")
	}
	for _, expect := range []*Payload{nil, {Size: 5000, SHA256: sha256.Sum256(payload)}} {
		m := new(Memory)
		r := newRig(t, Config{FirstTID: 3740, Store: m, Expect: expect})
		r.want(r.to(orch, client, "Type:0;"), offer3740)
		for i, g := range gs {
			r.now = r.now.Add(time.Second)
			r.s.Receive(r.now, &loop.Envelope{Sock: 2, Peer: client, Local: three[g.to].Addr}, []byte(g.message(3740)))
			out := r.drain()
			r.want(texts(out), fmt.Sprintf("Type:3;TID:3740;SEQ:%d;", i))
			if e := out[0].env; e.Sock != 2 || e.Peer != client || e.Local != three[g.to].Addr {
				t.Fatalf("ack of %d leaves as %+v", i, e)
			}
		}
		elapsed := 51 * time.Second
		if expect == nil {
			r.pass(DefaultIdle - time.Millisecond)
			if len(r.results) != 0 {
				t.Fatal("settled before it was silent for Idle")
			}
			r.pass(3 * time.Millisecond)
			elapsed += DefaultIdle
		}
		res := r.result()
		if !res.Status || res.Comment != "Transaction completed!" || !res.Complete || !res.Balanced {
			t.Errorf("verdict %+v", res)
		}
		if res.TID != 3740 || res.Client != client || res.Bytes != 5000 || res.Segments != 51 || res.Missing != nil || res.Err != nil {
			t.Errorf("result %+v", res)
		}
		if res.SHA256 != sha256.Sum256(payload) {
			t.Errorf("hash %x", res.SHA256)
		}
		if d := res.Elapsed - elapsed; d < 0 || d > 2*time.Millisecond || res.Transfer != 51*time.Second {
			t.Errorf("elapsed %v, transfer %v", res.Elapsed, res.Transfer)
		}
		for i, want := range []struct{ bytes, segments int64 }{{963, 10}, {1981, 20}, {2056, 21}} {
			if sh := res.Receivers[i]; sh.Bytes != want.bytes || sh.Segments != want.segments || sh.Receiver != three[i] {
				t.Errorf("receiver %d: %+v", i, sh)
			}
		}
		if got, ok := m.Payload(3740); !ok || string(got) != string(payload) {
			t.Errorf("the payload did not arrive as it was")
		}
		r.addsUp()
	}
}

func TestVerdicts(t *testing.T) {
	payload := random(1000)
	sum := sha256.Sum256(payload)
	mode2 := cut(payload, 0, 1000)
	balancedOne := cut(payload, 300, 400, 300)
	wrong := append([]byte(nil), payload...)
	wrong[500] ^= 1
	tests := []struct {
		name     string
		segments []segment
		expect   *Payload
		comment  string
		bytes    int64
		missing  string
	}{
		{"balanced", balancedOne, nil, "Transaction completed!", 1000, ""},
		{"balanced, expected", balancedOne, &Payload{1000, sum}, "Transaction completed!", 1000, ""},
		{"mode 2", mode2, nil, "Transaction failed! Complete data but load balancing violation!", 1000, ""},
		{"mode 2, expected", mode2, &Payload{1000, sum}, "Transaction failed! Complete data but load balancing violation!", 1000, ""},
		{"mode 2 with a gap", append(append([]segment(nil), mode2[:3]...), mode2[5:]...), nil,
			"Transaction failed! Load balancing violation and incomplete data!", 800, "3-4"},
		{"gaps", append(append([]segment(nil), balancedOne[1:3]...), balancedOne[4:]...), nil,
			"Transaction failed! Incomplete data!", 800, "0,3"},
		{"one byte less than the minimum", cut(payload, 99, 451, 450), nil,
			"Transaction failed! Complete data but load balancing violation!", 1000, ""},
		{"the minimum", cut(payload, 100, 450, 450), nil, "Transaction completed!", 1000, ""},
		{"shorter than expected", balancedOne[:len(balancedOne)-1], &Payload{1000, sum}, "Transaction failed! Incomplete data!", 900, ""},
		{"other bytes than expected", cut(wrong, 300, 400, 300), &Payload{1000, sum}, "Transaction failed! Incomplete data!", 1000, ""},
		{"longer than expected", balancedOne, &Payload{999, sha256.Sum256(payload[:999])}, "Transaction failed! Incomplete data!", 1000, ""},
		{"the expected bytes, numbered with a gap", []segment{{0, 0, "a"}, {1, 1, "b"}, {2, 3, "c"}},
			&Payload{3, sha256.Sum256([]byte("abc"))}, "Transaction failed! Incomplete data!", 3, "2"},
		{"nothing", nil, nil, "Transaction failed! Incomplete data!", 0, ""},
		{"nothing, but expected", nil, &Payload{1000, sum}, "Transaction failed! Incomplete data!", 0, ""},
		{"nothing, as expected", nil, &Payload{0, sha256.Sum256(nil)}, "Transaction completed!", 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, Config{FirstTID: 7, Expect: tt.expect})
			r.to(orch, client, "Type:0")
			for _, g := range tt.segments {
				r.want(r.to(three[g.to].Addr, client, g.message(7)), fmt.Sprintf("Type:3;TID:7;SEQ:%d;", g.seq))
			}
			r.pass(DefaultLimit + time.Second)
			res := r.result()
			if res.Comment != tt.comment || res.Status != (tt.comment == Completed) || res.Bytes != tt.bytes {
				t.Errorf("status %v, %q, %d bytes", res.Status, res.Comment, res.Bytes)
			}
			if got := string(wire.AppendRanges(nil, res.Missing)); got != tt.missing {
				t.Errorf("missing %q, want %q", got, tt.missing)
			}
			r.addsUp()
		})
	}
}

// Every datagram that is not for a receiver's live transaction, and how it is
// counted.
func TestDropped(t *testing.T) {
	full := strings.Repeat("x", 100)
	tests := []struct {
		local netip.AddrPort
		b     string
		count func(*Stats) *uint64
	}{
		{sao, "", func(s *Stats) *uint64 { return &s.Malformed }},
		{sao, "\xff\xfe", func(s *Stats) *uint64 { return &s.Malformed }},
		{sao, "Type:2;TID:9223372036854775808;SEQ:0;DATA:x", func(s *Stats) *uint64 { return &s.Malformed }},
		{sao, "Type:2;TID:-7;SEQ:0;DATA:x", func(s *Stats) *uint64 { return &s.Malformed }},
		{sao, "Type:2;SEQ:0;DATA:x", func(s *Stats) *uint64 { return &s.Malformed }},
		{sao, "Type:2;TID:7;DATA:x", func(s *Stats) *uint64 { return &s.Malformed }},
		{sao, "Type:1;TID:7;DATA:[];", func(s *Stats) *uint64 { return &s.Unexpected }},
		{sao, "Type:3;TID:7;SEQ:0;", func(s *Stats) *uint64 { return &s.Unexpected }},
		{sao, "Type:200;", func(s *Stats) *uint64 { return &s.Unexpected }},
		{sao, "Type:2;TID:8;SEQ:0;DATA:x", func(s *Stats) *uint64 { return &s.UnknownTID }},
		{sao, "Type:2;TID:0;SEQ:0;DATA:x", func(s *Stats) *uint64 { return &s.UnknownTID }},
		{orch, "Type:2;TID:7;SEQ:0;DATA:x", func(s *Stats) *uint64 { return &s.Elsewhere }},
		{netip.AddrPortFrom(sao.Addr(), 4651), "Type:2;TID:7;SEQ:0;DATA:x", func(s *Stats) *uint64 { return &s.Elsewhere }},
		{sao, "Type:2;TID:7;SEQ:0;DATA:", func(s *Stats) *uint64 { return &s.Empty }},
		{sao, "Type:2;TID:7;SEQ:0;", func(s *Stats) *uint64 { return &s.Empty }},
		{sao, "Type:2;TID:7;SEQ:0;DATA:" + full + "y", func(s *Stats) *uint64 { return &s.Oversize }},
		// 250 bytes are three segments, and one more for each receiver.
		{sao, "Type:2;TID:7;SEQ:6;DATA:x", func(s *Stats) *uint64 { return &s.OutOfBounds }},
		{sao, "Type:2;TID:7;SEQ:9223372036854775807;DATA:x", func(s *Stats) *uint64 { return &s.OutOfBounds }},
	}
	for _, tt := range tests {
		r := newRig(t, Config{FirstTID: 7, MaxBytes: 250})
		r.to(orch, client, "Type:0;")
		r.want(r.to(tt.local, client, tt.b))
		st := r.s.Stats()
		if *tt.count(&st) != 1 || st.Stored != 0 || st.Acks != 0 {
			t.Errorf("%q to %v: %+v", tt.b, tt.local, st)
		}
		r.addsUp()
	}

	t.Run("beyond MaxBytes", func(t *testing.T) {
		r := newRig(t, Config{FirstTID: 7, MaxBytes: 250})
		r.to(orch, client, "Type:0;")
		for i := range 2 {
			r.want(r.to(sao, client, segment{0, int64(i), full}.message(7)), fmt.Sprintf("Type:3;TID:7;SEQ:%d;", i))
		}
		r.want(r.to(sao, client, segment{0, 2, full}.message(7)))
		if st := r.s.Stats(); st.TooMuch != 1 || st.Bytes != 200 {
			t.Errorf("%+v", st)
		}
		// What did not fit is missing, so this is no payload.
		r.pass(DefaultLimit + time.Second)
		if res := r.result(); res.Complete || len(res.Missing) != 1 {
			t.Errorf("%+v", res)
		}
	})
	t.Run("nowhere to answer", func(t *testing.T) {
		r := newRig(t, Config{})
		r.want(r.to(orch, netip.AddrPort{}, "Type:0;"))
		r.want(r.to(orch, netip.AddrPortFrom(client.Addr(), 0), "Type:0;"))
		if st := r.s.Stats(); st.Malformed != 2 || r.s.Open() != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// A payload that does not fit the bounds is never called complete: what was refused
// is known to exist.
func TestRefusedIsNotComplete(t *testing.T) {
	for _, last := range []segment{
		{2, 3, strings.Repeat("x", 101)},
		{2, 1 << 40, "x"},
	} {
		r := newRig(t, Config{FirstTID: 7})
		r.to(orch, client, "Type:0;")
		for i := range 3 {
			r.to(three[i].Addr, client, segment{i, int64(i), "abc"}.message(7))
		}
		r.want(r.to(three[2].Addr, client, last.message(7)))
		r.pass(DefaultLimit + time.Second)
		if res := r.result(); res.Complete || res.Comment != Incomplete || res.Elapsed < DefaultLimit {
			t.Errorf("SEQ %d: %+v", last.seq, res)
		}
	}
	// An expected payload is known to be there whatever else came.
	r := newRig(t, Config{FirstTID: 7, Expect: &Payload{3, sha256.Sum256([]byte("abc"))}})
	r.to(orch, client, "Type:0;")
	r.to(sao, client, segment{0, 9, strings.Repeat("x", 101)}.message(7))
	for i, c := range "abc" {
		r.to(three[i].Addr, client, segment{i, int64(i), string(c)}.message(7))
	}
	if res := r.result(); !res.Status || res.Missing != nil {
		t.Errorf("%+v", res)
	}
}

func TestDuplicates(t *testing.T) {
	m := new(Memory)
	r := newRig(t, Config{FirstTID: 7, Store: m})
	r.to(orch, client, "Type:0;")
	r.to(sao, client, "Type:2;TID:7;SEQ:0;DATA:first")
	// Another receiver, even another sender: acknowledged, not stored. Other bytes are
	// another payload's.
	r.want(r.to(oregon, stranger, "Type:2;TID:7;SEQ:0;DATA:first"), "Type:3;TID:7;SEQ:0;")
	for _, other := range []string{"First", "firs", "first ", "x"} {
		r.want(r.to(oregon, client, "Type:2;TID:7;SEQ:0;DATA:"+other))
	}
	r.pass(DefaultIdle + time.Second)
	res := r.result()
	if res.Receivers[0].Bytes != 5 || res.Receivers[1].Bytes != 0 || res.Receivers[1].Duplicates != 1 || res.Bytes != 5 {
		t.Errorf("%+v", res)
	}
	if b, _ := m.Payload(7); string(b) != "first" {
		t.Errorf("payload %q", b)
	}
	// After the verdict it is the same.
	r.want(r.to(sao, client, "Type:2;TID:7;SEQ:0;DATA:first"), "Type:3;TID:7;SEQ:0;")
	r.want(r.to(sao, client, "Type:2;TID:7;SEQ:0;DATA:other"))
	if st := r.s.Stats(); st.Conflicts != 5 || st.Duplicates != 2 {
		t.Errorf("%+v", st)
	}
	r.addsUp()
}

// After the verdict what is stored is acknowledged and nothing is stored; after the
// limit there is silence.
func TestSettledAndSilent(t *testing.T) {
	r := newRig(t, Config{FirstTID: 7})
	r.to(orch, client, "Type:0;")
	r.to(sao, client, "Type:2;TID:7;SEQ:0;DATA:x")
	r.pass(DefaultIdle + time.Second)
	r.result()
	r.want(r.to(sao, client, "Type:2;TID:7;SEQ:0;DATA:x"), "Type:3;TID:7;SEQ:0;")
	r.want(r.to(sao, client, "Type:2;TID:7;SEQ:1;DATA:x"))
	if st := r.s.Stats(); st.Duplicates != 1 || st.Late != 1 || st.Stored != 1 {
		t.Errorf("%+v", st)
	}
	// An acknowledgement that could not be sent in time is not sent.
	r.now = epoch.Add(DefaultLimit - 1)
	r.s.Receive(r.now, &loop.Envelope{Peer: client, Local: sao}, []byte("Type:2;TID:7;SEQ:0;DATA:x"))
	r.now = epoch.Add(DefaultLimit)
	r.want(texts(r.drain()))
	r.want(r.to(sao, client, "Type:2;TID:7;SEQ:0;DATA:x"))
	if st := r.s.Stats(); st.UnknownTID != 1 || st.AcksDropped != 1 {
		t.Errorf("%+v", st)
	}
	if len(r.s.byTID)+len(r.s.byClient)+r.s.remembered+r.s.wheel.Len() != 0 {
		t.Error("the transaction is not forgotten")
	}
	// The client may start anew.
	r.want(r.to(orch, client, "Type:0;"), strings.Replace(offer3740, "3740", "8", 1))
	r.addsUp()
}

// At the limit an open transaction has its verdict, even if a datagram comes before
// the timer does.
func TestLimit(t *testing.T) {
	for _, wake := range []bool{true, false} {
		r := newRig(t, Config{FirstTID: 7, Limit: 5 * time.Second})
		r.to(orch, client, "Type:0;")
		r.now = epoch.Add(5*time.Second - 1)
		r.want(r.to(sao, client, "Type:2;TID:7;SEQ:1;DATA:x"), "Type:3;TID:7;SEQ:1;")
		if wake {
			r.pass(2 * time.Millisecond)
		} else {
			r.now = r.now.Add(1)
			r.want(r.to(sao, client, "Type:2;TID:7;SEQ:0;DATA:x"))
		}
		if res := r.result(); res.Comment != Incomplete || res.Segments != 1 {
			t.Errorf("%+v", res)
		}
		if r.s.Open() != 0 {
			t.Error("still open")
		}
	}
}

// A duplicate shows that the client has not heard yet: Idle starts anew.
func TestIdleIsSilence(t *testing.T) {
	r := newRig(t, Config{FirstTID: 7, Idle: 2 * time.Second})
	r.to(orch, client, "Type:0;")
	for range 5 {
		r.to(sao, client, "Type:2;TID:7;SEQ:0;DATA:x")
		r.pass(1900 * time.Millisecond)
	}
	r.to(sao, client, "Type:2;TID:7;SEQ:2;DATA:x") // a gap
	r.pass(10 * time.Second)
	if len(r.results) != 0 {
		t.Fatal("settled while it was not whole or not silent")
	}
	r.to(sao, client, "Type:2;TID:7;SEQ:1;DATA:x")
	r.pass(2*time.Second + 2*time.Millisecond)
	if res := r.result(); !res.Complete || res.Segments != 3 || res.Receivers[0].Duplicates != 4 {
		t.Errorf("%+v", res)
	}
}

func TestNext(t *testing.T) {
	s, err := New(Config{Receivers: three})
	if err != nil {
		t.Fatal(err)
	}
	if at, ok := s.Next(); !ok || at.After(epoch) {
		t.Errorf("at the start %v, %v", at, ok)
	}
	s.Expire(epoch)
	if at, ok := s.Next(); !ok || at.Before(epoch.Add(time.Minute)) {
		t.Errorf("with nothing to do %v, %v", at, ok)
	}

	r := newRig(t, Config{Once: true, FirstTID: 1, Expect: &Payload{1, sha256.Sum256([]byte("x"))}})
	r.to(orch, client, "Type:0;")
	if at, ok := r.s.Next(); !ok || at.After(epoch.Add(DefaultLimit+2*time.Millisecond)) {
		t.Errorf("with a transaction %v, %v", at, ok)
	}
	// The last acknowledgement is still sent.
	r.want(r.to(sao, client, "Type:2;TID:1;SEQ:0;DATA:x"), "Type:3;TID:1;SEQ:0;")
	if _, ok := r.s.Next(); ok {
		t.Error("once, and it goes on")
	}
}

// Sockets that do not tell the local address.
func TestReceiverBySocket(t *testing.T) {
	rs := []Receiver{{Addr: sao}, {Addr: oregon, Sock: 1}, {Addr: netip.AddrPortFrom(ireland.Addr(), 5000), Sock: 1}}
	port := func(p uint16) netip.AddrPort { return netip.AddrPortFrom(netip.Addr{}, p) }
	tests := []struct {
		sock  int
		local netip.AddrPort
		want  int
	}{
		{0, netip.AddrPort{}, 0}, {1, netip.AddrPort{}, 1}, {2, netip.AddrPort{}, -1},
		{1, port(4650), 1}, {1, port(5000), 2}, {0, port(5000), -1},
		{9, sao, 0}, {9, netip.MustParseAddrPort("[::ffff:177.71.168.45]:4650"), 0}, {1, netip.AddrPortFrom(sao.Addr(), 5000), -1},
	}
	r := newRig(t, Config{Receivers: rs})
	for _, tt := range tests {
		got, ok := r.s.rcv.receiver(&loop.Envelope{Sock: tt.sock, Local: tt.local})
		if !ok {
			got = -1
		}
		if got != tt.want {
			t.Errorf("socket %d, %v: receiver %d, want %d", tt.sock, tt.local, got, tt.want)
		}
	}
}

// Acknowledgements that nobody fetches are bounded.
func TestAcksBounded(t *testing.T) {
	r := newRig(t, Config{FirstTID: 7})
	r.to(orch, client, "Type:0;")
	for range maxAcks + 10 {
		r.s.Receive(r.now, &loop.Envelope{Peer: client, Local: sao}, []byte("Type:2;TID:7;SEQ:0;DATA:x"))
	}
	// The same one over and over is one that waits.
	if n := len(r.drain()); n != 1 || r.s.Stats().AcksDropped != 0 {
		t.Errorf("%d sent, %d dropped", n, r.s.Stats().AcksDropped)
	}
	for seq := range leastAcks + 10 {
		r.s.Receive(r.now, &loop.Envelope{Peer: client, Local: sao}, []byte(segment{0, int64(seq), "x"}.message(7)))
	}
	if n := len(r.drain()); n != leastAcks || r.s.Stats().AcksDropped != 10 {
		t.Errorf("%d sent, %d dropped", n, r.s.Stats().AcksDropped)
	}
	// Many transactions together have a bound too.
	r = newRig(t, Config{FirstTID: 1, Receivers: one, IntentRate: -1, SourceConcurrent: 400, Concurrent: 400})
	for k := range 300 {
		r.to(orch, port(k+1), "Type:0;")
	}
	for k := range 300 {
		for seq := range leastAcks {
			r.s.Receive(r.now, &loop.Envelope{Peer: port(k + 1), Local: sao}, []byte(segment{0, int64(seq), "x"}.message(int64(k+1))))
		}
	}
	if n := len(r.drain()); n != maxAcks || len(r.s.rcv.acks.all) != maxAcks || r.s.Stats().AcksDropped != 300*leastAcks-maxAcks {
		t.Errorf("%d sent, %d places, %+v", n, len(r.s.rcv.acks.all), r.s.Stats())
	}
}

func TestFailChangesNothing(t *testing.T) {
	r := newRig(t, Config{FirstTID: 7})
	r.to(orch, client, "Type:0;")
	r.s.Fail(r.now, &loop.Envelope{Peer: client}, fmt.Errorf("refused"))
	r.want(r.to(sao, client, "Type:2;TID:7;SEQ:0;DATA:x"), "Type:3;TID:7;SEQ:0;")
	if r.s.Stats().SendErrors != 1 {
		t.Errorf("%+v", r.s.Stats())
	}
}

// The hash of a payload of the right size is computed once, whatever comes then.
func TestHashedOnce(t *testing.T) {
	r := newRig(t, Config{FirstTID: 7, Expect: &Payload{1, sha256.Sum256([]byte("y"))}})
	r.to(orch, client, "Type:0;")
	r.to(sao, client, "Type:2;TID:7;SEQ:0;DATA:x")
	e, in, out := &loop.Envelope{Peer: client, Local: sao}, []byte("Type:2;TID:7;SEQ:0;DATA:x"), make([]byte, 0, 256)
	back := new(loop.Envelope)
	if n := testing.AllocsPerRun(100, func() {
		r.s.Receive(r.now, e, in)
		r.s.Transmit(r.now, back, out)
	}); n != 0 {
		t.Errorf("%v allocations for a duplicate of a payload that is not the expected", n)
	}
}

// An offer that waits to be repeated is not sent when its transaction is forgotten
// meanwhile.
func TestNoOfferOfTheForgotten(t *testing.T) {
	r := newRig(t, Config{FirstTID: 7, Remember: -1, Expect: &Payload{1, sha256.Sum256([]byte("x"))}})
	r.to(orch, client, "Type:0;")
	r.s.Receive(r.now, &loop.Envelope{Peer: client, Local: orch}, []byte("Type:0;"))
	r.want(r.to(sao, client, "Type:2;TID:7;SEQ:0;DATA:x"), "Type:3;TID:7;SEQ:0;")
}

// No garbage for a segment that comes again, and for its acknowledgement.
func TestAllocations(t *testing.T) {
	r := newRig(t, Config{FirstTID: 7})
	r.to(orch, client, "Type:0;")
	in, out := []byte("Type:2;TID:7;SEQ:0;DATA:x"), make([]byte, 0, 2048)
	junk := []byte("Type:2;TID:99;SEQ:0;DATA:x")
	e, back := &loop.Envelope{Peer: client, Local: sao}, new(loop.Envelope)
	n := testing.AllocsPerRun(1000, func() {
		r.s.Receive(r.now, e, junk)
		r.s.Receive(r.now, e, in)
		if _, ok := r.s.Transmit(r.now, back, out); !ok {
			t.Fatal("no acknowledgement")
		}
		r.s.Next()
	})
	if n != 0 {
		t.Errorf("%v allocations for a segment", n)
	}
}
