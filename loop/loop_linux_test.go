package loop

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"reflect"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A program is a Handler made of what a test cares for. It ends when end is set, and
// as a safety net fails the test when nothing has ended it for 20 s.
type program struct {
	t       testing.TB
	start   time.Time
	last    time.Time
	end     bool
	next    time.Time // when not zero, the next Expire
	queue   []message
	receive func(now time.Time, e *Envelope, b []byte)
	fail    func(e *Envelope, err error)
	expire  func(now time.Time)
	sent    func(now time.Time)
}

type message struct {
	e Envelope
	b []byte
}

func (p *program) see(now time.Time) {
	if now.Before(p.last) {
		p.t.Errorf("now went back by %v", p.last.Sub(now))
	}
	p.last = now
	if p.start.IsZero() {
		p.start = now
	}
}

func (p *program) Receive(now time.Time, e *Envelope, b []byte) {
	p.see(now)
	if e.At.After(now) {
		p.t.Errorf("arrived %v after now", e.At.Sub(now))
	}
	if p.receive == nil {
		p.t.Errorf("unexpected datagram from %v", e.Peer)
		return
	}
	p.receive(now, e, b)
}

func (p *program) Fail(now time.Time, e *Envelope, err error) {
	p.see(now)
	if p.fail == nil {
		p.t.Errorf("unexpected failure of %v: %v", e.Peer, err)
		p.end = true
		return
	}
	p.fail(e, err)
}

func (p *program) Expire(now time.Time) {
	p.see(now)
	if at, _ := p.Next(); now.Before(at) {
		p.t.Errorf("expired %v early", at.Sub(now))
	}
	if p.expire != nil && !p.next.IsZero() {
		p.expire(now)
	} else {
		p.t.Error("nothing happened for 20 s")
		p.end = true
	}
}

func (p *program) Transmit(now time.Time, e *Envelope, b []byte) ([]byte, bool) {
	p.see(now)
	if len(b) != 0 || !reflect.DeepEqual(*e, Envelope{}) {
		p.t.Error("Transmit was not given an empty slot and envelope")
	}
	if len(p.queue) == 0 {
		return nil, false
	}
	m := p.queue[0]
	p.queue = p.queue[1:]
	*e = m.e
	if p.sent != nil {
		p.sent(now)
	}
	return append(b, m.b...), true
}

func (p *program) Next() (time.Time, bool) {
	switch {
	case p.end:
		return time.Time{}, false
	case !p.next.IsZero():
		return p.next, true
	case p.start.IsZero():
		return time.Now().Add(20 * time.Second), true
	}
	return p.start.Add(20 * time.Second), true
}

func (p *program) say(sock int, to netip.AddrPort, b string) {
	p.queue = append(p.queue, message{Envelope{Sock: sock, Peer: to}, []byte(b)})
}

func listen(t testing.TB, addr string, o Options) *Socket {
	t.Helper()
	s, err := Listen(netip.MustParseAddrPort(addr), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func run(t testing.TB, h Handler, socks ...*Socket) {
	t.Helper()
	if err := Run(context.Background(), h, socks...); err != nil {
		t.Fatal(err)
	}
}

func port(ip string, s *Socket) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(ip), s.LocalAddr().Port())
}

// Two sockets of one Run talk to each other over every family, in both directions
// with the largest datagram there is.
func TestFamilies(t *testing.T) {
	big := string(bytes.Repeat([]byte("0123456789"), 6551)[:65507])
	for _, tt := range []struct{ name, a, b, toB, atB string }{
		{"IPv4", "127.0.0.1:0", "127.0.0.2:0", "127.0.0.2", "127.0.0.1"},
		{"IPv6", "[::1]:0", "[::]:0", "::1", "::1"},
		{"dual stack", "127.0.0.3:0", "[::]:0", "127.0.0.4", "127.0.0.3"},
		{"from dual stack", "[::]:0", "127.0.0.5:0", "127.0.0.5", "127.0.0.1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, b := listen(t, tt.a, Options{}), listen(t, tt.b, Options{PacketInfo: true})
			p := &program{t: t}
			p.say(0, port(tt.toB, b), big)
			p.say(0, port(tt.toB, b), "")
			got := 0
			p.receive = func(_ time.Time, e *Envelope, m []byte) {
				got++
				if e.Sock == 1 {
					if e.Peer != port(tt.atB, a) || e.Local != port(tt.toB, b) {
						t.Errorf("got %v to %v, want %v to %v", e.Peer, e.Local, port(tt.atB, a), port(tt.toB, b))
					}
					p.queue = append(p.queue, message{Envelope{Sock: 1, Peer: e.Peer, Local: e.Local}, bytes.Clone(m)})
				} else if e.Peer != port(tt.toB, b) || e.Local.IsValid() {
					t.Errorf("answer from %v to %v", e.Peer, e.Local)
				}
				if want := map[bool]string{true: big}[got%2 == 1]; string(m) != want {
					t.Errorf("datagram %d has %d bytes, want %d", got, len(m), len(want))
				}
				p.end = got == 4
			}
			run(t, p, a, b)
			if st := b.Stats(); st.Received != 2 || st.Sent != 2 {
				t.Errorf("stats %+v", st)
			}
		})
	}
}

