package mdalp

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mdalp/icmp"
	"mdalp/internal/sim"
	"mdalp/loop"
)

// addrs parses addresses.
func addrs(all ...string) (out []netip.Addr) {
	for _, a := range all {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

// startPinger prepares a pinger of two echoes to each host; the socket for IPv6
// hosts is number 1.
func startPinger(t *testing.T, hosts []netip.Addr) *pinger {
	t.Helper()
	r := &PingReport{Hosts: make([]HostPing, len(hosts))}
	for i, h := range hosts {
		r.Hosts[i].Addr = h
	}
	p := newPinger(t0, r, &PingConfig{Count: 2, Interval: 10 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)}, hosts, 1)
	// Before the kernel's stamps are on, nothing may be sent.
	if b, ok := p.Transmit(t0.Add(stampDelay-1), &loop.Envelope{}, nil); ok {
		t.Fatalf("%x is sent at once", b)
	}
	return p
}

// An echo is one that a pinger sent.
type echo struct {
	sock int
	to   netip.Addr
	b    []byte
}

// round takes what a pinger sends at now.
func round(p *pinger, now time.Time) (all []echo) {
	for {
		var e loop.Envelope
		b, ok := p.Transmit(now, &e, nil)
		if !ok {
			return all
		}
		all = append(all, echo{e.Sock, e.Peer.Addr(), b})
	}
}

// answer lets the reply to an echo come in.
func (e *echo) answer(p *pinger, now time.Time, from netip.Addr) {
	p.Receive(now, &loop.Envelope{Sock: e.sock, Peer: netip.AddrPortFrom(from, 0), At: now}, sim.EchoReply(append([]byte(nil), e.b...)))
}

func TestPinger(t *testing.T) {
	hosts := addrs("192.0.2.1", "2001:db8::1", "192.0.2.1", "192.0.2.3")
	p := startPinger(t, hosts)
	at := t0.Add(stampDelay)
	first := round(p, at)
	var went []string
	for _, e := range first {
		went = append(went, e.to.String()+" by socket "+string(rune('0'+e.sock)))
	}
	want := []string{"192.0.2.1 by socket 0", "2001:db8::1 by socket 1", "192.0.2.3 by socket 0"}
	if diff := cmp.Diff(want, went); diff != "" {
		t.Fatal(diff)
	}
	first[0].answer(p, at.Add(3*time.Millisecond), hosts[0])
	first[0].answer(p, at.Add(4*time.Millisecond), hosts[0]) // again
	first[1].answer(p, at.Add(4*time.Millisecond), hosts[0]) // from another host
	first[1].answer(p, at.Add(5*time.Millisecond), hosts[1])
	p.Receive(at, &loop.Envelope{Peer: netip.AddrPortFrom(hosts[0], 0), At: at}, []byte("no ICMP"))
	if next, ok := p.Next(); !ok || next != at.Add(10*time.Millisecond) {
		t.Fatalf("the next round is at %v, %v", next, ok)
	}
	second := round(p, at.Add(10*time.Millisecond))
	second[0].answer(p, at.Add(15*time.Millisecond), hosts[0])
	second[1].answer(p, at.Add(17*time.Millisecond), hosts[1])
	// One host is silent: it is waited for in full.
	end, ok := p.Next()
	if !ok || end != at.Add(10*time.Millisecond+icmp.DefaultTimeout) {
		t.Fatalf("the end is at %v, %v", end, ok)
	}
	p.Expire(end)
	if _, ok := p.Next(); ok {
		t.Fatal("it goes on after the end")
	}
	p.refresh(end)
	ms := time.Millisecond
	a := HostPing{Addr: hosts[0], Echoes: icmp.Stats{Sent: 2, Received: 2, Min: 3 * ms, Median: 4 * ms, Mean: 4 * ms, Max: 5 * ms}}
	wantReport := &PingReport{
		Hosts: []HostPing{
			a,
			{Addr: hosts[1], Echoes: icmp.Stats{Sent: 2, Received: 2, Min: 5 * ms, Median: 6 * ms, Mean: 6 * ms, Max: 7 * ms}},
			a, // named twice, reported twice
			{Addr: hosts[3], Echoes: icmp.Stats{Sent: 2}},
		},
		Elapsed: stampDelay + 10*ms + icmp.DefaultTimeout, Duplicate: 1, Foreign: 1, Malformed: 1,
	}
	if diff := cmp.Diff(wantReport, p.report, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Error(diff)
	}
	if n := p.report.Silent(); n != 1 {
		t.Errorf("%d hosts are silent, want 1", n)
	}
	if n := p.report.Hosts[3].Lost(); n != 2 {
		t.Errorf("%d echoes are lost, want 2", n)
	}
}

// TestPingerFail has three hosts with errors: one of which an error may pass, and passes,
// one of which it does not, and one that takes no pings at all.
func TestPingerFail(t *testing.T) {
	hosts := addrs("192.0.2.1", "192.0.2.2", "192.0.2.3")
	p := startPinger(t, hosts)
	at := t0.Add(stampDelay)
	to := func(a netip.Addr) *loop.Envelope { return &loop.Envelope{Peer: netip.AddrPortFrom(a, 0)} }
	refused := to(hosts[2])
	refused.Remote = true
	round(p, at)
	p.Fail(at, to(hosts[0]), syscall.ENETUNREACH)
	p.Fail(at, to(hosts[1]), syscall.EPERM)
	p.Fail(at, refused, syscall.ENOPROTOOPT)
	p.Fail(at, to(netip.MustParseAddr("192.0.2.9")), syscall.EACCES) // none of ours
	second := round(p, at.Add(10*time.Millisecond))
	if len(second) != 2 || second[0].to != hosts[0] || second[1].to != hosts[1] {
		t.Fatalf("the second round is %v", second)
	}
	p.Fail(at.Add(10*time.Millisecond), to(hosts[1]), syscall.EPERM)
	if _, ok := p.Next(); !ok {
		t.Fatal("the last echo is not waited for")
	}
	second[0].answer(p, at.Add(11*time.Millisecond), hosts[0])
	if _, ok := p.Next(); ok {
		t.Fatal("it waits for echoes that are lost")
	}
	p.refresh(at)
	for i, want := range []HostPing{
		{Addr: hosts[0], Echoes: icmp.Stats{Sent: 2, Received: 1, Min: ms1, Median: ms1, Mean: ms1, Max: ms1}},
		{Addr: hosts[1], Echoes: icmp.Stats{Sent: 2}, Err: syscall.EPERM},
		{Addr: hosts[2], Echoes: icmp.Stats{Sent: 1}, Err: syscall.ENOPROTOOPT},
	} {
		if h := p.report.Hosts[i]; h != want {
			t.Errorf("%+v, want %+v", h, want)
		}
	}
}

const ms1 = time.Millisecond

func TestPingConfig(t *testing.T) {
	one := addrs("127.0.0.1")
	tests := []struct {
		name  string
		hosts []netip.Addr
		cfg   PingConfig
	}{
		{"count", one, PingConfig{Count: -1}},
		{"interval", one, PingConfig{Interval: -1}},
		{"timeout", one, PingConfig{Timeout: -1}},
		{"off", one, PingConfig{Mode: icmp.Off}},
		{"unspecified", addrs("0.0.0.0"), PingConfig{}},
		{"mapped", addrs("::ffff:224.0.0.1"), PingConfig{}},
		{"multicast", addrs("ff02::1"), PingConfig{}},
		{"broadcast", addrs("255.255.255.255"), PingConfig{}},
		{"none", make([]netip.Addr, 1), PingConfig{}},
		{"on any link", addrs("fe80::1"), PingConfig{}},
		{"no such link", addrs("fe80::1%no-such-if"), PingConfig{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := Ping(context.Background(), tt.hosts, &tt.cfg)
			if !errors.Is(err, ErrConfig) || r == nil || len(r.Hosts) != 1 {
				t.Errorf("%+v, %v; want %v", r, err, ErrConfig)
			}
		})
	}
	if r, err := Ping(context.Background(), nil, &PingConfig{}); err != nil || len(r.Hosts) != 0 {
		t.Errorf("no hosts: %+v, %v", r, err)
	}
}

// TestOfferOnly ends with the offer: nothing is sent to the receivers.
func TestOfferOnly(t *testing.T) {
	b := start(t, 1, run{Config: Config{Balance: BalanceEqual}, offerOnly: true})
	if got := b.flush(t0); len(got) != 1 || got[0].Data != "Type:0;" {
		t.Fatalf("sent %v, want an intent", got)
	}
	b.in(ms(100), orchestrator, captured)
	if err := b.ended(); err != nil {
		t.Fatal(err)
	}
	if got := b.flush(ms(101)); got != nil {
		t.Errorf("after the offer it sends %v", got)
	}
	r := &b.s.report
	want := []ReceiverReport{{Addr: receiverA, Name: "5th Receiver"}, {Addr: receiverB, Name: "4th Receiver"}, {Addr: receiverC, Name: "2nd Receiver"}}
	if diff := cmp.Diff(want, r.Receivers, cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
		t.Error(diff)
	}
	// Hosts that an IPv4 socket cannot reach are there as well.
	b = start(t, 1, run{Config: Config{Balance: BalanceEqual}, offerOnly: true})
	b.in(ms(1), orchestrator, "Type:1;TID:7;DATA:[{'ip_address': '2001:db8::1'}];")
	if err := b.ended(); err != nil || len(b.s.report.Receivers) != 1 {
		t.Errorf("%v, %+v", err, b.s.report.Receivers)
	}
	if r.TID != 3740 || r.Wait != 100*time.Millisecond || r.Elapsed != r.Wait || r.Segments != 0 {
		t.Errorf("%+v", r)
	}
}
