package mdalp

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"mdalp/icmp"
	"mdalp/internal/sim"
	"mdalp/loop"
	"mdalp/wire"
)

// zeros is a payload without end.
type zeros struct{}

func (zeros) ReadAt(p []byte, _ int64) (int, error) {
	clear(p)
	return len(p), nil
}

// benchSession makes a session with n receivers, and their offer.
func benchSession(b *testing.B, now time.Time, n int, size int64) (*session, []byte) {
	c, err := newRun(&Config{Orchestrator: orchestrator, Balance: BalanceEqual})
	if err != nil {
		b.Fatal(err)
	}
	rs := make([]wire.Receiver, n)
	for i := range rs {
		rs[i].Host = netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}).String()
	}
	return newSession(now, zeros{}, size, c, icmp.Off, icmp.Off, 0), wire.AppendOffer(nil, 7, rs)
}

// BenchmarkSession is our own code for one segment and its acknowledgement, without a
// system call: the session is called as the loop would call it, with 64 datagrams a
// batch, by hand (driver=none) or by the simulated network (driver=sim, which has the
// cost of the network and of the acknowledging program in it).
func BenchmarkSession(b *testing.B) {
	for _, n := range []int{1, 10, 64, 1000} {
		b.Run(fmt.Sprint("driver=none/receivers=", n), func(b *testing.B) { benchByHand(b, n) })
	}
	for _, n := range []int{1, 10, 64, 1000} {
		b.Run(fmt.Sprint("driver=sim/receivers=", n), func(b *testing.B) { benchInSim(b, n) })
	}
}

func benchByHand(b *testing.B, n int) {
	now := time.Now()
	s, offer := benchSession(b, now, n, 1<<50)
	var env loop.Envelope
	buf, ack := make([]byte, 0, 2048), make([]byte, 0, 64)
	if _, ok := s.Transmit(now, &env, buf); !ok {
		b.Fatal("no intent")
	}
	s.Receive(now, &loop.Envelope{Peer: orchestrator}, offer)
	type out struct {
		peer netip.AddrPort
		seq  int64
	}
	const batch = 64
	ring := make([]out, 0, n) // what is out, oldest first
	transmit := func() bool {
		env = loop.Envelope{}
		p, ok := s.Transmit(now, &env, buf)
		if !ok {
			return false
		}
		m, err := wire.Parse(p)
		if err != nil {
			b.Fatal(err)
		}
		ring = append(ring, out{env.Peer, m.Seq})
		return true
	}
	for len(ring) < n && transmit() {
	}
	b.ReportAllocs()
	b.ResetTimer()
	for left := b.N; left > 0; {
		k := min(batch, len(ring), left)
		now = now.Add(time.Duration(k) * 4 * time.Microsecond)
		for _, o := range ring[:k] {
			env = loop.Envelope{Peer: o.peer, At: now}
			s.Receive(now, &env, wire.AppendAck(ack, 7, o.seq))
		}
		ring = ring[:copy(ring, ring[k:])]
		if at, _ := s.Next(); !at.After(now) {
			s.Expire(now)
		}
		for len(ring) < n && transmit() {
		}
		s.Next()
		left -= k
	}
	b.StopTimer()
	if got := s.sending.transfer.Total() - s.sending.transfer.Left(); got != int64(b.N) {
		b.Fatalf("%d segments acknowledged, want %d", got, b.N)
	}
}

// acker acknowledges segments and gives the offer.
type acker struct {
	offer []byte
	queue []ackDue
}

type ackDue struct {
	peer, local netip.AddrPort
	seq         int64
}

func (a *acker) Receive(_ time.Time, e *loop.Envelope, p []byte) {
	m, _ := wire.Parse(p)
	a.queue = append(a.queue, ackDue{e.Peer, e.Local, m.Seq})
}

func (a *acker) Transmit(_ time.Time, e *loop.Envelope, p []byte) ([]byte, bool) {
	if len(a.queue) == 0 {
		return p, false
	}
	last := len(a.queue) - 1
	d := a.queue[last]
	a.queue = a.queue[:last]
	e.Peer, e.Local = d.peer, d.local
	if d.seq == wire.Absent {
		return append(p, a.offer...), true
	}
	return wire.AppendAck(p, 7, d.seq), true
}

func (a *acker) Next() (time.Time, bool)               { return sim.Epoch.Add(1 << 60), true }
func (a *acker) Expire(time.Time)                      {}
func (a *acker) Fail(time.Time, *loop.Envelope, error) {}

func benchInSim(b *testing.B, n int) {
	w := sim.New(sim.Config{Limit: 1 << 60, Events: 1 << 60, Link: sim.LinkConfig{Delay: sim.Delay{Mean: sim.Millis(20 * time.Microsecond)}}})
	s, offer := benchSession(b, sim.Epoch, n, int64(b.N)*100)
	addrs := []netip.AddrPort{orchestrator}
	for i := range n {
		addrs = append(addrs, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), Port))
	}
	w.Add("receivers", &acker{offer: offer}, sim.Socket{Addrs: addrs, PacketInfo: true})
	client := w.Add("client", s, sim.Socket{Addrs: []netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:5000")}})
	b.ReportAllocs()
	b.ResetTimer()
	if err := w.Run(client); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	if s.err != nil || s.report.Acked != int64(b.N)*100 {
		b.Fatal(s.err, s.report.Acked)
	}
}
