package mdalp

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"mdalp/icmp"
	"mdalp/internal/sim"
	"mdalp/server"
)

// A race is one transfer over receivers whose delays are known, in virtual time.
type race struct {
	seed     uint64
	acks     []time.Duration // from a segment to its ack, for each receiver
	pings    []time.Duration // what an echo takes
	segments int
	loss     float64 // of each datagram, both ways
	balance  Balance
	rto      time.Duration // 0: adaptive
}

// run gives the time that the segments take, from the first to the last ack.
func (c *race) run(t *testing.T) (time.Duration, *Report) {
	t.Helper()
	w := sim.New(sim.Config{Seed: c.seed})
	home := netip.MustParseAddrPort("10.254.0.1:4650")
	client := netip.MustParseAddrPort("10.255.0.1:5000")
	sock := sim.Socket{PacketInfo: true, Addrs: []netip.AddrPort{home}}
	cfg := server.Config{Base: true, Limit: forever, Idle: forever, IntentRate: -1, Remember: 1, Concurrent: 1}
	for i, d := range c.acks {
		a := netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})
		sock.Addrs = append(sock.Addrs, netip.AddrPortFrom(a, Port))
		cfg.Receivers = append(cfg.Receivers, server.Receiver{Addr: sock.Addrs[i+1]})
		there := sim.LinkConfig{Delay: sim.Delay{Mean: sim.Millis(d / 2)}, Loss: sim.Loss{P: c.loss}}
		back := sim.LinkConfig{Delay: sim.Delay{Mean: sim.Millis(d - d/2)}, Loss: sim.Loss{P: c.loss}}
		w.Path(client.Addr(), a, there)
		w.Path(a, client.Addr(), back)
		w.PingPath(client.Addr(), a, sim.LinkConfig{Delay: sim.Delay{Mean: sim.Millis(c.pings[i])}})
		w.Host(a).Echo = sim.EchoReply
	}
	srv, err := server.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.Add("server", srv, sock)
	conf, err := (&run{Config: Config{Orchestrator: home, Balance: c.balance, RTO: RTO(c.rto), Tries: 20, EchoTimeout: 20 * time.Second}, key: [32]byte{1}}).withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	// Shares end within a segment: the payload is as many segments as it can be.
	size := int64(100 * c.segments)
	s := newSession(sim.Epoch, bytes.NewReader(make([]byte, size)), size, conf, icmp.Raw, icmp.Off, 0)
	node := w.Add("client", s, sim.Socket{Addrs: []netip.AddrPort{client}}, sim.Socket{Addrs: []netip.AddrPort{netip.AddrPortFrom(client.Addr(), 0)}, ICMP: true})
	if err := w.Run(node); err != nil {
		t.Fatalf("%+v: %v", c, err)
	}
	if s.err != nil {
		t.Fatalf("%+v: %v", c, s.err)
	}
	return s.report.Transfer, &s.report
}

// bound is the time that no schedule can beat: all receivers busy to the end,
// fractions of segments allowed.
func bound(segments int64, delays []time.Duration) time.Duration {
	var rate float64
	for _, d := range delays {
		rate += 1 / float64(d)
	}
	return time.Duration(float64(segments) / rate)
}

