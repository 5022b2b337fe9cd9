package server

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"mdalp/loop"
	"mdalp/wire"
)

var one = []Receiver{{Addr: sao}}

func offerOf(tid int) string {
	return fmt.Sprintf("Type:1;TID:%d;DATA:[{'ip_address': '177.71.168.45'}];", tid)
}

// port is another client of the same host.
func port(n int) netip.AddrPort { return netip.AddrPortFrom(client.Addr(), uint16(n)) }

func TestRepeatedIntent(t *testing.T) {
	r := newRig(t, Config{Receivers: one})
	first := r.to(orch, client, "Type:0;")
	if len(first) != 1 {
		t.Fatalf("sent %q", first)
	}
	// The answer leaves from where the question came to.
	r.now = r.now.Add(time.Second)
	r.s.Receive(r.now, &loop.Envelope{Sock: 3, Peer: client, Local: oregon}, []byte("Type:0"))
	again := r.drain()
	r.want(texts(again), first...)
	if e := again[0].env; e.Sock != 3 || e.Local != oregon || e.Peer != client {
		t.Errorf("offer leaves as %+v", e)
	}
	// Two at once draw one offer.
	for range 2 {
		r.s.Receive(r.now, &loop.Envelope{Peer: client, Local: orch}, []byte("Type:0;"))
	}
	r.want(texts(r.drain()), first...)
	// Another port is another client.
	if other := r.to(orch, port(2), "Type:0;"); len(other) != 1 || other[0] == first[0] {
		t.Errorf("another client got %q", other)
	}
	if st := r.s.Stats(); st.Repeated != 3 || st.Accepted != 2 || st.Offers != 4 {
		t.Errorf("%+v", st)
	}
	// A repeated intent does not prolong the transaction.
	r.now = epoch.Add(DefaultLimit)
	if later := r.to(orch, client, "Type:0;"); len(later) != 1 || later[0] == first[0] {
		t.Errorf("after the limit %q", later)
	}
	r.addsUp()
}

// Concurrent bounds open transactions; intents beyond wait in order, in a bounded
// queue, once each.
func TestQueue(t *testing.T) {
	sum := sha256.Sum256([]byte("x"))
	r := newRig(t, Config{Receivers: one, FirstTID: 1, Concurrent: 2, Queue: 2, Expect: &Payload{1, sum}})
	r.want(r.to(orch, port(1), "Type:0;"), offerOf(1))
	r.want(r.to(orch, port(2), "Type:0;"), offerOf(2))
	r.want(r.to(orch, port(3), "Type:0;"))
	r.want(r.to(orch, port(4), "Type:0;"))
	r.want(r.to(orch, port(3), "Type:0;"))
	r.want(r.to(orch, port(5), "Type:0;"))
	if st := r.s.Stats(); st.Accepted != 4 || st.Waiting != 1 || st.QueueFull != 1 || r.s.Waiting() != 2 || r.s.Open() != 2 {
		t.Errorf("%+v", st)
	}
	// The second transaction settles, so the third client is next: settled ones do
	// not count.
	r.want(r.to(sao, port(2), "Type:2;TID:2;SEQ:0;DATA:x"), "Type:3;TID:2;SEQ:0;", offerOf(3))
	r.want(r.to(orch, port(5), "Type:0;"))
	r.want(texts(r.pass(DefaultLimit+time.Second)), offerOf(4), offerOf(5))
	if r.s.Waiting() != 0 {
		t.Error("someone still waits")
	}
	r.addsUp()

	// Without a queue.
	r = newRig(t, Config{Receivers: one, FirstTID: 1, Concurrent: 1, Queue: -1})
	r.want(r.to(orch, port(1), "Type:0;"), offerOf(1))
	r.want(r.to(orch, port(2), "Type:0;"))
	if r.s.Stats().QueueFull != 1 {
		t.Errorf("%+v", r.s.Stats())
	}
}

