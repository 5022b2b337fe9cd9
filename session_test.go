package mdalp

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mdalp/icmp"
	"mdalp/loop"
	"mdalp/wire"
)

var (
	t0           = time.Unix(1_000_000, 0)
	orchestrator = netip.MustParseAddrPort("18.139.29.142:4650")
	receiverA    = netip.MustParseAddrPort("177.71.168.45:4650")
	receiverB    = netip.MustParseAddrPort("54.200.52.112:4650")
	receiverC    = netip.MustParseAddrPort("18.134.193.153:4650")
)

// captured is the offer of the real capture.
const captured = "Type:1;TID:3740;DATA:[{'ip_address': '177.71.168.45', 'name': '5th Receiver'}, " +
	"{'ip_address': '54.200.52.112', 'name': '4th Receiver'}, {'ip_address': '18.134.193.153', 'name': '2nd Receiver'}];"

// ms is an instant, in milliseconds from the start.
func ms(n float64) time.Time { return t0.Add(time.Duration(n * 1e6)) }

// A sent is a datagram that the session wants to have sent.
type sent struct {
	Sock int
	To   string
	Data string
}

// A bench drives one session by hand.
type bench struct {
	t *testing.T
	s *session
}

// asRun gives a configuration as a run.
func asRun[C Config | run](c C) run {
	if r, ok := any(c).(run); ok {
		return r
	}
	return run{Config: any(c).(Config)}
}

// start begins a session of a payload of size bytes.
func start[C Config | run](t *testing.T, size int, c C) *bench {
	t.Helper()
	cfg := asRun(c)
	if !cfg.Orchestrator.IsValid() {
		cfg.Orchestrator = orchestrator
	}
	cfg.key = [32]byte{1}
	d, err := cfg.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	mode := icmp.Off
	if d.pings() {
		mode = icmp.Raw
	}
	return &bench{t, newSession(t0, bytes.NewReader(payload(size)), int64(size), d, mode, mode, 0)}
}

// payload is size bytes of every value, CR LF among them.
func payload(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i) ^ byte(i>>8)
	}
	return b
}

// flush takes all datagrams that are due.
func (b *bench) flush(now time.Time) (out []sent) {
	for {
		var e loop.Envelope
		p, ok := b.s.Transmit(now, &e, nil)
		if !ok {
			return out
		}
		out = append(out, sent{e.Sock, e.Peer.String(), string(p)})
	}
}

// in lets a datagram come in.
func (b *bench) in(now time.Time, from netip.AddrPort, data string) {
	b.s.Receive(now, &loop.Envelope{Peer: from, At: now}, []byte(data))
}

// ended fails the test if the session goes on, and gives its error.
func (b *bench) ended() error {
	b.t.Helper()
	if _, ok := b.s.Next(); ok {
		b.t.Fatal("the session goes on")
	}
	return b.s.err
}

func TestIntent(t *testing.T) {
	b := start(t, 100, Config{})
	want := []sent{{sockUDP, "18.139.29.142:4650", "Type:0;"}}
	if diff := cmp.Diff(want, b.flush(t0)); diff != "" {
		t.Fatal(diff)
	}
	// It is sent once, however long the wait is.
	for i := range 100 {
		b.s.Expire(ms(float64(i) * 10_000))
		if got := b.flush(ms(float64(i) * 10_000)); got != nil {
			t.Fatalf("sent again: %v", got)
		}
	}
}

