package fleet

import (
	"bytes"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"mdalp/fleet/engine"
	"mdalp/fleet/engine/model"
	"mdalp/internal/bugs"
	"mdalp/internal/sim"
	"mdalp/loop"
	"mdalp/server"
)

var (
	seedCount = flag.Int("seeds", 60, "how many scenarios of a fleet are played")
	seedFirst = flag.Uint64("seed", 1, "the first of them")
	seedLog   = flag.Bool("seedlog", false, "write what the programs of a scenario log")
)

// A program is an orchestrator or a receiver.
type program interface {
	loop.Handler
	Drain(now time.Time)
	Close(now time.Time)
}

// A proc is a process of the fleet, which may be killed and started again.
type proc struct {
	f      *fleetWorld
	id     string
	addr   netip.AddrPort
	orch   bool
	starts int
	life   *model.Life
	client *model.Client
	folder *stepFolder
	box    *sim.Machine // that it runs on; nil where all run on the disk's
	node   *sim.Node
	prog   program
	off    time.Duration // how far its clock is ahead
	slept  time.Duration // how long its machine was suspended
	late   time.Duration // how long its loop has been blocked when it looks
}

// A fleetWorld is a scenario.
type fleetWorld struct {
	t       *testing.T
	seed    uint64
	rng     *rand.Rand
	world   *sim.World
	m       *model.Model
	disk    *sim.Disk
	named   map[string]int // how often payloads got their names
	hosts   hosts
	seals   sealing
	ills    ills
	orchs   []*proc
	rcvs    []*proc
	procs   map[string]*proc         // the same, by name
	last    map[int64]*engine.Record // written, by transaction
	clients []*simClient
	nodes   []*sim.Node
	tally   map[string]int
	quiet   bool // nothing goes wrong but at the clients' links
	err     error
	log     *slog.Logger
}

func (f *fleetWorld) fail(format string, args ...any) {
	if f.err == nil {
		f.err = fmt.Errorf(format, args...)
	}
}

// start makes a process's program anew.
func (p *proc) start() program {
	f := p.f
	p.starts++
	p.life = f.m.Life(p.post)
	p.client = f.m.Client(p.life)
	if p.orch {
		var seed [32]byte
		copy(seed[:], fmt.Sprint(f.seed, p.id, p.starts))
		o, err := NewOrchestrator(OrchestratorConfig{Engine: p.client, Folder: p.folder, Token: "t",
			ID: fmt.Sprintf("%s-%d", p.id, p.starts), Addr: p.addr, PerOffer: 3, Names: p.gives(), Log: f.log, Keys: p.keyed(),
			Server: server.Config{Seed: seed}, Beside: p.life.Beside, Pause: f.m.Pause})
		if err != nil {
			f.t.Fatal(err)
		}
		return p.clock(o)
	}
	r, err := NewReceiver(ReceiverConfig{Engine: p.client, Folder: p.folder, Token: "t", ID: p.id, Addr: p.addr,
		Segment: 1000, Log: f.log, Keys: p.keyed(), Beside: p.life.Beside, Now: p.now,
		Slept: func() time.Duration { return p.slept }, Post: p.post})
	if err != nil {
		f.t.Fatal(err)
	}
	if err := r.Serve(); err != nil {
		f.t.Fatal(err)
	}
	return p.clock(r)
}

func (f *fleetWorld) add(name string, a netip.AddrPort, orch bool) *proc {
	p := &proc{f: f, id: name, addr: a, orch: orch, off: f.drawClock()}
	f.house(p)
	f.procs[name] = p
	h := p.start()
	f.watch(a)
	p.node = f.world.Add(name, h, sim.Socket{Addrs: []netip.AddrPort{a}, PacketInfo: true})
	return p
}

