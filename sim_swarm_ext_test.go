package mdalp

import (
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"mdalp/icmp"
	"mdalp/internal/sim"
	"mdalp/server"
)

// TestSwarmExtended runs whole transfers of the extended protocol as TestSwarm does those of
// the base one, with the same flags. The checks are those of sim_watch_ext_test.go and
// sim_vault_test.go.
func TestSwarmExtended(t *testing.T) {
	ends := campaign(t, *seedCount, func(seed uint64, trace io.Writer) world { return newBulk(seed, trace) })
	if *seedCount >= 1000 && !t.Failed() && !*seedShow {
		for _, c := range []error{nil, ErrIncomplete, ErrRefused, ErrPayload} {
			if ends[class(c)] == 0 {
				t.Errorf("no transfer ended with: %s", class(c))
			}
		}
	}
}

// A bulk is the scenario of a seed of the extended protocol: a server and its receivers,
// one or two clients, links that they share with a flow of another kind, and what is wrong.
type bulk struct {
	draw
	world     *sim.World
	home      netip.AddrPort // of the orchestrator
	receivers []netip.AddrPort
	payloads  [][]byte
	server    *vault
	host      *sim.Node
	apart     *apart // the parts of the server, or nil
	clients   []*bulkWatch
	nodes     []*sim.Node

	cfg   run // of all clients
	mode  icmp.Mode
	links bulkLinks
	route int // packets of the routes, as clients are told; 0: nothing

	faults  bool          // anything may remain undelivered
	lossy   bool          // datagrams get lost, or are late enough to look so
	lies    bool          // receivers acknowledge what they have not got, for a while
	silent  bool          // no state arrives, for a while or for good
	shrinks bool          // states tell less than is stored
	hostile float64       // forged datagrams for each that is sent
	reader  float64       // probability that a read fails
	late    time.Duration // most that a job beside a client takes
	still   time.Duration // how long client or server stand still in all
	trip    time.Duration // most that a round trip takes
}

func (sc *bulk) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: %d receivers, balance %v, segment %d, window %d, rate %d, ping %v; server: segment %d, window %d", sc.seed, len(sc.receivers), sc.cfg.Balance,
		sc.cfg.Segment, sc.cfg.Window, sc.cfg.Rate, sc.mode, sc.server.cfg.Segment, sc.server.cfg.Window)
	for _, w := range sc.clients {
		fmt.Fprintf(&b, ", %d bytes", len(w.payload))
	}
	fmt.Fprintf(&b, "; on: %s", strings.Join(sc.on, " "))
	return b.String()
}

func (sc *bulk) events() int64 { return sc.world.Counters().Events }

func (sc *bulk) ended() (errs []error) {
	for _, w := range sc.clients {
		errs = append(errs, w.s.err)
	}
	return errs
}

// newBulk draws the scenario of a seed.
func newBulk(seed uint64, trace io.Writer) *bulk { return drawBulk(seed, trace, false) }

// drawBulk draws it, with a server that is one program, or in parts.
func drawBulk(seed uint64, trace io.Writer, parts bool) *bulk {
	sc := &bulk{draw: newDraw(seed, 0x62756c6b), cfg: run{Config: Config{Balance: Balance(seed % 4)}}}
	cfg := sim.Config{Seed: seed, Limit: 3 * time.Hour, Events: 3_000_000, Check: sc.check, Trace: trace}
	if sc.with("mtu", 0.15) && !parts { // the first link takes no more; between parts it would not do
		cfg.MaxDatagram = 1300 + sc.rng.IntN(4000)
	}
	sc.world = sim.New(cfg)
	sc.drawServer(parts)
	sc.drawClient()
	sc.drawLinks()
	sc.drawFaults()
	if x := sc.apart; x != nil {
		sc.trip += x.trip
		sc.lossy, sc.faults = sc.lossy || x.lossy || x.varies, sc.faults || x.lossy
	}
	for k, p := range sc.payloads {
		sc.add(newBulkWatch(sc, k, p))
	}
	sc.stop()
	return sc
}

