package mdalp

import (
	"crypto/sha256"
	"fmt"
	"io"
	"math"
	"net/netip"
	"strings"
	"time"

	"mdalp/icmp"
	"mdalp/internal/sim"
	"mdalp/loop"
	"mdalp/server"
)

// forever is longer than any transfer of the swarm may take.
const forever = 900 * time.Hour

// A scenario is what a seed stands for: a world with a server, its receivers and
// one or two clients, and what is wrong with it.
type scenario struct {
	draw
	world     *sim.World
	home      netip.AddrPort // of the orchestrator
	receivers []netip.AddrPort
	payloads  [][]byte // one for each client
	server    *recorder
	clients   []*watch
	follower  []byte      // payload of a client that comes at the first one's port, or nil
	followed  bool        // it has come
	nodes     []*sim.Node // of the clients
	host      *sim.Node   // of the server
	apart     *apart      // its parts, or nil

	cfg    run // of all clients
	buffer int // receive buffer of the clients, bytes
	mode   icmp.Mode
	links  features

	// What the checks need to know.
	failing bool // hosts fail
	faults  bool // hosts fail, paths are cut, time is short: anything may remain undelivered
	lies    bool // receivers acknowledge what they do not have
	varies  bool // delays are not the same for all datagrams of a path
	lossy   bool // datagrams get lost or doubled
	restart bool
	stands  bool          // the server stands still for a while
	names   bool          // offers name receivers
	paused  time.Duration // how long the clients stand still in all
	hostile float64       // datagrams injected for each segment sent
	lose    float64       // most loss of a round trip, each datagram on its own
	trip    time.Duration // most a round trip can take
	reader  float64       // probability that a read of the payload fails
}

// String tells what is on.
func (sc *scenario) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: %d receivers, balance %v, tries %d, rto %v, ping %v, buffer %d", sc.seed, len(sc.receivers), sc.cfg.Balance, sc.cfg.Tries, sc.cfg.RTO, sc.mode, sc.buffer)
	for _, w := range sc.clients {
		fmt.Fprintf(&b, ", %d bytes", len(w.payload))
	}
	fmt.Fprintf(&b, "; on: %s", strings.Join(sc.on, " "))
	return b.String()
}

// newScenario draws the scenario of a seed.
func newScenario(seed uint64, trace io.Writer) *scenario { return drawScenario(seed, trace, false) }

// drawScenario draws it, with a server that is one program, or in parts.
func drawScenario(seed uint64, trace io.Writer, parts bool) *scenario {
	sc := &scenario{draw: newDraw(seed, 0x6d64616c70), cfg: run{Config: Config{Balance: Balance(seed % 4)}}}
	closed := []sim.State{sim.Silent, sim.Refusing}[sc.rng.IntN(2)]
	sc.world = sim.New(sim.Config{Seed: seed, Limit: 1000 * time.Hour, Closed: closed, Check: sc.check, Trace: trace})
	sc.drawConfig()
	sc.drawLinks()
	sc.drawServer(parts)
	sc.drawClients()
	sc.drawFaults()
	if x := sc.apart; x != nil {
		sc.trip += x.trip
		sc.lossy, sc.varies, sc.faults = sc.lossy || x.lossy, sc.varies || x.varies, sc.faults || x.lossy
	}
	return sc
}

// drawConfig draws how the clients behave.
func (sc *scenario) drawConfig() {
	r, c := sc.rng, &sc.cfg
	c.Tries = 8
	if sc.with("tries", 0.3) {
		c.Tries = 1 + r.IntN(12)
	}
	if sc.with("rto", 0.3) {
		c.RTO = RTO(sc.span(50*time.Millisecond, 5*time.Second))
	}
	c.NoFailover = sc.with("no-failover", 0.2)
	if sc.with("deadline", 0.1) {
		c.Deadline, sc.faults = sc.span(10*time.Millisecond, 100*time.Second), true
	}
	if sc.with("buffer", 0.2) {
		sc.buffer = 1300 * (1 + r.IntN(12))
	}
	if r.IntN(2) == 0 { // windows instead of the whole payload
		c.memory = 1 + r.Int64N(64<<10)
	}
	if sc.with("progress", 0.1) {
		c.ProgressEvery = sc.span(time.Second, time.Minute)
	}
	if sc.with("unreadable", 0.03) {
		sc.reader, sc.faults = r.Float64()*0.2, true
	}
	sc.mode = icmp.Raw
	switch {
	case sc.with("ping-off", 0.15):
		sc.mode = icmp.Off
	case sc.with("echoes", 0.2):
		c.Echoes = 1 + r.IntN(5)
		c.EchoTimeout = sc.span(time.Millisecond, 5*time.Second)
	}
}

