package stranger_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"mdalp"
	"mdalp/loop"
	ours "mdalp/server"
)

// start runs our server with an orchestrator and two receivers.
func start(t *testing.T, cfg ours.Config) (addr string, m *ours.Memory) {
	t.Helper()
	m = new(ours.Memory)
	cfg.Store, cfg.IntentRate = m, -1
	var socks []*loop.Socket
	for i := range 3 {
		s, err := loop.Listen(netip.MustParseAddrPort("127.0.0.1:0"), loop.Options{PacketInfo: true, Trains: true})
		if err != nil {
			t.Fatal(err)
		}
		socks = append(socks, s)
		if i > 0 {
			cfg.Receivers = append(cfg.Receivers, ours.Receiver{Addr: s.LocalAddr(), Sock: i, Name: fmt.Sprint("R", i)})
		}
	}
	srv, err := ours.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		loop.Run(ctx, srv, socks...)
		for _, s := range socks {
			s.Close()
		}
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return socks[0].LocalAddr().String(), m
}

// begin opens a transaction of a stranger with our server.
func begin(t *testing.T, addr string, payload []byte, segment int64) *client {
	t.Helper()
	c, err := open(addr, payload, segment)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	st, err := c.ask("")
	if err != nil || st["state"] != "open" || st["have"] != "" {
		t.Fatalf("%v, %v", st, err)
	}
	return c
}

// TestStrangersClient: out of order, with losses and repetitions, over both receivers.
func TestStrangersClient(t *testing.T) {
	for _, size := range []int{1, 150, 1000, 1001, 300_000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			addr, m := start(t, ours.Config{})
			payload := payloadOf(size)
			c := begin(t, addr, payload, 1000)
			for round := 0; len(c.missing()) > 0; round++ {
				if err := c.send(c.missing(), max(0, 20-5*round)); err != nil {
					t.Fatal(err)
				}
				// It must not be complete before it is.
				if len(c.missing()) > 0 {
					if st, err := c.ask(digest(payload)); err != nil || st["state"] != "incomplete" {
						t.Fatalf("%v, %v", st, err)
					}
				}
				got, _, err := c.has()
				if err != nil || len(got) != len(c.stored) {
					t.Fatalf("it has %d segments, and acknowledged %d: %v", len(got), len(c.stored), err)
				}
			}
			for range 2 {
				if got, err := c.verdict(payload); err != nil || got != "complete" {
					t.Fatalf("verdict %q, %v", got, err)
				}
			}
			if got, ok := m.Payload(c.tid); !ok || !bytes.Equal(got, payload) {
				t.Errorf("%d bytes arrived", len(got))
			}
		})
	}
}

// TestStrangersHoles: what is stored in very many pieces is told in parts.
func TestStrangersHoles(t *testing.T) {
	addr, _ := start(t, ours.Config{})
	c := begin(t, addr, payloadOf(100_000), 100)
	var odd []int64
	for k := int64(1); k < c.total(); k += 2 {
		odd = append(odd, k)
	}
	if err := c.send(odd, 0); err != nil {
		t.Fatal(err)
	}
	got, parts, err := c.has()
	if err != nil || len(got) != len(odd) || parts < 2 || got[0] || !got[1] {
		t.Errorf("%d segments in %d parts, %v", len(got), parts, err)
	}
}

