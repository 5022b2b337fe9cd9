package mdalp

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"syscall"
	"time"

	"mdalp/internal/sim"
	"mdalp/loop"
	"mdalp/wire"
)

// drawFaults draws what happens to hosts, datagrams and programs. It comes before the
// clients are there.
func (sc *bulk) drawFaults() {
	r := sc.rng
	if sc.with("hosts", 0.2) {
		sc.faults = true
		for _, a := range sc.receivers {
			if r.IntN(3) == 0 {
				sc.failHost(sc.world.Host(a.Addr()))
			}
		}
	}
	if sc.with("all-dead", 0.02) {
		sc.faults = true
		at := sc.span(time.Millisecond, 5*time.Second)
		down := []sim.State{sim.Silent, sim.Refusing, sim.Unreachable}[r.IntN(3)]
		sc.world.At(at, func(time.Time) {
			for _, a := range sc.receivers {
				sc.world.Host(a.Addr()).State = down
			}
		})
	}
	if sc.with("restart", 0.04) {
		sc.faults = true
		at := sc.span(time.Millisecond, 10*time.Second)
		sc.world.At(at, func(time.Time) { sc.host.Kill() })
		sc.world.At(at+sc.span(time.Millisecond, 5*time.Second), func(now time.Time) {
			sc.server.restart(now)
			sc.host.Restart(sc.server)
		})
	}
	if sc.with("hostile", 0.3) {
		sc.hostile = r.Float64()
	}
	thin, lie, silent, shrink := sc.with("thin", 0.2), sc.with("liars", 0.08), sc.with("no-answer", 0.05), sc.with("shrinking", 0.05)
	sc.lies, sc.silent, sc.shrinks = lie, silent, shrink
	sc.faults = sc.faults || thin || lie || silent || shrink
	sc.lossy = sc.lossy || thin || lie
	seen := map[netip.Addr]bool{}
	for i, a := range append([]netip.AddrPort{sc.home}, sc.receivers...) {
		if !seen[a.Addr()] {
			seen[a.Addr()] = true
			sc.bend(a.Addr(), uint64(i), thin)
		}
	}
}

// failHost draws what becomes of a receiver's host.
func (sc *bulk) failHost(h *sim.Host) {
	r := sc.rng
	down := []sim.State{sim.Silent, sim.Refusing, sim.Unreachable}[r.IntN(3)]
	at := sc.span(time.Millisecond, 10*time.Second)
	switch r.IntN(4) {
	case 0: // dead from the start
		h.State = down
	case 1: // dies
		sc.world.At(at, func(time.Time) { h.State = down })
	case 2: // dies and comes back, perhaps twice
		for range 1 + r.IntN(2) {
			sc.world.At(at, func(time.Time) { h.State = down })
			at += sc.span(time.Millisecond, 20*time.Second)
			sc.world.At(at, func(time.Time) { h.State = sim.Up })
			at += sc.span(time.Millisecond, 20*time.Second)
		}
	case 3: // slow for a while, or from then on
		slow := sc.span(time.Millisecond, 10*time.Second)
		sc.trip += slow
		sc.world.At(at, func(time.Time) { h.Slow = slow })
		if r.IntN(2) == 0 {
			sc.world.At(at+sc.span(time.Second, time.Minute), func(time.Time) { h.Slow = 0 })
		}
	}
}

// bend lets a host of the server's alter, or keep back, what it sends: acks are thinned,
// receivers lie, the orchestrator says nothing, or less than it knows.
func (sc *bulk) bend(a netip.Addr, salt uint64, thin bool) {
	r := rand.New(rand.NewPCG(sc.seed, 0xbe4d+salt))
	few := 0.2 + 0.6*r.Float64()
	lies, shrunk := 0, 0
	mute, from := r.IntN(2) == 0, time.Duration(r.Int64N(int64(2*time.Second)))
	sc.world.Host(a).Mutate = func(to netip.AddrPort, b []byte) []byte {
		m, err := wire.Parse(b)
		if err != nil || m.Seq < 0 {
			return b
		}
		since := sc.world.Now().Sub(sim.Epoch)
		switch {
		case m.Type == wire.Ack && thin && r.Float64() < few:
			return nil
		case m.Type == wire.Ack && sc.lies && lies < 20 && m.Num > 0:
			// It acknowledges all that it may have been sent so far.
			lies++
			return wire.AppendAckRanges(nil, m.TID, m.Seq, []wire.Range{{First: 0, Last: m.Num}})
		case m.Type == wire.StateType && sc.silent && (mute || since > from):
			return nil
		case m.Type == wire.StateType && sc.shrinks && r.IntN(2) == 0 && shrunk < 6:
			shrunk++
			return shrink(r, &m)
		}
		return b
	}
}

