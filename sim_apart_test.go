package mdalp

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"mdalp/internal/sim"
	"mdalp/loop"
	"mdalp/server"
)

// TestSwarmApart runs the scenarios of TestSwarm, with the same checks, by a server in
// parts: the orchestrator and its ledger are one program, the receivers one to three others,
// on hosts of their own. The links between them delay, lose, double and reorder. It runs half
// as many seeds.
func TestSwarmApart(t *testing.T) {
	wellEnded(t, campaign(t, *seedCount/2, func(seed uint64, trace io.Writer) world { return drawScenario(seed, trace, true) }))
}

// TestSwarmExtendedApart does the same with those of TestSwarmExtended.
func TestSwarmExtendedApart(t *testing.T) {
	wellEnded(t, campaign(t, *seedCount/2, func(seed uint64, trace io.Writer) world { return drawBulk(seed, trace, true) }))
}

// wellEnded checks that a server in parts serves: what ends no transfer well breaks no rule.
func wellEnded(t *testing.T, ends map[string]int) {
	t.Helper()
	all := 0
	for _, n := range ends {
		all += n
	}
	if well := ends[class(nil)]; *seedCount >= 1000 && !t.Failed() && !*seedShow && well < all/2 {
		t.Errorf("%d of %d transfers ended well", well, all)
	}
}

// A program is a server, whole or in parts.
type program interface {
	loop.Handler
	Open() int
	Drained() bool
	Close(now time.Time)
}

// A seer is told what comes to the server from its clients, and what leaves it.
type seer interface {
	comes(now time.Time, e *loop.Envelope, b []byte)
	goes(now time.Time, e *loop.Envelope, b []byte)
}

// An apart is what joins the parts of a server: datagrams of its own from the ledger to
// each group of receivers, and back.
type apart struct {
	rng       *rand.Rand
	ledger    netip.AddrPort
	ends      []netip.AddrPort    // at the groups
	nodes     []*sim.Node         // of the groups
	receivers []*server.Receivers // likewise
	asked     func() server.Stats // of the ledger
	trip      time.Duration       // most that an ask and its answer take, where none is lost
	lossy     bool
	varies    bool
}

// newApart gives the ledger's end of the links, and its sockets with the orchestrator's. The
// choices are its own, so that the scenario is that of the same seed with a whole server.
func newApart(d *draw, home netip.AddrPort) (*apart, []sim.Socket) {
	x := &apart{rng: rand.New(rand.NewPCG(d.seed, 0xa9a87)), ledger: netip.MustParseAddrPort("10.253.0.1:1")}
	return x, listening(home, []netip.AddrPort{x.ledger})
}

// newProgram makes a server, whole or the part of it that has the ledger.
func newProgram(cfg server.Config, x *apart) program {
	if x == nil {
		s, err := server.New(cfg)
		if err != nil {
			panic(err)
		}
		return s
	}
	s, err := server.NewOrchestrator(cfg)
	if err != nil {
		panic(err)
	}
	x.asked = s.Stats
	return &ledgerEnd{s, x}
}

// join draws groups of receivers and the links to them.
func (x *apart) join(w *sim.World, d *draw, addrs []netip.AddrPort, see seer) {
	r, span := x.rng, (&draw{rng: x.rng}).span
	var offered []server.Receiver
	for _, a := range addrs {
		offered = append(offered, server.Receiver{Addr: a})
	}
	groups := min(1+r.IntN(3), len(addrs))
	for g := range groups {
		rcv, err := server.NewReceivers(offered)
		if err != nil {
			panic(err)
		}
		x.receivers = append(x.receivers, rcv)
		end := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 253, 1, byte(g)}), 1)
		x.ends = append(x.ends, end)
		own := []sim.Socket{{Addrs: []netip.AddrPort{end}, PacketInfo: true}}
		var theirs []netip.AddrPort
		for i := g; i < len(addrs); i += groups {
			theirs = append(theirs, addrs[i])
		}
		own = append(own, listening(theirs[0], theirs)...)
		x.nodes = append(x.nodes, w.Add(fmt.Sprint("receivers ", g), &receiversEnd{rcv, x, g, see}, own...))
		for _, way := range [][2]netip.AddrPort{{x.ledger, end}, {end, x.ledger}} {
			w.Path(way[0].Addr(), way[1].Addr(), x.link(r, span, d.quiet))
		}
	}
	if !d.quiet && r.IntN(6) == 0 { // receivers stand still
		n, at, still := x.nodes[r.IntN(groups)], span(time.Millisecond, 5*time.Second), span(time.Millisecond, 5*time.Second)
		x.lossy = true
		w.At(at, func(time.Time) { n.Pause() })
		w.At(at+still, func(time.Time) { n.Resume() })
	}
}

