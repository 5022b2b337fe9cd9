package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	mtu  = 1500 // bytes of a packet at most
	mbit = 1_000_000
	ms   = time.Millisecond
)

// maxReceivers is bounded by the last byte of their addresses.
const maxReceivers = 250

// A path is the way to the receivers and back.
type path struct{ up, down link }

// A profile is a network between the client and its receivers.
type profile struct {
	name, about string
	// One path is that of all receivers. With several each receiver has one of its own, and
	// the orchestrator is behind the first.
	paths []path
	// share is about what one flow brings of the rate. A row's payload is so much less, and
	// takes about as long as TCP beside it.
	share float64
	// seconds is how long a row takes unless it is told; 0 is 10.
	seconds int
}

// same is a path with the same link both ways. The round trip is without the queue.
func same(rate int64, roundTrip time.Duration, queue int) path {
	l := link{rates: []step{{0, rate}}, delay: roundTrip / 2, queue: queue}
	return path{l, l}
}

// changed is a path whose way up is like the one back but for what f changes.
func changed(p path, f func(up *link)) path {
	f(&p.up)
	return p
}

// profiles are the networks of the table. But for the tiny queue, each queue has the size of
// the bandwidth-delay product, as is the rule for a single flow.
var profiles = []profile{
	{name: "100m-80ms", about: "100 Mbit/s, 80 ms, queue of 1 MB",
		paths: []path{same(100*mbit, 80*ms, 1_000_000)}},
	{name: "20m-200ms", about: "20 Mbit/s, 200 ms, queue of 500 kB",
		paths: []path{same(20*mbit, 200*ms, 500_000)}},
	{
		name: "10m-40ms-tiny", about: "10 Mbit/s, 40 ms, queue of 5 packets",
		// Acknowledgements have room: only the queue of the segments is tiny.
		paths: []path{changed(same(10*mbit, 40*ms, 100_000), func(up *link) { up.queue = 5 * mtu })},
	},
	{name: "1g-2ms", about: "1 Gbit/s, 2 ms, queue of 250 kB", paths: []path{same(1000*mbit, 2*ms, 250_000)}},
	{
		name: "100m-20ms-loss", share: 0.25,
		about: "100 Mbit/s, 20 ms, queue of 250 kB, 0.1 % of packets lost at random",
		paths: []path{changed(same(100*mbit, 20*ms, 250_000), func(up *link) { up.loss = 0.001 })},
	},
	{
		name: "100m-80ms-loss", share: 0.02,
		about: "100 Mbit/s, 80 ms, queue of 1 MB, 1 % of packets lost at random",
		paths: []path{changed(same(100*mbit, 80*ms, 1_000_000), func(up *link) { up.loss = 0.01 })},
	},
	{
		name: "100m-20ms-burst", share: 0.4,
		about: "100 Mbit/s, 20 ms, queue of 250 kB, 0.17 % of packets lost in bursts",
		paths: []path{changed(same(100*mbit, 20*ms, 250_000), func(up *link) {
			up.burst = burst{enter: 0.0005, leave: 0.3}
		})},
	},
	{
		name: "trace-20ms", about: "50, 10, 50, 5, 50 Mbit/s, 5 s each, 20 ms, queue of 125 kB", seconds: 25,
		paths: []path{changed(same(50*mbit, 20*ms, 125_000), func(up *link) {
			up.rates = nil
			for i, r := range []int64{50, 10, 50, 5, 50} {
				up.rates = append(up.rates, step{time.Duration(i) * 5 * time.Second, r * mbit})
			}
		})},
	},
	{
		name: "three", about: "three receivers, each behind a link of its own of 100, 20 and 5 Mbit/s, " +
			"40 ms, queue of one bandwidth-delay product",
		paths: []path{same(100*mbit, 40*ms, 500_000), same(20*mbit, 40*ms, 100_000),
			same(5*mbit, 40*ms, 25_000)},
	},
}

// labs are the networks of the lab that have a rate.
var labs = []string{"broadband", "datacentre", "satellite", "shared"}

// named gives a profile by its name, also one of the lab's. The error has all names, which nobody
// knows by heart.
func named(name string) (*profile, error) {
	i := slices.IndexFunc(profiles, func(p profile) bool { return p.name == name })
	if slices.Contains(labs, name) {
		return ofLab(name)
	}
	if i < 0 {
		names := slices.Clone(labs)
		for _, p := range profiles {
			names = append(names, p.name)
		}
		return nil, fmt.Errorf("no network %q: there are %s", name, strings.Join(names, ", "))
	}
	return &profiles[i], nil
}

// carries is how many bytes all links to the receivers can send between two instants.
func (p *profile) carries(from, to time.Duration) (bytes float64) {
	for i := range p.paths {
		bytes += p.paths[i].up.carries(from, to)
	}
	return bytes
}

// A row is a line of the table: what is measured, and how.
type row struct {
	network   string
	fair      bool // beside one TCP flow in one queue
	seconds   int  // of the link's rate; 0 is what the network says
	receivers int  // behind one link; 0 is one
	noStore   bool // and no digest
	size      int64
}

// rows are all that the command measures if it is told nothing. Losses in bursts are there
// for two spans, as the shares of both change with time.
var rows = []row{
	{network: "100m-80ms"},
	{network: "20m-200ms"},
	{network: "10m-40ms-tiny"},
	{network: "1g-2ms", noStore: true},
	{network: "1g-2ms"},
	{network: "100m-20ms-loss"},
	{network: "100m-20ms-burst"},
	{network: "100m-20ms-burst", seconds: 27},
	{network: "trace-20ms"},
	{network: "three"},
	{network: "20m-200ms", fair: true},
	{network: "100m-80ms", fair: true},
	{network: "100m-20ms-loss", fair: true},
}

// title says what is measured, with all that makes a figure differ: a line of it may be
// copied into a table without the command.
func (r *row) title(p *profile) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s; %d s", p.name, p.about, r.seconds)
	if r.receivers > 1 && len(p.paths) == 1 {
		fmt.Fprintf(&b, ", %d receivers", r.receivers)
	}
	if r.noStore {
		b.WriteString(", no digest and no store")
	} else {
		b.WriteString(", digest and store")
	}
	if r.fair {
		b.WriteString(", mdalp beside one TCP flow in one queue")
	}
	return b.String()
}

// complete fills in what a row leaves to its network, and says what does not go together. A row that
// is complete stays as it is.
func (r *row) complete() (*profile, error) {
	p, err := named(r.network)
	if err != nil {
		return nil, err
	}
	if n := len(p.paths); n > 1 && (r.fair || r.receivers != 0 && r.receivers != n) {
		return nil, fmt.Errorf("%s: every receiver has a link of its own there; "+
			"leave out -fair and -receivers, or take another network", p.name)
	}
	if r.seconds == 0 {
		r.seconds = 10
		if p.seconds != 0 {
			r.seconds = p.seconds
		}
		if r.fair {
			r.seconds = 20
		}
	}
	if r.receivers == 0 {
		r.receivers = len(p.paths)
	}
	if r.size == 0 {
		carried := p.carries(0, r.span())
		// Beside TCP the payload has to last, however small the share.
		if p.share != 0 && !r.fair {
			carried *= p.share
		}
		r.size = int64(carried)
	}
	return p, nil
}

// span is how long the row's link rate lasts.
func (r *row) span() time.Duration { return time.Duration(r.seconds) * time.Second }