// best is the time of the best schedule of whole segments, for someone who knows
// all delays beforehand. With each, every receiver gets a segment at least, as
// the protocol's split has it.
func best(segments int64, delays []time.Duration, each bool) time.Duration {
	least := 0
	if each {
		least = int(slices.Max(delays))
	}
	lo, hi := least, int(slices.Max(delays))*int(segments)
	for lo < hi {
		mid := lo + (hi-lo)/2
		var n int64
		for _, d := range delays {
			n += int64(mid / int(d))
		}
		if n >= segments {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return time.Duration(lo)
}

// distribution is some quantiles of ratios, in one line.
func distribution(x []float64) string {
	x = slices.Sorted(slices.Values(x))
	q := func(p float64) float64 { return x[int(p*float64(len(x)-1))] }
	return fmt.Sprintf("median %.4f, 95 %% %.4f, 99 %% %.4f, worst %.4f of %d", q(0.5), q(0.95), q(0.99), x[len(x)-1], len(x))
}

// topology draws 2 to 50 receivers with delays over two decades. Their pings are a
// fifth of the delays, or mislead: then they have nothing to do with them.
func topology(r *rand.Rand) (acks, pings []time.Duration) {
	n := 2 + r.IntN(49)
	mislead := r.IntN(2) == 0
	for range n {
		d := time.Duration(20e6 * math.Pow(100, r.Float64()))
		p := d / 10
		if mislead {
			p = time.Duration(2e6 * math.Pow(100, r.Float64()))
		}
		acks, pings = append(acks, d), append(pings, p)
	}
	return acks, pings
}

// TestAdaptiveMakespan: by adaptive balance all receivers end together. The best
// possible is the best schedule of whole segments in which each receiver gets
// one at least: the split gives everybody a share, and what is out at a slow
// receiver can not be called back. Where a transfer is long enough for that not to
// matter, it is also within 5 % of the bound that knows no whole segments.
func TestAdaptiveMakespan(t *testing.T) {
	var possible, fraction, long, plain []float64
	for seed := range uint64(1000) {
		r := rand.New(rand.NewPCG(seed, 1))
		acks, pings := topology(r)
		c := race{seed: seed, acks: acks, pings: pings, segments: 50 + r.IntN(1951), balance: BalanceAdaptive}
		took, rep := c.run(t)
		n := rep.Segments
		x := float64(took) / float64(best(n, acks, true))
		if x > 1.05 {
			t.Errorf("seed %d: %d segments over %d receivers take %v, %.3f of the best possible", seed, n, len(acks), took, x)
		}
		possible = append(possible, x)
		b := bound(n, acks)
		fraction = append(fraction, float64(took)/float64(b))
		if b > 5*slices.Max(acks) {
			long = append(long, float64(took)/float64(b))
		}
		if seed < 100 {
			c.balance = BalanceLatency
			took, rep = c.run(t)
			plain = append(plain, float64(took)/float64(best(rep.Segments, acks, true)))
		}
	}
	t.Logf("adaptive, over the best possible:               %s", distribution(possible))
	t.Logf("adaptive, over the fractional bound:            %s", distribution(fraction))
	t.Logf("the same, bound more than 5 of the slowest ack: %s", distribution(long))
	t.Logf("icmp, over the best possible:                   %s", distribution(plain))
	if worst := slices.Max(long); worst > 1.05 {
		t.Errorf("a long transfer takes %.3f of the bound", worst)
	}
}

// TestAdaptiveMany: hundreds of receivers are no harder than fifty.
func TestAdaptiveMany(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 3))
	c := race{segments: 30_000, balance: BalanceAdaptive}
	for range 600 {
		c.acks = append(c.acks, time.Duration(20e6*math.Pow(100, r.Float64())))
		c.pings = append(c.pings, time.Duration(2e6*math.Pow(100, r.Float64())))
	}
	took, rep := c.run(t)
	x := float64(took) / float64(best(rep.Segments, c.acks, true))
	t.Logf("600 receivers, %d segments: %v, %.4f of the best possible", rep.Segments, took, x)
	if x > 1.05 {
		t.Error("want 1.05 at most")
	}
}

// TestAdaptiveLoss compares with the bound of expected values: with a fixed
// timeout R above all delays and a loss q of round trips, a segment takes
// d + R·q/(1-q) in the mean. Luck is on both sides of it, and the last repetitions
// of a transfer have nobody to share with.
func TestAdaptiveLoss(t *testing.T) {
	const p, rto = 0.02, 2500 * time.Millisecond
	q := 1 - (1-p)*(1-p)
	var over, long, free []float64
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 2))
		acks, pings := topology(r)
		c := race{seed: seed, acks: acks, pings: pings, segments: 50 + r.IntN(1951), balance: BalanceAdaptive, loss: p, rto: rto}
		took, rep := c.run(t)
		mean := make([]time.Duration, len(acks))
		for i, d := range acks {
			mean[i] = d + time.Duration(float64(rto)*q/(1-q))
		}
		b := bound(rep.Segments, mean)
		over = append(over, float64(took)/float64(b))
		if b > 8*rto {
			long = append(long, float64(took)/float64(b))
		}
		c.rto = 0
		took, _ = c.run(t)
		free = append(free, float64(took)/float64(b))
	}
	t.Logf("loss of %.0f %% each way, over the expected-value bound: %s", 100*p, distribution(over))
	t.Logf("the same, bound of more than 8 timeouts:             %s", distribution(long))
	t.Logf("the same bound, with adaptive timeouts:               %s", distribution(free))
	if len(long) == 0 || slices.Sorted(slices.Values(long))[len(long)/2] > 1.1 {
		t.Errorf("the median of %d long transfers is too far from the bound: %s", len(long), distribution(long))
	}
}

// TestMisleadingPings: all answer pings alike and acknowledgements ten times as
// slow as one another.
func TestMisleadingPings(t *testing.T) {
	ms := time.Millisecond
	for _, c := range []struct {
		name string
		acks []time.Duration
		icmp float64 // what the split by pings costs: size/n·slowest over the bound
	}{
		{"1 s and 0.1 s", []time.Duration{1000 * ms, 100 * ms}, 5.5},
		{"1 s, 0.1 s and 0.1 s", []time.Duration{1000 * ms, 100 * ms, 100 * ms}, 7},
		{"1 s, 1 s and 0.1 s", []time.Duration{1000 * ms, 1000 * ms, 100 * ms}, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			ping := []time.Duration{20 * ms, 20 * ms, 20 * ms}[:len(c.acks)]
			over := func(b Balance) float64 {
				r := race{seed: 1, acks: c.acks, pings: ping, segments: 600, balance: b}
				took, rep := r.run(t)
				return float64(took) / float64(bound(rep.Segments, c.acks))
			}
			adaptive, icmp := over(BalanceAdaptive), over(BalanceLatency)
			t.Logf("over the bound: adaptive %.3f, icmp %.3f", adaptive, icmp)
			if adaptive > 1.05 || math.Abs(icmp-c.icmp) > 0.05 {
				t.Errorf("want at most 1.05 and about %v", c.icmp)
			}
		})
	}
}
