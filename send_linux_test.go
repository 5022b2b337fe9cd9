package mdalp_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"mdalp"
	"mdalp/icmp"
	"mdalp/loop"
	"mdalp/server"
)

// A site is a server on real loopback sockets.
type site struct {
	addr   netip.AddrPort
	store  *server.Memory
	result chan server.Result
	client atomic.Pointer[netip.AddrPort] // who sent the last intent
}

// spy notes the client's address before the server sees its intent.
type spy struct {
	loop.Handler
	site *site
}

func (s spy) Receive(now time.Time, e *loop.Envelope, b []byte) {
	if string(b) == "Type:0;" {
		from := e.Peer
		s.site.client.Store(&from)
	}
	s.Handler.Receive(now, e, b)
}

// serve starts an orchestrator and receivers at hosts, on a port of the kernel's
// choice, until the test ends. The payload is told to them: where they had to take a
// silence for its end, a machine that is busy elsewhere would end the transaction.
func serve(t testing.TB, want []byte, hosts ...string) *site {
	t.Helper()
	x := &site{store: new(server.Memory), result: make(chan server.Result, 16)}
	var socks []*loop.Socket
	cfg := server.Config{
		Base:       true,
		Store:      x.store,
		Expect:     &server.Payload{Size: int64(len(want)), SHA256: sha256.Sum256(want)},
		IntentRate: -1,
		Settled:    func(r server.Result) { x.result <- r },
	}
	for i, h := range hosts {
		s, err := loop.Listen(netip.AddrPortFrom(netip.MustParseAddr(h), 0), loop.Options{PacketInfo: true})
		if err != nil {
			t.Fatal(err)
		}
		socks = append(socks, s)
		if i == 0 {
			x.addr = s.LocalAddr()
			continue
		}
		cfg.Receivers = append(cfg.Receivers, server.Receiver{Addr: s.LocalAddr(), Sock: i})
	}
	srv, err := server.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		loop.Run(ctx, spy{srv, x}, socks...)
		for _, s := range socks {
			s.Close()
		}
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return x
}

// payloadOf is size random bytes.
func payloadOf(size int) []byte {
	rng := rand.New(rand.NewPCG(1, uint64(size)))
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// arrived waits for the verdict on the only transaction and compares the payload.
func (x *site) arrived(t *testing.T, want []byte) server.Result {
	t.Helper()
	select {
	case r := <-x.result:
		if got, ok := x.store.Payload(r.TID); !ok || !bytes.Equal(got, want) {
			t.Errorf("transaction %d: %s; the payload is not what was sent", r.TID, r.Comment)
		}
		return r
	case <-time.After(2 * time.Minute):
		t.Fatal("no verdict")
		return server.Result{}
	}
}

// TestSend sends over real sockets: UDP and, for the latencies, raw ICMP.
func TestSend(t *testing.T) {
	for _, c := range []struct {
		name  string
		hosts []string
		size  int
	}{
		{"IPv4", []string{"127.0.0.1", "127.0.7.1", "127.0.7.2", "127.0.7.3"}, 5000},
		{"one byte", []string{"127.0.0.1", "127.0.7.1", "127.0.7.2", "127.0.7.3"}, 1},
		{"windows", []string{"127.0.0.1", "127.0.7.1", "127.0.7.2"}, 3<<20 + 17},
		{"IPv6", []string{"::1", "::1", "::1"}, 5000},
		{"both", []string{"::1", "127.0.7.1", "::1"}, 5000},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := payloadOf(c.size)
			x := serve(t, p, c.hosts...)
			r, err := mdalp.Send(t.Context(), bytes.NewReader(p), int64(len(p)), &mdalp.Config{Orchestrator: x.addr})
			if err != nil {
				t.Fatal(err)
			}
			if v := x.arrived(t, p); c.size >= 5000 && !v.Status {
				t.Errorf("verdict %q", v.Comment)
			}
			if r.Acked != int64(c.size) || r.Left != 0 || len(r.Missing) != 0 || r.Phase != mdalp.PhaseFinished {
				t.Errorf("report %+v", r)
			}
			if r.Ping == icmp.Off {
				// As for a user without CAP_NET_RAW, where ping_group_range is closed.
				if os.Getenv("CI") == "true" {
					t.Error("nobody was pinged")
				}
				return
			}
			for _, x := range r.Receivers {
				if x.Guessed || x.Latency <= 0 || x.Latency > time.Second {
					t.Errorf("%v: latency %v, guessed: %t", x.Addr, x.Latency, x.Guessed)
				}
			}
		})
	}
}