// The first intent is the protocol's. Every other repetition asks for a cookie, and who has one shows it.
func TestIntentRetry(t *testing.T) {
	const (
		plain = "Type:0;"
		asks  = "Type:0;DATA:{'cookie': '0000000000000000'};"
		shows = "Type:0;DATA:{'cookie': '0123456789abcdef'};"
		gives = "Type:1;DATA:{'cookie': '0123456789abcdef'};"
		other = "Type:1;DATA:{'cookie': 'fedcba9876543210'};"
	)
	b := start(t, 100, Config{IntentRetry: time.Second})
	want := func(at float64, text ...string) {
		t.Helper()
		b.s.Expire(ms(at))
		var got []string
		for _, x := range b.flush(ms(at)) {
			got = append(got, x.Data)
		}
		if diff := cmp.Diff(text, got); diff != "" {
			t.Fatalf("at %v ms: %s", at, diff)
		}
	}
	want(0, plain)
	b.in(ms(10), orchestrator, gives) // it has not asked
	want(999)
	want(1002, asks)
	want(2004, plain)
	want(3006, asks)
	b.in(ms(3050), netip.AddrPortFrom(orchestrator.Addr(), 1), gives)
	want(3060)
	b.in(ms(3070), orchestrator, gives)
	want(3080, shows)
	b.in(ms(3090), orchestrator, other) // once for each that was due
	want(3100)
	want(4010, shows)
	b.in(ms(4020), orchestrator, other)
	want(4030, "Type:0;DATA:{'cookie': 'fedcba9876543210'};")
	if d := b.s.report.Dropped; d.Unwanted != 2 || d.Foreign != 1 {
		t.Errorf("dropped: %+v", d)
	}
	b.in(ms(4040), orchestrator, captured)
	if b.s.phase != PhasePinging {
		t.Errorf("after the offer: %v", b.s.phase)
	}
}

// A host that stood still sends its first intent as everybody does.
func TestIntentRetryAfterPause(t *testing.T) {
	b := start(t, 100, Config{IntentRetry: time.Second})
	b.s.Expire(ms(1500))
	if got := b.flush(ms(1500)); len(got) != 1 || got[0].Data != "Type:0;" {
		t.Errorf("first: %v", got)
	}
	b.s.Expire(ms(2503))
	if got := b.flush(ms(2503)); len(got) != 1 || got[0].Data != "Type:0;DATA:{'cookie': '0000000000000000'};" {
		t.Errorf("then: %v", got)
	}
}

// TestCapture replays the capture: the offer, the echoes' times, and the first
// segments as the original sent them.
func TestCapture(t *testing.T) {
	b := start(t, 5000, Config{})
	b.flush(t0)
	b.in(ms(100), orchestrator, captured)
	rtts := map[string]float64{"177.71.168.45:0": 335.148, "54.200.52.112:0": 162.844, "18.134.193.153:0": 156.857}
	now, last := ms(100), ms(100)
	for range 10 {
		for _, echo := range b.flush(now) {
			if echo.Sock != sockICMP4 {
				t.Fatalf("%+v: not on the ICMP socket", echo)
			}
			from := netip.MustParseAddrPort(echo.To)
			at := now.Add(time.Duration(rtts[echo.To] * 1e6))
			if at.After(last) {
				last = at
			}
			e := loop.Envelope{Sock: sockICMP4, Peer: from, At: at}
			b.s.Receive(now, &e, answer([]byte(echo.Data)))
		}
		if b.s.phase == PhaseSending {
			break
		}
		now, _ = b.s.Next()
		b.s.Expire(now)
	}
	p := payload(5000)
	want := []sent{
		{sockUDP, "177.71.168.45:4650", "Type:2;TID:3740;SEQ:0;DATA:" + string(p[:100])},
		{sockUDP, "54.200.52.112:4650", "Type:2;TID:3740;SEQ:10;DATA:" + string(p[963:1063])},
		{sockUDP, "18.134.193.153:4650", "Type:2;TID:3740;SEQ:30;DATA:" + string(p[2944:3044])},
	}
	if diff := cmp.Diff(want, b.flush(now)); diff != "" {
		t.Fatal(diff)
	}
	for i, share := range []int64{963, 1981, 2056} {
		if r := b.s.report.Receivers[i]; r.Share != share || r.Assigned != []int64{10, 20, 21}[i] {
			t.Errorf("receiver %d: %d bytes in %d segments", i, r.Share, r.Assigned)
		}
	}
	// To the end, acknowledging everything.
	var got bytes.Buffer
	segments := map[int64]string{}
	queue := want
	for len(queue) > 0 {
		m, err := wire.Parse([]byte(queue[0].Data))
		if err != nil {
			t.Fatal(err)
		}
		segments[m.Seq] = string(m.Data)
		b.in(now, netip.MustParseAddrPort(queue[0].To), fmt.Sprintf("Type:3;TID:3740;SEQ:%d;", m.Seq))
		queue = append(queue[1:], b.flush(now)...)
	}
	if err := b.ended(); err != nil {
		t.Fatal(err)
	}
	for i := range int64(51) {
		got.WriteString(segments[i])
	}
	if len(segments) != 51 || !bytes.Equal(got.Bytes(), p) {
		t.Errorf("%d segments, payload equal: %t", len(segments), bytes.Equal(got.Bytes(), p))
	}
	if r := b.s.report; r.Acked != 5000 || r.Left != 0 || r.Resent() != 0 || len(r.Missing) != 0 {
		t.Errorf("report %+v", r)
	}
}

