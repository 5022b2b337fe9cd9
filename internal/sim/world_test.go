package sim

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"mdalp/loop"
)

var (
	alice = netip.MustParseAddrPort("10.0.0.1:5000")
	bob   = netip.MustParseAddrPort("10.0.0.2:4650")
	carol = netip.MustParseAddrPort("10.0.0.3:4650")
)

type letter struct {
	env loop.Envelope
	b   string
}

// mirror is a program that sends each datagram back from where it was addressed.
type mirror struct {
	queue []letter
	got   int
}

func (m *mirror) Receive(now time.Time, e *loop.Envelope, b []byte) {
	m.got++
	m.queue = append(m.queue, letter{*e, string(b)})
}
func (m *mirror) Fail(time.Time, *loop.Envelope, error) {}
func (m *mirror) Expire(time.Time)                      {}
func (m *mirror) Transmit(now time.Time, e *loop.Envelope, b []byte) ([]byte, bool) {
	if len(m.queue) == 0 {
		return b, false
	}
	l := m.queue[0]
	m.queue = m.queue[1:]
	*e = l.env
	return append(b, l.b...), true
}
func (m *mirror) Next() (time.Time, bool) { return Epoch.Add(1000 * time.Hour), true }

// caller is a program that sends a numbered datagram to each peer in turn, every
// gap, and ends linger after the last.
type caller struct {
	peers  []netip.AddrPort
	sock   int
	count  int
	gap    time.Duration
	linger time.Duration
	size   int
	local  netip.AddrPort

	sent    int
	at      time.Time // of the next one
	now     time.Time
	answers []letter
	came    []time.Time
	errs    []error
	failed  []time.Time
}

func (c *caller) Receive(now time.Time, e *loop.Envelope, b []byte) {
	c.answers = append(c.answers, letter{*e, string(b)})
	c.came = append(c.came, now)
}
func (c *caller) Fail(now time.Time, e *loop.Envelope, err error) {
	c.errs = append(c.errs, err)
	c.failed = append(c.failed, now)
}
func (c *caller) Expire(now time.Time) {
	c.now = now
	if c.at.IsZero() {
		c.at = now
	}
}
func (c *caller) Transmit(now time.Time, e *loop.Envelope, b []byte) ([]byte, bool) {
	if c.sent == c.count || now.Before(c.at) {
		return b, false
	}
	*e = loop.Envelope{Sock: c.sock, Peer: c.peers[c.sent%len(c.peers)], Local: c.local}
	b = fmt.Appendf(b, "%06d", c.sent)
	for len(b) < c.size {
		b = append(b, '.')
	}
	c.sent++
	c.at = c.at.Add(c.gap)
	if c.sent == c.count {
		c.at = now.Add(c.linger)
	}
	return b, true
}
func (c *caller) Next() (time.Time, bool) {
	return c.at, c.sent < c.count || c.now.Before(c.at)
}

// pair is a world with a caller at alice and a mirror at bob.
func pair(cfg Config, c *caller) (*World, *Node, *Node, *mirror) {
	w := New(cfg)
	m := &mirror{}
	if c.peers == nil {
		c.peers = []netip.AddrPort{bob}
	}
	if c.linger == 0 {
		c.linger = 10 * time.Second
	}
	a := w.Add("alice", c, Socket{Addrs: []netip.AddrPort{alice}})
	b := w.Add("bob", m, Socket{Addrs: []netip.AddrPort{bob, carol}, PacketInfo: true})
	return w, a, b, m
}

func TestRoundTrip(t *testing.T) {
	c := &caller{count: 2, peers: []netip.AddrPort{bob, carol}}
	w, a, _, _ := pair(Config{}, c)
	w.Path(alice.Addr(), bob.Addr(), LinkConfig{Delay: Delay{Mean: 30 * ms}})
	w.Path(bob.Addr(), alice.Addr(), LinkConfig{Delay: Delay{Mean: 70 * ms}})
	w.Path(alice.Addr(), carol.Addr(), LinkConfig{Delay: Delay{Mean: 7 * ms}})
	if err := w.Run(a); err != nil {
		t.Fatal(err)
	}
	want := []struct {
		from netip.AddrPort
		b    string
		at   time.Duration
	}{{carol, "000001", 7 * time.Millisecond}, {bob, "000000", 100 * time.Millisecond}}
	if len(c.answers) != len(want) {
		t.Fatalf("%d answers", len(c.answers))
	}
	for i, x := range want {
		got := c.answers[i]
		if got.env.Peer != x.from || got.b != x.b || !c.came[i].Equal(Epoch.Add(x.at)) || !got.env.At.Equal(c.came[i]) {
			t.Errorf("answer %d: %+v at %v, want %+v", i, got, c.came[i], x)
		}
		if got.env.Local.IsValid() {
			t.Errorf("answer %d: Local is told without PacketInfo", i)
		}
	}
}

