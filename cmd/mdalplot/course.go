package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"mdalp/internal/trace"
)

// Into how many steps the time of a picture is parted, at most and at least. Finer ones
// would show single datagrams, and no course.
const (
	maxBins = 120
	minBins = 20
)

// A bin is a step of the course: what a receiver did in it.
type bin struct {
	at     float64 // its begin, in seconds since the first segment
	acked  int64   // bytes
	again  int64   // datagrams
	flight int64   // the most segments that were out
}

// bins puts slots of a capture together to steps of one length, which is given in seconds.
// What leaves as a train comes back as one, so that a step shorter than a round trip or
// two would be full or empty by chance.
func (t *transfer) bins() (all [][]bin, step float64) {
	most := 0
	for _, r := range t.receivers {
		most = max(most, len(r.slots))
	}
	join := max(1, (most+maxBins-1)/maxBins)
	for _, r := range t.receivers {
		if t.slot > 0 {
			join = max(join, min(int(2*r.delay/t.slot)+1, most/minBins))
		}
	}
	step = t.slot.Seconds() * float64(join)
	for _, r := range t.receivers {
		var bs []bin
		for i := 0; i < most; i += join {
			b := bin{at: float64(i/join) * step}
			for _, s := range r.slots[min(i, len(r.slots)):min(i+join, len(r.slots))] {
				b.acked, b.again, b.flight = b.acked+s.Acked, b.again+s.Again, max(b.flight, s.Flight)
			}
			bs = append(bs, b)
		}
		all = append(all, bs)
	}
	return all, step
}

// course draws a line for each receiver over time. y is the height of a bin, in the unit of
// the axis.
func (t *transfer) course(p *picture, all [][]bin, step, scale float64, y func(bin) float64) {
	most := 0.0
	var marks []plot.Plotter
	for i := range t.receivers {
		colour := colourOf(i)
		stairs := &lines{all: [][]point{nil}, style: draw.LineStyle{Color: colour, Width: 1.4}}
		again := &dots{glyph: triangle(colour)}
		again.glyph.Radius = 3.5
		for _, b := range all[i] {
			h := y(b)
			most = max(most, h)
			stairs.all[0] = append(stairs.all[0], point{b.at * scale, h}, point{(b.at + step) * scale, h})
			if b.again > 0 {
				again.at = append(again.at, point{(b.at + step/2) * scale, h})
			}
		}
		p.plot.Add(stairs)
		marks = append(marks, again)
	}
	p.plot.Add(marks...) // over all lines
	last := 0.0
	if len(all) > 0 {
		last = float64(len(all[0])) * step * scale
	}
	p.plot.X.Min, p.plot.X.Max = 0, max(last*1.01, 1e-9)
	p.plot.Y.Min, p.plot.Y.Max = 0, max(most*1.08, 1e-9)
}

// errNoCourse is what files say that do not tell when things went on.
var errNoCourse = errors.New("only a capture tells that: give one, as mdalp send --pcap writes it")

// window draws how many segments were out at each receiver.
func window(t *transfer) (*picture, error) {
	all, step := t.bins()
	if t.events || step == 0 {
		return nil, errNoCourse
	}
	scale, unit := timeAxis(float64(len(all[0])) * step)
	p := newPicture(t.title("Segments in flight"), t.about()+"; steps of "+shortTime(step),
		"time since the first segment ("+unit+")", "segments in flight, the most of each step")
	p.plot.Y.Tick.Marker = ticks{10, true}
	t.course(p, all, step, scale, func(b bin) float64 { return float64(b.flight) })
	p.receivers(t.receivers, func(i int) func(*draw.Canvas, vg.Point) {
		return square(colourOf(i))
	}, func(r *receiver) string {
		s := fmt.Sprintf("at most %s", commas(r.flight))
		if r.win > 0 {
			s += fmt.Sprintf(" of %s offered", commas(int64(r.win)))
		}
		return s
	})
	p.againEntry(all)
	return p, nil
}

// rate draws how many bits a second each receiver acknowledged.
func rate(t *transfer) (*picture, error) {
	all, step := t.bins()
	if t.events || step == 0 {
		return nil, errNoCourse
	}
	most := 0.0
	for _, bs := range all {
		for _, b := range bs {
			most = max(most, float64(b.acked)*8/step)
		}
	}
	if most == 0 {
		return nil, errors.New("no segment in it was acknowledged")
	}
	up, high := bitAxis(most)
	scale, unit := timeAxis(float64(len(all[0])) * step)
	p := newPicture(t.title("Rate of acknowledgement"), t.about()+"; steps of "+shortTime(step),
		"time since the first segment ("+unit+")", "acknowledged payload ("+high+")")
	t.course(p, all, step, scale, func(b bin) float64 { return float64(b.acked) * 8 / step * up })
	p.receivers(t.receivers, func(i int) func(*draw.Canvas, vg.Point) {
		return square(colourOf(i))
	}, func(r *receiver) string {
		if r.rate == 0 {
			return "nothing acknowledged"
		}
		f, u := bitAxis(r.rate * 8)
		return fmt.Sprintf("%.3g %s on average", r.rate*8*f, u)
	})
	p.againEntry(all)
	return p, nil
}

// againEntry explains the marks of repetitions, where there are some.
func (p *picture) againEntry(all [][]bin) {
	if slices.ContainsFunc(all, func(bs []bin) bool {
		return slices.ContainsFunc(bs, func(b bin) bool { return b.again > 0 })
	}) {
		g := triangle(dim)
		g.Radius = 3.5
		p.legend = append(p.legend, entry{text: "Steps"},
			entry{text: "with segments sent again", mark: glyph(g)})
	}
}

// bitAxis gives the unit that fits rates in bits a second up to the greatest.
func bitAxis(most float64) (scale float64, unit string) {
	switch {
	case most >= 2e9:
		return 1e-9, "Gbit/s"
	case most >= 2e6:
		return 1e-6, "Mbit/s"
	case most >= 2e3:
		return 1e-3, "kbit/s"
	}
	return 1, "bit/s"
}

// shortTime writes a short time.
func shortTime(seconds float64) string {
	d := time.Duration(seconds * 1e9)
	if d < 2*time.Second {
		return fmt.Sprintf("%g ms", float64(d.Round(time.Microsecond))/1e6)
	}
	return fmt.Sprintf("%.3g s", seconds)
}

// take takes what a capture says of the course.
func (r *receiver) take(y *trace.Receiver) {
	r.slots, r.flight, r.win = y.Slots, y.Flight, y.Win
	r.rate, _ = y.Rate()
	r.delay = y.AckDelays().Median
}