// drawServer draws the server and where its receivers are.
func (sc *scenario) drawServer(parts bool) {
	r := sc.rng
	n := 0
	switch k := r.IntN(100); {
	case k < 60:
		n = 1 + r.IntN(4)
	case k < 85:
		n = 5 + r.IntN(8)
	case k < 97:
		n = 13 + r.IntN(38)
	default:
		n = 51 + r.IntN(150)
	}
	six, ports, same := sc.with("ipv6", 0.2), sc.with("ports", 0.3), sc.with("same-host", 0.15)
	if six { // an orchestrator of IPv4 alone would make a socket that cannot reach them
		sc.cfg.Bind = netip.IPv6Unspecified()
	}
	cfg := server.Config{Base: true, Limit: forever, Idle: forever, IntentRate: -1, Concurrent: 4, Remember: 16}
	for i := range n {
		a := netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})
		if six && r.IntN(2) == 0 {
			a = netip.AddrFrom16([16]byte{0xfd, 15: byte(i)})
		}
		port := uint16(Port)
		if ports && r.IntN(2) == 0 {
			port = uint16(1024 + r.IntN(3000))
		}
		if same && i > 0 && r.IntN(2) == 0 {
			a, port = sc.receivers[i-1].Addr(), 10000+uint16(i)
		}
		sc.receivers = append(sc.receivers, netip.AddrPortFrom(a, port))
		cfg.Receivers = append(cfg.Receivers, server.Receiver{Addr: sc.receivers[i], Name: fmt.Sprint(i)})
	}
	sc.home = netip.MustParseAddrPort("10.254.0.1:4650")
	if r.IntN(8) == 0 && !parts {
		sc.home = sc.receivers[0] // as a server with a single address
	}
	if sc.with("limit", 0.1) {
		cfg.Limit, sc.faults = sc.span(time.Second, 90*time.Second), true
	}
	if sc.stands = sc.with("pause", 0.05); sc.stands {
		sc.faults = true
	}
	if sc.with("idle", 0.05) || sc.stands && sc.with("pause-idle", 0.7) {
		cfg.Idle, sc.faults = sc.span(time.Second, 20*time.Second), true
	}
	if sc.with("offer-delay", 0.1) {
		cfg.OfferDelay = sc.span(time.Millisecond, time.Minute)
	}
	sc.payloads = append(sc.payloads, sc.drawPayload(0))
	if r.IntN(5) == 0 {
		sc.payloads = append(sc.payloads, sc.drawPayload(1))
	} else if r.IntN(3) == 0 {
		cfg.Expect = &server.Payload{Size: int64(len(sc.payloads[0])), SHA256: sha256.Sum256(sc.payloads[0])}
	}
	var store float64
	if sc.with("store", 0.1) {
		store, sc.lossy = 0.3*r.Float64(), true
	}
	var unable float64
	if sc.with("publish", 0.15) {
		unable = 0.9 * r.Float64()
	}
	var late time.Duration
	if sc.with("beside", 0.3) {
		late = sc.span(time.Millisecond, 10*time.Second)
	}
	socks := listening(sc.home, sc.receivers)
	if parts {
		sc.apart, socks = newApart(&sc.draw, sc.home)
	}
	sc.server = newRecorder(sc, cfg, store, unable, late)
	sc.host = sc.world.Add("server", sc.server, socks...)
	if parts {
		sc.apart.join(sc.world, &sc.draw, sc.receivers, sc.server)
	}
}

// run lets the world go on until all clients have ended, and checks the end.
func (sc *scenario) run() error {
	if err := sc.world.Run(sc.nodes...); err != nil {
		return err
	}
	if sc.follower != nil && !sc.followed {
		if err := sc.world.Advance(sc.gap()); err != nil {
			return err
		}
		sc.follow(sc.world.Now())
		if err := sc.world.Run(sc.nodes...); err != nil {
			return err
		}
	}
	sc.server.close(sc.world.Now())
	for _, w := range sc.clients {
		if w.killed {
			continue
		}
		if err := w.end(); err != nil {
			return fmt.Errorf("client %d: %w", w.id, err)
		}
	}
	return sc.server.err
}

// check is called after every event.
func (sc *scenario) check(now time.Time) error {
	if sc.server.err != nil {
		return fmt.Errorf("server: %w", sc.server.err)
	}
	for _, w := range sc.clients {
		if w.stalled(now); w.err != nil {
			return fmt.Errorf("client %d: %w", w.id, w.err)
		}
	}
	return nil
}

// calm reports whether a payload of that many segments must arrive: nobody fails,
// there is time, and that some segment is lost as often as it is sent early enough for
// its answer to come has a probability below 1e-9.
func (sc *scenario) calm(segments int64) bool {
	if sc.faults || sc.lies {
		return false
	}
	// The receiver is dead after the sum of its timeouts: with a timer that is not
	// fixed at least these, by RFC 6298 with our bounds.
	timeouts := make([]time.Duration, sc.cfg.Tries)
	for k := range timeouts {
		if timeouts[k] = time.Duration(sc.cfg.RTO); sc.cfg.RTO == 0 {
			timeouts[k] = min(200*time.Millisecond<<min(k, 10), 6*time.Second)
		}
	}
	early, first := sc.early(timeouts, len(timeouts)), sc.early(timeouts, min(firstSegments, len(timeouts)))
	intents := 100 * time.Second / max(sc.cfg.IntentRetry, 1)
	odds := float64(segments)*math.Pow(sc.lose, early) + float64(len(sc.receivers))*math.Pow(sc.lose, first)
	return odds < 1e-9 && early > 0 &&
		math.Pow(sc.lose, float64(intents)) < 1e-9 && sc.trip < 50*time.Second
}

// early counts the transmissions, of n, whose answer comes before their receiver is dead: the
// last of them is waited for as long as is left of the timeouts. Forged errors may quarter
// all waits but that.
func (sc *scenario) early(timeouts []time.Duration, n int) (count float64) {
	var waits []time.Duration
	var patience time.Duration
	for k, d := range timeouts {
		if k < n-1 && sc.hostile > 0 {
			d /= 4
		}
		waits = append(waits, d)
		patience += d
	}
	for _, d := range waits[:n] {
		if sc.trip < patience {
			count++
		}
		patience -= d
	}
	return count
}

var _ loop.Handler = (*watch)(nil)
