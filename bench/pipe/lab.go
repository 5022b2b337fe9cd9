package main

import (
	"fmt"
	"time"

	"mdalp/internal/lab"
	"mdalp/internal/sim"
)

// ofLab gives a network of `mdalp lab` as one of ours, so that TCP has a row beside mdalp's on
// the very link: the lab plays its networks inside of a program, where nothing but datagrams to
// its own addresses passes. The way is that to the first receiver of its offer, line and all;
// what varies from packet to packet, but for losses, is left out.
func ofLab(name string) (*profile, error) {
	p, err := lab.Load(name)
	if err != nil {
		return nil, err
	}
	to := &p.Receivers[0]
	up, down := ofLink(&to.Forward), ofLink(&to.Backward)
	if a := p.Access; a != nil {
		up, down = behind(ofLink(&a.Forward), up), behind(ofLink(&a.Backward), down)
	}
	if up.rates[0].rate == 0 || down.rates[0].rate == 0 {
		return nil, fmt.Errorf("the lab's network %q has no rate: nothing bounds TCP there", name)
	}
	return &profile{name: name, about: p.About, paths: []path{{up, down}}}, nil
}

// ofLink gives a link of the simulation as one of ours. Its rate counts bytes.
func ofLink(c *sim.LinkConfig) link {
	return link{
		rates: []step{{0, c.Rate * 8}}, queue: int(c.Queue),
		delay: time.Duration(c.Delay.Mean), loss: c.Loss.P,
	}
}

// behind gives a line and what follows it as one link: one of the two has the rate.
func behind(line, rest link) link {
	if line.rates[0].rate == 0 {
		line.rates, line.queue = rest.rates, rest.queue
	}
	line.delay += rest.delay
	line.loss = 1 - (1-line.loss)*(1-rest.loss)
	return line
}
