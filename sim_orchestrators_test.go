package mdalp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"mdalp/icmp"
	"mdalp/internal/sim"
	"mdalp/server"
)

// handOver is the most that the next offer may take, and the round trips, after an orchestrator
// of two has died.
const handOver = 3 * time.Second

// A fleetWorld is one client, two addresses of orchestrators over one ledger, and what becomes
// of the hosts at these addresses.
type fleetWorld struct {
	draw
	world   *sim.World
	homes   [2]netip.AddrPort
	client  *session
	node    *sim.Node
	store   *server.Memory
	payload []byte
	trip    time.Duration // most that a round trip takes
	dies    time.Duration // when the first orchestrator dies
	down    sim.State     // as what
	moved   *atomic.Int64 // clients that ended with the other
}

// newFleetWorld draws the scenario of a seed. One orchestrator dies at an instant of the transfer
// or before it, and stays dead; in half of the seeds links lose.
func newFleetWorld(seed uint64, trace io.Writer, moved *atomic.Int64) *fleetWorld {
	f := &fleetWorld{draw: newDraw(seed, 0xf1ee7), store: &server.Memory{Limit: 1 << 30}, moved: moved}
	base := f.span(100*time.Microsecond, 100*time.Millisecond)
	link := sim.LinkConfig{Delay: sim.Delay{Mean: sim.Millis(base)}, Rate: int64(f.span(20_000, 2_000_000))}
	if f.with("loss", 0.5) {
		link.Loss.P = 0.1 * f.rng.Float64()
	}
	f.trip = 2 * base
	f.world = sim.New(sim.Config{Seed: seed, Limit: time.Hour, Events: 2_000_000, Link: link, Trace: trace})
	cfg := server.Config{IntentRate: -1, Store: f.store, Seed: [32]byte{byte(seed)}}
	var receivers []netip.AddrPort
	for k := range 1 + f.rng.IntN(3) {
		receivers = append(receivers, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, 0, byte(k)}), Port))
		cfg.Receivers = append(cfg.Receivers, server.Receiver{Addr: receivers[k]})
	}
	for k := range f.homes {
		f.homes[k] = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 254, 0, byte(1 + k)}), Port)
	}
	s, err := server.New(cfg)
	if err != nil {
		panic(err)
	}
	f.world.Add("server", s, listening(f.homes[0], append([]netip.AddrPort{f.homes[1]}, receivers...))...)
	f.payload = payload(1 + f.rng.IntN(400_000))
	c, err := newRun(&Config{Orchestrator: f.homes[0], Orchestrators: f.homes[1:], Balance: BalanceEqual, Segment: 1000})
	if err != nil {
		panic(err)
	}
	f.client = newSession(sim.Epoch, bytes.NewReader(f.payload), int64(len(f.payload)), c, icmp.Off, icmp.Off, 0)
	f.node = f.world.Add("client", f.client, sim.Socket{Addrs: []netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:40000")}})
	f.down = []sim.State{sim.Silent, sim.Refusing, sim.Unreachable}[f.rng.IntN(3)]
	if f.rng.IntN(3) > 0 {
		f.dies = f.span(time.Millisecond, 20*time.Second)
	}
	f.world.At(f.dies, func(time.Time) { f.world.Host(f.homes[0].Addr()).State = f.down })
	return f
}

func (f *fleetWorld) String() string {
	return fmt.Sprintf("seed %d: %d bytes, round trip %v, the first orchestrator dies after %v (%d); on: %v",
		f.seed, len(f.payload), f.trip, f.dies, f.down, f.on)
}

func (f *fleetWorld) events() int64 { return f.world.Counters().Events }

func (f *fleetWorld) ended() []error { return []error{f.client.err} }

// run lets the client end, and checks how it did. What the server holds is its digest's matter.
func (f *fleetWorld) run() error {
	if err := f.world.Run(f.node); err != nil {
		return err
	}
	switch r := &f.client.report; {
	case len(f.on) > 0 && f.client.dialog.failed: // announced in vain: by the base protocol, perhaps in time
		return nil
	case len(f.on) > 0 && errors.Is(f.client.err, ErrIncomplete) && f.unheard():
		return nil
	case f.client.err != nil:
		return f.client.err
	case !r.Verified:
		return errors.New("it ends without the verdict")
	case len(f.on) == 0 && r.Wait > handOver+f.trip: // nothing was lost
		return fmt.Errorf("the offer came after %v", r.Wait)
	case r.Moves > 2 && f.down == sim.Refusing && len(f.on) == 0:
		return fmt.Errorf("it went on with another orchestrator %d times", r.Moves)
	case r.Orchestrator == f.homes[1]:
		f.moved.Add(1)
	}
	return nil
}

// unheard reports whether all three transmissions were lost that each receiver gets before it acknowledges
// any, or what came back.
func (f *fleetWorld) unheard() bool {
	for i := range f.client.report.Receivers {
		r := &f.client.report.Receivers[i]
		if r.Acked > 0 || r.Sent < 3 {
			return false
		}
	}
	return true
}

// TestSwarmOrchestrators: whenever one of two orchestrators dies, the payload comes to the store
// whole, and an offer that the dead one did not send comes from the other in time. It runs a
// tenth of the seeds.
func TestSwarmOrchestrators(t *testing.T) {
	var moved atomic.Int64
	count := *seedCount / 10
	campaign(t, count, func(seed uint64, trace io.Writer) world { return newFleetWorld(seed, trace, &moved) })
	if count >= 100 && !t.Failed() && !*seedShow && moved.Load() < int64(count/3) {
		t.Errorf("%d of %d transfers went on with the other orchestrator", moved.Load(), count)
	}
}

// plantsFleet are bugs that TestSwarmOrchestrators is to find.
var plantsFleet = []plant{
	fleeting("waiting.go", "a silent orchestrator alone is asked for the offer",
		"\tif s.several() {\n\t\t\ts.refusals = 0", "\tif s.several() && !PLANTED {\n\t\t\ts.refusals = 0"),
	fleeting("dialog.go", "a silent orchestrator alone is asked how the payload stands",
		"if s.several() && d.tries > 0", "if s.several() && !PLANTED && d.tries > 0"),
}

func fleeting(dir, name, old, new string) plant {
	p := one(dir, name, old, new)
	p.swarm = "TestSwarmOrchestrators"
	return p
}
