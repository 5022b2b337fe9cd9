package fleet

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"mdalp/fleet/engine"
	"mdalp/fleet/engine/model"
	"mdalp/internal/disk"
	"mdalp/internal/sim"
	"mdalp/server"
)

var (
	scaleReceivers = flag.Int("scale", 20, "how many receivers the fleet of TestScale has")
	scaleRate      = flag.Float64("scalerate", 0, "transactions begun, as a part of what fills the ledger; 0 tries three rates")
	scaleSlow      = flag.Int("scaleslow", 20, "how many times slower than measured the engine and the directory are")
	scaleFlush     = flag.Duration("scaleflush", flushCost, "how long a flush of the directory takes")
	scaleFor       = flag.Duration("scalefor", 8*time.Second, "for how long they are begun")
)

// What was measured: an engine of three servers that flush every other minute writes 1,110 times the
// five writes of a transaction a second, one behind the other, and a directory flushes in 1 ms.
const (
	ledgerFull = 1110
	writeCost  = time.Second / (ledgerFull * 5)
	flushCost  = time.Millisecond
)

// A part serves one after the other, and each takes as long.
type part struct {
	name  string
	m     *model.Model
	world *sim.World
	cost  time.Duration
	free  time.Time // of all that has come
	n     int
	waits []time.Duration
}

// serve holds up who is beside a loop until it was its turn, and has been served.
func (p *part) serve() {
	now := p.world.Now()
	if p.free.Before(now) {
		p.free = now
	}
	p.waits = append(p.waits, p.free.Sub(now))
	p.free = p.free.Add(p.cost)
	p.n++
	p.m.Pause(context.Background(), p.free.Sub(now))
}

// grows compares what those waited who came last with those who came first, a quarter of all each.
func (p *part) grows() (first, last time.Duration) {
	k := len(p.waits) / 4
	for i := range k {
		first += p.waits[i]
		last += p.waits[len(p.waits)-1-i]
	}
	return first / time.Duration(max(1, k)), last / time.Duration(max(1, k))
}

// A scaleWorld is a fleet in which nothing goes wrong.
type scaleWorld struct {
	t           *testing.T
	world       *sim.World
	m           *model.Model
	ledger, dir *part
	disk        *meteredFolder
	asks, gets  int
	says        int
	clients     []*simClient
	nodes       []*sim.Node
	complete    int
}

// A metered is the engine as one program has it, whose writes wait for each other.
type metered struct {
	*model.Client
	w *scaleWorld
}

func (e metered) Create(ctx context.Context, r *engine.Record) (uint64, error) {
	e.w.ledger.serve()
	return e.Client.Create(ctx, r)
}

func (e metered) Update(ctx context.Context, r *engine.Record, rev uint64) (uint64, error) {
	e.w.ledger.serve()
	return e.Client.Update(ctx, r, rev)
}

func (e metered) Publish(ctx context.Context, r *engine.Record) error {
	e.w.ledger.serve()
	return e.Client.Publish(ctx, r)
}

func (e metered) Get(ctx context.Context, tid int64) (*engine.Record, uint64, error) {
	e.w.gets++
	return e.Client.Get(ctx, tid)
}

func (e metered) Say(ctx context.Context, p *engine.Party) error {
	e.w.says++
	return e.Client.Say(ctx, p)
}

func (e metered) Ask(ctx context.Context, a *engine.Ask, ids []string) []engine.Answer {
	e.w.asks += len(ids)
	return e.Client.Ask(ctx, a, ids)
}

// A meteredFolder is a directory in which flushes wait for each other.
type meteredFolder struct {
	*stepFolder
	w       *scaleWorld
	renames int
}

func (f *meteredFolder) Make(name string, mode uint32) (disk.File, error) {
	g, err := f.stepFolder.Make(name, mode)
	return meteredFile{g, f.w}, err
}

func (f *meteredFolder) Open(name string, flags int) (disk.File, error) {
	g, err := f.stepFolder.Open(name, flags)
	return meteredFile{g, f.w}, err
}

func (f *meteredFolder) Rename(from, to string) error {
	f.renames++
	return f.stepFolder.Rename(from, to)
}

func (f *meteredFolder) Flush() error { f.w.dir.serve(); return f.stepFolder.Flush() }

type meteredFile struct {
	disk.File
	w *scaleWorld
}

func (f meteredFile) Sync() error     { f.w.dir.serve(); return f.File.Sync() }
func (f meteredFile) Datasync() error { f.w.dir.serve(); return f.File.Datasync() }

// newScale makes one, in which n transactions begin, rate in a second.
func newScale(t *testing.T, receivers, n int, rate float64, slow int) *scaleWorld {
	w := &scaleWorld{t: t}
	w.world = sim.New(sim.Config{Seed: 1, Limit: time.Hour, Events: 1 << 40, Link: sim.LinkConfig{
		Delay: sim.Delay{Mean: sim.Millis(time.Millisecond)}, Queue: 1 << 30}})
	w.m = model.New(w.world, sim.Epoch, 1, model.Faults{Delay: time.Millisecond})
	w.ledger = &part{name: "ledger", m: w.m, world: w.world, cost: writeCost * time.Duration(slow)}
	w.dir = &part{name: "directory", m: w.m, world: w.world, cost: flushCost * time.Duration(slow)}
	w.disk = &meteredFolder{stepFolder: &stepFolder{Folder: sim.NewDisk(), m: w.m, named: make(map[string]int), ills: new(ills)}, w: w}
	var addrs []netip.AddrPort
	for i := range 10 {
		a := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, 0, byte(i)}), 4649)
		addrs = append(addrs, a)
		w.orchestrator(fmt.Sprint("o", i), a)
	}
	for i := range receivers {
		w.receiver(fmt.Sprint("r", i), netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 2, byte(i >> 8), byte(i)}), 4650))
	}
	for i := range n {
		c := newSimClient(fmt.Sprint("c", i), rand.New(rand.NewPCG(1, uint64(i))), addrs, false, 700)
		c.begin = sim.Epoch.Add(5*time.Second + time.Duration(float64(i)/rate*float64(time.Second)))
		c.next, c.last = c.begin, c.begin
		c.told = func(*simClient) { w.complete++ }
		c.broken = func() bool { return false }
		a := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 3, byte(i >> 8), byte(i)}), 5000)
		w.clients = append(w.clients, c)
		w.nodes = append(w.nodes, w.world.Add(c.name, c, sim.Socket{Addrs: []netip.AddrPort{a}, PacketInfo: true}))
	}
	return w
}