// A source address that was addressed is the one that answers.
func TestPacketInfo(t *testing.T) {
	a, b := listen(t, "127.0.0.1:0", Options{}), listen(t, "0.0.0.0:0", Options{PacketInfo: true})
	p := &program{t: t}
	want := map[netip.AddrPort]bool{}
	for _, ip := range []string{"127.0.0.9", "127.1.2.3", "127.255.0.1"} {
		want[port(ip, b)] = true
		p.say(0, port(ip, b), "x")
	}
	p.receive = func(_ time.Time, e *Envelope, m []byte) {
		if e.Sock == 1 {
			p.queue = append(p.queue, message{Envelope{Sock: 1, Peer: e.Peer, Local: e.Local}, []byte("y")})
			return
		}
		if !want[e.Peer] {
			t.Errorf("answer from %v", e.Peer)
		}
		delete(want, e.Peer)
		p.end = len(want) == 0
	}
	run(t, p, a, b)
}

func TestRefused(t *testing.T) {
	for _, tt := range []struct{ name, bind, ip string }{
		{"IPv4", "0.0.0.0:0", "127.0.0.7"},
		{"IPv6", "[::]:0", "::1"},
		{"dual stack", "[::]:0", "127.0.0.7"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			// A port that was just free, and another that answers: the errors of the
			// one must not keep the other's datagrams back.
			dead, err := Listen(netip.AddrPortFrom(netip.MustParseAddr(tt.ip), 0), Options{})
			if err != nil {
				t.Fatal(err)
			}
			gone := port(tt.ip, dead)
			if err := dead.Close(); err != nil {
				t.Fatal(err)
			}
			s, live := listen(t, tt.bind, Options{Errors: true}), listen(t, netip.AddrPortFrom(gone.Addr(), 0).String(), Options{})
			p := &program{t: t}
			const n = 50
			for range n {
				p.say(0, gone, "x")
				p.say(0, port(tt.ip, live), "y")
			}
			refused, heard := 0, 0
			p.receive = func(_ time.Time, e *Envelope, b []byte) {
				if heard++; e.Sock != 1 || string(b) != "y" {
					t.Errorf("%q on %d", b, e.Sock)
				}
				p.end = refused > 0 && heard == n
			}
			p.fail = func(e *Envelope, err error) {
				// The kernel limits how many ICMP errors it makes, so one is enough.
				if refused++; err != syscall.ECONNREFUSED || e.Peer != gone || e.Sock != 0 || !e.Remote || string(e.Quote) != "x" {
					t.Errorf("%v of %v on %d, remote %v, quotes %q", err, e.Peer, e.Sock, e.Remote, e.Quote)
				}
				p.end = heard == n
			}
			run(t, p, s, live)
			if st := s.Stats(); st.Sent != 2*n {
				t.Errorf("sent %d, want %d", st.Sent, 2*n)
			}
		})
	}
}

