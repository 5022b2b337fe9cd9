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
	"mdalp/seal"
	"mdalp/server"
)

// TestSealedInSim: both ends over a network that loses, doubles, overtakes, and changes one
// datagram in ten. It all arrives, once with a server that is started again in the midst:
// it has no keys then. The same seed gives the same datagrams.
func TestSealedInSim(t *testing.T) {
	for seed := range uint64(6) {
		first := simChanged(t, seed)
		if again := simChanged(t, seed); again != first {
			t.Errorf("seed %d: the same seed gives another run:\n%s\n%s", seed, first, again)
		}
	}
}

func simChanged(t *testing.T, seed uint64) string {
	t.Helper()
	orch, a, b := netip.MustParseAddrPort("10.0.1.1:4000"), netip.MustParseAddrPort("10.0.1.2:4650"), netip.MustParseAddrPort("10.0.1.3:4650")
	w := sim.New(sim.Config{Seed: seed, Limit: time.Hour, Events: 1 << 24, Link: sim.LinkConfig{
		Delay: sim.Delay{Mean: sim.Millis(20 * time.Millisecond)}, Loss: sim.Loss{P: 0.05}, Duplicate: 0.1,
		Reorder: sim.Reorder{P: 0.1, Extra: sim.Millis(5 * time.Millisecond)}, Corrupt: 0.1, Rate: 500_000,
	}})
	var ring seal.Keyring
	if err := ring.Add("office", secret); err != nil {
		t.Fatal(err)
	}
	store, starts := new(server.Memory), byte(0)
	begin := func() loop.Handler {
		starts++
		s, err := server.NewSealed(server.Config{
			Receivers: []server.Receiver{{Addr: a}, {Addr: b}}, Store: store, IntentRate: -1, Seed: [32]byte{byte(seed), starts},
		}, &ring, true, rand.NewChaCha8([32]byte{byte(seed), 8, starts}))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	host := w.Add("server", begin(), sim.Socket{Addrs: []netip.AddrPort{orch, a, b}, PacketInfo: true})
	want := payload(400_000)
	cfg, err := newRun(&Config{Orchestrator: orch, Balance: BalanceEqual, Key: &secret})
	if err != nil {
		t.Fatal(err)
	}
	cfg.key = [32]byte{byte(seed)}
	s := newSession(sim.Epoch, bytes.NewReader(want), int64(len(want)), cfg, icmp.Off, icmp.Off, 0)
	client := w.Add("client", s.handler(rand.NewChaCha8([32]byte{byte(seed), 7})), sim.Socket{Addrs: []netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:5000")}})
	amid := false // segments were on their way
	if seed%2 == 1 {
		w.At(time.Second, func(time.Time) {
			amid = s.phase == PhaseSending
			host.Restart(begin())
		})
	}
	if err := w.Run(client); err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	got, ok := store.Payload(s.tid)
	if s.err != nil || !s.report.Verified || !ok || !bytes.Equal(got, want) || s.report.Dropped.Unopened == 0 || s.report.Dropped.Replayed == 0 {
		t.Errorf("seed %d: %v\n%+v", seed, s.err, s.report)
	}
	if amid != (s.given != 0) || seed == 1 && !amid {
		t.Errorf("seed %d: the server was started again amid segments: %v, and gone on in another transaction: %v", seed, amid, s.given != 0)
	}
	return fmt.Sprintf("%d %v %+v %+v", s.tid, w.Now(), s.report.Dropped, w.Counters())
}