// wild is a link with every feature on.
var wild = LinkConfig{
	Delay: Delay{Kind: Pareto, Mean: 5 * ms, Spread: 5 * ms}, Duplicate: 0.1, Corrupt: 0.05,
	Loss:    Loss{P: 0.05, Burst: Burst{Enter: 0.05, Leave: 0.3, Bad: 0.8}},
	Reorder: Reorder{P: 0.1, Extra: 30 * ms}, Rate: 15_000, Queue: 2000,
	Clogs: []Clog{{From: 100 * ms, To: 120 * ms}},
}

func TestSeedReplays(t *testing.T) {
	run := func(seed uint64) (sum [32]byte, count Counters) {
		h := sha256.New()
		c := &caller{count: 2000, gap: time.Millisecond, peers: []netip.AddrPort{bob, carol}, size: 40}
		w, a, _, _ := pair(Config{Seed: seed, Link: wild, Trace: h}, c)
		if err := w.Run(a); err != nil {
			t.Fatal(err)
		}
		return [32]byte(h.Sum(nil)), w.Counters()
	}
	first, count := run(1)
	again, _ := run(1)
	other, _ := run(2)
	if first != again {
		t.Error("one seed gave two runs")
	}
	if first == other {
		t.Error("two seeds gave one run")
	}
	for name, n := range map[string]int64{
		"lost": count.Lost, "overflowed": count.Overflowed, "clogged": count.Clogged,
		"doubled": count.Doubled, "damaged": count.Damaged,
	} {
		if n == 0 {
			t.Errorf("nothing was %s", name)
		}
	}
	if got := count.Delivered + count.Dropped + count.Lost + count.Overflowed + count.Clogged; got != count.Sent+count.Doubled {
		t.Errorf("%d datagrams have a fate, %d were sent: %+v", got, count.Sent+count.Doubled, count)
	}
}

func TestRefusals(t *testing.T) {
	nowhere := netip.MustParseAddrPort("10.9.9.9:1")
	shut := netip.AddrPortFrom(bob.Addr(), 99)
	link := LinkConfig{Delay: Delay{Mean: 10 * ms}}
	tests := []struct {
		name string
		cfg  Config
		peer netip.AddrPort
		prep func(w *World)
		want error
	}{
		{"closed port, silent", Config{}, shut, nil, nil},
		{"closed port, refused", Config{Closed: Refusing}, shut, nil, syscall.ECONNREFUSED},
		{"unknown host, silent", Config{Closed: Refusing}, nowhere, nil, nil},
		{"unknown host, unreachable", Config{Unknown: Unreachable}, nowhere, nil, syscall.EHOSTUNREACH},
		{"host refuses", Config{}, bob, func(w *World) { w.Host(bob.Addr()).State = Refusing }, syscall.ECONNREFUSED},
		{"host unreachable", Config{}, bob, func(w *World) { w.Host(bob.Addr()).State = Unreachable }, syscall.EHOSTUNREACH},
		{"host silent", Config{Closed: Refusing}, bob, func(w *World) { w.Host(bob.Addr()).State = Silent }, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.cfg.Link = link
			c := &caller{count: 1, peers: []netip.AddrPort{tt.peer}}
			w, a, _, m := pair(tt.cfg, c)
			if tt.prep != nil {
				tt.prep(w)
			}
			if err := w.Run(a); err != nil {
				t.Fatal(err)
			}
			if m.got != 0 || len(c.answers) != 0 {
				t.Error("the datagram arrived")
			}
			if tt.want == nil {
				if len(c.errs) != 0 {
					t.Errorf("failed with %v", c.errs)
				}
				return
			}
			if len(c.errs) != 1 || c.errs[0] != tt.want || !c.failed[0].Equal(Epoch.Add(20*time.Millisecond)) {
				t.Errorf("failed with %v at %v, want %v after 20 ms", c.errs, c.failed, tt.want)
			}
		})
	}
}

