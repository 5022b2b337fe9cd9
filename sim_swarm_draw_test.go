package mdalp

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"time"

	"mdalp/internal/sim"
)

// A draw is the choices of a seed.
type draw struct {
	seed  uint64
	rng   *rand.Rand
	quiet bool     // nothing is wrong
	on    []string // the features that are on, for the reader of a failure
}

// newDraw begins the choices of a seed; salt tells one kind of scenario from another.
func newDraw(seed, salt uint64) draw {
	d := draw{seed: seed, rng: rand.New(rand.NewPCG(seed, salt))}
	d.quiet = d.rng.IntN(4) == 0
	return d
}

// with draws whether a feature is on.
func (d *draw) with(name string, p float64) bool {
	if d.rng.Float64() >= p || d.quiet {
		return false
	}
	d.on = append(d.on, name)
	return true
}

// span draws a time between lo and hi, each order of magnitude as likely as another.
func (d *draw) span(lo, hi time.Duration) time.Duration {
	return time.Duration(float64(lo) * math.Pow(float64(hi)/float64(lo), d.rng.Float64()))
}

// listening is the sockets of a server: one for each port, with all addresses of it.
func listening(home netip.AddrPort, receivers []netip.AddrPort) (socks []sim.Socket) {
	at := map[uint16]int{}
	listen := func(a netip.AddrPort) {
		k, ok := at[a.Port()]
		if !ok {
			k = len(socks)
			at[a.Port()] = k
			socks = append(socks, sim.Socket{PacketInfo: true})
		}
		socks[k].Addrs = append(socks[k].Addrs, a)
	}
	if home != receivers[0] {
		listen(home)
	}
	for _, a := range receivers {
		listen(a)
	}
	return socks
}