// An error of the datagram itself is told for its peer, and the next ones go.
func TestOwnErrors(t *testing.T) {
	long := string(make([]byte, 65508))
	for _, opts := range []Options{{}, {Errors: true}, {Stamp: true, Errors: true}} {
		s, live := listen(t, "0.0.0.0:0", opts), listen(t, "127.0.0.1:0", Options{})
		p := &program{t: t}
		var want []error
		var peers []netip.AddrPort
		for _, tt := range []struct {
			to   string
			b    string
			want error
		}{
			{"127.0.0.1:9", long, unix.EMSGSIZE},
			{"127.255.255.255:9", "broadcast", unix.EACCES},
			{"127.0.0.1:0", "port 0", unix.EINVAL},
			{"[::1]:9", "family", unix.EAFNOSUPPORT},
		} {
			to := netip.MustParseAddrPort(tt.to)
			p.say(0, port("127.0.0.1", live), "before")
			p.say(0, to, tt.b)
			want, peers = append(want, tt.want), append(peers, to)
		}
		p.say(0, netip.AddrPort{}, "nowhere")
		want, peers = append(want, unix.EAFNOSUPPORT), append(peers, netip.AddrPort{})
		p.say(0, port("127.0.0.1", live), "after")
		fails, heard := map[netip.AddrPort]error{}, 0
		done := func() { p.end = len(fails) == len(want) && heard == 5 }
		p.fail = func(e *Envelope, err error) {
			if fails[e.Peer] = err; e.Remote || e.Quote != nil {
				t.Errorf("%v of %v came from the network", err, e.Peer)
			}
			done()
		}
		p.receive = func(time.Time, *Envelope, []byte) { heard++; done() }
		run(t, p, s, live)
		for i := range want {
			if fails[peers[i]] != want[i] {
				t.Errorf("%v: %v, want %v", peers[i], fails[peers[i]], want[i])
			}
		}
	}
}

func TestTruncated(t *testing.T) {
	a, b := listen(t, "127.0.0.1:0", Options{}), listen(t, "127.0.0.1:0", Options{MaxDatagram: 4})
	p := &program{t: t}
	p.say(0, b.LocalAddr(), "12345")
	p.say(0, b.LocalAddr(), "1234")
	p.receive = func(_ time.Time, _ *Envelope, m []byte) {
		if string(m) != "1234" {
			t.Errorf("got %q", m)
		}
		p.end = true
	}
	run(t, p, a, b)
	if st := b.Stats(); st.Truncated != 1 {
		t.Errorf("stats %+v", st)
	}
}

// A stamped socket's datagrams arrive between the send stamp and the wake-up.
func TestStamp(t *testing.T) {
	a, b := listen(t, "127.0.0.1:0", Options{Stamp: true}), listen(t, "[::]:0", Options{Stamp: true, PacketInfo: true})
	p := &program{t: t}
	const n = 3 * batch
	for range n {
		p.say(0, port("127.0.0.1", b), "x")
	}
	var sent []time.Time
	p.sent = func(now time.Time) { sent = append(sent, now) }
	got, before := 0, 0
	p.receive = func(now time.Time, e *Envelope, _ []byte) {
		// The wall clock, which stamps, and the monotonic one may drift apart by little.
		if d := e.At.Sub(sent[got]); d < -time.Millisecond {
			t.Errorf("datagram %d arrived %v before it was sent", got, -d)
		}
		if e.At.Before(now) {
			before++
		}
		if len(sent) > got+1 && sent[got].Equal(sent[got+1]) {
			t.Error("two datagrams have one stamp")
		}
		got++
		p.end = got == n
	}
	run(t, p, a, b)
	if before == 0 {
		t.Error("no datagram has the kernel's time")
	}
	if st := a.Stats(); st.Sends != n {
		t.Errorf("%d calls sent %d datagrams", st.Sends, n)
	}
}

func TestNext(t *testing.T) {
	for _, name := range []string{"epoll_pwait2", "ENOSYS"} {
		t.Run(name, func(t *testing.T) {
			p := &program{t: t}
			fired := 0
			late := time.Hour
			p.next = time.Now().Add(time.Millisecond)
			p.expire = func(now time.Time) {
				late = min(late, now.Sub(p.next))
				fired++
				p.next = p.next.Add(1700 * time.Microsecond)
				if now.After(p.next) {
					p.next = now.Add(1700 * time.Microsecond)
				}
				p.end = fired == 30
			}
			r, err := newRunner(context.Background(), nil, p, []*Socket{listen(t, "127.0.0.1:0", Options{})})
			if err != nil {
				t.Fatal(err)
			}
			defer r.close()
			if name == "ENOSYS" {
				r.poll.trap = 1 << 14 // no such call: the kernel itself says so
			}
			for done := false; !done; {
				if done, err = r.round(); err != nil {
					t.Fatal(err)
				}
			}
			if late > 2*time.Millisecond {
				t.Errorf("at best %v late", late)
			}
			// One wait for each Expire. A raw wait may be cut short by a signal.
			if r.poll.calls > 30*4 {
				t.Errorf("%d waits for 30 timers", r.poll.calls)
			}
			if (r.poll.trap == unix.SYS_EPOLL_PWAIT) != (name == "ENOSYS") {
				t.Errorf("waits by call %d", r.poll.trap)
			}
		})
	}
}