// answer makes the echo reply of a host that gets the request b.
func answer(b []byte) []byte {
	r := bytes.Clone(b)
	r[0] = 0
	r[2], r[3] = 0, 0
	var sum uint32
	for i := 0; i+1 < len(r); i += 2 {
		sum += uint32(r[i])<<8 | uint32(r[i+1])
	}
	sum = sum&0xffff + sum>>16
	sum += sum >> 16
	r[2], r[3] = byte(^sum>>8), byte(^sum)
	return r
}

// TestSizes sends small payloads over three receivers.
func TestSizes(t *testing.T) {
	for _, size := range []int{1, 2, 3, 99, 100, 101, 256, 1000} {
		for _, balance := range []Balance{BalanceEqual, BalanceLatency, BalanceNone, BalanceAdaptive} {
			b := start(t, size, Config{Balance: balance, Ping: icmp.Off, Receiver: 2})
			b.flush(t0)
			b.in(t0, orchestrator, captured)
			segments := map[int64]string{}
			for queue := b.flush(t0); len(queue) > 0; queue = append(queue[1:], b.flush(t0)...) {
				m, _ := wire.Parse([]byte(queue[0].Data))
				segments[m.Seq] = string(m.Data)
				if balance == BalanceNone && queue[0].To != receiverB.String() {
					t.Errorf("mode 2 sent to %s", queue[0].To)
				}
				b.in(t0, netip.MustParseAddrPort(queue[0].To), fmt.Sprintf("Type:3;TID:3740;SEQ:%d", m.Seq))
			}
			if err := b.ended(); err != nil {
				t.Fatalf("%d bytes, %v: %v", size, balance, err)
			}
			var got string
			for i := range int64(len(segments)) {
				got += segments[i]
			}
			if got != string(payload(size)) {
				t.Errorf("%d bytes, %v: %q arrived", size, balance, got)
			}
		}
	}
}

func TestEmptyPayload(t *testing.T) {
	b := start(t, 0, Config{})
	if got := b.flush(t0); got != nil {
		t.Errorf("sent %v", got)
	}
	if err := b.ended(); err != nil {
		t.Error(err)
	}
}

