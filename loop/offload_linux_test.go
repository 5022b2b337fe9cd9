package loop

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/mdlayher/socket"
	"golang.org/x/sys/unix"

	"mdalp/internal/need"
)

// lengths are of datagrams in a row, so that trains begin and end in every way: one after
// another, by a shorter one, by a longer one, by number, by bytes, alone and empty.
func lengths() (l []int) {
	add := func(n, size int) {
		for range n {
			l = append(l, size)
		}
	}
	add(200, 1200)
	add(1, 7)
	add(64, 100)
	add(65, 101)
	add(3, 0)
	add(2, 40000)
	add(4, 30000)
	add(1, 1)
	add(1, 65507)
	add(10, 9)
	add(1, 8)
	add(1, 9)
	add(100, 1472)
	return l
}

// letters are datagrams of all lengths.
var letters = sync.OnceValue(func() (ls []string) {
	for i, l := range lengths() {
		ls = append(ls, letter(i, l))
	}
	return ls
})

// letter is datagram i: nothing in it repeats that of another.
func letter(i, size int) string {
	b := make([]byte, 0, size+32)
	for k := 0; len(b) < size; k++ {
		b = fmt.Appendf(b, "%d.%d,", i, k)
	}
	return string(b[:size])
}

// trains sends all lengths from socket 0 to an address of socket 1, and wants them there, in
// order and unharmed. hook is called before each Transmit.
func trains(t *testing.T, to netip.AddrPort, from netip.Addr, hook func(i int), socks ...*Socket) {
	t.Helper()
	p := &program{t: t}
	var local netip.AddrPort
	if from.IsValid() {
		local = netip.AddrPortFrom(from, socks[0].LocalAddr().Port())
	}
	ls := letters()
	for _, l := range ls {
		p.queue = append(p.queue, message{Envelope{Peer: to, Local: local}, []byte(l)})
	}
	sent, got := 0, 0
	p.sent = func(time.Time) {
		if hook != nil {
			hook(sent)
		}
		sent++
	}
	p.receive = func(_ time.Time, e *Envelope, b []byte) {
		if got < len(ls) && string(b) != ls[got] {
			t.Errorf("datagram %d of %d bytes is %d bytes long: %.40q", got, len(ls[got]), len(b), b)
		}
		if e.Sock != 1 || from.IsValid() && e.Peer != local || socks[1].opts.PacketInfo && e.Local.Addr() != to.Addr() {
			t.Errorf("datagram %d on socket %d, %v to %v", got, e.Sock, e.Peer, e.Local)
		}
		got++
		p.end = got == len(ls)
	}
	run(t, p, socks...)
	if a, b := socks[0].Stats(), socks[1].Stats(); int(a.Sent) != len(ls) || int(b.Received) != len(ls) {
		t.Errorf("sent %+v, received %+v", a, b)
	}
}

func TestTrains(t *testing.T) {
	for _, tt := range []struct{ name, a, b, to, from string }{
		{"IPv4", "127.0.0.1:0", "127.0.0.2:0", "127.0.0.2", ""},
		{"IPv4 with a source", "0.0.0.0:0", "127.0.0.2:0", "127.0.0.2", "127.0.0.9"},
		{"IPv6", "[::1]:0", "[::1]:0", "::1", ""},
		{"IPv6 with a source", "[::]:0", "[::1]:0", "::1", "::1"},
		{"dual stack", "[::]:0", "[::]:0", "127.0.0.4", "127.0.0.9"},
	} {
		for _, off := range []Offload{OffloadAuto, OffloadOff} {
			for _, take := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/off=%v/take=%v", tt.name, off == OffloadOff, take), func(t *testing.T) {
					a := listen(t, tt.a, Options{Offload: off})
					b := listen(t, tt.b, Options{PacketInfo: true, Trains: take, MaxDatagram: 65507})
					var from netip.Addr
					if tt.from != "" {
						from = netip.MustParseAddr(tt.from)
					}
					trains(t, port(tt.to, b), from, nil, a, b)
					st := a.Stats()
					if sends, _ := a.Offload(); sends != (st.Trains > 0) || sends && off == OffloadOff {
						t.Errorf("sends trains: %v; stats %+v", sends, st)
					}
				})
			}
		}
	}
}

// Datagrams to others, from others and by others, in between, are never in one train.
func TestTrainsMixed(t *testing.T) {
	a, c := listen(t, "0.0.0.0:0", Options{}), listen(t, "127.0.0.1:0", Options{})
	b := listen(t, "0.0.0.0:0", Options{Trains: true, PacketInfo: true})
	p := &program{t: t}
	var want []string
	for i := range 200 {
		sock, to, from := i/3%2, port(fmt.Sprintf("127.0.0.%d", 1+i/5%2), b), netip.AddrPort{}
		if sock == 0 {
			from = port(fmt.Sprintf("127.0.1.%d", 1+i/7%2), a)
		} else {
			from = c.LocalAddr()
		}
		p.queue = append(p.queue, message{Envelope{Sock: sock, Peer: to, Local: from}, []byte(fmt.Sprintf("%3d", i))})
		want = append(want, fmt.Sprintf("%3d %v %v", i, from, to.Addr()))
	}
	got := 0
	p.receive = func(_ time.Time, e *Envelope, m []byte) {
		if is := fmt.Sprintf("%s %v %v", m, e.Peer, e.Local.Addr()); is != want[got] {
			t.Errorf("got %s, want %s", is, want[got])
		}
		got++
		p.end = got == len(want)
	}
	run(t, p, a, c, b)
	if st := a.Stats(); st.Trains == 0 && a.trains {
		t.Errorf("stats %+v", st)
	}
}