func TestCancel(t *testing.T) {
	why := errors.New("why")
	s := listen(t, "127.0.0.1:0", Options{})
	p := &program{t: t}
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(why)
	if err := Run(ctx, p, s); err != why {
		t.Errorf("cancelled before: %v", err)
	}
	// Cancelled while it sleeps: Next is the last call before.
	ctx, cancel = context.WithCancelCause(context.Background())
	asleep, calls := make(chan struct{}), 0
	h := &hooked{program: p, next: func() {
		if calls++; calls == 1 {
			close(asleep)
		}
	}}
	go func() { <-asleep; cancel(why) }()
	if err := Run(ctx, h, s); err != why {
		t.Errorf("cancelled while asleep: %v", err)
	}
	// And while it never sleeps, because datagrams keep coming.
	ctx, cancel = context.WithCancelCause(context.Background())
	p.say(0, s.LocalAddr(), "x")
	n := 0
	p.receive = func(_ time.Time, e *Envelope, _ []byte) {
		if n++; n == 100 {
			cancel(why)
		}
		p.say(0, s.LocalAddr(), "x")
		p.say(0, s.LocalAddr(), "x")
		if len(p.queue) > 1000 {
			p.queue = p.queue[:1000]
		}
	}
	if err := Run(ctx, p, s); err != why {
		t.Errorf("cancelled while busy: %v", err)
	}
	late, stop := context.WithTimeout(context.Background(), time.Millisecond)
	defer stop()
	p.receive = func(time.Time, *Envelope, []byte) {}
	p.queue = nil
	if err := Run(late, p, s); err != context.DeadlineExceeded {
		t.Errorf("timed out: %v", err)
	}
}

type hooked struct {
	*program
	next func()
}

func (h *hooked) Next() (time.Time, bool) { h.next(); return h.program.Next() }

func TestMisuse(t *testing.T) {
	p := &program{t: t, end: true}
	run(t, p) // ended, and no sockets at all
	s := listen(t, "127.0.0.1:0", Options{})
	if err := Run(context.Background(), p, s, s); !errors.Is(err, unix.EBUSY) {
		t.Errorf("one socket twice: %v", err)
	}
	run(t, p, s) // free again
	p.end = false
	p.say(0, s.LocalAddr(), "x")
	p.receive = func(time.Time, *Envelope, []byte) {
		if err := s.Close(); !errors.Is(err, unix.EBUSY) {
			t.Errorf("closed in a Run: %v", err)
		}
		p.end = true
	}
	run(t, p, s)
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	var e *os.SyscallError
	if err := Run(context.Background(), p, s); !errors.As(err, &e) || e.Err != unix.EBADF {
		t.Errorf("closed: %v", err)
	}
	if _, err := Listen(netip.AddrPort{}, Options{}); !errors.Is(err, unix.EAFNOSUPPORT) {
		t.Errorf("no address: %v", err)
	}
	if _, err := Listen(netip.MustParseAddrPort("192.0.2.77:0"), Options{}); !errors.Is(err, unix.EADDRNOTAVAIL) {
		t.Errorf("foreign address: %v", err)
	}
}

// A descriptor that breaks under the loop ends it.
func TestBroken(t *testing.T) {
	s := listen(t, "127.0.0.1:0", Options{})
	fd := s.fd
	p := &program{t: t}
	p.next = time.Now()
	p.expire = func(now time.Time) {
		s.fd = -1
		p.say(0, netip.MustParseAddrPort("127.0.0.1:9"), "x")
		p.next = now.Add(20 * time.Second)
	}
	err := Run(context.Background(), p, s)
	s.fd = fd
	var e *os.SyscallError
	if !errors.As(err, &e) || e.Err != unix.EBADF {
		t.Errorf("got %v", err)
	}
}

func TestReceiveBuffer(t *testing.T) {
	small, usual := listen(t, "127.0.0.1:0", Options{ReceiveBuffer: 100000}), listen(t, "[::1]:0", Options{})
	if n := small.ReceiveBuffer(); n != 200000 {
		t.Errorf("asked for 100000, got %d", n)
	}
	if n := usual.ReceiveBuffer(); n <= small.ReceiveBuffer() {
		t.Errorf("the default is %d", n)
	}
}

