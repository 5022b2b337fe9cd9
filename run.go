package mdalp

import (
	"crypto/sha256"
	"io"
	"log/slog"
	"net/netip"
	"time"

	"mdalp/icmp"
	"mdalp/loop"
	"mdalp/sched"
	"mdalp/seal"
)

// A run is one transfer's own copy of a configuration, with what its driver adds: what only
// this host knows or can do, and what of a transfer is wanted. A Config is input alone; what
// changes on the way changes here.
type run struct {
	Config

	// shed, if not nil, is called once, after the intent is out and before any
	// datagram is looked at.
	shed func()
	// numbers is how many segments one receiver is sent in a sealed transaction at most.
	numbers int64
	// offerOnly ends the session once it has an offer.
	offerOnly bool
	// planOnly ends the session once the payload is split.
	planOnly bool
	// resolve gives the address of a host name in an offer, not valid if it has none. It
	// may take its time: it is called beside the session, by beside.
	resolve func(host string) netip.Addr
	// beside calls what may block. If nil, it is called in place.
	beside loop.Beside
	// ours tells whether an address is this host's own; none is if nil.
	ours func(netip.Addr) bool
	// number replaces a zone that is an interface's name by its number.
	number func(netip.Addr) (netip.Addr, error)
	// mtu gives the largest packet of the route to an address, 0 when it is not known.
	mtu func(netip.Addr) int
	// hash gives a payload's digest and the CPU time that it took.
	hash func(io.ReaderAt, int64) ([sha256.Size]byte, time.Duration, error)
	// key seeds the cookies of the echoes and their identifier. It is drawn when the
	// sockets for echoes are opened, if it is zero.
	key [32]byte
	// memory bounds what is held of the payload, in bytes; supplyMemory if 0.
	memory int64
}

// newRun is a checked run of a configuration, with every default put in.
func newRun(c *Config) (*run, error) { return (&run{Config: *c}).withDefaults() }

// withDefaults is a checked copy with every default put in.
func (c *run) withDefaults() (*run, error) {
	d := *c
	if err := d.check(); err != nil {
		return nil, err
	}
	d.Orchestrator = netip.AddrPortFrom(d.Orchestrator.Addr().Unmap(), d.Orchestrator.Port())
	d.Orchestrators = d.fleet()
	if d.Receiver == 0 {
		d.Receiver = 1
	}
	if d.Echoes == 0 {
		d.Echoes = 3
	}
	if d.EchoTimeout == 0 {
		d.EchoTimeout = 2 * time.Second
	}
	if d.Tries == 0 {
		d.Tries = sched.DefaultTries
	}
	if d.ProgressEvery <= 0 {
		d.ProgressEvery = 100 * time.Millisecond
	}
	if d.numbers == 0 {
		d.numbers = seal.MaxNumber
	}
	if d.memory == 0 {
		d.memory = supplyMemory
	}
	if d.hash == nil {
		d.hash = digest
	}
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	return &d, nil
}

// reaches6 reports whether the UDP socket can send to IPv6 hosts, or need not.
func (c *run) reaches6() bool { return c.offerOnly || c.six() || c.Bind.Is6() }

// pings reports whether receivers are to be pinged.
func (c *run) pings() bool {
	return (c.Balance == BalanceLatency || c.Balance == BalanceAdaptive) && c.Ping != icmp.Off
}

// echoID is the identifier of our echoes, which the sockets filter on.
func echoID(key *[32]byte) uint16 { return uint16(key[0])<<8 | uint16(key[1]) }