func (x *apart) link(r *rand.Rand, span func(lo, hi time.Duration) time.Duration, quiet bool) sim.LinkConfig {
	base := span(50*time.Microsecond, 100*time.Millisecond)
	c := sim.LinkConfig{Delay: sim.Delay{Mean: sim.Millis(base)}, Queue: 1 << 20}
	most := base
	if !quiet && r.IntN(2) == 0 {
		c.Delay.Kind, c.Delay.Spread = sim.Uniform, sim.Millis(base)
		most += base
		x.varies = true
	}
	if !quiet && r.IntN(2) == 0 {
		c.Loss.P = 0.4 * r.Float64()
		x.lossy = true
	}
	if !quiet && r.IntN(2) == 0 {
		c.Duplicate = 0.5 * r.Float64()
	}
	if !quiet && r.IntN(2) == 0 {
		c.Reorder = sim.Reorder{P: 0.5 * r.Float64(), Extra: sim.Millis(base * time.Duration(1+r.IntN(5)))}
		most += time.Duration(c.Reorder.Extra)
		x.varies = true
	}
	x.trip = max(x.trip, 2*most)
	return c
}

// own reports whether an address is one of the link's; of a whole server none is.
func (x *apart) own(a netip.AddrPort) bool {
	return x != nil && a.Port() == 1
}

// dropped reports whether too much was held or asked at once, which is lost then.
func (x *apart) dropped() bool {
	if x == nil {
		return false
	}
	if x.asked().AsksDropped > 0 {
		return true
	}
	for _, r := range x.receivers {
		if r.Stats().NotHeld > 0 {
			return true
		}
	}
	return false
}

// A ledgerEnd is the part of a server with the ledger.
type ledgerEnd struct {
	*server.Orchestrator
	x *apart
}

// Receive implements loop.Handler.
func (s *ledgerEnd) Receive(now time.Time, e *loop.Envelope, b []byte) {
	if !s.x.own(e.Local) {
		s.Orchestrator.Receive(now, e, b)
		return
	}
	a := server.Ask{}
	a.Key, b = parseKey(b)
	a.At, b = parseTime(b), b[8:]
	a.Peer, a.Data = netip.AddrPort{}, b[1+b[0]:]
	if err := a.Peer.UnmarshalBinary(b[1 : 1+b[0]]); err != nil {
		panic(err)
	}
	s.Asked(now, &a)
}

// Transmit implements loop.Handler.
func (s *ledgerEnd) Transmit(now time.Time, e *loop.Envelope, b []byte) ([]byte, bool) {
	if out, ok := s.Orchestrator.Transmit(now, e, b); ok {
		return out, true
	}
	r, ok := s.Reply(now)
	if !ok {
		return b, false
	}
	b = appendKey(b, &r.Key)
	if r.Taken {
		b = binary.BigEndian.AppendUint64(appendTime(b, r.At), uint64(r.For))
	}
	e.Sock, e.Local, e.Peer = 1, s.x.ledger, s.x.ends[r.Receiver%len(s.x.ends)]
	return b, true
}

// A receiversEnd is one group of a server's receivers.
type receiversEnd struct {
	*server.Receivers
	x     *apart
	group int
	see   seer
}

// Receive implements loop.Handler.
func (s *receiversEnd) Receive(now time.Time, e *loop.Envelope, b []byte) {
	if !s.x.own(e.Local) {
		s.see.comes(now, e, b)
		s.Receivers.Receive(now, e, b)
		return
	}
	r := server.Reply{}
	if r.Key, b = parseKey(b); len(b) > 0 {
		r.Taken, r.At, r.For = true, parseTime(b), time.Duration(binary.BigEndian.Uint64(b[8:]))
	}
	s.Answer(now, &r)
}

// Transmit implements loop.Handler.
func (s *receiversEnd) Transmit(now time.Time, e *loop.Envelope, b []byte) ([]byte, bool) {
	if out, ok := s.Receivers.Transmit(now, e, b); ok {
		s.see.goes(now, e, out)
		return out, true
	}
	a, ok := s.Ask()
	if !ok {
		return b, false
	}
	peer, err := a.Peer.MarshalBinary()
	if err != nil {
		panic(err)
	}
	b = append(append(appendTime(appendKey(b, &a.Key), a.At), byte(len(peer))), peer...)
	e.Sock, e.Local, e.Peer = 0, s.x.ends[s.group], s.x.ledger
	return append(b, a.Data...), true
}

// appendKey writes the name of a segment as the test has it go over the link.
func appendKey(b []byte, k *server.Key) []byte {
	for _, v := range []int64{k.TID, k.Seq, k.Num, int64(k.Receiver), int64(k.Sum)} {
		b = binary.BigEndian.AppendUint64(b, uint64(v))
	}
	return b
}

// appendTime writes an instant of the world.
func appendTime(b []byte, t time.Time) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(t.Sub(sim.Epoch)))
}

func parseTime(b []byte) time.Time { return sim.Epoch.Add(time.Duration(binary.BigEndian.Uint64(b))) }

func parseKey(b []byte) (k server.Key, rest []byte) {
	v := func(i int) int64 { return int64(binary.BigEndian.Uint64(b[8*i:])) }
	return server.Key{TID: v(0), Seq: v(1), Num: v(2), Receiver: int(v(3)), Sum: uint32(v(4))}, b[40:]
}
