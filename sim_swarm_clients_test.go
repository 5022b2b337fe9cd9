package mdalp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/netip"
	"time"

	"mdalp/internal/sim"
)

// drawClients draws the clients, their payloads and their paths.
func (sc *scenario) drawClients() {
	r, n := sc.rng, len(sc.receivers)
	sc.failing, sc.restart = sc.with("hosts", 0.3), sc.with("restart", 0.05)
	sc.stands = sc.with("stands", 0.05)
	sc.faults = sc.faults || sc.failing || sc.restart || sc.stands
	// A lost intent or offer must not be waited for without end.
	c := &sc.cfg
	if sc.lossy || sc.faults || sc.with("intent", 0.2) {
		c.IntentRetry = sc.span(200*time.Millisecond, 5*time.Second)
		c.IntentTimeout = sc.server.cfg.OfferDelay + 100*time.Second
		if !sc.quiet && r.IntN(10) == 0 {
			c.IntentTimeout, sc.faults = sc.span(time.Millisecond, time.Minute), true
		}
	}
	if sc.with("orchestrator", 0.03) { // it may be one of the receivers too
		c.IntentTimeout, sc.faults = time.Minute, true
		sc.world.Host(sc.home.Addr()).State = []sim.State{sim.Silent, sim.Refusing, sim.Unreachable}[r.IntN(3)]
	}
	if c.Receiver = 1 + r.IntN(n); c.Balance == BalanceNone && sc.with("no-such-receiver", 0.05) {
		c.Receiver = n + 1
	}
	c.Orchestrator = sc.home
	sc.names = sc.with("names", 0.1)
	if sc.with("hostile", 0.3) {
		sc.hostile = 2 * r.Float64()
	}
	base := make([]time.Duration, n)
	for i := range base {
		base[i] = time.Duration(float64(sc.links.base) * math.Pow(10, r.Float64()-0.5))
	}
	offer := int64(1000 + 100*n)
	for k, p := range sc.payloads {
		w := newWatch(sc, k, p)
		sc.clients = append(sc.clients, w)
		for i, a := range sc.receivers {
			from := w.addr(a.Addr())
			sc.world.Path(from.Addr(), a.Addr(), sc.link(base[i], offer))
			sc.world.Path(a.Addr(), from.Addr(), sc.link(base[i], offer))
			ping := sc.link(base[i]/5+1, 4096)
			ping.Clogs = nil
			sc.world.PingPath(from.Addr(), a.Addr(), ping)
		}
		if sc.home != sc.receivers[0] {
			sc.world.Path(w.addr4.Addr(), sc.home.Addr(), sc.link(base[0], offer))
			sc.world.Path(sc.home.Addr(), w.addr4.Addr(), sc.link(base[0], offer))
		}
	}
	switch pings := r.IntN(4); {
	case pings == 0 && sc.with("silent", 0.5):
	case pings == 1 && sc.with("some-silent", 0.5):
		for i, a := range sc.receivers {
			if i%2 == 0 {
				sc.world.Host(a.Addr()).Echo = sim.EchoReply
			}
		}
	default:
		for _, a := range sc.receivers {
			sc.world.Host(a.Addr()).Echo = sim.EchoReply
		}
	}
	if sc.lose = 2*sc.links.loss + sc.server.refuse; sc.links.wet {
		sc.lose += 0.2 // damage may turn into loss, both ways
	}
	sc.lose = min(1, sc.lose)
	for _, w := range sc.clients {
		sc.add(w)
	}
	if sc.with("same-port", 0.15) {
		if sc.follower = sc.drawPayload(1); sc.server.cfg.Expect != nil {
			sc.follower = sc.payloads[0] // nothing else is taken
		}
		if r.IntN(3) == 0 {
			sc.world.At(sc.span(time.Millisecond, 30*time.Second), sc.kill)
		}
	}
}

