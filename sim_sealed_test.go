package mdalp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"mdalp/icmp"
	"mdalp/internal/sim"
	"mdalp/loop"
	"mdalp/seal"
	"mdalp/server"
)

// TestSwarmSealed runs whole sealed transfers through a network in which attackers stand at any
// place: they flip bits, cut, replay, hold back, mix transactions, speak plain in the name of
// others, and know every TID. What they do may cost time, and nothing else. The attacks are in
// sim_sealed_attack_test.go, the checks in sim_sealed_watch_test.go.
func TestSwarmSealed(t *testing.T) {
	ends := campaign(t, *seedCount/10, func(seed uint64, trace io.Writer) world { return newVeiled(seed, trace) })
	if *seedCount >= 400 && !t.Failed() && !*seedShow && ends[class(nil)] == 0 {
		t.Error("no transfer ended well")
	}
}

// A veiled is the scenario of a seed: a server with two keys, one or two clients with the first of
// them, perhaps one with the second that is after their transactions, and attackers on the path.
type veiled struct {
	draw
	world     *sim.World
	keys      [2]seal.Key
	ring      seal.Keyring
	home      netip.AddrPort
	receivers []netip.AddrPort
	cfg       server.Config
	disk      *sim.Disk
	server    *veiledServer
	host      *sim.Node
	clients   []*veiledClient
	nodes     []*sim.Node
	ours      int // clients that are not attackers

	attack float64 // probability that a datagram is attacked
	gentle bool    // nothing is lost by it
	back   bool    // the server is started again
	tapped []packet
	sent   map[string]int // datagrams on their way that are what they seem
	used   map[number]bool
	stream map[string]string // keystreams, and what they were used for
	err    error
}

func (sc *veiled) String() string {
	return fmt.Sprintf("seed %d: %d receivers, %d clients, attack %.3f, gentle %t; on: %s", sc.seed, len(sc.receivers), len(sc.clients),
		sc.attack, sc.gentle, strings.Join(sc.on, " "))
}

func (sc *veiled) events() int64 { return sc.world.Counters().Events }

func (sc *veiled) ended() (errs []error) {
	for _, c := range sc.clients {
		errs = append(errs, c.err)
	}
	return errs
}

// fail keeps the first thing that is wrong.
func (sc *veiled) fail(format string, args ...any) {
	if sc.err == nil {
		sc.err = fmt.Errorf(format, args...)
	}
}

// newVeiled draws the scenario of a seed.
func newVeiled(seed uint64, trace io.Writer) *veiled {
	sc := &veiled{draw: newDraw(seed, 0x5ea1), sent: map[string]int{}, used: map[number]bool{}, stream: map[string]string{}, disk: sim.NewDisk()}
	r := sc.rng
	link := sim.LinkConfig{Delay: sim.Delay{Mean: sim.Millis(sc.span(100*time.Microsecond, 200*time.Millisecond))}}
	if sc.with("loss", 0.2) {
		link.Loss.P = 0.1 * r.Float64()
	}
	if sc.with("duplicates", 0.2) {
		link.Duplicate = 0.3 * r.Float64()
	}
	sc.world = sim.New(sim.Config{Seed: seed, Limit: 2 * time.Hour, Events: 2_000_000, Link: link, Trace: trace,
		Check: func(time.Time) error { return sc.err }})
	for k := range sc.keys {
		sc.keys[k] = seal.Key{byte(seed), byte(seed >> 8), byte(k), 1}
		if err := sc.ring.Add([]string{"ours", "theirs"}[k], sc.keys[k]); err != nil {
			panic(err)
		}
	}
	sc.home = netip.MustParseAddrPort("10.254.0.1:4650")
	sc.cfg = server.Config{IntentRate: -1, Concurrent: 16, Segment: 100 + r.IntN(1400)}
	if sc.with("queue", 0.2) {
		sc.cfg.Concurrent = 1
	}
	for i := range 1 + r.IntN(4) {
		sc.receivers = append(sc.receivers, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, 0, byte(i)}), uint16(4650+r.IntN(2))))
		sc.cfg.Receivers = append(sc.cfg.Receivers, server.Receiver{Addr: sc.receivers[i]})
	}
	sc.server = &veiledServer{sc: sc}
	sc.server.start()
	sc.host = sc.world.Add("server", sc.server, listening(sc.home, sc.receivers)...)
	if sc.with("attack", 0.95) {
		sc.attack = float64(sc.span(time.Millisecond, 300*time.Millisecond)) / float64(time.Second)
		sc.gentle = r.IntN(2) == 0
	}
	for range 1 + r.IntN(2) {
		sc.add(&sc.keys[0], nil, sim.Epoch)
	}
	sc.ours = len(sc.clients)
	sc.stand()
	if sc.with("restart", 0.2) {
		sc.back = true
		sc.restarts()
	}
	return sc
}