// pingPong has two sockets of one Run throw w datagrams to and fro for ever.
type pingPong struct {
	queue []Envelope
	n     int
	far   time.Time
}

func (p *pingPong) Receive(now time.Time, e *Envelope, b []byte) {
	p.n++
	p.queue = append(p.queue, Envelope{Sock: e.Sock, Peer: e.Peer, Local: e.Local})
}
func (p *pingPong) Fail(now time.Time, e *Envelope, err error) { panic(err) }
func (p *pingPong) Expire(now time.Time)                       { panic("silence") }
func (p *pingPong) Next() (time.Time, bool)                    { return p.far, true }
func (p *pingPong) Transmit(now time.Time, e *Envelope, b []byte) ([]byte, bool) {
	k := len(p.queue) - 1
	if k < 0 {
		return nil, false
	}
	*e = p.queue[k]
	p.queue = p.queue[:k]
	return append(b, "Type:2;TID:1;SEQ:1;DATA:x"...), true
}

func TestAllocs(t *testing.T) {
	for _, tt := range []struct {
		name, a, b string
		opts       Options
		to         string
	}{
		{"plain", "127.0.0.1:0", "127.0.0.2:0", Options{}, "127.0.0.2"},
		{"everything", "[::]:0", "[::]:0", Options{PacketInfo: true, Errors: true, Stamp: true}, "127.0.0.3"},
		{"IPv6", "[::]:0", "[::]:0", Options{PacketInfo: true}, "::1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, b := listen(t, tt.a, tt.opts), listen(t, tt.b, tt.opts)
			p := &pingPong{far: time.Now().Add(time.Hour), queue: make([]Envelope, 0, 1000)}
			for range 100 {
				p.queue = append(p.queue, Envelope{Peer: port(tt.to, b)})
			}
			r, err := newRunner(context.Background(), nil, p, []*Socket{a, b})
			if err != nil {
				t.Fatal(err)
			}
			defer r.close()
			step := func() {
				for end := p.n + 1000; p.n < end; {
					if _, err := r.round(); err != nil {
						t.Fatal(err)
					}
				}
			}
			step()
			if n := testing.AllocsPerRun(20, step); n != 0 {
				t.Errorf("%v allocations per 1000 datagrams", n)
			}
		})
	}
}

// Slots grow once for large datagrams, not for each.
func TestAllocsLarge(t *testing.T) {
	a := listen(t, "127.0.0.1:0", Options{})
	r, err := newRunner(context.Background(), nil, &program{t: t}, []*Socket{a})
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	h := &large{to: a.LocalAddr(), b: make([]byte, 9000)}
	r.h = h
	step := func() {
		for h.left = batch; h.left > 0 || h.got < batch; {
			if _, err := r.round(); err != nil {
				t.Fatal(err)
			}
		}
		h.got = 0
	}
	step()
	if n := testing.AllocsPerRun(5, step); n != 0 {
		t.Errorf("%v allocations per batch", n)
	}
}

type large struct {
	pingPong
	to        netip.AddrPort
	b         []byte
	left, got int
}

func (h *large) Receive(now time.Time, e *Envelope, b []byte) { h.got++ }
func (h *large) Expire(time.Time)                             {}
func (h *large) Next() (time.Time, bool)                      { return time.Now(), true } // never asleep
func (h *large) Transmit(now time.Time, e *Envelope, b []byte) ([]byte, bool) {
	if h.left == 0 {
		return nil, false
	}
	h.left--
	e.Peer = h.to
	return append(b, h.b...), true
}

// A zone becomes a number, by name or number; without a meaning it goes.
func TestZone(t *testing.T) {
	n := strconv.Itoa(int(ifindex("lo")))
	for _, tt := range []struct{ in, out string }{
		{"[fe80::1%lo]:80", "[fe80::1%" + n + "]:80"},
		{"[fe80::1%" + n + "]:80", "[fe80::1%" + n + "]:80"},
		{"[ff02::1%lo]:80", "[ff02::1%" + n + "]:80"},
		{"[fe80::1]:80", "[fe80::1]:80"},
		{"[::1%lo]:80", "[::1]:80"},
		{"[2001:db8::1]:0", "[2001:db8::1]:0"},
		{"192.0.2.1:80", "192.0.2.1:80"},
		{"[fe80::1%no-such-if]:80", ""},
		{"[fe80::1%a-name-longer-than-any]:80", ""},
		{"[fe80::1%4294967295]:80", ""},
		{"[fe80::1%0]:80", ""},
	} {
		got, err := Zone(netip.MustParseAddrPort(tt.in))
		if tt.out == "" {
			if !errors.Is(err, ErrZone) {
				t.Errorf("%s: %v, %v", tt.in, got, err)
			}
		} else if err != nil || got.String() != tt.out {
			t.Errorf("%s: %v, %v; want %s", tt.in, got, err, tt.out)
		}
	}
}