// TestAcksThatChangeNothing: none of these draws a datagram or counts a byte.
func TestAcksThatChangeNothing(t *testing.T) {
	stranger := netip.MustParseAddrPort("192.0.2.1:4650")
	for _, c := range []struct {
		name string
		from netip.AddrPort
		data string
		want Drops
	}{
		{"another address", stranger, "Type:3;TID:3740;SEQ:0;", Drops{Foreign: 1}},
		{"another port", netip.AddrPortFrom(receiverA.Addr(), 4651), "Type:3;TID:3740;SEQ:0;", Drops{Foreign: 1}},
		{"the orchestrator", orchestrator, "Type:3;TID:3740;SEQ:0;", Drops{Unwanted: 1}},
		{"the offer again", orchestrator, captured, Drops{Unwanted: 1}},
		{"another TID", receiverA, "Type:3;TID:3741;SEQ:0;", Drops{Unwanted: 1}},
		{"no TID", receiverA, "Type:3;SEQ:0;", Drops{Unwanted: 1}},
		{"no SEQ", receiverA, "Type:3;TID:3740;", Drops{Unwanted: 1}},
		{"another type", receiverA, "Type:2;TID:3740;SEQ:0;DATA:x", Drops{Unwanted: 1}},
		{"another receiver's range", receiverA, "Type:3;TID:3740;SEQ:17;", Drops{Unsent: 1}},
		{"another receiver's segment", receiverB, "Type:3;TID:3740;SEQ:0;", Drops{Unsent: 1}},
		{"never sent", receiverA, "Type:3;TID:3740;SEQ:1;", Drops{Unsent: 1}},
		{"far out", receiverC, "Type:3;TID:3740;SEQ:51;", Drops{Unsent: 1}},
		{"largest", receiverC, "Type:3;TID:3740;SEQ:9223372036854775807;", Drops{Unsent: 1}},
		{"too large", receiverC, "Type:3;TID:3740;SEQ:9223372036854775808;", Drops{Malformed: 1}},
		{"negative", receiverA, "Type:3;TID:3740;SEQ:-1;", Drops{Malformed: 1}},
		{"empty", receiverA, "", Drops{Malformed: 1}},
		{"not UTF-8", receiverA, "Type:3;TID:3740;SEQ:\xff\xfe;", Drops{Malformed: 1}},
		{"garbage", receiverA, "hello", Drops{Malformed: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := start(t, 5000, Config{Balance: BalanceEqual})
			b.flush(t0)
			b.in(t0, orchestrator, captured)
			if got := b.flush(t0); len(got) != 3 {
				t.Fatalf("%d segments are out, want 3", len(got))
			}
			b.in(ms(10), c.from, c.data)
			if got := b.flush(ms(10)); got != nil {
				t.Errorf("it drew %v", got)
			}
			b.s.refresh(ms(10))
			if b.s.report.Acked != 0 {
				t.Errorf("%d bytes are acknowledged", b.s.report.Acked)
			}
			if b.s.report.Dropped != c.want {
				t.Errorf("dropped %+v, want %+v", b.s.report.Dropped, c.want)
			}
		})
	}
}

// TestDuplicateAck: the second ack of a segment neither skips the next one nor
// counts twice.
func TestDuplicateAck(t *testing.T) {
	b := start(t, 600, Config{Balance: BalanceEqual})
	b.flush(t0)
	b.in(t0, orchestrator, captured)
	b.flush(t0)
	for range 3 {
		b.in(ms(1), receiverA, "Type:3;TID:3740;SEQ:0;")
	}
	if got := b.flush(ms(1)); len(got) != 1 || !strings.HasPrefix(got[0].Data, "Type:2;TID:3740;SEQ:1;") {
		t.Errorf("sent %v, want SEQ 1 once", got)
	}
	b.s.refresh(ms(1))
	if b.s.report.Acked != 100 || b.s.report.Dropped.Duplicate != 2 {
		t.Errorf("acked %d, duplicates %d", b.s.report.Acked, b.s.report.Dropped.Duplicate)
	}
}

func TestBadOffers(t *testing.T) {
	for name, offer := range map[string]string{
		"no TID":            "Type:1;DATA:[{'ip_address': '1.2.3.4'}];",
		"no DATA":           "Type:1;TID:7;",
		"no receivers":      "Type:1;TID:7;DATA:[];",
		"truncated":         "Type:1;TID:7;DATA:[{'ip_address': '1.2.3",
		"cut in the TID":    "Type:1;TI",
		"hostile":           "Type:1;TID:7;DATA:__import__('os').system('true')",
		"call inside":       "Type:1;TID:7;DATA:[{'ip_address': str(1)}];",
		"a dict":            "Type:1;TID:7;DATA:{'ip_address': '1.2.3.4'};",
		"a number":          "Type:1;TID:7;DATA:5;",
		"number address":    "Type:1;TID:7;DATA:[{'ip_address': 5}];",
		"no address":        "Type:1;TID:7;DATA:[{'name': 'x'}];",
		"too deep":          "Type:1;TID:7;DATA:" + strings.Repeat("[", 5000),
		"0.0.0.0":           "Type:1;TID:7;DATA:[{'ip_address': '0.0.0.0'}];",
		"multicast":         "Type:1;TID:7;DATA:[{'ip_address': '224.0.0.1'}];",
		"broadcast":         "Type:1;TID:7;DATA:[{'ip_address': '255.255.255.255'}];",
		"nobody's name":     "Type:1;TID:7;DATA:[{'ip_address': 'nobody.invalid'}];",
		"port out of range": "Type:1;TID:7;DATA:[{'ip_address': '1.2.3.4', 'port': 65536}];",
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, 100, run{resolve: func(string) netip.Addr { return netip.Addr{} }})
			b.flush(t0)
			b.in(t0, orchestrator, offer)
			err := b.ended()
			if !errors.Is(err, ErrBadOffer) {
				t.Fatalf("error %v, want ErrBadOffer", err)
			}
			if strings.ContainsAny(err.Error(), "\n\r") || len(err.Error()) > 200 {
				t.Errorf("not one clear line: %q", err)
			}
		})
	}
}