// TestStrangersMistakes draw what the page says.
func TestStrangersMistakes(t *testing.T) {
	addr, m := start(t, ours.Config{Segment: 2000, MaxBytes: 5000})
	c := begin(t, addr, payloadOf(2500), 1000)
	if err := c.send(c.missing(), 0); err != nil {
		t.Fatal(err)
	}
	// Sizes never change.
	whole := c.payload
	c.payload = whole[:2400]
	if st, err := c.ask(""); err != nil || st["state"] != "refused" || natural(st, "bytes") != 2500 || natural(st, "seg") != 1000 {
		t.Errorf("%v, %v", st, err)
	}
	c.payload = whole
	// A transaction that is not there, and another host.
	for _, from := range []string{"127.0.0.1", "127.0.0.2"} {
		to, _ := net.ResolveUDPAddr("udp", addr)
		conn, err := net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(from)}, to)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		tid := c.tid
		if from == "127.0.0.1" {
			tid++
		}
		manifest := fmt.Sprintf("Type:4;TID:%d;SEQ:9;DATA:{'bytes': 2500, 'seg': 1000};", tid)
		fmt.Fprint(conn, manifest)
		b := make([]byte, 2000)
		n, err := conn.Read(b)
		if want := fmt.Sprintf("Type:5;TID:%d;SEQ:9;DATA:{'state': 'refused'};", tid); err != nil || string(b[:n]) != want || n >= len(manifest) {
			t.Errorf("%q, %v; want %q", b[:n], err, want)
		}
	}
	if got, err := c.verdict(whole[1:]); err != nil || got != "damaged" {
		t.Errorf("verdict %q, %v", got, err)
	}
	if got, err := c.verdict(whole); err != nil || got != "damaged" {
		t.Errorf("then %q, %v", got, err)
	}
	if _, ok := m.Payload(c.tid); ok {
		t.Error("what is damaged was published")
	}
	d, err := open(addr, payloadOf(5001), 1000)
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	if st, err := d.ask(""); err != nil || st["state"] != "refused" || st["comment"] == "" {
		t.Errorf("%v, %v", st, err)
	}
}

// send sends to a stranger's server.
func send(t *testing.T, s *server, payload []byte) (*mdalp.Report, error) {
	t.Helper()
	addr, err := serve(s)
	if err != nil {
		t.Fatal(err)
	}
	r, err := mdalp.Send(t.Context(), bytes.NewReader(payload), int64(len(payload)), &mdalp.Config{
		Orchestrator: netip.MustParseAddrPort(addr), Balance: mdalp.BalanceEqual, Name: "päyload",
	})
	s.close()
	for _, w := range s.wrong {
		t.Error(w)
	}
	return r, err
}

// TestStrangersServer loses segments, acknowledgements and what it has acknowledged, and
// says words of tomorrow.
func TestStrangersServer(t *testing.T) {
	for _, size := range []int{1, 999, 1000, 1001, 250_000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			s := &server{loses: size == 1, short: size%2 == 0, answers: []func(*server, int64) string{
				func(s *server, from int64) string { // it has lost what it acknowledged
					delete(s.have, 0)
					return `"state":"incomplete","have":"` + told(func(k int64) bool { return s.have[k] }, from, s.total(), false) + `"`
				},
				func(*server, int64) string { return `"state":"busy","wait":10` },
				func(*server, int64) string { return `"state":"pondering","wait":20` }, // which is no answer
				func(*server, int64) string { return `"state":"busy","wait":1` },
			}}
			payload := payloadOf(size)
			r, err := send(t, s, payload)
			if err != nil || !r.Extended || !bytes.Equal(s.payload, payload) || s.asks < 5 {
				t.Errorf("%v, %d bytes arrived, the verdict was asked for %d times", err, len(s.payload), s.asks)
			}
			if s.seg != offered && size > offered {
				t.Errorf("segments of %d bytes, of which the least receiver takes %d", s.seg, offered)
			}
		})
	}
}

// TestStrangersRefusal: an announcement that is refused is no reason to speak base.
func TestStrangersRefusal(t *testing.T) {
	s := &server{refuse: "it's not our day"}
	if _, err := send(t, s, payloadOf(5000)); !errors.Is(err, mdalp.ErrRefused) || !strings.Contains(err.Error(), "it's not our day") || s.came != 0 {
		t.Errorf("%v, %d segments came", err, s.came)
	}
	s = &server{answers: []func(*server, int64) string{func(*server, int64) string { return `"state":"damaged"` }}}
	if _, err := send(t, s, payloadOf(5000)); !errors.Is(err, mdalp.ErrDamaged) {
		t.Error(err)
	}
}
