package lab

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"mdalp/internal/sim"
	"mdalp/loop"
)

const ms = sim.Millis(time.Millisecond)

// repeater is an inner program that answers every datagram at once, from where it
// was addressed.
type repeater struct {
	queue []sent
	seen  []string
}

type sent struct {
	env loop.Envelope
	b   []byte
}

func (r *repeater) Receive(now time.Time, e *loop.Envelope, b []byte) {
	r.seen = append(r.seen, fmt.Sprintf("%s>%s %s", e.Peer, e.Local, b))
	r.queue = append(r.queue, sent{*e, append([]byte("re "), b...)})
}
func (r *repeater) Fail(time.Time, *loop.Envelope, error) {}
func (r *repeater) Expire(time.Time)                      {}
func (r *repeater) Transmit(_ time.Time, e *loop.Envelope, b []byte) ([]byte, bool) {
	if len(r.queue) == 0 {
		return b, false
	}
	s := r.queue[0]
	r.queue = r.queue[1:]
	e.Sock, e.Peer, e.Local = s.env.Sock, s.env.Peer, s.env.Local
	return append(b, s.b...), true
}
func (r *repeater) Next() (time.Time, bool) { return sim.Epoch.Add(1000 * time.Hour), true }

// clock drives a wan in virtual time, as the loop does.
type clock struct {
	w   *wan
	now time.Duration
	out []string
}

func (c *clock) round() {
	now := sim.Epoch.Add(c.now)
	if at, ok := c.w.Next(); ok && !at.After(now) {
		c.w.Expire(now)
	}
	for {
		var e loop.Envelope
		b, ok := c.w.Transmit(now, &e, nil)
		if !ok {
			return
		}
		c.out = append(c.out, fmt.Sprintf("%v %s>%s %q", c.now, e.Local, e.Peer, b))
	}
}

// until lets time pass.
func (c *clock) until(d time.Duration) {
	for {
		at, ok := c.w.Next()
		if !ok || at.Sub(sim.Epoch) > d {
			c.now = d
			return
		}
		c.now = max(c.now, at.Sub(sim.Epoch))
		c.round()
	}
}

func (c *clock) receive(sock int, peer, local string, b []byte) {
	e := loop.Envelope{Sock: sock, Peer: netip.MustParseAddrPort(peer), Local: netip.MustParseAddrPort(local), At: sim.Epoch.Add(c.now)}
	c.w.Receive(sim.Epoch.Add(c.now), &e, b)
	c.round()
}