func TestTooBig(t *testing.T) {
	c := &caller{count: 1, size: 1001}
	w, a, _, m := pair(Config{MaxDatagram: 1000}, c)
	if err := w.Run(a); err != nil {
		t.Fatal(err)
	}
	if m.got != 0 || len(c.errs) != 1 || c.errs[0] != syscall.EMSGSIZE || !c.failed[0].Equal(Epoch) {
		t.Errorf("%d arrived; failed with %v at %v", m.got, c.errs, c.failed)
	}
}

func TestEcho(t *testing.T) {
	a, b := netip.AddrPortFrom(alice.Addr(), 0), netip.AddrPortFrom(bob.Addr(), 0)
	reply := func(b []byte) []byte { return append([]byte("re "), b...) }
	tests := []struct {
		name string
		prep func(w *World, h *Host)
		want string
		err  error
	}{
		{"answered", func(w *World, h *Host) { h.Echo = reply }, "re 000000", nil},
		{"no function", func(w *World, h *Host) {}, "", nil},
		{"refusing hosts answer pings", func(w *World, h *Host) { h.Echo, h.State = reply, Refusing }, "re 000000", nil},
		{"silent", func(w *World, h *Host) { h.Echo, h.State = reply, Silent }, "", nil},
		{"unreachable", func(w *World, h *Host) { h.Echo, h.State = reply, Unreachable }, "", syscall.EHOSTUNREACH},
		{"slow hosts answer pings in time", func(w *World, h *Host) { h.Echo, h.Slow = reply, time.Second }, "re 000000", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := &caller{count: 1, sock: 1, peers: []netip.AddrPort{b}, linger: 5 * time.Second}
			w := New(Config{Ping: LinkConfig{Delay: Delay{Mean: 40 * ms}}, Link: LinkConfig{Loss: Loss{P: 1}}})
			n := w.Add("alice", c, Socket{Addrs: []netip.AddrPort{alice}}, Socket{Addrs: []netip.AddrPort{a}, ICMP: true})
			tt.prep(w, w.Host(bob.Addr()))
			if err := w.Run(n); err != nil {
				t.Fatal(err)
			}
			got := ""
			if len(c.answers) == 1 {
				got = c.answers[0].b
				if e := c.answers[0].env; e.Sock != 1 || e.Peer != b || !e.At.Equal(Epoch.Add(80*time.Millisecond)) {
					t.Errorf("answer by %+v", e)
				}
			}
			if got != tt.want {
				t.Errorf("answer %q, want %q", got, tt.want)
			}
			if tt.err != nil && (len(c.errs) != 1 || c.errs[0] != tt.err) {
				t.Errorf("failed with %v, want %v", c.errs, tt.err)
			}
		})
	}
}

func TestEchoReply(t *testing.T) {
	// Type 8 code 0, id 1, seq 2, "hi"; the checksum is that of RFC 792.
	req := []byte{8, 0, 0x8f, 0x93, 0, 1, 0, 2, 'h', 'i'}
	want := []byte{0, 0, 0x97, 0x93, 0, 1, 0, 2, 'h', 'i'}
	for _, b := range [][]byte{req, want} {
		if s := checksum(b); s != 0xffff {
			t.Fatalf("the vector %x sums to %x", b, s)
		}
	}
	if got := EchoReply(bytes.Clone(req)); !bytes.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
	for _, b := range [][]byte{nil, req[:7], want, {8, 1, 0, 0, 0, 0, 0, 0}, {3, 0, 0, 0, 0, 0, 0, 0}} {
		if got := EchoReply(bytes.Clone(b)); got != nil {
			t.Errorf("%x was answered with %x", b, got)
		}
	}
	if got := EchoReply([]byte{128, 0, 0, 0, 0, 1, 0, 2}); got == nil || got[0] != 129 {
		t.Errorf("IPv6: %x", got)
	}
}