// TestSendRefused: a closed port ends the wait at once, with the error from the
// socket's error queue.
func TestSendRefused(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "::1"} {
		c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(host), 0)))
		if err != nil {
			t.Fatal(err)
		}
		addr := c.LocalAddr().(*net.UDPAddr).AddrPort()
		c.Close()
		_, err = mdalp.Send(t.Context(), bytes.NewReader([]byte("x")), 1, &mdalp.Config{Orchestrator: addr})
		var peer *mdalp.PeerError
		if !errors.Is(err, mdalp.ErrNoOffer) || !errors.Is(err, syscall.ECONNREFUSED) || !errors.As(err, &peer) {
			t.Errorf("%s: error %v", host, err)
		} else if peer.Peer.Port() != addr.Port() {
			t.Errorf("%s: it blames %v", host, peer.Peer)
		}
	}
}

// relay is an orchestrator that hands one intent on to another, and its offer back as
// edit changes it.
func relay(t *testing.T, x *site, edit func(offer string) string) netip.AddrPort {
	t.Helper()
	front, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 7, 8)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { front.Close() })
	back, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(x.addr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { back.Close() })
	go func() {
		b := make([]byte, 2048)
		_, client, err := front.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		back.Write([]byte("Type:0;"))
		n, _ := back.Read(b)
		front.WriteToUDPAddrPort([]byte(edit(string(b[:n]))), client)
	}()
	return front.LocalAddr().(*net.UDPAddr).AddrPort()
}

// TestSendNames: names in an offer are looked up, and sent to.
func TestSendNames(t *testing.T) {
	p := payloadOf(5000)
	x := serve(t, p, "127.0.0.1", "127.0.0.1", "127.0.7.2")
	front := relay(t, x, func(offer string) string { return strings.Replace(offer, "'127.0.0.1'", "'localhost'", 1) })
	r, err := mdalp.Send(t.Context(), bytes.NewReader(p), 5000, &mdalp.Config{Orchestrator: front})
	if err != nil {
		t.Fatal(err)
	}
	x.arrived(t, p)
	if len(r.Receivers) != 2 || r.Receivers[0].Addr.Addr() != netip.MustParseAddr("127.0.0.1") || r.Receivers[0].Guessed {
		t.Errorf("receivers %+v", r.Receivers)
	}
}

