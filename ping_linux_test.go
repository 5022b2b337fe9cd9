package mdalp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"mdalp/icmp"
	"mdalp/internal/need"
	"mdalp/wire"
)

// mustPing pings over real sockets.
func mustPing(t *testing.T, hosts []netip.Addr, cfg *PingConfig) *PingReport {
	t.Helper()
	r, err := Ping(t.Context(), hosts, cfg)
	if errors.Is(err, os.ErrPermission) {
		need.Skip(t, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestPing(t *testing.T) {
	// The limit of the command, of both families.
	hosts := make([]netip.Addr, 10_000)
	for i := range hosts {
		hosts[i] = netip.AddrFrom4([4]byte{127, 3, byte(i >> 8), byte(i)})
	}
	hosts[0] = netip.IPv6Loopback()
	r := mustPing(t, hosts, &PingConfig{Count: 2, Timeout: 20 * time.Second, Mode: icmp.Raw})
	if r.Mode != icmp.Raw || r.Elapsed <= 0 || r.Silent() != 0 || r.Duplicate+r.Foreign+r.Malformed != 0 {
		t.Errorf("mode %v, %v elapsed, %d silent, %d duplicate, %d foreign, %d malformed",
			r.Mode, r.Elapsed, r.Silent(), r.Duplicate, r.Foreign, r.Malformed)
	}
	for i := range r.Hosts {
		h := &r.Hosts[i]
		if e := &h.Echoes; h.Addr != hosts[i] || h.Err != nil || e.Received != 2 || e.Min <= 0 || e.Min > e.Median || e.Mean > e.Max {
			t.Fatalf("%+v", h)
		}
	}
}

// TestPingUnsendable has a host that the kernel refuses to send to: a broadcast
// address (EACCES).
func TestPingUnsendable(t *testing.T) {
	r := mustPing(t, addrs("127.255.255.255", "127.0.0.1"), &PingConfig{Timeout: 20 * time.Second})
	if h := r.Hosts[0]; !errors.Is(h.Err, os.ErrPermission) || h.Echoes.Received != 0 {
		t.Errorf("%+v", h)
	}
	if h := r.Hosts[1]; h.Err != nil || h.Echoes.Received != 3 {
		t.Errorf("%+v", h)
	}
}

// TestPingCancelled is stopped between the rounds.
func TestPingCancelled(t *testing.T) {
	mustPing(t, addrs("127.0.0.1"), &PingConfig{})
	stop := errors.New("stop")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, stop)
	defer cancel()
	r, err := Ping(ctx, addrs("127.0.0.1"), &PingConfig{Interval: time.Hour})
	if err != stop {
		t.Fatalf("%v, want %v", err, stop)
	}
	if e := r.Hosts[0].Echoes; e.Sent != 1 || e.Received != 1 {
		t.Errorf("%+v", e)
	}
}

func TestOffer(t *testing.T) {
	o, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	addr := o.LocalAddr().(*net.UDPAddr).AddrPort()
	go func() {
		b := make([]byte, 100)
		if n, from, err := o.ReadFromUDPAddrPort(b); err == nil && string(b[:n]) == "Type:0;" {
			o.WriteToUDPAddrPort(wire.AppendOffer(nil, 7, []wire.Receiver{{Host: "127.0.0.9", Port: 99}, {Host: "127.0.0.8", Name: "b"}}), from)
		}
	}()
	r, err := Offer(t.Context(), &Config{Orchestrator: addr, IntentTimeout: 20 * time.Second, Balance: BalanceNone, Receiver: 2})
	if err != nil {
		t.Fatal(err)
	}
	if r.TID != 7 || r.Size != 0 || len(r.Receivers) != 2 ||
		r.Receivers[0].Addr.String() != "127.0.0.9:99" || r.Receivers[1].Addr.String() != "127.0.0.8:4650" || r.Receivers[1].Name != "b" {
		t.Errorf("%+v", r)
	}
	o.Close()
	if _, err := Offer(t.Context(), &Config{Orchestrator: addr}); !errors.Is(err, ErrNoOffer) {
		t.Errorf("%v, want %v", err, ErrNoOffer)
	}
	if r, err := Offer(t.Context(), &Config{}); r == nil || !errors.Is(err, ErrConfig) {
		t.Errorf("%v, want %v", err, ErrConfig)
	}
}