// TestOfferFromElsewhere: only the orchestrator's address offers receivers, and
// only a Type 1 is an offer.
func TestOfferFromElsewhere(t *testing.T) {
	b := start(t, 100, Config{})
	b.flush(t0)
	b.in(t0, receiverA, captured)
	b.in(t0, netip.AddrPortFrom(orchestrator.Addr(), 4651), captured)
	b.in(t0, orchestrator, "Type:3;TID:1;SEQ:1;")
	b.in(t0, orchestrator, "rubbish")
	if b.s.phase != PhaseWaiting {
		t.Fatalf("phase %v, want to be waiting", b.s.phase)
	}
	if want := (Drops{Foreign: 2, Unwanted: 1, Malformed: 1}); b.s.report.Dropped != want {
		t.Errorf("dropped %+v, want %+v", b.s.report.Dropped, want)
	}
}

func TestReceiversOfOffer(t *testing.T) {
	b := start(t, 1000, run{Config: Config{Balance: BalanceEqual, Bind: netip.IPv6Unspecified()}, resolve: func(h string) netip.Addr {
		return map[string]netip.Addr{"a.example": netip.MustParseAddr("192.0.2.9")}[h]
	}})
	b.flush(t0)
	b.in(t0, orchestrator, `Type:1;TID:7;DATA:[{'ip_address': '192.0.2.1', 'port': 5000}, {"name": 'x', "ip_address": "2001:db8::1"},`+
		` {'ip_address': 'a.example'}, {'ip_address': 'b.example'}, {'ip_address': '::ffff:192.0.2.2'}, {'ip_address': '192.0.2.1', 'port': 5000}]`)
	var got []string
	for _, r := range b.s.report.Receivers {
		got = append(got, r.Addr.String())
	}
	want := []string{"192.0.2.1:5000", "[2001:db8::1]:4650", "192.0.2.9:4650", "192.0.2.2:4650"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestServerOutOfRange(t *testing.T) {
	b := start(t, 100, Config{Balance: BalanceNone, Receiver: 9})
	b.flush(t0)
	b.in(t0, orchestrator, captured)
	if err := b.ended(); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "9 of 3") {
		t.Errorf("error %v", err)
	}
	if got := b.flush(t0); got != nil {
		t.Errorf("sent %v", got)
	}
}

// TestLatencies: who answers no ping is weighed as the slowest that did.
func TestLatencies(t *testing.T) {
	probe := func(t *testing.T, rtts map[string]time.Duration) *bench {
		b := start(t, 3000, Config{})
		b.flush(t0)
		b.in(t0, orchestrator, captured)
		now := t0
		for b.s.phase == PhasePinging {
			for _, echo := range b.flush(now) {
				if d, ok := rtts[echo.To]; ok {
					b.s.Receive(now, &loop.Envelope{Sock: sockICMP4, Peer: netip.MustParseAddrPort(echo.To), At: now.Add(d)}, answer([]byte(echo.Data)))
				}
			}
			if b.s.phase == PhasePinging {
				now, _ = b.s.Next()
				b.s.Expire(now)
			}
		}
		if now.Sub(t0) > 3*time.Second {
			t.Errorf("pinging took %v", now.Sub(t0))
		}
		return b
	}
	shares := func(b *bench) (got []int64) {
		for _, r := range b.s.report.Receivers {
			got = append(got, r.Share)
		}
		return got
	}
	t.Run("one is silent", func(t *testing.T) {
		b := probe(t, map[string]time.Duration{"177.71.168.45:0": 100 * time.Millisecond, "18.134.193.153:0": 50 * time.Millisecond})
		if diff := cmp.Diff([]int64{750, 750, 1500}, shares(b)); diff != "" {
			t.Error(diff)
		}
		if r := b.s.report.Receivers[1]; !r.Guessed || r.Latency != 100*time.Millisecond {
			t.Errorf("the silent one: %+v", r)
		}
	})
	t.Run("all are silent", func(t *testing.T) {
		if diff := cmp.Diff([]int64{1000, 1000, 1000}, shares(probe(t, nil))); diff != "" {
			t.Error(diff)
		}
	})
}

// refusal is what an ICMP error tells of a datagram.
func refusal(peer netip.AddrPort, quote string) *loop.Envelope {
	return &loop.Envelope{Peer: peer, Remote: true, Quote: []byte(quote)}
}

// TestRefusals: a peer whose port is closed.
func TestRefusals(t *testing.T) {
	t.Run("orchestrator", func(t *testing.T) {
		b := start(t, 100, Config{IntentTimeout: time.Minute})
		b.flush(t0)
		b.s.Fail(ms(1), refusal(orchestrator, "Type:0;"), syscall.ECONNREFUSED)
		if err := b.ended(); !errors.Is(err, ErrNoOffer) || !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("orchestrator, with retries", func(t *testing.T) {
		b := start(t, 100, Config{IntentRetry: 5 * time.Second, Balance: BalanceEqual})
		b.flush(t0)
		b.s.Fail(ms(1), refusal(orchestrator, "Type:0;"), syscall.ECONNREFUSED)
		b.s.Expire(ms(4999))
		if got := b.flush(ms(4999)); got != nil {
			t.Fatalf("too early: %v", got)
		}
		b.s.Expire(ms(5002))
		if got := b.flush(ms(5002)); len(got) != 1 || got[0].Data != "Type:0;DATA:{'cookie': '0000000000000000'};" {
			t.Fatalf("sent %v, want the intent again", got)
		}
		b.in(ms(5100), orchestrator, captured)
		if b.s.phase != PhaseSending {
			t.Errorf("while %v the offer is not taken", b.s.phase)
		}
	})
	t.Run("a receiver", func(t *testing.T) {
		b := start(t, 300, Config{Balance: BalanceEqual})
		b.flush(t0)
		b.in(t0, orchestrator, captured)
		b.flush(t0)
		b.s.Fail(ms(1), refusal(receiverA, "Type:2;TID:3740;SEQ:0;DATA:"), syscall.ECONNREFUSED)
		b.in(ms(2), receiverB, "Type:3;TID:3740;SEQ:1;")
		b.in(ms(2), receiverC, "Type:3;TID:3740;SEQ:2;")
		got := b.flush(ms(2))
		if len(got) != 1 || !strings.HasPrefix(got[0].Data, "Type:2;TID:3740;SEQ:0;") {
			t.Fatalf("sent %v, want SEQ 0 to another receiver", got)
		}
		b.in(ms(3), netip.MustParseAddrPort(got[0].To), "Type:3;TID:3740;SEQ:0;")
		b.flush(ms(3))
		if err := b.ended(); err != nil {
			t.Error(err)
		}
	})
	t.Run("all receivers", func(t *testing.T) {
		b := start(t, 300, Config{Balance: BalanceEqual})
		b.flush(t0)
		b.in(t0, orchestrator, captured)
		b.flush(t0)
		for i, r := range []netip.AddrPort{receiverA, receiverB, receiverC} {
			b.s.Fail(ms(1), refusal(r, fmt.Sprintf("Type:2;TID:3740;SEQ:%d;", i)), syscall.EPROTO)
		}
		b.flush(ms(1))
		err := b.ended()
		if !errors.Is(err, ErrIncomplete) || !errors.Is(err, ErrAllDead) {
			t.Errorf("error %v", err)
		}
		if diff := cmp.Diff([]wire.Range{{First: 0, Last: 2}}, b.s.report.Missing); diff != "" {
			t.Error(diff)
		}
	})
}

func TestDeadlines(t *testing.T) {
	expire := func(b *bench, after float64) error {
		b.s.Expire(ms(after - 1))
		if _, ok := b.s.Next(); !ok {
			t.Error("it ended too early")
		}
		at, _ := b.s.Next()
		if late := at.Sub(ms(after)); late > 2*time.Millisecond {
			t.Errorf("it would end %v late", late)
		}
		b.s.Expire(ms(after + 2))
		return b.ended()
	}
	t.Run("offer", func(t *testing.T) {
		b := start(t, 100, Config{IntentTimeout: time.Second})
		b.flush(t0)
		if err := expire(b, 1000); !errors.Is(err, ErrNoOffer) || !errors.Is(err, ErrIntentTimeout) {
			t.Error(err)
		}
	})
	t.Run("whole, while waiting", func(t *testing.T) {
		b := start(t, 100, Config{Deadline: time.Second})
		b.flush(t0)
		if err := expire(b, 1000); !errors.Is(err, ErrIncomplete) || !errors.Is(err, ErrDeadline) {
			t.Error(err)
		}
	})
	t.Run("whole, while sending", func(t *testing.T) {
		b := start(t, 300, Config{Deadline: time.Second, Balance: BalanceEqual})
		b.flush(t0)
		b.in(t0, orchestrator, captured)
		b.flush(t0)
		b.in(ms(5), receiverB, "Type:3;TID:3740;SEQ:1;")
		if err := expire(b, 1000); !errors.Is(err, ErrIncomplete) || !errors.Is(err, ErrDeadline) {
			t.Error(err)
		}
		if diff := cmp.Diff([]wire.Range{{First: 0, Last: 0}, {First: 2, Last: 2}}, b.s.report.Missing); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("all came at the same wake-up", func(t *testing.T) {
		b := start(t, 300, Config{Deadline: time.Second, Balance: BalanceEqual})
		b.flush(t0)
		b.in(t0, orchestrator, captured)
		b.flush(t0)
		for seq, r := range []netip.AddrPort{receiverA, receiverB, receiverC} {
			b.in(ms(1001), r, fmt.Sprintf("Type:3;TID:3740;SEQ:%d;", seq))
		}
		b.s.Expire(ms(1002))
		if err := b.ended(); err != nil || b.s.report.Acked != 300 {
			t.Error(err)
		}
	})
}

// TestPayloadEnds: a file that shrinks while it is sent is an error, not zeros.
func TestPayloadEnds(t *testing.T) {
	for _, size := range []int64{1000, wholeLimit + 1000} {
		c, _ := newRun(&Config{Orchestrator: orchestrator, Balance: BalanceEqual})
		b := &bench{t, newSession(t0, bytes.NewReader(payload(500)), size, c, icmp.Off, icmp.Off, 0)}
		b.flush(t0)
		b.in(t0, orchestrator, captured)
		b.flush(t0)
		if err := b.ended(); !errors.Is(err, ErrPayload) {
			t.Errorf("size %d: error %v", size, err)
		}
	}
}

// TestHotPathAllocations: an ack and the next segment cost no memory.
func TestHotPathAllocations(t *testing.T) {
	b := start(t, 1<<20, Config{Balance: BalanceNone})
	b.flush(t0)
	b.in(t0, orchestrator, captured)
	e := loop.Envelope{Peer: receiverA, At: t0}
	slot := make([]byte, 0, 2048)
	var seq int
	ack := make([]byte, 0, 64)
	var to loop.Envelope
	n := testing.AllocsPerRun(5000, func() {
		if _, ok := b.s.Transmit(t0, &to, slot); !ok {
			t.Fatal("nothing to send")
		}
		ack = wire.AppendAck(ack[:0], 3740, int64(seq))
		seq++
		b.s.Receive(t0, &e, ack)
	})
	if n != 0 {
		t.Errorf("%v allocations a segment", n)
	}
	if b.s.sending.transfer.Left() != b.s.sending.transfer.Total()-int64(seq) {
		t.Errorf("%d of %d are left after %d acks", b.s.sending.transfer.Left(), b.s.sending.transfer.Total(), seq)
	}
}