// A kernel that refuses a train, at once or in the middle of a transfer, costs no datagram,
// and is not asked again.
func TestTrainsRefused(t *testing.T) {
	noChecks := func(t *testing.T, s *Socket) {
		if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_NO_CHECK, 1); err != nil {
			t.Fatal(err)
		}
	}
	for _, at := range []int{0, 1, 150, 270} { // EINVAL from there on
		a, b := listen(t, "127.0.0.1:0", Options{Errors: true}), listen(t, "127.0.0.2:0", Options{Trains: true})
		trains(t, b.LocalAddr(), netip.Addr{}, func(i int) {
			if i == at {
				noChecks(t, a)
			}
		}, a, b)
		if st := a.Stats(); a.trains && st.Refusing != 1 || at == 0 && st.Trains != 0 {
			t.Errorf("at %d: stats %+v", at, st)
		}
	}
	// With several hosts it is over for all.
	a, b := listen(t, "127.0.0.1:0", Options{}), listen(t, "0.0.0.0:0", Options{Trains: true})
	had := a.trains
	noChecks(t, a)
	p := &program{t: t}
	const n = maxRefusing + 3
	for i := range 3 * n {
		p.say(0, port(fmt.Sprintf("127.0.3.%d", i/3), b), "x")
	}
	got := 0
	p.receive = func(time.Time, *Envelope, []byte) { got++; p.end = got == 3*n }
	run(t, p, a, b)
	if st := a.Stats(); a.trains || had && st.Refusing != maxRefusing {
		t.Errorf("still on: %v; stats %+v", a.trains, st)
	}
}

// EIO is what a path answers that cannot do it in hardware. UDP-Lite (RFC 3828) never can.
func TestTrainsEIO(t *testing.T) {
	lite := func() *Socket {
		c, err := socket.Socket(unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_UDPLITE, "udplite", nil)
		if err != nil {
			need.Skip(t, "a kernel without UDP-Lite: ", err)
		}
		if err := c.Bind(&unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			t.Fatal(err)
		}
		s, err := New(c, Options{})
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
	a, b := lite(), lite()
	trains(t, b.LocalAddr(), netip.Addr{}, nil, a, b)
	if st := a.Stats(); st.Trains != 0 || a.trains && st.Refusing != 1 {
		t.Errorf("stats %+v", st)
	}
}

// Trains of datagrams that are too long for the path are refused (EINVAL, later EMSGSIZE), and
// the datagrams go in fragments.
func TestTrainsTooLong(t *testing.T) {
	isolated(t, func(t *testing.T) {
		loopback(t, 1500)
		for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
			a, b := listen(t, addr, Options{Errors: true}), listen(t, addr, Options{Trains: true})
			trains(t, b.LocalAddr(), netip.Addr{}, nil, a, b)
			if st := a.Stats(); a.trains && (st.Trains == 0 || st.Refusing != 1) {
				t.Errorf("%s: stats %+v", addr, st)
			}
		}
	})
}

// A long transfer in trains allocates nothing once it is under way, with long datagrams and
// with short ones, which then have more room than the base protocol's.
func TestAllocsTrains(t *testing.T) {
	for _, size := range []int{100, 1200, 65000} {
		a := listen(t, "127.0.0.1:0", Options{Trains: true})
		r, err := newRunner(context.Background(), nil, &program{t: t}, []*Socket{a})
		if err != nil {
			t.Fatal(err)
		}
		h := &large{to: a.LocalAddr(), b: bytes.Repeat([]byte("x"), size)}
		r.h = h
		step := func() {
			for h.left = 1000; h.left > 0 || h.got < 1000; {
				if _, err := r.round(); err != nil {
					t.Fatal(err)
				}
			}
			h.got = 0
		}
		step()
		if n := testing.AllocsPerRun(5, step); n != 0 {
			t.Errorf("%d bytes: %v allocations for 1000 datagrams", size, n)
		}
		if size <= 1200 && a.trains && r.out.room <= batch {
			t.Errorf("%d bytes: room for %d", size, r.out.room)
		}
		if train := min(maxTrain, longest/size); a.trains && r.out.room%train != 0 {
			t.Errorf("%d bytes: room for %d, and trains of %d: the last of each batch is cut short", size, r.out.room, train)
		}
		if r.close(); r.out.room*r.out.stride > 4*arenaSize+65536 {
			t.Errorf("%d bytes: %d slots of %d", size, r.out.room, r.out.stride)
		}
	}
}