// kill ends the first client where it is. Another one takes its port.
func (sc *scenario) kill(now time.Time) {
	w := sc.clients[0]
	if w.phase == PhaseFinished || sc.followed {
		return
	}
	w.killed = true
	sc.nodes[0].Kill()
	sc.world.At(now.Sub(sim.Epoch)+sc.gap(), sc.follow)
}

// gap is long enough for all that is under way to have arrived, and to be answered.
// What comes later than that, nobody can tell from what is meant for him.
func (sc *scenario) gap() time.Duration {
	d := 2*sc.trip + time.Millisecond
	if sc.failing || sc.apart != nil { // hosts that are slow, receivers that ask again
		d += time.Minute
	}
	return d
}

// follow lets a client start where the first one was.
func (sc *scenario) follow(now time.Time) {
	if sc.followed {
		return
	}
	sc.followed = true
	w := newWatch(sc, len(sc.clients), sc.follower)
	w.addr4, w.addr6 = sc.clients[0].addr4, sc.clients[0].addr6
	w.capped = sc.paused > 0
	sc.clients = append(sc.clients, w)
	sc.session(w, now)
	sc.nodes[0].Restart(w)
}

// node is where a client runs; one that follows another is where that was.
func (sc *scenario) node(w *watch) *sim.Node {
	if w.id < len(sc.nodes) {
		return sc.nodes[w.id]
	}
	return sc.nodes[0]
}

// add lets a client start.
func (sc *scenario) add(w *watch) {
	sc.session(w, sim.Epoch)
	sc.nodes = append(sc.nodes, sc.world.Add(fmt.Sprint("client ", w.id), w,
		sim.Socket{Addrs: []netip.AddrPort{w.addr4, w.addr6}},
		sim.Socket{Addrs: []netip.AddrPort{netip.AddrPortFrom(w.addr4.Addr(), 0)}, ICMP: true},
		sim.Socket{Addrs: []netip.AddrPort{netip.AddrPortFrom(w.addr6.Addr(), 0)}, ICMP: true}))
	w.observe(sim.Epoch)
}

// session makes the session of a client.
func (sc *scenario) session(w *watch, now time.Time) {
	c, err := w.config().withDefaults()
	if err != nil {
		panic(err)
	}
	var src io.ReaderAt = bytes.NewReader(w.payload)
	if sc.reader > 0 {
		src = &unreliable{src, sc.reader, rand.New(rand.NewPCG(sc.seed, 7))}
	}
	w.cfg, w.progress = c, now
	w.s = newSession(now, src, int64(len(w.payload)), c, sc.mode, sc.mode, sc.buffer)
}

// drawPayload draws a payload: mostly small, of all values.
func (sc *scenario) drawPayload(k int) []byte {
	r, n := sc.rng, len(sc.receivers)
	var size int
	switch d := r.IntN(100); {
	case d < 2:
	case d < 5:
		size = 1 + r.IntN(3)
	case d < 10:
		size = max(1, 100*r.IntN(3*n)+r.IntN(3)-1)
	case d < 91 || k > 0 || n > 50:
		size = int(math.Pow(20_000, r.Float64()))
	case n > 12:
		size = int(20_000 * math.Pow(10, r.Float64()))
	default:
		size = int(20_000 * math.Pow(50, r.Float64()))
	}
	b := make([]byte, size)
	for i := 0; i < size; i += 8 {
		x := r.Uint64()
		for j := range min(8, size-i) {
			b[i+j] = byte(x >> (8 * j))
		}
	}
	return b
}

// unreliable is a file that can not be read now and then.
type unreliable struct {
	io.ReaderAt
	p float64
	r *rand.Rand
}

var errRead = errors.New("read error")

func (u *unreliable) ReadAt(b []byte, off int64) (int, error) {
	if u.r.Float64() < u.p {
		return 0, errRead
	}
	return u.ReaderAt.ReadAt(b, off)
}