// newFleet draws a scenario.
func newFleet(t *testing.T, seed uint64, tally map[string]int) *fleetWorld {
	f := &fleetWorld{t: t, seed: seed, tally: tally, rng: rand.New(rand.NewPCG(seed, 0xf1ee7)),
		procs: make(map[string]*proc), last: make(map[int64]*engine.Record)}
	f.log = slog.New(listener{slog.DiscardHandler, f})
	if *seedLog {
		f.log = slog.New(listener{slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug,
			ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
				if a.Key == slog.TimeKey && f.world != nil {
					return slog.Duration("t", f.world.Now().Sub(sim.Epoch))
				}
				return a
			}}), f})
	}
	r := f.rng
	link := sim.LinkConfig{Delay: sim.Delay{Kind: sim.Uniform, Mean: sim.Millis(20 * time.Millisecond), Spread: sim.Millis(15 * time.Millisecond)},
		Queue: 1 << 20}
	if r.IntN(2) == 0 {
		link.Loss.P = 0.15 * r.Float64()
		link.Duplicate = 0.1 * r.Float64()
	}
	f.drawIlls()
	if f.ills.alone {
		link.Loss.P, link.Duplicate = 0, 0
	}
	f.world = sim.New(sim.Config{Seed: seed, Link: link, Limit: 40 * time.Minute,
		Check: func(time.Time) error { return f.err }})
	faults := model.Faults{Delay: time.Duration(1+r.IntN(60)) * time.Millisecond}
	if r.IntN(2) == 0 {
		faults.Lost, faults.Late, faults.Stale = 0.1*r.Float64(), r.Float64(), 0.3*r.Float64()
	}
	if f.ills.alone {
		faults = model.Faults{Delay: faults.Delay}
	}
	f.m = model.New(f.world, sim.Epoch, seed, faults)
	f.drawHosts()
	f.drawKeys()
	f.m.Wrote = f.wrote
	var addrs []netip.AddrPort
	for i := range 2 + r.IntN(2) {
		a := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 1, byte(i)}), 4649)
		addrs = append(addrs, a)
		f.orchs = append(f.orchs, f.add(fmt.Sprint("o", i), a, true))
	}
	for i := range 3 + r.IntN(3) {
		a := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 2, byte(i)}), 4650)
		f.rcvs = append(f.rcvs, f.add(fmt.Sprint("r", i), a, false))
	}
	hasty := false
	for i := range 2 + r.IntN(5) {
		port := new(simPort)
		begin := sim.Epoch.Add(time.Duration(r.Int64N(int64(20 * time.Second))))
		for k := range 1 + r.IntN(3) {
			name := fmt.Sprint("c", i, ".", k)
			c := newSimClient(name, rand.New(rand.NewPCG(seed, uint64(i+100*k))), addrs, r.IntN(3) == 0, 40000)
			if c.base {
				c.payload = c.payload[:min(len(c.payload), 4000)]
			}
			if c.base && r.IntN(2) == 0 {
				c.payload = c.payload[:min(len(c.payload), 2500)]
				c.drip, c.gap = time.Duration(r.Int64N(int64(2*time.Second))), time.Duration(r.Int64N(int64(9*time.Second)))
				c.gapAt = r.IntN(25)
			}
			if k > 0 && !c.base && r.IntN(4) == 0 { // it sends the same once more, as it does not know
				c.again(port.clients[k-1])
			}
			if r.IntN(4) == 0 { // it is started anew
				c.hasty, hasty = time.Duration(r.Int64N(int64(8*time.Second))), true
			}
			c.begin = begin
			port.gaps = append(port.gaps, time.Duration(r.Int64N(int64(6*time.Second))))
			c.told, c.broken = f.told, f.ills.broken
			f.give(c)
			f.clients = append(f.clients, c)
			port.clients = append(port.clients, c)
		}
		a := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 3, byte(i)}), 5000)
		f.seals.senders[a.Addr()] = port
		f.watch(a)
		f.nodes = append(f.nodes, f.world.Add(fmt.Sprint("c", i), port, sim.Socket{Addrs: []netip.AddrPort{a}, PacketInfo: true}))
	}
	n := r.IntN(8)
	if f.ills.alone {
		n = 0
	}
	// An offer that is sent once more takes a write of its own, and who resumes takes over.
	f.quiet = n == 0 && len(f.ills.all) == 0 && !hasty && faults.Lost == 0 && link.Loss.P == 0
	if s := &f.seals; s.fleet != nil && !f.ills.alone && s.rng.IntN(3) == 0 {
		f.quiet = false
		f.upgrade(time.Duration(s.rng.Int64N(int64(20*time.Second))), time.Duration(s.rng.Int64N(int64(2*time.Second))), 200)
	}
	for range n {
		f.fault(time.Duration(r.Int64N(int64(60 * time.Second))))
	}
	f.world.At(2*time.Minute, func(time.Time) { f.m.Calm() })
	return f
}

