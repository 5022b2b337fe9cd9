package main

import (
	"errors"
	"image/color"
	"slices"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"mdalp/internal/trace"
)

// delay draws how long each segment took to be acknowledged.
func delay(t *transfer) (*picture, error) {
	if t.events {
		return nil, errors.New("events do not tell single acknowledgements: " +
			"give a capture, as mdalp send --pcap writes it")
	}
	if err := t.single(); err != nil {
		return nil, err
	}
	last, most := t.farthest()
	if most == 0 {
		return nil, errors.New("no segment in it was acknowledged")
	}
	scale, unit := timeAxis(last)
	// The axes have units of their own: a transfer of minutes has delays of milliseconds.
	up, high := timeAxis(most)
	least, wide := t.wide(most)
	what := "acknowledgement delay (" + high + ")"
	if wide {
		up, high = 1e3, "ms"
		what = "acknowledgement delay (" + high + ", logarithmic)"
	}
	p := newPicture(t.title("Acknowledgement delays"), t.about(),
		"time of sending, since the first segment ("+unit+")", what)
	p.plot.X.Min, p.plot.X.Max = -last*scale*0.01, max(last*scale*1.02, 1e-9)
	p.plot.Y.Min, p.plot.Y.Max = 0, most*up*1.08
	p.plot.Y.Tick.Marker = ticks{10, false}
	if wide {
		p.plot.Y.Min, p.plot.Y.Max = least*up/1.2, most*up*1.2
		p.plot.Y.Scale, p.plot.Y.Tick.Marker = plot.LogScale{}, decades{}
	}

	var pings []plot.Plotter
	for i, r := range t.receivers {
		// A delay of 0 has no place on a logarithmic axis but its edge.
		place := func(s shot) point { return point{s.at * scale, max(s.took.Seconds(), least) * up} }
		p.delays(r.shots, colourOf(i), place, t.segments > dense)
		if r.latency > 0 {
			pings = append(pings, p.mean(max(r.latency.Seconds(), least)*up, i)...)
		}
	}
	p.plot.Add(pings...) // which would be lost in a cloud
	p.receivers(t.receivers, func(i int) func(*draw.Canvas, vg.Point) {
		return square(colourOf(i))
	}, func(r *receiver) string {
		if len(r.delays) == 0 {
			return "no acknowledgements"
		}
		s := "median " + millis(trace.SpreadOf(r.delays).Median.Round(time.Microsecond))
		if r.latency > 0 {
			s += ", ping " + millis(r.latency.Round(time.Microsecond))
		}
		return s
	})
	p.legend = append(p.legend,
		entry{text: "Delays of a segment"},
		entry{text: "sent once", mark: glyph(disc(dim))},
	)
	if t.resent() > 0 {
		p.legend = append(p.legend,
			entry{text: "sent again, since the last time", mark: glyph(triangle(dim))})
	}
	if len(pings) > 0 {
		p.legend = append(p.legend, entry{text: "mean of the pings",
			mark: line(draw.LineStyle{Color: dim, Width: 1, Dashes: []vg.Length{5, 4}})})
	}
	return p, nil
}

// farthest gives in seconds the last instant of sending, and the longest delay or mean of pings.
func (t *transfer) farthest() (last, most float64) {
	for _, r := range t.receivers {
		most = max(most, r.latency.Seconds())
		for _, s := range r.shots {
			last = max(last, s.at)
			most = max(most, s.took.Seconds())
		}
	}
	return last, most
}

// delays adds those of one receiver, each at its place.
func (p *picture) delays(shots []shot, colour color.RGBA, place func(shot) point, cloud bool) {
	// The line that joins a receiver's delays shows where they drift. It lies below the dots,
	// which are added after it.
	chain := &lines{all: [][]point{nil}, style: draw.LineStyle{Color: pale(colour), Width: 0.8}}
	once, again := &dots{glyph: disc(colour)}, &dots{glyph: triangle(colour)}
	once.glyph.Radius = 2.6
	for _, s := range shots {
		if s.state != answered {
			continue
		}
		at := place(s)
		chain.all[0] = append(chain.all[0], at)
		if s.try == 1 {
			once.at = append(once.at, at)
		} else {
			again.at = append(again.at, at)
		}
	}
	// In a cloud of dots the joining lines would be one blot.
	if cloud {
		once.glyph.Radius = 1.2
	} else {
		p.plot.Add(chain)
	}
	p.plot.Add(once, again)
}

// mean is the line of the mean of a receiver's pings, at its height.
func (p *picture) mean(y float64, receiver int) []plot.Plotter {
	along := [][]point{{{p.plot.X.Min, y}, {p.plot.X.Max, y}}}
	dash := draw.LineStyle{Color: colourOf(receiver), Width: 1.2, Dashes: []vg.Length{5, 4}}
	dash.DashOffs = 4.5 * vg.Length(receiver%2) // equal means share a line
	// White below the dashes keeps them apart from dots of the same colour.
	edge := dash
	edge.Color, edge.Width = color.White, 3
	return []plot.Plotter{&lines{along, edge}, &lines{along, dash}}
}

// outlier is by how much the longest delay may exceed the median before it makes all
// others flat.
const outlier = 12

// wide reports whether delays are so far apart, the longest of them and of the pings being
// most seconds, that only a logarithmic axis shows them; least is where that begins, and
// 0 for the usual one.
func (t *transfer) wide(most float64) (least float64, ok bool) {
	var all []time.Duration
	for _, r := range t.receivers {
		for _, s := range r.shots {
			if s.state == answered {
				all = append(all, s.took)
			}
		}
	}
	slices.Sort(all)
	n := len(all)
	if n == 0 || most <= outlier*all[n/2].Seconds() {
		return 0, false
	}
	// The smallest that is not next to nothing: a microsecond is what clocks tell apart.
	i, _ := slices.BinarySearch(all, time.Microsecond)
	d := all[min(i, n-1)]
	for _, r := range t.receivers {
		if r.latency > 0 {
			d = min(d, r.latency)
		}
	}
	return max(d, time.Microsecond).Seconds(), true
}