// An offer that is held back starts its transaction when it leaves.
func TestOfferDelay(t *testing.T) {
	r := newRig(t, Config{Receivers: one, FirstTID: 1, OfferDelay: 7 * time.Minute})
	r.want(r.to(orch, client, "Type:0;"))
	r.want(texts(r.pass(time.Minute)))
	r.want(r.to(orch, client, "Type:0;"))
	r.want(r.to(sao, client, "Type:2;TID:1;SEQ:0;DATA:x"))
	r.want(texts(r.pass(6*time.Minute - time.Millisecond)))
	r.want(texts(r.pass(3*time.Millisecond)), offerOf(1))
	started := r.now
	r.want(r.to(orch, client, "Type:0;"), offerOf(1))
	r.pass(DefaultLimit - 10*time.Millisecond)
	r.want(r.to(sao, client, "Type:2;TID:1;SEQ:0;DATA:x"), "Type:3;TID:1;SEQ:0;")
	r.pass(20 * time.Millisecond)
	if res := r.result(); res.Elapsed < DefaultLimit || res.Elapsed > r.now.Sub(started)+3*time.Millisecond {
		t.Errorf("elapsed %v", res.Elapsed)
	}
	if st := r.s.Stats(); st.UnknownTID != 1 || st.Repeated != 2 {
		t.Errorf("%+v", st)
	}
}

// A transaction starts when its offer leaves the program, not before.
func TestStartsWhenSent(t *testing.T) {
	r := newRig(t, Config{Receivers: one, FirstTID: 1})
	r.s.Receive(r.now, &loop.Envelope{Peer: client, Local: orch}, []byte("Type:0;"))
	r.s.Receive(r.now, &loop.Envelope{Peer: client, Local: sao}, []byte("Type:2;TID:1;SEQ:0;DATA:x"))
	if st := r.s.Stats(); st.UnknownTID != 1 {
		t.Errorf("%+v", st)
	}
	r.now = epoch.Add(time.Hour)
	r.want(texts(r.drain()), offerOf(1))
	r.want(r.to(sao, client, "Type:2;TID:1;SEQ:0;DATA:x"), "Type:3;TID:1;SEQ:0;")
}

func TestTIDs(t *testing.T) {
	var large bool
	draw := func(seed byte) (tids []int64) {
		r := newRig(t, Config{Receivers: one, Seed: [32]byte{seed}, Concurrent: 200, SourceConcurrent: 200, IntentRate: -1})
		for i := range 200 {
			out := r.to(orch, port(i+1), "Type:0;")
			m, err := wire.Parse([]byte(out[0]))
			if err != nil || m.TID < 1 {
				t.Fatalf("%q: %v", out, err)
			}
			large = large || m.TID > 1<<62
			tids = append(tids, m.TID)
		}
		return tids
	}
	a, b, c := draw(1), draw(1), draw(2)
	if fmt.Sprint(a) != fmt.Sprint(b) || fmt.Sprint(a) == fmt.Sprint(c) {
		t.Error("numbers do not come from the seed")
	}
	if !large {
		t.Error("of 600 numbers of 63 bits none has the highest")
	}
	seen := make(map[int64]bool)
	for _, tid := range a {
		if seen[tid] {
			t.Errorf("%d twice", tid)
		}
		seen[tid] = true
	}

	// A number that lives, or whose payload the store still has, is passed over.
	m := new(Memory)
	r := newRig(t, Config{Receivers: one, FirstTID: 1, Store: m, Idle: time.Second})
	r.to(orch, port(1), "Type:0;")
	r.to(sao, port(1), "Type:2;TID:1;SEQ:0;DATA:x")
	r.pass(DefaultLimit + time.Second)
	r = newRig(t, Config{Receivers: one, FirstTID: 1, Store: m})
	r.want(r.to(orch, port(1), "Type:0;"), offerOf(2))
	r.s.next = 1
	r.want(r.to(orch, port(2), "Type:0;"), offerOf(3))
	// After the last number comes the first.
	r.s.next = wire.MaxNumber
	r.want(r.to(orch, port(3), "Type:0;"), "Type:1;TID:9223372036854775807;DATA:[{'ip_address': '177.71.168.45'}];")
	r.want(r.to(orch, port(4), "Type:0;"), offerOf(4))
}

