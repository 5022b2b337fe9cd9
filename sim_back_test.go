package mdalp

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"mdalp/icmp"
	"mdalp/internal/sim"
	"mdalp/loop"
	"mdalp/server"
)

// An outage is one client, and a server that ends in the midst of the transfer and is
// started again on what it had stored.
type outage struct {
	world   *sim.World
	client  *session
	payload []byte
	disk    *sim.Disk
	server  *server.Server
	host    *sim.Node
	addrs   []netip.AddrPort
	cfg     server.Config
	trip    time.Duration // of every datagram and its answer
	base    bool

	back  time.Time // when the new server listened
	wait  time.Duration
	first time.Time // when it took the first segment
}

// newOutage makes a transfer that takes more than 45 steps, of a round trip, and if it has a
// rate of 10 ms at least.
func newOutage(t *testing.T, r *rand.Rand, base bool) (o *outage, step time.Duration) {
	o = &outage{base: base, disk: sim.NewDisk()}
	o.trip = time.Duration(float64(100*time.Microsecond) * float64(1+r.IntN(4000))) // up to 400 ms
	if step = o.trip; !base {
		step = max(step, 10*time.Millisecond)
	}
	o.world = sim.New(sim.Config{Link: sim.LinkConfig{Delay: sim.Delay{Mean: sim.Millis(o.trip / 2)}}})
	for k := range 1 + r.IntN(3) {
		o.addrs = append(o.addrs, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, 0, byte(k)}), Port))
		o.cfg.Receivers = append(o.cfg.Receivers, server.Receiver{Addr: o.addrs[k]})
	}
	o.cfg.IntentRate, o.cfg.Seed = -1, [32]byte{byte(r.Uint32())}
	o.start(t)
	o.host = o.world.Add("server", o, sim.Socket{Addrs: o.addrs, PacketInfo: true})
	size := 60 * 100 * len(o.addrs)
	cfg := &Config{Orchestrator: o.addrs[0], Balance: BalanceEqual, Base: base}
	if !base {
		size = 400_000
		cfg.Segment, cfg.Rate = 1000, int64(float64(size)/(60*step.Seconds()))
	}
	o.payload = payload(size)
	c, err := newRun(cfg)
	if err != nil {
		t.Fatal(err)
	}
	o.client = newSession(sim.Epoch, bytes.NewReader(o.payload), int64(size), c, icmp.Off, icmp.Off, 0)
	return o, step
}

// start makes a server on what is on the disk.
func (o *outage) start(t *testing.T) {
	o.disk.Now = o.world.Now
	dir, err := server.NewDirIn(o.disk, server.DirOptions{Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	o.cfg.Store = dir
	if o.server, err = server.New(o.cfg); err != nil {
		t.Fatal(err)
	}
}

// ends has the server end, and start again after a while. Meanwhile the host refuses what
// comes to it, or the host is away, too.
func (o *outage) ends(t *testing.T, at, away time.Duration, killed bool, host sim.State) {
	o.world.At(at, func(now time.Time) {
		if !killed {
			o.server.Close(now)
			o.host.Poke() // it sends what it has to send
		}
		o.host.Kill()
		o.set(host)
	})
	o.world.At(at+away, func(now time.Time) {
		o.set(sim.Up)
		o.disk = o.disk.Killed()
		o.start(t)
		o.back, o.wait = now, o.running()
		o.host.Restart(o)
	})
}

func (o *outage) set(s sim.State) {
	for _, a := range o.addrs {
		o.world.Host(a.Addr()).State = s
	}
}

// running is the least timeout that runs at a receiver, by the RFCs' formulas and our bounds.
// Every round trip is the same, so it is the smoothed one, and the variance is gone but for
// what is left of half of the first after 10 samples, a twentieth. Under a cap one receiver
// may have been sent all: the others know no round trip.
func (o *outage) running() time.Duration {
	least := time.Hour
	for i := range o.addrs {
		st := o.client.transfer().Stats(i)
		if st.Samples < 10 {
			continue
		}
		n := st.Timeouts
		pto, most := max(o.trip+max(4*o.trip/2/18, time.Millisecond), 10*time.Millisecond), time.Second
		if o.base { // RFC 6298, with 200 ms where the variance is less
			pto, most = o.trip+200*time.Millisecond, 6*time.Second
		}
		least = min(least, min(pto<<n, max(pto, most)))
	}
	return least
}

// Receive implements loop.Handler.
func (o *outage) Receive(now time.Time, e *loop.Envelope, b []byte) {
	o.server.Receive(now, e, b)
	if st := o.server.Stats(); o.first.IsZero() && !o.back.IsZero() && st.Stored+st.Duplicates > 0 {
		o.first = now
	}
}

// Fail implements loop.Handler.
func (o *outage) Fail(now time.Time, e *loop.Envelope, err error) { o.server.Fail(now, e, err) }

// Expire implements loop.Handler.
func (o *outage) Expire(now time.Time) { o.server.Expire(now) }

// Transmit implements loop.Handler.
func (o *outage) Transmit(now time.Time, e *loop.Envelope, b []byte) ([]byte, bool) {
	return o.server.Transmit(now, e, b)
}

// Next implements loop.Handler.
func (o *outage) Next() (time.Time, bool) { return o.server.Next() }

// TestServerBack: a server that ends in mid-transfer, by SIGKILL or SIGTERM, and is there
// again, takes a segment within two probe timeouts from when it listens; in the base
// protocol within two retransmission timeouts. A timeout is the client's own that runs
// then, with the back-off that RFC 9002, section 6.2.1, has for it, which ends at 1 s here
// (6 s in the base protocol): one is left for the way, and for a probe that is lost.
func TestServerBack(t *testing.T) {
	for _, base := range []bool{false, true} {
		var worst, most float64 // in timeouts, and seconds
		for seed := range uint64(60) {
			r := rand.New(rand.NewPCG(seed, 0xbac))
			o, step := newOutage(t, r, base)
			at := time.Duration(float64(step) * (15 + 30*r.Float64()))
			// An extended client gives up after 5 s. One of the base protocol does after 8 tries, which a
			// host that refuses them has drawn after 4.6 s.
			away := time.Duration(r.Int64N(int64(map[bool]time.Duration{false: 3900, true: 4400}[base] * time.Millisecond)))
			killed, host := r.IntN(2) == 0, []sim.State{sim.Silent, sim.Refusing}[r.IntN(2)]
			o.ends(t, at, away, killed, host)
			n := o.world.Add("client", o.client, sim.Socket{Addrs: []netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:5000")}})
			err := o.world.Run(n)
			if err == nil {
				err = o.world.Advance(time.Minute) // for the verdict of the base protocol
			}
			if err != nil || o.client.err != nil || o.first.IsZero() {
				t.Fatalf("seed %d, base %t: %v, %v, taken %v", seed, base, err, o.client.err, o.first)
			}
			took := o.first.Sub(o.back)
			if took > 2*o.wait {
				t.Errorf("seed %d, base %t: away for %v, killed %t, host %v, round trip %v: a segment is taken %v after it is back, the timeout is %v",
					seed, base, away, killed, host, o.trip, took, o.wait)
			}
			worst, most = max(worst, float64(took)/float64(o.wait)), max(most, took.Seconds())
			stored := 0
			for _, b := range o.disk.Files() { // order does not show
				if bytes.Equal(b, o.payload) {
					stored++
				}
			}
			if stored != 1 {
				t.Errorf("seed %d, base %t: the payload is there %d times", seed, base, stored)
			}
		}
		t.Logf("base %t: at most %.2f timeouts, %.2f s", base, worst, most)
	}
}