func (w *scaleWorld) orchestrator(id string, a netip.AddrPort) {
	var node *sim.Node
	life := w.m.Life(func(g func(now time.Time)) { node.Post(g) })
	var seed [32]byte
	copy(seed[:], id)
	o, err := NewOrchestrator(OrchestratorConfig{Engine: metered{w.m.Client(life), w}, Folder: w.disk, Token: "t",
		ID: id, Addr: a, PerOffer: 4, Server: server.Config{Seed: seed}, Beside: life.Beside, Pause: w.m.Pause})
	if err != nil {
		w.t.Fatal(err)
	}
	node = w.world.Add(id, o, sim.Socket{Addrs: []netip.AddrPort{a}, PacketInfo: true})
}

func (w *scaleWorld) receiver(id string, a netip.AddrPort) {
	var node *sim.Node
	post := func(g func(now time.Time)) { node.Post(g) }
	life := w.m.Life(post)
	r, err := NewReceiver(ReceiverConfig{Engine: metered{w.m.Client(life), w}, Folder: w.disk, Token: "t", ID: id,
		Addr: a, Segment: 1000, Beside: life.Beside, Post: post})
	if err == nil {
		err = r.Serve()
	}
	if err != nil {
		w.t.Fatal(err)
	}
	node = w.world.Add(id, r, sim.Socket{Addrs: []netip.AddrPort{a}, PacketInfo: true})
}

// play has all transactions begin, and end where they can in as long again.
func (w *scaleWorld) play(span time.Duration) {
	defer w.m.Close()
	if err := w.world.Advance(5*time.Second + 2*span + 10*time.Second); err != nil {
		w.t.Fatal(err)
	}
}

// tell tells what a transaction costs each part, and at how many in a second each is full.
func (w *scaleWorld) tell(slow int) {
	k := float64(len(w.clients))
	for _, p := range []*part{w.ledger, w.dir} {
		first, last := p.grows()
		w.t.Logf("%-9s %5.2f a transaction, full at %5.0f transactions a second; waits first %v, last %v", p.name,
			float64(p.n)/k, k/float64(p.n)/(p.cost.Seconds()/float64(slow)), first, last)
	}
	w.t.Logf("of %d transactions %d complete; each: %.2f reads, %.2f questions, %.2f renames", len(w.clients),
		w.complete, float64(w.gets)/k, float64(w.asks)/k, float64(w.disk.renames)/k)
	w.t.Logf("all said %d times in %v that they are there", w.says, w.world.Now().Sub(sim.Epoch))
}

// TestScale tells what a transaction costs each part of a fleet, and which of them is full first. The
// programs are the real ones, and the engine and the directory take the times that were measured, or
// so many times that: then fewer transactions fill them. A thousand receivers at a rate:
//
//	go test . -run 'TestScale$' -v -scale 1000 -scaleslow 1 -scalefor 4s -scalerate 0.1
func TestScale(t *testing.T) {
	if *scaleRate > 0 {
		rate := *scaleRate * ledgerFull / float64(*scaleSlow)
		w := newScale(t, *scaleReceivers, int(rate*scaleFor.Seconds()), rate, *scaleSlow)
		w.dir.cost = *scaleFlush * time.Duration(*scaleSlow)
		w.play(*scaleFor)
		w.tell(*scaleSlow)
		return
	}
	for _, c := range []struct {
		name  string
		rate  float64 // as a part of what fills the ledger
		flush time.Duration
		full  func(*scaleWorld) *part // nil is none
	}{
		{"none is full", 0.1, flushCost, nil},
		{"the directory is full", 0.4, flushCost, func(w *scaleWorld) *part { return w.dir }},
		{"the ledger is full", 1.5, flushCost / 1000, func(w *scaleWorld) *part { return w.ledger }},
	} {
		t.Run(c.name, func(t *testing.T) {
			rate := c.rate * ledgerFull / float64(*scaleSlow)
			n := int(rate * scaleFor.Seconds())
			w := newScale(t, *scaleReceivers, n, rate, *scaleSlow)
			w.dir.cost = c.flush * time.Duration(*scaleSlow)
			w.play(*scaleFor)
			w.tell(*scaleSlow)
			for _, p := range []*part{w.ledger, w.dir} {
				first, last := p.grows()
				if full := c.full != nil && p == c.full(w); full != (last > first+10*p.cost) {
					t.Errorf("%s: waits from %v to %v; is it full? %v", p.name, first, last, full)
				}
			}
			if c.full == nil && (w.complete != n || w.ledger.n != 5*n || w.disk.renames != n || w.asks > 8*n) {
				t.Errorf("%d transactions: %d complete, %d writes, %d renames, %d questions", n, w.complete, w.ledger.n,
					w.disk.renames, w.asks)
			}
		})
	}
}