// What the kernel drops because the receive buffer is full is counted, also after Close.
func TestDrops(t *testing.T) {
	s := listen(t, "127.0.0.1:0", Options{ReceiveBuffer: 4096})
	const n = 100
	for range n {
		if err := unix.Sendto(s.fd, make([]byte, 1000), 0, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: int(s.LocalAddr().Port())}); err != nil {
			t.Fatal(err)
		}
	}
	p := &program{t: t}
	got := 0
	p.next = time.Now().Add(time.Millisecond)
	p.receive = func(time.Time, *Envelope, []byte) { got++ }
	p.expire = func(time.Time) { p.end = true }
	run(t, p, s)
	if d := s.Stats().Drops; got == 0 || got+int(d) != n {
		t.Errorf("%d came, %d were dropped, of %d", got, d, n)
	}
	if err := s.Close(); err != nil || got+int(s.Stats().Drops) != n {
		t.Errorf("after Close (%v) %d were dropped", err, s.Stats().Drops)
	}
}

// What a datagram takes of the receive buffer is no more than we say, and not much less.
func TestTruesize(t *testing.T) {
	s := listen(t, "127.0.0.1:0", Options{})
	sa := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: int(s.LocalAddr().Port())}
	b := make([]byte, 65507)
	for _, n := range []int{0, 30, 200, 576, 1000, 1200, 1472, 2000, 4000, 8192, 9000, 16000, 32000, 65000, 65507} {
		if err := unix.Sendto(s.fd, b[:n], 0, sa); err != nil {
			t.Fatal(err)
		}
		takes := int(memory(s.fd)[0])
		if most := Truesize(n); takes > most || 3*takes < most && n > 200 {
			t.Errorf("%d bytes take %d, at most %d", n, takes, most)
		}
		if n <= 200 && takes > ShortDatagram {
			t.Errorf("%d bytes take %d", n, takes)
		}
		if _, err := unix.Read(s.fd, b); err != nil {
			t.Fatal(err)
		}
	}
}

func TestZones(t *testing.T) {
	var z zones
	var sa unix.RawSockaddrInet6
	ap := netip.MustParseAddrPort("[fe80::1%7]:80")
	if n := encode(&sa, unix.AF_INET6, ap, &z); n != unix.SizeofSockaddrInet6 || sa.Scope_id != 7 {
		t.Fatalf("encoded %d bytes, scope %d", n, sa.Scope_id)
	}
	if got := decode(&sa, &z); got != ap {
		t.Errorf("got %v, want %v", got, ap)
	}
	runtime.GC() // the zone's name must outlive its addresses
	if n := testing.AllocsPerRun(100, func() { _ = decode(&sa, &z) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if i := z.index("lo"); i != ifindex("lo") || i == 0 {
		t.Errorf("lo is interface %d", i)
	}
	if i := z.index("no-such-if"); i != 0 {
		t.Errorf("no interface is %d", i)
	}
	for _, s := range []string{"127.0.0.1:1", "[::1]:65535", "[2001:db8::1]:0"} {
		ap := netip.MustParseAddrPort(s)
		if encode(&sa, unix.AF_INET6, ap, &z) == 0 || decode(&sa, &z) != ap {
			t.Errorf("%v became %v", ap, decode(&sa, &z))
		}
	}
}

// TestNewUDPConn takes over a socket of package net.
func TestNewUDPConn(t *testing.T) {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	want := c.LocalAddr().(*net.UDPAddr).AddrPort()
	s, err := New(c, Options{PacketInfo: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.LocalAddr().Port() != want.Port() || s.ReceiveBuffer() == 0 {
		t.Errorf("%v with a buffer of %d bytes, want %v", s.LocalAddr(), s.ReceiveBuffer(), want)
	}
	if err := c.Close(); err == nil {
		t.Error("the former socket was left open")
	}
}