// TestSendCaptureStuck: a capture that nobody reads neither holds a transfer up nor
// keeps Send from its end.
func TestSendCaptureStuck(t *testing.T) {
	p := payloadOf(5000)
	x := serve(t, p, "127.0.0.1", "127.0.7.1", "127.0.7.2")
	unread, w := io.Pipe()
	defer unread.Close()
	var text bytes.Buffer
	r, err := mdalp.Send(t.Context(), bytes.NewReader(p), 5000, &mdalp.Config{
		Orchestrator: x.addr, Balance: mdalp.BalanceEqual, Capture: w,
		Logger: slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil || r.Left != 0 {
		t.Fatal(err, r)
	}
	x.arrived(t, p)
	if !strings.Contains(text.String(), "the capture is not whole") {
		t.Errorf("told: %s", &text)
	}
}

// TestSendOnNoLink: an address that could be on any link is refused before anything is sent.
func TestSendOnNoLink(t *testing.T) {
	for _, c := range []struct{ orchestrator, bind, want string }{
		{"[fe80::1]:4650", "", "%eth0"},
		{"[fe80::1%no-such-if]:4650", "", "no such interface"},
		{"[::1]:4650", "fe80::1", "%eth0"},
		{"[::1]:4650", "fe80::1%no-such-if", "no such interface"},
	} {
		cfg := &mdalp.Config{Orchestrator: netip.MustParseAddrPort(c.orchestrator)}
		if c.bind != "" {
			cfg.Bind = netip.MustParseAddr(c.bind)
		}
		_, err := mdalp.Send(t.Context(), bytes.NewReader([]byte("x")), 1, cfg)
		if !errors.Is(err, mdalp.ErrConfig) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s from %q: error %v, want one with %q", c.orchestrator, c.bind, err, c.want)
		}
	}
}

// TestSendFailover: a receiver whose port is closed is dead at once, and the others
// take over.
func TestSendFailover(t *testing.T) {
	p := payloadOf(5000)
	x := serve(t, p, "127.0.0.1", "127.0.7.1", "127.0.7.2")
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 7, 9)})
	if err != nil {
		t.Fatal(err)
	}
	closed := c.LocalAddr().(*net.UDPAddr).AddrPort()
	c.Close()
	// The orchestrator in between adds a receiver to the offer that does not exist.
	front := relay(t, x, func(offer string) string {
		extra := "[{'ip_address': '127.0.7.9', 'port': " + strconv.Itoa(int(closed.Port())) + "}, "
		return strings.Replace(offer, "[", extra, 1)
	})
	r, err := mdalp.Send(t.Context(), bytes.NewReader(p), 5000, &mdalp.Config{
		Orchestrator: front, Balance: mdalp.BalanceEqual,
	})
	if err != nil {
		t.Fatal(err)
	}
	x.arrived(t, p)
	if d := r.Receivers[0]; !errors.Is(d.Err, syscall.ECONNREFUSED) || d.Gave != 17 || d.Timeouts != 0 {
		t.Errorf("the dead receiver: %+v", d)
	}
}

// TestSendCancel: a cancelled context ends Send with its cause and a report.
func TestSendCancel(t *testing.T) {
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close() // it never answers
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	go func() {
		c.Read(make([]byte, 16))
		cancel(why)
	}()
	r, err := mdalp.Send(ctx, bytes.NewReader([]byte("x")), 1, &mdalp.Config{Orchestrator: c.LocalAddr().(*net.UDPAddr).AddrPort()})
	if !errors.Is(err, why) || r == nil || r.Acked != 0 {
		t.Errorf("error %v, report %+v", err, r)
	}
}

// TestSendFlood: what strangers send while a payload is sent is counted, changes
// nothing, and costs no memory.
func TestSendFlood(t *testing.T) {
	p := payloadOf(2 << 20)
	x := serve(t, p, "127.0.0.1", "127.0.7.1", "127.0.7.2", "127.0.7.3")
	stop := make(chan struct{})
	ended := make(chan int)
	go func() {
		sent := 0
		defer func() { ended <- sent }()
		c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 7, 1)}) // a receiver's address, another port
		if err != nil {
			return
		}
		defer c.Close()
		junk := [][]byte{
			[]byte("rubbish"), {}, []byte("Type:3;TID:1;SEQ:1;"), bytes.Repeat([]byte{0xff}, 1400),
			[]byte("Type:1;TID:1;DATA:[{'ip_address': '127.0.0.1'}];"), []byte("Type:3;TID:1;SEQ:99999999999999999999;"),
		}
		for sent < 200_000 {
			select {
			case <-stop:
				return
			default:
			}
			if to := x.client.Load(); to != nil {
				c.WriteToUDPAddrPort(junk[sent%len(junk)], *to)
				sent++
			} else {
				runtime.Gosched()
			}
		}
	}()
	r, err := mdalp.Send(t.Context(), bytes.NewReader(p), int64(len(p)), &mdalp.Config{Orchestrator: x.addr, Balance: mdalp.BalanceEqual})
	close(stop)
	sent := <-ended
	if err != nil {
		t.Fatal(err)
	}
	x.arrived(t, p)
	if r.Dropped.Foreign == 0 || r.Dropped.Foreign > int64(sent) {
		t.Errorf("%d of %d foreign datagrams were dropped", r.Dropped.Foreign, sent)
	}
	t.Logf("%d segments acknowledged, %d sent again, beside %d foreign datagrams", r.Segments, r.Resent(), r.Dropped.Foreign)
}
