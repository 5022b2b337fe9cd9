package mdalp

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mdalp/loop"
)

// echoPeer is a receiver as the socket for echoes knows it.
func echoPeer(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr(), 0) }

func mustPeer(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// aside collects jobs that are to run beside a session.
type aside []func() func(time.Time)

func (a *aside) take(job func() func(time.Time)) { *a = append(*a, job) }

// end runs the first job, and calls what it gives at now.
func (a *aside) end(now time.Time) {
	back := (*a)[0]()
	*a = (*a)[1:]
	back(now)
}

// named is a session of three receivers, two of which are names.
func named(t *testing.T, c Config) (*bench, *aside) {
	t.Helper()
	cfg := run{Config: c}
	var jobs aside
	cfg.beside = jobs.take
	cfg.resolve = func(host string) netip.Addr {
		return map[string]netip.Addr{"a.example": receiverA.Addr(), "c.example": receiverC.Addr()}[host]
	}
	b := start(t, 300, cfg)
	b.flush(t0)
	b.in(t0, orchestrator, "Type:1;TID:7;DATA:[{'ip_address': 'a.example'}, {'ip_address': '54.200.52.112'}, {'ip_address': 'c.example'}];")
	return b, &jobs
}

// peers are whom a session sends to.
func (b *bench) peers() (all []netip.AddrPort) {
	for i, p := range b.s.peers {
		if b.s.report.Receivers[i].Addr != p.addr || b.s.place[p.addr] != i {
			b.t.Errorf("receiver %d is %v in the report", i, b.s.report.Receivers[i].Addr)
		}
		all = append(all, p.addr)
	}
	return all
}

var equatePeers = cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })

// TestNamesBeside: names are looked up while the others are pinged, and are pinged then.
func TestNamesBeside(t *testing.T) {
	b, jobs := named(t, Config{Echoes: 1})
	if len(*jobs) != 2 {
		t.Fatalf("%d jobs, want one for each name", len(*jobs))
	}
	ping := func(now time.Time, want int) {
		t.Helper()
		echoes := b.flush(now)
		if len(echoes) != want {
			t.Fatalf("%d echoes, want %d", len(echoes), want)
		}
		for _, e := range echoes {
			b.s.Receive(now, &loop.Envelope{Sock: sockICMP4, Peer: mustPeer(e.To), At: now.Add(20 * time.Millisecond)}, answer([]byte(e.Data)))
		}
	}
	ping(t0, 1)
	jobs.end(ms(100))
	ping(ms(100), 0)
	jobs.end(ms(200))
	ping(ms(200), 2)
	if b.s.phase != PhaseSending {
		t.Fatalf("it is still %v", b.s.phase)
	}
	if diff := cmp.Diff([]netip.AddrPort{receiverA, receiverB, receiverC}, b.peers(), equatePeers); diff != "" {
		t.Error(diff)
	}
	for i, r := range b.s.report.Receivers {
		if r.Guessed || r.Latency != 20*time.Millisecond {
			t.Errorf("receiver %d: latency %v, guessed %t", i, r.Latency, r.Guessed)
		}
	}
}

// TestNamesLate: who has no address in time is left out, with a line, and what comes later
// changes nothing.
func TestNamesLate(t *testing.T) {
	log, text := logged()
	b, jobs := named(t, Config{Balance: BalanceEqual, Logger: log})
	jobs.end(ms(500))
	b.s.Expire(ms(1999))
	if b.s.phase != PhasePinging {
		t.Fatalf("after 1,999 ms it is %v", b.s.phase)
	}
	if at, ok := b.s.Next(); !ok || at.After(ms(2002)) {
		t.Fatalf("the next instant is %v", at.Sub(t0))
	}
	b.s.Expire(ms(2002))
	if got := b.flush(ms(2002)); len(got) != 2 {
		t.Fatalf("sent %v, want a segment to each of two", got)
	}
	jobs.end(ms(2100))
	if diff := cmp.Diff([]netip.AddrPort{receiverA, receiverB}, b.peers(), equatePeers); diff != "" {
		t.Error(diff)
	}
	if want := `msg="receiver left out: its name was not found in time" host=c.example`; strings.Count(text.String(), want) != 1 {
		t.Errorf("told: %s", text)
	}
}

// TestNamesDeadline: who has to wait for names still has time to be sent to.
func TestNamesDeadline(t *testing.T) {
	b, _ := named(t, Config{Balance: BalanceEqual, Deadline: time.Second})
	b.s.Expire(ms(252))
	if got := b.flush(ms(252)); len(got) != 1 || got[0].To != receiverB.String() {
		t.Fatalf("sent %v, want a segment to the one with an address", got)
	}
	if diff := cmp.Diff([]netip.AddrPort{receiverB}, b.peers(), equatePeers); diff != "" {
		t.Error(diff)
	}
}