// drawServer draws the server, its receivers and its store.
func (sc *bulk) drawServer(parts bool) {
	r := sc.rng
	n := 1 + r.IntN(4)
	if r.IntN(4) == 0 {
		n = 5 + r.IntN(8)
	}
	cfg := server.Config{IntentRate: -1, Concurrent: 4, Remember: 16, Idle: 5 * time.Second, Segment: wireSize(sc)}
	six := sc.with("ipv6", 0.1)
	if six {
		sc.cfg.Bind = netip.IPv6Unspecified()
	}
	for i := range n {
		a := netip.AddrFrom4([4]byte{10, 1, 0, byte(i)})
		if six && r.IntN(2) == 0 {
			a = netip.AddrFrom16([16]byte{0xfd, 15: byte(i)})
		}
		port := uint16(Port)
		if r.IntN(4) == 0 {
			port = uint16(1024 + r.IntN(3000))
		}
		sc.receivers = append(sc.receivers, netip.AddrPortFrom(a, port))
		cfg.Receivers = append(cfg.Receivers, server.Receiver{Addr: sc.receivers[i]})
		sc.world.Host(a).Echo = sim.EchoReply
	}
	if sc.home = netip.MustParseAddrPort("10.254.0.1:4650"); r.IntN(8) == 0 && !parts {
		sc.home = sc.receivers[0]
	}
	switch r.IntN(6) {
	case 0:
		cfg.Window = 1
	case 1:
		cfg.Window = 1 << 20
	case 2:
		cfg.Window = 1 + r.IntN(64)
	case 3:
		cfg.Buffers = []int{20_000 + r.IntN(100_000)}
	}
	if sc.with("silence", 0.05) {
		cfg.Silence, sc.faults = sc.span(2*time.Second, time.Minute), true
	}
	sc.payloads = append(sc.payloads, sc.drawPayload(cfg.Segment))
	if r.IntN(6) == 0 {
		sc.payloads = append(sc.payloads, sc.drawPayload(cfg.Segment))
	}
	if sc.with("too-large", 0.02) {
		cfg.MaxBytes, sc.faults = int64(max(1, len(sc.payloads[0])/2)), true
	}
	if sc.with("source-full", 0.03) {
		cfg.SourceBytes, sc.faults = int64(max(1, len(sc.payloads[0])/2)), true
	}
	socks := listening(sc.home, sc.receivers)
	if parts {
		sc.apart, socks = newApart(&sc.draw, sc.home)
	}
	sc.server = newVault(sc, cfg)
	sc.host = sc.world.Add("server", sc.server, socks...)
	if parts {
		sc.apart.join(sc.world, &sc.draw, sc.receivers, sc.server)
	}
}

// wireSize draws how large segments may be.
func wireSize(sc *bulk) int {
	switch sc.rng.IntN(4) {
	case 0:
		return server.DefaultSegment
	case 1:
		return 100 + sc.rng.IntN(8093)
	}
	return 100 + sc.rng.IntN(1200)
}

// drawPayload draws a payload of mostly few segments.
func (sc *bulk) drawPayload(segment int) []byte {
	r := sc.rng
	segment = min(segment, safeSegment)
	var size int
	switch d := r.IntN(100); {
	case d < 2:
		size = r.IntN(2)
	case d < 10:
		size = 1 + segment*r.IntN(4) + r.IntN(3)
	case d < 50:
		size = 1 + r.IntN(20*segment)
	case d < 97:
		size = 1 + r.IntN(200*segment)
	default:
		size = 1 + r.IntN(2000*segment)
	}
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// drawClient draws how the clients behave.
func (sc *bulk) drawClient() {
	r, c := sc.rng, &sc.cfg
	c.Orchestrator = sc.home
	c.Receiver = 1 + r.IntN(len(sc.receivers))
	c.IntentRetry, c.IntentTimeout = 2*time.Second, 5*time.Minute
	c.NoVerify = r.IntN(5) == 0
	c.NoFailover = sc.with("no-failover", 0.15)
	if r.IntN(4) == 0 {
		c.Segment = 100 + r.IntN(3000)
	}
	if r.IntN(5) == 0 {
		c.Window = 1 + r.IntN(32)
	}
	if sc.with("rate-cap", 0.2) {
		c.Rate = int64(sc.span(5_000, 5_000_000))
	}
	if sc.with("deadline", 0.05) {
		c.Deadline, sc.faults = sc.span(10*time.Millisecond, 100*time.Second), true
	}
	if r.IntN(2) == 0 {
		c.memory = 1 + r.Int64N(64<<10)
	}
	if r.IntN(5) == 0 {
		c.ProgressEvery = sc.span(100*time.Millisecond, time.Minute)
	}
	if sc.with("unreadable", 0.03) {
		sc.reader, sc.faults = r.Float64()*0.2, true
	}
	if sc.mode = icmp.Raw; sc.with("ping-off", 0.2) {
		sc.mode = icmp.Off
	}
	if r.IntN(2) == 0 { // as the routes have it; the first link may have less
		sc.route = 1300 + r.IntN(8000)
	}
	if sc.with("beside", 0.3) {
		sc.late = sc.span(time.Millisecond, 5*time.Second)
	}
}

// run lets the world go on until all clients have ended, and checks the end.
func (sc *bulk) run() error {
	if err := sc.world.Run(sc.nodes...); err != nil {
		return err
	}
	// What is under way arrives, and changes nothing any more.
	if err := sc.world.Advance(sc.trip + time.Second); err != nil {
		return err
	}
	sc.server.close(sc.world.Now())
	sc.lossy = sc.lossy || sc.apart.dropped()
	for _, w := range sc.clients {
		if err := w.end(); err != nil {
			return fmt.Errorf("client %d: %w", w.id, err)
		}
	}
	return sc.server.err
}

// check is called after every event.
func (sc *bulk) check(now time.Time) error {
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