func TestRateLimit(t *testing.T) {
	r := newRig(t, Config{Receivers: one, FirstTID: 1, Concurrent: 1000})
	v6 := func(s string) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(s), 1) }
	// A repeated intent takes a token too; the source is the host, or the /64.
	for _, from := range [][2]netip.AddrPort{
		{port(1), port(2)},
		{v6("2001:db8::1"), v6("2001:db8::ffff:1")},
	} {
		before := r.s.Stats()
		for range DefaultIntentBurst + 5 {
			r.to(orch, from[0], "Type:0;")
		}
		if n := r.s.Stats().RateLimited - before.RateLimited; n != 5 {
			t.Errorf("%v: %d of %d limited", from[0], n, DefaultIntentBurst+5)
		}
		r.want(r.to(orch, from[1], "Type:0;"))
	}
	if out := r.to(orch, v6("2001:db8:0:1::1"), "Type:0;"); len(out) != 1 {
		t.Error("another /64 is limited too")
	}
	// In half a second five tokens come back. One is for the client that waits.
	r.now = r.now.Add(500 * time.Millisecond)
	got := map[netip.AddrPort]int{}
	for range 10 {
		r.s.Receive(r.now, &loop.Envelope{Peer: port(1), Local: orch}, []byte("Type:0;"))
		for _, d := range r.drain() {
			got[d.env.Peer]++
		}
	}
	if got[port(1)] != 4 || got[port(2)] != 1 {
		t.Errorf("offers after half a second: %v", got)
	}
	r.addsUp()
}

// The table of sources has a bound, and forgets those that asked longest ago.
func TestSourcesBounded(t *testing.T) {
	l := newLimiter(10, 1)
	host := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}) }
	allow := func(a netip.Addr) bool {
		ok := l.may(epoch, source{Addr: a})
		if ok {
			l.take(epoch, source{Addr: a})
		}
		return ok
	}
	for i := range 3 * sources {
		if !allow(host(i)) {
			t.Fatalf("source %d was never seen and is limited", i)
		}
		if allow(host(0)) {
			t.Fatal("a source without tokens is allowed, or was forgotten")
		}
	}
	if len(l.buckets) != sources || len(l.at) != sources {
		t.Errorf("%d buckets, %d sources", len(l.buckets), len(l.at))
	}
	for i := range 100 {
		if allow(host(3*sources - 1 - i)) {
			t.Errorf("%d sources later one is forgotten", i)
		}
	}
	if !allow(host(1)) {
		t.Error("the oldest is not forgotten")
	}
}

// Settled transactions are bounded: the one that settled first goes.
func TestRememberBounded(t *testing.T) {
	sum := sha256.Sum256([]byte("x"))
	for _, remember := range []int{3, -1} {
		r := newRig(t, Config{Receivers: one, FirstTID: 1, Remember: remember, Expect: &Payload{1, sum}})
		for i := range 5 {
			r.want(r.to(orch, port(i+1), "Type:0;"), offerOf(i+1))
			// The acknowledgement goes out even if the transaction is forgotten at once.
			r.want(r.to(sao, port(i+1), fmt.Sprintf("Type:2;TID:%d;SEQ:0;DATA:x", i+1)), fmt.Sprintf("Type:3;TID:%d;SEQ:0;", i+1))
		}
		kept := max(0, remember)
		for i := range 5 {
			var want []string
			if i >= 5-kept {
				want = []string{fmt.Sprintf("Type:3;TID:%d;SEQ:0;", i+1)}
			}
			r.want(r.to(sao, port(i+1), fmt.Sprintf("Type:2;TID:%d;SEQ:0;DATA:x", i+1)), want...)
		}
		if st := r.s.Stats(); st.Forgotten != uint64(5-kept) || r.s.remembered != kept || len(r.s.slots) > kept+2+timers {
			t.Errorf("%+v", st)
		}
		r.pass(DefaultLimit + time.Second)
		if r.s.newest != nil || r.s.oldest != nil || len(r.s.byTID) != 0 {
			t.Error("something is remembered for good")
		}
	}
}