// TestNamesAlone: where all are names they are waited for longer, but not beyond the deadline.
func TestNamesAlone(t *testing.T) {
	offer := "Type:1;TID:7;DATA:[{'ip_address': 'a.example'}];"
	for _, c := range []struct {
		cfg  run
		at   float64
		want error
	}{
		{run{Config: Config{Balance: BalanceEqual}}, 10_000, ErrBadOffer},
		{run{Config: Config{Balance: BalanceEqual}, offerOnly: true}, 10_000, ErrBadOffer},
		{run{Config: Config{Balance: BalanceEqual, Deadline: 3 * time.Second}}, 3000, ErrDeadline},
	} {
		var jobs aside
		c.cfg.beside = jobs.take
		c.cfg.resolve = func(string) netip.Addr { return netip.Addr{} }
		b := start(t, 300, c.cfg)
		b.flush(t0)
		b.in(t0, orchestrator, offer)
		b.s.Expire(ms(c.at - 1))
		if b.s.phase != PhasePinging {
			t.Fatalf("too early: %v", b.s.err)
		}
		b.s.Expire(ms(c.at + 2))
		if err := b.ended(); !errors.Is(err, c.want) {
			t.Errorf("error %v, want %v", err, c.want)
		}
	}
}

// TestWhoMayBeOffered: an orchestrator elsewhere cannot aim at this host or at its links,
// nor with hundreds of ports at one address.
func TestWhoMayBeOffered(t *testing.T) {
	var many []string
	for port := range 1400 {
		many = append(many, fmt.Sprintf("{'ip_address': '192.0.2.9', 'port': %d}", 2000+port))
	}
	for _, c := range []struct {
		name, from, offer string
		ours              bool
		want              []string
	}{
		{"this host from elsewhere", "192.0.2.1:1", "{'ip_address': '127.0.0.1'}, {'ip_address': '127.9.9.9'}, {'ip_address': '::1'}, {'ip_address': '192.0.2.2'}", false, []string{"192.0.2.2:4650"}},
		{"mapped", "192.0.2.1:1", "{'ip_address': '::ffff:127.0.0.1'}, {'ip_address': '192.0.2.2'}", false, []string{"192.0.2.2:4650"}},
		{"this host from itself", "127.0.0.1:1", "{'ip_address': '127.0.0.1'}, {'ip_address': '127.9.9.9'}", false, []string{"127.0.0.1:4650", "127.9.9.9:4650"}},
		{"this host from its own address", "192.0.2.1:1", "{'ip_address': '127.0.0.1'}", true, []string{"127.0.0.1:4650"}},
		{"a link from elsewhere", "192.0.2.1:1", "{'ip_address': '169.254.169.254'}, {'ip_address': 'fe80::1%3'}, {'ip_address': '192.0.2.2'}", false, []string{"192.0.2.2:4650"}},
		{"a link from that link", "[fe80::9%3]:1", "{'ip_address': 'fe80::1'}, {'ip_address': 'fe80::2%3'}, {'ip_address': '169.254.0.1'}", false, []string{"[fe80::1%3]:4650", "[fe80::2%3]:4650", "169.254.0.1:4650"}},
		{"this host from a link", "[fe80::9%3]:1", "{'ip_address': '127.0.0.1'}, {'ip_address': '192.0.2.2'}", false, []string{"192.0.2.2:4650"}},
		{"a link without name", "[::1]:1", "{'ip_address': 'fe80::1'}, {'ip_address': '::1'}", false, []string{"[::1]:4650"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := run{Config: Config{Orchestrator: netip.MustParseAddrPort(c.from), Balance: BalanceEqual}, ours: func(netip.Addr) bool { return c.ours }}
			if c.ours {
				cfg.Bind = netip.Addr{}
			}
			b := start(t, 10_000, cfg)
			b.flush(t0)
			b.in(t0, cfg.Orchestrator, "Type:1;TID:7;DATA:["+c.offer+"];")
			var got []string
			for _, p := range b.peers() {
				got = append(got, p.String())
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	log, text := logged()
	b := start(t, 1_000_000, Config{Balance: BalanceEqual, Logger: log})
	b.flush(t0)
	b.in(t0, orchestrator, "Type:1;TID:7;DATA:["+strings.Join(many, ", ")+", {'ip_address': '192.0.2.10'}];")
	if n := len(b.peers()); n != 17 {
		t.Errorf("%d receivers, want 16 ports of one host and one of another", n)
	}
	if n := strings.Count(text.String(), "\n"); n != 1 || !strings.Contains(text.String(), "receivers=1384") {
		t.Errorf("%d lines: %.300s", n, text)
	}
}