// checksum is the sum of RFC 1071; over a message with its checksum it is ffff.
func checksum(b []byte) uint16 {
	var s uint32
	for i := 0; i+1 < len(b); i += 2 {
		s += uint32(b[i])<<8 | uint32(b[i+1])
	}
	for s > 0xffff {
		s = s&0xffff + s>>16
	}
	return uint16(s)
}

func TestKillReviveRestart(t *testing.T) {
	c := &caller{count: 100, gap: 10 * time.Millisecond}
	w, a, b, m := pair(Config{Closed: Refusing}, c)
	fresh := &mirror{}
	w.At(100*time.Millisecond+1, func(time.Time) { b.Kill() })
	w.At(200*time.Millisecond+1, func(time.Time) { b.Revive() })
	w.At(300*time.Millisecond+1, func(time.Time) { b.Kill() })
	w.At(400*time.Millisecond+1, func(time.Time) { b.Restart(fresh) })
	if err := w.Run(a); err != nil {
		t.Fatal(err)
	}
	// 0 to 100 ms is 11 datagrams, the others are 10 each hundred.
	if m.got != 21 || fresh.got != 59 || len(c.answers) != 80 || len(c.errs) != 0 {
		t.Errorf("first %d, fresh %d, answers %d, errors %d; want 21, 59, 80, 0", m.got, fresh.got, len(c.answers), len(c.errs))
	}
}

func TestSlowAndWrong(t *testing.T) {
	c := &caller{count: 3, peers: []netip.AddrPort{bob, carol, bob}}
	w, a, _, _ := pair(Config{}, c)
	w.Host(bob.Addr()).Slow = 2 * time.Second
	w.Host(carol.Addr()).Mutate = func(to netip.AddrPort, b []byte) []byte {
		b[0] = 'X'
		return b
	}
	w.At(time.Second, func(time.Time) {
		w.Host(bob.Addr()).Mutate = func(netip.AddrPort, []byte) []byte { return nil }
		w.Inject(3*time.Second, bob, alice, []byte("spoofed"))
	})
	if err := w.Run(a); err != nil {
		t.Fatal(err)
	}
	var got []string
	for i, l := range c.answers {
		got = append(got, fmt.Sprintf("%v %s %s", c.came[i].Sub(Epoch), l.env.Peer.Addr(), l.b))
	}
	want := "0s 10.0.0.3 X00001|2s 10.0.0.2 000000|2s 10.0.0.2 000002|3s 10.0.0.2 spoofed"
	if s := strings.Join(got, "|"); s != want {
		t.Errorf("got  %s\nwant %s", s, want)
	}
}

// idler is a program that is always due and never does anything.
type idler struct{ mirror }

func (idler) Next() (time.Time, bool) { return Epoch, true }

// gusher is a program that never stops sending.
type gusher struct{ mirror }

func (gusher) Transmit(_ time.Time, e *loop.Envelope, b []byte) ([]byte, bool) {
	e.Peer = bob
	return append(b, 'x'), true
}

func TestLimits(t *testing.T) {
	sock := Socket{Addrs: []netip.AddrPort{alice}}
	tests := []struct {
		name string
		cfg  Config
		prog loop.Handler
		want error
	}{
		{"time", Config{Limit: time.Minute}, &mirror{}, ErrTime},
		{"events", Config{Events: 10}, &caller{count: 100, gap: 1, peers: []netip.AddrPort{bob}}, ErrEvents},
		{"spin", Config{}, &idler{}, ErrSpin},
		{"gush", Config{}, &gusher{}, ErrSpin},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := New(tt.cfg)
			w.Add("it", tt.prog, sock)
			err := w.Run()
			var e *Error
			if !errors.Is(err, tt.want) || !errors.As(err, &e) {
				t.Fatalf("%v, want %v", err, tt.want)
			}
			if w.Run() != err {
				t.Error("the world went on after it")
			}
		})
	}
}

func TestForeignSourceEndsTheRun(t *testing.T) {
	c := &caller{count: 1, local: bob}
	w, _, _, _ := pair(Config{}, c)
	if err := w.Run(); err == nil || !strings.Contains(err.Error(), "not its own") {
		t.Errorf("sending from another's address: %v", err)
	}
}