func TestOfferFitsOriginal(t *testing.T) {
	receivers := func(n int, name string) (rs []Receiver) {
		for i := range n {
			rs = append(rs, Receiver{Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}), Port), Name: name})
		}
		return rs
	}
	for _, tt := range []struct {
		n     int
		named bool
	}{{10, true}, {15, true}, {25, false}, {40, true}} {
		r := newRig(t, Config{Receivers: receivers(tt.n, "Receiver"), FirstTID: 1})
		out := r.to(orch, client, "Type:0;")[0]
		if strings.Contains(out, "name") != tt.named || strings.Count(out, "ip_address") != tt.n {
			t.Errorf("%d receivers: %q", tt.n, out)
		}
	}
	// A port that is not the protocol's is told, an IPv6 address too.
	r := newRig(t, Config{FirstTID: 1, Receivers: []Receiver{
		{Addr: netip.MustParseAddrPort("[2001:db8::1]:4650")}, {Addr: netip.MustParseAddrPort("192.0.2.1:5000"), Name: "it's"}}})
	r.want(r.to(orch, client, "Type:0;"),
		`Type:1;TID:1;DATA:[{'ip_address': '2001:db8::1'}, {'ip_address': '192.0.2.1', 'name': "it's", 'port': 5000}];`)
}

func TestConfigErrors(t *testing.T) {
	many := make([]Receiver, 4000)
	for i := range many {
		many[i].Addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), Port)
	}
	// Too many for names to be left out, and a name longer than we would read.
	long := append([]Receiver(nil), many[:60]...)
	long[0].Name = strings.Repeat("x", wire.MaxString+1)
	tests := []struct {
		cfg  Config
		want string
	}{
		{Config{}, "no receivers"},
		{Config{Receivers: []Receiver{{}}}, "no client can send"},
		{Config{Receivers: []Receiver{{Addr: netip.MustParseAddrPort("0.0.0.0:4650")}}}, "no client can send"},
		{Config{Receivers: []Receiver{{Addr: netip.MustParseAddrPort("192.0.2.1:0")}}}, "no client can send"},
		{Config{Receivers: []Receiver{{Addr: sao}, {Addr: netip.MustParseAddrPort("[::ffff:177.71.168.45]:4650")}}}, "given twice"},
		{Config{Receivers: many}, "more than a datagram"},
		{Config{Receivers: long}, "cannot be offered"},
		{Config{Receivers: one, Limit: -1}, "negative"},
		{Config{Receivers: one, MaxBytes: -1}, "negative"},
		{Config{Receivers: one, Unused: -1}, "negative"},
		{Config{Receivers: one, MaxOpen: -1}, "negative"},
		{Config{Receivers: one, MaxBytes: 1 << 50}, "more than"},
		{Config{Receivers: one, SegmentLimit: 65500}, "segments of 65500 bytes"},
		{Config{Receivers: one, SegmentLimit: -1}, "segments of -1 bytes"},
	}
	for _, tt := range tests {
		if _, err := New(tt.cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("error %v, want %q", err, tt.want)
		}
	}
}

// Who follows its offers up is held up by no rate: many small payloads go one after the other.
// Offers that nobody follows up are bounded, and so is who has a quarter of all open.
func TestFollowedUp(t *testing.T) {
	const n = 200
	base := func(r *rig, tid int) { r.to(sao, port(tid), fmt.Sprintf("Type:2;TID:%d;SEQ:0;DATA:x", tid)) }
	extended := func(r *rig, tid int) {
		r.to(orch, port(tid), fmt.Sprintf("Type:4;TID:%d;SEQ:0;DATA:{'bytes': 100, 'seg': 100};", tid))
	}
	for _, tt := range []struct {
		name  string
		cfg   Config
		up    func(r *rig, tid int)
		least time.Duration // for all offers
		most  time.Duration
	}{
		{"by segments", Config{}, base, 0, 0},
		{"by manifests", Config{}, extended, 0, 0},
		{"not at all", Config{}, func(*rig, int) {}, (n - DefaultIntentBurst) * time.Second / DefaultIntentRate, time.Minute},
		{"many open", Config{MaxOpen: 200}, base, (n - 50 - DefaultIntentBurst) * time.Second / DefaultIntentRate / 2, time.Minute},
	} {
		tt.cfg.FirstTID, tt.cfg.SourceConcurrent, tt.cfg.Concurrent = 1, 2*n, 2*n
		r := newExtendedRig(t, tt.cfg)
		for tid := 1; tid <= n; tid++ {
			r.offered(port(tid))
			tt.up(r, tid)
		}
		if d := r.now.Sub(epoch); d < tt.least || d > tt.most {
			t.Errorf("%s: %d offers took %v", tt.name, n, d)
		}
		r.addsUp()
	}
}