func (c *clock) check(t *testing.T, want ...string) {
	t.Helper()
	if got, want := strings.Join(c.out, "\n"), strings.Join(want, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// two is a network of an orchestrator and two receivers; socket 3 is for ICMP.
func two(seed uint64, change func(ps []place)) (*clock, *repeater) {
	ps := []place{
		{addr: netip.MustParseAddr("192.0.2.1")},
		{addr: netip.MustParseAddr("192.0.2.2")},
		{addr: netip.MustParseAddr("2001:db8::3")},
	}
	for i := range ps {
		ps[i].port = 4650
		ps[i].forward.Delay.Mean = 10 * ms
		ps[i].backward.Delay.Mean = 20 * ms
		ps[i].ping.Delay.Mean = 5 * ms
	}
	if change != nil {
		change(ps)
	}
	r := &repeater{}
	return &clock{w: newWan(r, seed, nil, ps, []int{0, 1, 2, -1})}, r
}

const anyone = "127.0.0.1:1000"

func TestWanDelays(t *testing.T) {
	c, r := two(1, nil)
	c.receive(0, anyone, "0.0.0.0:0", []byte("a"))
	c.now = time.Millisecond
	c.receive(2, "[::1]:1000", "0.0.0.0:0", []byte("b"))
	c.until(time.Second)
	c.check(t,
		`30ms 192.0.2.1:4650>127.0.0.1:1000 "re a"`,
		`31ms [2001:db8::3]:4650>[::1]:1000 "re b"`)
	if got := strings.Join(r.seen, " "); got != "127.0.0.1:1000>192.0.2.1:4650 a [::1]:1000>[2001:db8::3]:4650 b" {
		t.Errorf("inside: %s", got)
	}
}

func TestWanWithoutDelay(t *testing.T) {
	c, _ := two(1, func(ps []place) { ps[1].forward, ps[1].backward = sim.LinkConfig{}, sim.LinkConfig{} })
	c.receive(1, anyone, "192.0.2.2:4650", []byte("a"))
	c.check(t, `0s 192.0.2.2:4650>127.0.0.1:1000 "re a"`)
}

// All receivers of a client share its line, there and back, and clients if it is shared.
func TestWanAccess(t *testing.T) {
	line := &Access{
		Forward:  sim.LinkConfig{Delay: sim.Delay{Mean: 1 * ms}, Rate: 1000, Queue: 20}, // a byte a millisecond
		Backward: sim.LinkConfig{Delay: sim.Delay{Mean: 2 * ms}, Rate: 10_000},
	}
	for _, c := range []struct {
		shared bool
		want   []string
	}{
		// Behind each other on the line, then side by side: 10+10+20 ms to 192.0.2.1 and back, and
		// 1.3 ms for the answer's bytes.
		{false, []string{
			`44.3ms 192.0.2.1:4650>127.0.0.1:1000 "re aaaaaaaaaa"`,
			`44.3ms 192.0.2.1:4650>127.0.0.1:1001 "re dddddddddd"`,
			`54.3ms 192.0.2.2:4650>127.0.0.1:1000 "re bbbbbbbbbb"`,
		}},
		// The other client finds the queue full, as the third datagram of the first one does.
		{true, []string{
			`44.3ms 192.0.2.1:4650>127.0.0.1:1000 "re aaaaaaaaaa"`,
			`54.3ms 192.0.2.2:4650>127.0.0.1:1000 "re bbbbbbbbbb"`,
		}},
	} {
		x, _ := two(1, nil)
		a := *line
		a.Shared = c.shared
		x.w.access = &a
		x.receive(0, anyone, "192.0.2.1:4650", []byte("aaaaaaaaaa"))
		x.receive(1, anyone, "192.0.2.2:4650", []byte("bbbbbbbbbb"))
		x.receive(0, anyone, "192.0.2.1:4650", []byte("c"))
		x.receive(0, "127.0.0.1:1001", "192.0.2.1:4650", []byte("dddddddddd"))
		x.until(time.Second)
		x.check(t, c.want...)
		if lost := x.w.stats.Lost; lost != int64(4-len(c.want)) {
			t.Errorf("%d lost", lost)
		}
	}
}

func TestWanPings(t *testing.T) {
	header := append([]byte{0x45}, make([]byte, 19)...)
	request := []byte{8, 0, 0, 0, 0, 7, 0, 1, 'x'}
	c, _ := two(1, func(ps []place) { ps[1].dead = true; ps[2].refuse = true })
	c.receive(3, "127.0.0.1:0", "192.0.2.1:0", append(bytes.Clone(header), request...))
	c.receive(3, "127.0.0.1:0", "192.0.2.2:0", append(bytes.Clone(header), request...)) // dead
	c.receive(3, "127.0.0.1:0", "127.0.0.1:0", append(bytes.Clone(header), request...)) // not ours
	c.receive(3, "127.0.0.1:0", "192.0.2.1:0", header)                                  // nothing in it
	c.receive(3, "[::1]:0", "[2001:db8::3]:0", []byte{128, 0, 0, 0, 0, 7, 0, 2})
	c.receive(3, "[::1]:0", "[2001:db8::3]:0", []byte{129, 0, 0, 0, 0, 7, 0, 2}) // a reply
	c.until(time.Second)
	c.check(t,
		`5ms 192.0.2.1:0>127.0.0.1:0 "\x00\x00\b\x00\x00\a\x00\x01x"`,
		`5ms [2001:db8::3]:0>[::1]:0 "\x81\x00\xfe\xff\x00\a\x00\x02"`)
	if s := c.w.stats; s.Pings != 6 || s.Silenced != 1 || s.Refused != 3 {
		t.Errorf("%+v", s)
	}
}

func TestWanScripts(t *testing.T) {
	c, r := two(1, func(ps []place) {
		ps[1].dies, ps[1].revives = 100*time.Millisecond, 200*time.Millisecond
	})
	// The clock of the script starts with the flow's first datagram, at 1 s.
	c.now = time.Second
	c.receive(0, anyone, "192.0.2.1:4650", []byte("intent"))
	for i := range 30 {
		c.until(time.Second + time.Duration(i)*10*time.Millisecond)
		c.receive(1, anyone, "192.0.2.2:4650", fmt.Appendf(nil, "%d", i))
	}
	c.until(10 * time.Second)
	// Forward takes 10 ms, so 9 (leaves at 90 ms) finds it dead and 19 alive again.
	if len(r.seen) != 1+20 || len(c.out) != 1+20 {
		t.Errorf("%d came in, %d came back: %v", len(r.seen), len(c.out), r.seen)
	}
	if s := c.w.stats; s.Silenced != 10 {
		t.Errorf("%+v", s)
	}
}

// luck sends 200 datagrams of each of the flows through a bad network and gives
// what came back to the first.
func luck(seed uint64, flows int) []string {
	c, _ := two(seed, func(ps []place) {
		for i := range ps {
			ps[i].forward.Loss.P, ps[i].backward.Loss.P = 0.2, 0.2
			ps[i].forward.Delay = sim.Delay{Kind: sim.Normal, Mean: 10 * ms, Spread: 3 * ms}
			ps[i].backward.Duplicate = 0.1
		}
	})
	for i := range 200 {
		c.until(time.Duration(i) * 5 * time.Millisecond)
		for f := range flows {
			c.receive(i%3, fmt.Sprintf("127.0.0.1:%d", 1000+f), "0.0.0.0:0", fmt.Appendf(nil, "%d", i))
		}
	}
	c.until(10 * time.Second)
	var first []string
	for _, l := range c.out {
		if strings.Contains(l, ">127.0.0.1:1000 ") {
			first = append(first, l)
		}
	}
	return first
}

func TestWanFlowsDoNotTouch(t *testing.T) {
	alone, beside, other := luck(1, 1), luck(1, 5), luck(2, 1)
	if len(alone) < 100 || len(alone) > 180 {
		t.Fatalf("%d datagrams came back, about 140 should", len(alone))
	}
	if a, b := strings.Join(alone, "\n"), strings.Join(beside, "\n"); a != b {
		t.Error("other flows changed the luck of the first")
	}
	if strings.Join(alone, "\n") == strings.Join(other, "\n") {
		t.Error("another seed made no difference")
	}
}

func TestWanSteadyStateDoesNotAllocate(t *testing.T) {
	c, _ := two(1, nil)
	now := sim.Epoch
	e := loop.Envelope{Sock: 1, Peer: netip.MustParseAddrPort(anyone)}
	var out loop.Envelope
	buf, b := make([]byte, 0, 2048), []byte("0123456789")
	w := newWan(silent{}, 1, nil, c.w.places, c.w.socks)
	once := func() {
		now = now.Add(time.Millisecond)
		w.Receive(now, &e, b)
		w.Expire(now)
		w.Transmit(now, &out, buf)
	}
	for range 1000 {
		once()
	}
	if n := testing.AllocsPerRun(1000, once); n != 0 {
		t.Errorf("%v allocations a datagram", n)
	}
}

// silent is an inner program that takes everything and says nothing.
type silent struct{}

func (silent) Receive(time.Time, *loop.Envelope, []byte) {}
func (silent) Fail(time.Time, *loop.Envelope, error)     {}
func (silent) Expire(time.Time)                          {}
func (silent) Transmit(_ time.Time, _ *loop.Envelope, b []byte) ([]byte, bool) {
	return b, false
}
func (silent) Next() (time.Time, bool) { return sim.Epoch.Add(1000 * time.Hour), true }
