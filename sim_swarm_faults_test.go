package mdalp

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"syscall"
	"time"

	"mdalp/internal/sim"
	"mdalp/loop"
	"mdalp/wire"
)

// drawFaults draws what happens to the hosts.
func (sc *scenario) drawFaults() {
	r := sc.rng
	if sc.failing {
		for _, a := range sc.receivers {
			if r.IntN(3) == 0 {
				sc.fail(sc.world.Host(a.Addr()))
			}
		}
	}
	if sc.restart {
		at := sc.span(10*time.Millisecond, 30*time.Second)
		sc.world.At(at, func(time.Time) { sc.host.Kill() })
		sc.world.At(at+sc.span(time.Millisecond, 10*time.Second), func(now time.Time) {
			sc.server.restart(now)
			sc.host.Restart(sc.server)
		})
	} else if sc.stands {
		at, d := sc.span(10*time.Millisecond, 30*time.Second), sc.span(10*time.Millisecond, 30*time.Second)
		sc.world.At(at, func(now time.Time) {
			sc.server.pause(now, d)
			sc.host.Kill()
		})
		sc.world.At(at+d, func(time.Time) { sc.host.Revive() })
	}
	if sc.with("soft", 0.15) {
		sc.faults = true
		for _, w := range sc.clients {
			sc.soften(w)
		}
	}
	if sc.with("pause", 0.15) {
		sc.pause()
	}
	if sc.with("liars", 0.04) {
		sc.lies = true
	}
	if sc.links.wet {
		for k, a := range sc.receivers {
			sc.damage(a.Addr(), uint64(k))
		}
		for k, w := range sc.clients {
			sc.damage(w.addr4.Addr(), uint64(1000+k))
			sc.damage(w.addr6.Addr(), uint64(2000+k))
		}
	}
}

// fail draws what becomes of a host.
func (sc *scenario) fail(h *sim.Host) {
	r := sc.rng
	down := []sim.State{sim.Silent, sim.Refusing, sim.Unreachable}[r.IntN(3)]
	at := sc.span(time.Millisecond, 30*time.Second)
	switch r.IntN(4) {
	case 0: // dead from the start
		h.State = down
	case 1: // dies
		sc.world.At(at, func(time.Time) { h.State = down })
	case 2: // dies and revives, perhaps twice
		for range 1 + r.IntN(2) {
			sc.world.At(at, func(time.Time) { h.State = down })
			at += sc.span(time.Millisecond, time.Minute)
			sc.world.At(at, func(time.Time) { h.State = sim.Up })
			at += sc.span(time.Millisecond, time.Minute)
		}
	case 3: // slow for a while, or from then on
		slow := sc.span(time.Millisecond, 30*time.Second)
		sc.world.At(at, func(time.Time) { h.Slow = slow })
		if r.IntN(2) == 0 {
			sc.world.At(at+sc.span(time.Second, time.Minute), func(time.Time) { h.Slow = 0 })
		}
	}
}

// soften draws times in which a client's own host refuses to send: all of it, or to some.
func (sc *scenario) soften(w *watch) {
	r := sc.rng
	from := time.Duration(0)
	if r.IntN(2) == 0 {
		from = sc.span(time.Millisecond, 30*time.Second)
	}
	to := from + sc.span(time.Millisecond, 20*time.Second)
	errno := []syscall.Errno{syscall.EPERM, syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.EACCES, syscall.ENOBUFS, syscall.EHOSTDOWN}[r.IntN(6)]
	some := r.IntN(2) == 0
	for _, a := range []netip.Addr{w.addr4.Addr(), w.addr6.Addr()} {
		sc.world.Host(a).Refuse = func(peer netip.AddrPort) syscall.Errno {
			now := sc.world.Now().Sub(sim.Epoch)
			if now < from || now >= to || some && peer.Addr().As16()[15]%2 == 0 {
				return 0
			}
			return errno
		}
	}
}

// pause draws times in which the clients stand still, as suspended machines do.
func (sc *scenario) pause() {
	at := time.Duration(0)
	for range 1 + sc.rng.IntN(3) {
		at += sc.span(time.Millisecond, 20*time.Second)
		d := sc.span(time.Millisecond, 20*time.Second)
		for _, n := range sc.nodes {
			sc.world.At(at, func(time.Time) { n.Pause() })
			sc.world.At(at+d, func(time.Time) { n.Resume() })
		}
		at += d
		sc.paused += d
	}
	sc.varies = true
	for _, w := range sc.clients {
		w.capped = true // timeouts are served late
	}
}

