package mdalp

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"mdalp/icmp"
	"mdalp/internal/sim"
	"mdalp/loop"
	"mdalp/server"
	"mdalp/wire"
)

// A besieged server is sent forged intents, and notes what leaves it for addresses that sent none.
type besieged struct {
	*server.Server
	t       *testing.T
	reach   map[netip.Addr]bool // who reads what is sent there
	offers  int                 // bytes of offers to the others
	cookies int                 // and of cookies
}

// Transmit implements loop.Handler.
func (s *besieged) Transmit(now time.Time, e *loop.Envelope, b []byte) ([]byte, bool) {
	out, ok := s.Server.Transmit(now, e, b)
	if !ok || s.reach[e.Peer.Addr()] {
		return out, ok
	}
	switch m, err := wire.Parse(out); {
	case err == nil && challenges(&m):
		s.cookies += len(out)
	case err == nil && m.Type == wire.Offer && m.TID != wire.Absent:
		s.offers += len(out)
	default:
		s.t.Fatalf("%q goes to a stranger", out)
	}
	return out, ok
}

// A patient client is an original one: it sends its intent once and can read an offer alone. Who
// uses it starts it anew now and then, and then it has another port.
type patient struct {
	t      *testing.T
	server netip.AddrPort
	due    time.Time
	every  time.Duration
	offer  time.Time
}

func (c *patient) Receive(now time.Time, _ *loop.Envelope, b []byte) {
	if m, err := wire.Parse(b); err != nil || m.Type != wire.Offer || m.TID == wire.Absent {
		c.t.Fatalf("an original client is sent %q", b)
	}
	c.offer = now
}

func (c *patient) Fail(time.Time, *loop.Envelope, error) {}
func (c *patient) Expire(time.Time)                      {}

func (c *patient) Transmit(now time.Time, e *loop.Envelope, b []byte) ([]byte, bool) {
	if now.Before(c.due) || !c.offer.IsZero() {
		return b, false
	}
	c.due = now.Add(c.every)
	e.Peer = c.server
	return wire.AppendIntent(b), true
}

func (c *patient) Next() (time.Time, bool) { return c.due, c.offer.IsZero() }

// TestForgedFlood: while thousands of forged intents a second come, half of them with cookies that are
// none, some in the name of the client itself, a client of ours that asks again after a second has its offer a
// round trip later, and its payload arrives. An original client gets its offer too. What strangers
// draw is bounded.
func TestForgedFlood(t *testing.T) {
	const siege, begins = 20 * time.Second, 5 * time.Second
	for seed := range uint64(6) {
		rnd := rand.New(rand.NewPCG(seed, 12))
		trip := time.Duration(1+rnd.IntN(300)) * time.Millisecond
		w := sim.New(sim.Config{Seed: seed, Link: sim.LinkConfig{Delay: sim.Delay{Mean: sim.Millis(trip / 2)}}})
		home := netip.MustParseAddrPort("10.1.0.1:4650")
		cfg := server.Config{Receivers: []server.Receiver{{Addr: home}}, Seed: [32]byte{byte(seed), 9}, Base: seed%2 == 0}
		inner, err := server.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		us, them := netip.MustParseAddrPort("10.2.0.1:5000"), netip.MustParseAddrPort("10.3.0.1:5000")
		s := &besieged{Server: inner, t: t, reach: map[netip.Addr]bool{us.Addr(): true, them.Addr(): true}}
		host := w.Add("server", s, sim.Socket{Addrs: []netip.AddrPort{home}, PacketInfo: true})

		rate := 1000 + rnd.IntN(4000) // a second
		asked := 0                    // bytes of intents that ask for a cookie
		for k := range int(siege.Seconds() * float64(rate)) {
			from, b := netip.AddrPortFrom(netip.AddrFrom4([4]byte{100, byte(rnd.Uint32()), byte(rnd.Uint32()), byte(k)}), uint16(1+rnd.IntN(65535))), "Type:0;"
			switch rnd.IntN(4) {
			case 0:
				b = "Type:0;DATA:{'cookie': '0000000000000000'};"
			case 1:
				b = fmt.Sprintf("Type:0;DATA:{'cookie': '%016x'};", rnd.Uint64())
			case 2:
				if rnd.IntN(10) == 0 {
					from = netip.AddrPortFrom(us.Addr(), from.Port())
				}
			}
			if len(b) > 7 && !s.reach[from.Addr()] {
				asked += len(b)
			}
			w.Inject(time.Duration(float64(k)/float64(rate)*1e9), from, home, []byte(b))
		}
		run, err := newRun(&Config{Orchestrator: home, Balance: BalanceEqual, IntentRetry: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		body := payload(5000)
		var c *session
		old := &patient{t: t, server: home, every: time.Second, due: sim.Epoch.Add(begins)}
		w.At(begins, func(now time.Time) {
			c = newSession(now, bytes.NewReader(body), int64(len(body)), run, icmp.Off, icmp.Off, 0)
			w.Add("ours", c, sim.Socket{Addrs: []netip.AddrPort{us}})
			w.Add("original", old, sim.Socket{Addrs: []netip.AddrPort{them}})
		})
		w.At(siege+2*time.Minute, func(now time.Time) {
			inner.Close(now)
			host.Poke()
		})
		if err := w.Run(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		// It asks after a second, and with the cookie once more.
		most := time.Second + 3*trip + 250*time.Millisecond
		if err := c.err; err != nil || c.phase != PhaseFinished || c.report.Wait > most {
			t.Errorf("seed %d, %d a second, round trip %v: its offer came after %v, %v are the most; %v", seed, rate, trip, c.report.Wait, most, err)
		}
		if old.offer.IsZero() || old.offer.Sub(sim.Epoch) > siege {
			t.Errorf("seed %d, %d a second: an original client has its offer at %v", seed, rate, old.offer)
		}
		// Offers to strangers: half of what is for all, and what may go at once.
		if most := 1000 * 110 / 2 * int(siege.Seconds()+2); s.offers == 0 || s.offers > most || s.cookies > asked || s.cookies == 0 {
			t.Errorf("seed %d, %d a second: strangers draw %d bytes of offers, %d are the most, and %d of cookies, for %d", seed, rate, s.offers, most, s.cookies, asked)
		}
		t.Logf("seed %d: %d a second, round trip %v: ours after %v, original after %v, %d bytes of offers, %d of cookies",
			seed, rate, trip, c.report.Wait, old.offer.Sub(sim.Epoch)-begins, s.offers, s.cookies)
	}
}