func TestCheckEndsTheRun(t *testing.T) {
	broken := errors.New("broken")
	calls := 0
	c := &caller{count: 100, gap: time.Millisecond}
	w, a, _, _ := pair(Config{Seed: 42, Check: func(time.Time) error {
		if calls++; calls == 7 {
			return broken
		}
		return nil
	}}, c)
	err := w.Run(a)
	var e *Error
	if !errors.Is(err, broken) || !errors.As(err, &e) || e.Seed != 42 || e.Event != 7 {
		t.Errorf("%v, want event 7 of seed 42", err)
	}
}

func TestTraceLine(t *testing.T) {
	var out strings.Builder
	c := &caller{count: 1}
	w, a, _, _ := pair(Config{Trace: &out, Link: LinkConfig{Delay: Delay{Mean: 1500 * ms}}}, c)
	if err := w.Run(a); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"0.000000000 #1 send alice 10.0.0.1:5000 > 10.0.0.2:4650 6 \"000000\"\n",
		"1.500000000 #3 recv bob 10.0.0.1:5000 > 10.0.0.2:4650 6 \"000000\"\n",
		"10.000000000 #5 end alice\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no line %q in\n%s", want, out.String())
		}
	}
}

func TestAdvance(t *testing.T) {
	c := &caller{count: 10, gap: time.Second}
	w, _, _, m := pair(Config{}, c)
	if err := w.Advance(4500 * time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if m.got != 5 || !w.Now().Equal(Epoch.Add(4500*time.Millisecond)) {
		t.Errorf("%d datagrams by %v", m.got, w.Now().Sub(Epoch))
	}
}

// volley keeps a number of datagrams in the air for ever, without allocating.
type volley struct {
	peer netip.AddrPort
	due  int
	at   time.Time
	got  int
}

func (v *volley) Receive(now time.Time, e *loop.Envelope, b []byte) { v.due++; v.got++ }
func (v *volley) Fail(time.Time, *loop.Envelope, error)             {}
func (v *volley) Expire(now time.Time)                              { v.at = now.Add(time.Second) }
func (v *volley) Transmit(_ time.Time, e *loop.Envelope, b []byte) ([]byte, bool) {
	if v.due == 0 {
		return b, false
	}
	v.due--
	e.Peer = v.peer
	return append(b, "Type:2;TID:3740;SEQ:30;DATA:0123456789012345678901234567890123456789"...), true
}
func (v *volley) Next() (time.Time, bool) { return v.at, true }

func volleys(flight int) *World {
	w := New(Config{Limit: 1 << 62, Events: 1 << 62, Link: LinkConfig{Delay: Delay{Kind: Uniform, Mean: 10 * ms, Spread: 5 * ms}}})
	w.Add("a", &volley{peer: bob, due: flight}, Socket{Addrs: []netip.AddrPort{alice}})
	w.Add("b", &volley{peer: alice}, Socket{Addrs: []netip.AddrPort{bob}})
	return w
}

func TestSteadyStateDoesNotAllocate(t *testing.T) {
	w := volleys(1000)
	if err := w.Advance(3 * time.Second); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(10, func() { w.Advance(100 * time.Millisecond) }); n != 0 {
		t.Errorf("%v allocations in 10,000 datagrams", n)
	}
}

func BenchmarkDatagram(b *testing.B) {
	for _, flight := range []int{3, 1000} {
		b.Run(fmt.Sprintf("inflight=%d", flight), func(b *testing.B) {
			w := volleys(flight)
			w.Advance(time.Second)
			b.ReportAllocs()
			b.ResetTimer()
			for start := w.count.Delivered; w.count.Delivered-start < int64(b.N); {
				w.step(1 << 62)
			}
		})
	}
}

// Over a long run of pushes and pops, what is popped is before all that is left.
func TestAgendaOrder(t *testing.T) {
	var a Agenda
	rng := NewLink(LinkConfig{}, 3).rng
	live, last, seq := 0, int64(0), uint64(0)
	for range 20000 {
		if live == 0 || rng.IntN(5) < 3 && live < 3000 {
			a.Push(Event{At: last + rng.Int64N(100), Seq: seq})
			seq++
			live++
			continue
		}
		e := a.Pop()
		live--
		for i := range a {
			if a[i].before(&e) {
				t.Fatalf("%+v was popped before %+v", e, a[i])
			}
		}
		last = e.At
	}
}