// shrink lets a state tell less of what is stored, and say so or not. One that all is
// there says that it is not.
func shrink(r *rand.Rand, m *wire.Message) []byte {
	st, err := wire.ParseState(m.Data)
	if err == nil && (st.Standing == wire.Busy || st.Standing == wire.Complete) {
		st = wire.NewState(wire.Incomplete)
		st.Told = true
		if k := r.Int64N(30); k > 0 {
			st.Have = []wire.Range{{First: 0, Last: k}}
		}
	}
	if err == nil && len(st.Have) > 0 {
		k := r.IntN(len(st.Have))
		if r.IntN(2) == 0 && k > 0 {
			st.Upto, st.Have = st.Have[k].First, st.Have[:k]
		} else {
			st.Have = append(st.Have[:k:k], st.Have[k+1:]...)
		}
	}
	return wire.AppendState(nil, m.TID, m.Seq, &st)
}

// swallow loses some of what a client sends to liars.
func (sc *bulk) swallow(w *bulkWatch) {
	r := rand.New(rand.NewPCG(sc.seed, 0x5a10+uint64(w.id)))
	for _, a := range []netip.Addr{w.addr4.Addr(), w.addr6.Addr()} {
		sc.world.Host(a).Mutate = func(_ netip.AddrPort, b []byte) []byte {
			if m, err := wire.Parse(b); err == nil && m.Num >= 0 && r.IntN(10) == 0 {
				return nil
			}
			return b
		}
	}
}

// stop draws times in which clients or server stand still, as suspended machines do, and in
// which a client's own host does not send.
func (sc *bulk) stop() {
	r := sc.rng
	pause := func(n *sim.Node, most time.Duration) {
		at, d := sc.span(time.Millisecond, 5*time.Second), sc.span(time.Millisecond, most)
		sc.still += d
		sc.world.At(at, func(time.Time) { n.Pause() })
		sc.world.At(at+d, func(time.Time) { n.Resume() })
	}
	if sc.with("pause", 0.1) {
		most := []time.Duration{500 * time.Millisecond, 40 * time.Second}[r.IntN(2)]
		for _, n := range sc.nodes {
			pause(n, most)
		}
		sc.lossy, sc.faults = true, sc.faults || most > time.Second
	}
	if sc.with("stands", 0.15) { // what comes meanwhile is one burst
		pause(sc.host, 500*time.Millisecond)
		sc.lossy = true
	}
	for _, w := range sc.clients {
		w.late = sc.still > 0
	}
	if sc.with("soft", 0.1) {
		sc.faults = true
		from, d := sc.span(time.Millisecond, 5*time.Second), sc.span(time.Millisecond, 10*time.Second)
		errno := []syscall.Errno{syscall.EPERM, syscall.ENETUNREACH, syscall.ENOBUFS}[r.IntN(3)]
		for _, w := range sc.clients {
			for _, a := range []netip.Addr{w.addr4.Addr(), w.addr6.Addr()} {
				sc.world.Host(a).Refuse = func(netip.AddrPort) syscall.Errno {
					if now := sc.world.Now().Sub(sim.Epoch); now < from || now > from+d {
						return 0
					}
					return errno
				}
			}
		}
	}
	for _, w := range sc.clients {
		if sc.lies {
			sc.swallow(w)
		}
	}
	if sc.with("hole", 0.06) {
		sc.hole(r.IntN(2) == 0)
	}
}

// hole lets large packets vanish on their way: without a word, or a router says so.
func (sc *bulk) hole(told bool) {
	sc.lossy, sc.faults = true, sc.faults || !told // it takes its time to find out
	least := safeSegment + 100 + sc.rng.IntN(2000)
	for _, w := range sc.clients {
		for _, a := range []netip.Addr{w.addr4.Addr(), w.addr6.Addr()} {
			sc.world.Host(a).Mutate = func(to netip.AddrPort, b []byte) []byte {
				if len(b) <= least {
					return b
				}
				if told {
					quote := bytes.Clone(b[:200])
					sc.world.At(sc.world.Now().Sub(sim.Epoch)+time.Millisecond, func(time.Time) {
						w.node.Post(func(now time.Time) {
							w.Fail(now, &loop.Envelope{Peer: to, At: now, Remote: true, Quote: quote}, syscall.EMSGSIZE)
						})
					})
				}
				return nil
			}
		}
	}
}
