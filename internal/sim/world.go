// Package sim drives programs over a simulated network in virtual time.
//
// It is the second driver of [loop.Handler], beside epoll: the programs are those
// that run over real sockets. A [World] is nodes, hosts and links; every choice
// in it comes from one seed, and no clock, goroutine or map order has a say, so
// a seed replays a run event by event.
package sim

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"syscall"
	"time"

	"mdalp/loop"
)

// Epoch is the instant at which every world starts.
var Epoch = time.Unix(1_000_000_000, 0).UTC()

// What ends a run that should have ended of itself.
var (
	ErrTime   = errors.New("the virtual time limit passed")
	ErrEvents = errors.New("the Event limit passed")
	ErrSpin   = errors.New("a program asks to be woken again and again at one instant")
)

// spins is how often a program may be woken at one instant with no datagram moved.
const spins = 1000

// An Error ends a run, and says where.
type Error struct {
	Seed  uint64
	Event int64         // number of the Event, counted from 1
	At    time.Duration // virtual time since Epoch
	Err   error
}

// Error gives one line with everything that a replay needs.
func (e *Error) Error() string {
	return fmt.Sprintf("seed %d, event %d, %v: %v", e.Seed, e.Event, e.At, e.Err)
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// A Config is what holds for a whole world. Its zero value is a perfect network.
type Config struct {
	Seed   uint64
	Limit  time.Duration // of virtual time; 0 is an hour
	Events int64         // most events; 0 is 100 million
	// Link and Ping are the paths for which Path and PingPath said nothing.
	Link, Ping LinkConfig
	// Echo answers the pings of hosts without a function of their own.
	Echo func(b []byte) []byte
	// Closed is what happens to a datagram for a known host on whose port nobody
	// listens: Silent (also for Up) or Refusing.
	Closed State
	// Unknown is the same for addresses that are no host: Silent (also for Up),
	// Refusing or Unreachable.
	Unknown State
	// MaxDatagram is the largest datagram; a longer one fails with EMSGSIZE. 0 is
	// 65,507 bytes.
	MaxDatagram int
	// Check, when not nil, is called after every event. Its error ends the run.
	Check func(now time.Time) error
	// Trace, when not nil, takes a line for every event.
	Trace io.Writer
}

// Counters count what happened. With neither pings nor errors, and with nothing
// under way, Sent and Doubled add up to Delivered, Lost, Overflowed, Clogged and
// Dropped.
type Counters struct {
	Events, Sent, Delivered, Lost, Overflowed, Clogged, Doubled, Damaged, Dropped, Refused int64
}

type key struct {
	addr netip.AddrPort
	icmp bool
}

type path struct {
	from, to netip.Addr
	ping     bool
}

// packet is a datagram under way. Its buffer is used again.
type packet struct {
	buf      []byte
	from, to netip.AddrPort
	src      *endpoint // who sent it; nil for one that was injected
	errno    syscall.Errno
	remote   bool // the error came back from the network
}

// A World is a network and the programs in it.
type World struct {
	cfg    Config
	now    int64
	seq    uint64
	events Agenda
	alarms alarms
	nodes  []*Node
	hosts  map[netip.Addr]*Host
	ends   map[key]*endpoint
	paths  map[path]LinkConfig
	links  map[uint64]*Link
	slots  []packet
	free   []int32
	calls  []func(now time.Time)
	err    error

	nowhere Host
	env     loop.Envelope // handed to the programs; here so that it is not allocated
	line    []byte
	count   Counters
}

// New makes an empty world.
func New(cfg Config) *World {
	if cfg.Limit == 0 {
		cfg.Limit = time.Hour
	}
	if cfg.Events == 0 {
		cfg.Events = 100_000_000
	}
	if cfg.MaxDatagram == 0 {
		cfg.MaxDatagram = 65507
	}
	return &World{
		cfg:   cfg,
		hosts: map[netip.Addr]*Host{},
		ends:  map[key]*endpoint{},
		paths: map[path]LinkConfig{},
		links: map[uint64]*Link{},

		nowhere: Host{id: 1<<31 - 1},
	}
}

// Now is the virtual time.
func (w *World) Now() time.Time { return Epoch.Add(time.Duration(w.now)) }

// Counters tells what happened so far.
func (w *World) Counters() Counters { return w.count }

// InFlight is the number of datagrams under way.
func (w *World) InFlight() int { return len(w.slots) - len(w.free) }

// Add puts a program into the world. It panics when an address is taken. The
// program is driven for the first time when the world runs.
func (w *World) Add(name string, h loop.Handler, socks ...Socket) *Node {
	n := &Node{name: name, world: w, prog: h, socks: socks, place: -1, wake: w.now, asked: w.seq}
	w.seq++
	for i, s := range socks {
		for _, a := range s.Addrs {
			k := key{a, s.ICMP}
			if w.ends[k] != nil {
				panic(fmt.Sprintf("sim: %v is taken", a))
			}
			w.ends[k] = &endpoint{addr: a, host: w.Host(a.Addr()), node: n, sock: i}
		}
	}
	w.nodes = append(w.nodes, n)
	w.alarms.set(n)
	return n
}

// Host gives the host of an address, and makes it on first use.
func (w *World) Host(a netip.Addr) *Host {
	h := w.hosts[a]
	if h == nil {
		h = &Host{addr: a, id: uint64(len(w.hosts))}
		w.hosts[a] = h
	}
	return h
}

// Path sets the link for datagrams from one address to another; the way back is
// another path. A change in the midst of a run starts the link afresh. Both
// addresses become known hosts by it.
func (w *World) Path(from, to netip.Addr, cfg LinkConfig) { w.setPath(from, to, false, cfg) }

// PingPath is Path for ICMP messages.
func (w *World) PingPath(from, to netip.Addr, cfg LinkConfig) { w.setPath(from, to, true, cfg) }

func (w *World) setPath(from, to netip.Addr, ping bool, cfg LinkConfig) {
	w.paths[path{from, to, ping}] = cfg
	delete(w.links, linkID(w.Host(from), w.Host(to), ping))
}

func linkID(from, to *Host, ping bool) uint64 {
	id := from.id<<32 | to.id<<1
	if ping {
		id |= 1
	}
	return id
}

// link gives the link of a path. Its seed comes from the addresses, so that the
// luck of one path does not depend on what other paths there are.
func (w *World) link(from, to *Host, ping bool) *Link {
	id := linkID(from, to, ping)
	l := w.links[id]
	if l == nil {
		cfg, ok := w.paths[path{from.addr, to.addr, ping}]
		if !ok {
			cfg = w.cfg.Link
			if ping {
				cfg = w.cfg.Ping
			}
		}
		l = NewLink(cfg, Mix(w.cfg.Seed, mixAddr(from.addr), mixAddr(to.addr), id&1))
		w.links[id] = l
	}
	return l
}

func mixAddr(a netip.Addr) uint64 {
	b := a.As16()
	var h uint64
	for _, x := range b {
		h = h*0x100000001b3 ^ uint64(x)
	}
	return h
}

// At calls f at a time since Epoch; a time that has passed is now. Faults on a
// schedule are made with it.
func (w *World) At(d time.Duration, f func(now time.Time)) {
	w.calls = append(w.calls, f)
	w.push(max(int64(d), w.now), call, int32(len(w.calls)-1))
}

// Inject lets a datagram arrive from nowhere, with any source address: a spoofed
// or hostile one. d is its arrival, since Epoch.
func (w *World) Inject(d time.Duration, from, to netip.AddrPort, b []byte) {
	i := w.slot()
	p := &w.slots[i]
	p.buf = append(p.buf[:0], b...)
	p.from, p.to, p.src, p.errno = from, to, nil, 0
	w.push(max(int64(d), w.now), arrival, i)
}

func (w *World) push(at int64, k uint8, slot int32) {
	w.events.Push(Event{At: at, Seq: w.seq, Kind: k, Slot: slot})
	w.seq++
}

// slot takes a packet from the free ones.
func (w *World) slot() int32 {
	if n := len(w.free) - 1; n >= 0 {
		i := w.free[n]
		w.free = w.free[:n]
		return i
	}
	w.slots = append(w.slots, packet{})
	return int32(len(w.slots) - 1)
}

// release gives a packet back. Its bytes are spoiled: a program that kept them
// beyond the call shall not get away with it.
func (w *World) release(i int32) {
	b := w.slots[i].buf
	for j := range b {
		b[j] = 0xdb
	}
	w.free = append(w.free, i)
}