// name puts names into an offer, in place of some of its addresses.
func (w *watch) name(e *loop.Envelope, b []byte) []byte {
	if !w.sc.names || w.phase != PhaseWaiting || e.Peer != w.sc.home {
		return b
	}
	m, err := wire.Parse(b)
	if err != nil || m.Type != wire.Offer || m.Data == nil {
		return b
	}
	rs, err := wire.ParseReceivers(m.Data)
	if err != nil {
		return b
	}
	w.names = map[string]netip.Addr{}
	for k := range rs {
		if a, err := netip.ParseAddr(rs[k].Host); err == nil && w.rng.IntN(2) == 0 {
			rs[k].Host = "receiver-" + strconv.Itoa(k)
			if w.names[rs[k].Host] = a; w.rng.IntN(8) == 0 {
				w.names[rs[k].Host] = netip.Addr{} // nobody knows it
			}
		}
	}
	return wire.AppendOffer(nil, m.TID, rs)
}

// beside looks names up: the answer comes after a while, or never.
func (w *watch) beside(job func() func(now time.Time)) {
	if w.rng.IntN(10) == 0 {
		return
	}
	d := time.Duration(float64(time.Millisecond) * math.Pow(20_000, w.rng.Float64()))
	w.sc.world.At(w.now.Sub(sim.Epoch)+d, func(time.Time) {
		back := job()
		a := w.asked
		w.sc.node(w).Post(func(now time.Time) {
			if w.killed {
				return
			}
			w.clock(now)
			if w.phase == PhasePinging && !w.s.pinging.names.late && a.IsValid() {
				w.found = append(w.found, a)
			}
			back(now)
			w.observe(now)
		})
	})
}

// damage lets datagrams that a host sends arrive with a byte flipped, or cut.
//
// UDP has a checksum: a damaged datagram that still says what another one could
// have said is, in reality, one that never arrives, and if it did arrive no client
// could tell. So what still parses as a message that would be taken (an intent, a
// segment, an acknowledgement) is dropped here, and what remains is what a
// program must survive: garbage that looks almost right. Offers are left
// alone: a garbled one ends a transfer by design.
func (sc *scenario) damage(a netip.Addr, salt uint64) {
	r := rand.New(rand.NewPCG(sc.seed, 0xda3a6e+salt))
	sc.world.Host(a).Mutate = func(_ netip.AddrPort, b []byte) []byte {
		if r.Float64() >= 0.1 || len(b) < 6 || b[5] == '1' {
			return b
		}
		if r.IntN(3) == 0 {
			b = b[:r.IntN(len(b))]
		} else {
			b[r.IntN(min(len(b), 40))] ^= byte(1 + r.IntN(255))
		}
		if m, err := wire.Parse(b); err == nil && (m.Type == wire.Intent || m.Type == wire.Ack && m.Seq >= 0 || m.Type == wire.Data && m.Seq >= 0) {
			return nil
		}
		if len(b) > 5 && string(b[:6]) == "Type:1" {
			return nil
		}
		return b
	}
}

// stranger sends what comes from nobody.
var stranger = netip.MustParseAddrPort("192.0.2.66:4650")

