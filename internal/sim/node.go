package sim

import (
	"fmt"
	"net/netip"
	"syscall"
	"time"

	"mdalp/loop"
)

// A Socket is one socket of a node, known to its program by its index.
type Socket struct {
	// Addrs is where it listens. A datagram that names no source leaves from the
	// first one of its peer's family.
	Addrs []netip.AddrPort
	// PacketInfo tells the program which address a datagram was sent to.
	PacketInfo bool
	// ICMP makes it a socket for ICMP messages, without IP header: what is sent goes
	// to the Echo function of the addressed host, and the answer comes back. The
	// port of its address is 0 by custom.
	ICMP bool
}

// A Node is a program with its sockets.
type Node struct {
	name  string
	world *World
	prog  loop.Handler
	socks []Socket

	dead   bool // nothing reaches the program, not even time
	ended  bool // the program has nothing more to do
	paused bool // it is held up, see Pause
	held   []held

	wake  int64  // when the program wants to be woken
	asked uint64 // when it asked
	place int    // in the alarms, or -1
	idle  int    // wakes in a row at one instant that moved no datagram
	at    int64  // that instant
}

// Name is the name given to [World.Add].
func (n *Node) Name() string { return n.name }

// Ended says whether the program has ended of itself.
func (n *Node) Ended() bool { return n.ended }

// Kill stops the program where it is. All that reaches its addresses is lost
// without a word, until Revive or Restart.
func (n *Node) Kill() {
	n.dead = true
	n.world.alarms.clear(n)
}

// Revive lets a killed program go on with the state it had.
func (n *Node) Revive() {
	n.dead = false
	n.Poke()
}

// Restart replaces the program by a fresh one, as after a crash that lost all
// state.
func (n *Node) Restart(h loop.Handler) {
	n.prog = h
	n.dead, n.ended = false, false
	n.Poke()
}

// Poke drives the program as after a datagram. It is for those who changed its
// state from outside, as a caller that cancels does.
func (n *Node) Poke() {
	if !n.dead {
		n.world.drive(n)
	}
}

// State is how a host treats datagrams.
type State uint8

// The states.
const (
	Up          State = iota // it takes them
	Silent                   // it drops them, and its pings
	Refusing                 // it answers port unreachable; pings are answered
	Unreachable              // a router answers host unreachable, to pings too
)

// A Host is an address and its faults. A node may stand behind several: a server
// that plays ten receivers is one node and ten hosts.
type Host struct {
	// State may change at any time. A host that is Silent or Unreachable sends nothing
	// either.
	State State
	// Slow is how long it takes to answer: it adds to the delay of all that leaves,
	// but for answers to pings.
	Slow time.Duration
	// Mutate, when not nil, alters each datagram that leaves; it may work in place.
	// Nil in return drops it.
	Mutate func(to netip.AddrPort, b []byte) []byte
	// Refuse, when not nil, is asked for each datagram that is to leave, pings too. An
	// errno but 0 is this host's own refusal, as of a full buffer or a missing route: the
	// program that sent it gets it.
	Refuse func(to netip.AddrPort) syscall.Errno
	// Echo answers ICMP messages; it may work in place. Nil in return, or no function
	// here and in the Config, is no answer.
	Echo func(b []byte) []byte

	addr netip.Addr
	id   uint64
}

// Addr is the address of the host.
func (h *Host) Addr() netip.Addr { return h.addr }

// endpoint is an address at which a node listens.
type endpoint struct {
	addr netip.AddrPort
	host *Host
	node *Node
	sock int
}

// sender finds the endpoint from which a datagram leaves.
func (n *Node) sender(e *loop.Envelope) (*endpoint, error) {
	if e.Sock < 0 || e.Sock >= len(n.socks) {
		return nil, fmt.Errorf("%s sends on socket %d of %d", n.name, e.Sock, len(n.socks))
	}
	s := &n.socks[e.Sock]
	if l := e.Local.Addr(); l.IsValid() && !l.IsUnspecified() {
		for _, a := range s.Addrs {
			if a.Addr() == l {
				return n.world.ends[key{a, s.ICMP}], nil
			}
		}
		return nil, fmt.Errorf("%s sends from %v, which is not its own", n.name, l)
	}
	for _, a := range s.Addrs {
		if a.Addr().Is4() == e.Peer.Addr().Is4() {
			return n.world.ends[key{a, s.ICMP}], nil
		}
	}
	return nil, fmt.Errorf("%s sends to %v without an address of that family", n.name, e.Peer)
}