func (f *fleetWorld) settled(tid int64) (n int) {
	for _, r := range f.m.Settled {
		if r.TID == tid {
			n++
		}
	}
	return n
}

// checkFile checks that a payload is there, once, and after a loss of power that takes all that
// was not flushed; that of nil is anything.
func (f *fleetWorld) checkFile(tid int64, payload []byte, what string) {
	name := f.fileOf(tid)
	b, ok := f.disk.Unplugged(func() bool { return false }).Files()[name]
	if !ok {
		f.fail("transaction %d %s, and a loss of power takes %s", tid, what, name)
	} else if payload != nil && !bytes.Equal(b, payload) {
		f.fail("transaction %d %s, and %s holds something else", tid, what, name)
	}
	if n := f.named[name]; n != 1 {
		f.fail("transaction %d %s, and its file got its name %d times", tid, what, n)
	}
}

// told is called when a client is told complete, or has all of a base payload acknowledged.
func (f *fleetWorld) told(c *simClient) {
	if c.base {
		f.tally["base"]++
		return
	}
	f.tally[map[bool]string{true: "sealed", false: "extended"}[c.sealed != nil]]++
	f.checkFile(c.tid, c.payload, "is told complete")
	if r := f.m.Record(c.tid); r == nil || r.State != engine.Complete || r.SHA256 != c.sum {
		f.fail("transaction %d is told complete, and the ledger has %+v", c.tid, r)
	}
}

// run plays the scenario to its end.
func (f *fleetWorld) run() error {
	defer f.m.Close()
	err := f.world.Run(f.nodes...)
	for _, c := range f.clients {
		if c.err != nil {
			return c.err
		}
		if err != nil {
			err = fmt.Errorf("%w; %s: done %v, tid %d, %d missing, %d begun", err, c.name, c.done, c.tid, c.left, c.fresh)
		}
	}
	if err != nil {
		return err
	}
	// Time for base transactions to be silent, and for others to be taken over.
	if err := f.world.Advance(4 * time.Minute); err != nil {
		return err
	}
	for _, c := range f.clients {
		f.checkPromised(c)
		if c.base && (f.hosts.torn[c.tid] || f.ills.sad[c.tid] && !f.ills.alone) {
			f.checkTorn(c)
			continue
		}
		if f.lost(c) {
			f.tally["lost"]++
			continue
		}
		f.checkFile(c.tid, c.payload, "has ended well")
	}
	for _, r := range f.m.Records() {
		if !r.State.Ended() {
			f.fail("transaction %d is %s to the end", r.TID, r.State)
		}
		// With the message of the settled that makes six at most; of the base protocol there are more.
		if n := f.m.Writes[r.TID]; f.quiet && n > 5 && !r.Base {
			f.fail("transaction %d took %d writes", r.TID, n)
		}
		if r.State == engine.Complete {
			f.checkDigest(r)
		}
		if r.State == engine.Damaged && !f.ills.broken() {
			f.fail("transaction %d is damaged", r.TID)
		}
	}
	f.checkSecrets()
	f.checkIlls()
	for _, n := range sortedNames(f.disk) {
		// What could not be removed stays.
		if strings.HasSuffix(n, ".new.spool") && !f.ills.stays {
			f.fail("%s is left", n)
		}
	}
	return f.err
}

func sortedNames(d *sim.Disk) (names []string) {
	d.Names(func(name string) error { names = append(names, name); return nil })
	return names
}

// TestFleet plays scenarios of orchestrators, receivers and clients by an engine with faults.
// Whatever happens: who is told complete finds the payload there, once, whole, and on stable
// storage.
func TestFleet(t *testing.T) {
	tally := make(map[string]int)
	for k := range *seedCount {
		seed := *seedFirst + uint64(k)
		f := newFleet(t, seed, tally)
		if err := f.run(); err != nil {
			t.Errorf("seed %d: %v\nagain by: go test . -run 'TestFleet$' -seeds 1 -seed %d -seedlog", seed, err, seed)
			if *seedCount > 1 && k > 20 || os.Getenv(bugs.Env) != "" {
				return
			}
		}
	}
	t.Logf("%d seeds from %d: %v", *seedCount, *seedFirst, tally)
}