// inject draws hostile datagrams against a client that has just sent segment seq
// to receiver i. They arrive before any answer can. None may change anything: each
// differs in one thing from the acknowledgement that is awaited.
func (w *watch) inject(now time.Time, i int, seq int64) {
	sc, r := w.sc, w.rng
	if sc.world == nil {
		return
	}
	if sc.lies && i%2 == 0 {
		// This receiver acknowledges at once, and has perhaps not got it.
		w.spoof(now, time.Duration(r.Int64N(int64(time.Second))), w.to[i].addr, w.s.tid, seq)
	}
	for range 3 {
		if r.Float64()*3 >= sc.hostile {
			continue
		}
		peer := w.to[i].addr
		switch r.IntN(13) {
		case 0:
			w.spoof(now, 0, stranger, w.s.tid, seq)
		case 1:
			w.spoof(now, 0, netip.AddrPortFrom(peer.Addr(), peer.Port()+1), w.s.tid, seq)
		case 2:
			w.spoof(now, 0, peer, w.s.tid^(1+r.Int64N(7)), seq)
		case 3:
			next := seq + 1 + r.Int64N(3)
			if w.forged == nil {
				w.forged = make(map[flight]bool)
			}
			w.forged[flight{i, next}] = true
			w.spoof(now, 0, peer, w.s.tid, next)
		case 4:
			w.spoof(now, 0, peer, w.s.tid, wire.MaxNumber-r.Int64N(2))
		case 5: // an ack that this receiver gave before, or may have given
			if seq > 0 {
				w.spoof(now, 0, peer, w.s.tid, r.Int64N(seq))
			}
		case 6: // another receiver's segment
			if j := r.IntN(len(w.to)); j != i {
				w.spoof(now, 0, w.to[j].addr, w.s.tid, seq)
			}
		case 7:
			w.spoof(now, 0, sc.home, w.s.tid+1, seq)
		case 8:
			b := make([]byte, r.IntN(80))
			for k := range b {
				b[k] = byte(r.Uint32())
			}
			w.throw(now, 0, peer, b)
		case 9:
			w.throw(now, 0, peer, wire.AppendData(nil, w.s.tid, seq, []byte("Type:3;")))
		case 11: // an error of the network that somebody made up who can only guess
			quotes := [][]byte{nil, []byte("Type:2;TID:"), wire.AppendDataHeader(nil, w.s.tid^(1+r.Int64N(7)), seq), wire.AppendDataHeader(nil, w.s.tid, seq+1+r.Int64N(9))}
			w.forge(now, peer, quotes[r.IntN(len(quotes))])
		case 12: // one that quotes what is out, and may pass
			w.reject(now, peer, syscall.EHOSTUNREACH, wire.AppendDataHeader(nil, w.s.tid, seq))
		case 10: // an offer that comes too late, and garbage for the server
			w.throw(now, 0, sc.home, wire.AppendOffer(nil, 77, []wire.Receiver{{Host: "10.1.0.0"}}))
			sc.world.Inject(now.Sub(sim.Epoch), stranger, peer, wire.AppendData(nil, w.s.tid+1+r.Int64N(9), seq, []byte("garbage")))
		}
	}
}

// forge lets a refusal come in, with what is said to be quoted.
func (w *watch) forge(now time.Time, peer netip.AddrPort, quote []byte) {
	w.reject(now, peer, []syscall.Errno{syscall.ECONNREFUSED, syscall.ENOPROTOOPT, syscall.EPROTO}[w.rng.IntN(3)], quote)
}

// reject lets an error of the network come in.
func (w *watch) reject(now time.Time, peer netip.AddrPort, err error, quote []byte) {
	w.sc.world.At(now.Sub(sim.Epoch), func(time.Time) {
		w.sc.node(w).Post(func(now time.Time) {
			if !w.killed {
				w.Fail(now, &loop.Envelope{Peer: peer, At: now, Remote: true, Quote: quote}, err)
			}
		})
	})
}

// seduce draws offers from others than the orchestrator, and other things from it.
func (w *watch) seduce(now time.Time) {
	if w.rng.Float64()*2 >= w.sc.hostile {
		return
	}
	offer := wire.AppendOffer(nil, 666, []wire.Receiver{{Host: stranger.Addr().String()}})
	w.throw(now, 0, stranger, offer)
	w.throw(now, 0, netip.AddrPortFrom(w.sc.home.Addr(), w.sc.home.Port()+1), offer)
	w.throw(now, 0, w.sc.home, []byte("Type:3;TID:666;SEQ:0;"))
	w.throw(now, 0, w.sc.home, []byte("Type:;"))
	w.throw(now, 0, w.sc.home, nil)
}

// spoof lets an acknowledgement arrive after d.
func (w *watch) spoof(now time.Time, d time.Duration, from netip.AddrPort, tid, seq int64) {
	b := append([]byte("Type:3;TID:"), strconv.FormatInt(max(0, tid), 10)...)
	b = append(b, ";SEQ:"...)
	w.throw(now, d, from, append(strconv.AppendInt(b, max(0, seq), 10), ';'))
}

// throw lets a datagram arrive after d.
func (w *watch) throw(now time.Time, d time.Duration, from netip.AddrPort, b []byte) {
	w.sc.world.Inject(now.Sub(sim.Epoch)+d, from, w.addr(from.Addr()), b)
}

var _ loop.Handler = (*recorder)(nil)