// add makes a client that begins now.
func (sc *veiled) add(k *seal.Key, resume *Transaction, now time.Time) {
	r := sc.rng
	size := 1 + r.IntN([]int{3, 40, 40, 200}[r.IntN(4)]*sc.cfg.Segment)
	if resume != nil {
		size = len(sc.clients[0].payload)
	}
	c := &veiledClient{sc: sc, id: len(sc.clients), payload: make([]byte, size),
		addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 200, 0, byte(len(sc.clients))}), 5000)}
	for i := range c.payload {
		c.payload[i] = byte(r.Uint32())
	}
	run, err := newRun(&Config{Orchestrator: sc.home, Key: k, Balance: BalanceEqual, Resume: resume, IntentTimeout: 5 * time.Minute, Segment: r.IntN(2) * (100 + r.IntN(1000))})
	if err != nil {
		panic(err)
	}
	run.resolve = func(string) netip.Addr { return netip.Addr{} } // an attacker makes names of addresses
	c.session = newSession(now, bytes.NewReader(c.payload), int64(size), run, icmp.Off, icmp.Off, 0)
	if k == nil {
		c.outer = c.session
	} else {
		c.outer = seal.NewClient(c, *k, sc.home, rand.NewChaCha8([32]byte{byte(sc.seed), byte(sc.seed >> 8), byte(c.id), 3}))
	}
	sc.clients = append(sc.clients, c)
	sc.nodes = append(sc.nodes, sc.world.Add(fmt.Sprint("client ", c.id), (*veiledNode)(c), sim.Socket{Addrs: []netip.AddrPort{c.addr}}))
}

// restarts has the server killed and started again, without its keys.
func (sc *veiled) restarts() {
	at := sc.span(10*time.Millisecond, 20*time.Second)
	sc.world.At(at, func(time.Time) { sc.host.Kill() })
	sc.world.At(at+sc.span(time.Millisecond, 2*time.Second), func(time.Time) {
		sc.disk = sc.disk.Killed()
		sc.server.start()
		sc.host.Restart(sc.server)
	})
}

// run lets the world go on until all clients have ended, and checks the end.
func (sc *veiled) run() error {
	if err := sc.world.Run(sc.nodes...); err != nil {
		return err
	}
	if err := sc.world.Advance(5 * time.Second); err != nil {
		return err
	}
	files := sc.disk.Files()
	there := func(b []byte) bool {
		for _, f := range files { // order does not show
			if bytes.Equal(f, b) {
				return true
			}
		}
		return false
	}
	for _, c := range sc.clients {
		if c.id >= sc.ours && c.session.resumed() {
			return fmt.Errorf("client %d resumes what another key sealed", c.id)
		}
		switch {
		case !c.session.sealed(), c.session.phase != PhaseFinished: // anybody can tell it anything; nobody waits for thieves
		case c.session.err == nil && !there(c.payload):
			return fmt.Errorf("client %d was told that its payload is complete, and it is not there", c.id)
		case c.id >= sc.ours || c.session.err == nil:
		case sc.quiet || sc.gentle && sc.world.Counters().Lost == 0 && !sc.back:
			return fmt.Errorf("client %d: nothing is wrong enough for: %w", c.id, c.session.err)
		case !errors.Is(c.session.err, ErrIncomplete) && !errors.Is(c.session.err, ErrNoOffer):
			return fmt.Errorf("client %d ends with: %w", c.id, c.session.err)
		}
	}
	for name, f := range files { // order does not show
		ok := !strings.HasSuffix(name, ".bin")
		for _, c := range sc.clients {
			ok = ok || bytes.Equal(f, c.payload)
		}
		if !ok {
			return fmt.Errorf("%s is nobody's payload", name)
		}
	}
	return sc.err
}

// resumed reports whether the server took up what the session asked for.
func (s *session) resumed() bool {
	n := int64(0)
	for _, r := range s.dialog.open.Have {
		n += r.Last - r.First + 1
	}
	return s.cfg.Resume != nil && s.given == 0 && n > 0
}

var (
	_ loop.Handler = (*veiledServer)(nil)
	_ loop.Handler = (*veiledNode)(nil)
	_ seal.Program = (*veiledClient)(nil)
)
