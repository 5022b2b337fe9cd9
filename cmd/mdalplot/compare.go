package main

import (
	"cmp"
	"errors"
	"fmt"
	"image/color"
	"slices"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// maxBars is how many receivers alone are drawn, the fastest. An offer may have
// thousands, and the height of a picture has an end.
const maxBars = 40

// bars are the series, from the top to the bottom.
type bars struct {
	all []*sery
	// From seconds to the unit of the axis.
	scale float64
}

// Plot implements plot.Plotter.
func (b *bars) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	// A bar takes two thirds of its row, but few bars shall not become blocks.
	half := min((y(1)-y(0))*0.34, 15)
	number := style(10, black, false)
	number.YAlign = draw.YCenter
	box := func(fill color.Color, from, to float64, at vg.Length) {
		c.FillPolygon(fill, []vg.Point{{X: x(from), Y: at - half}, {X: x(to), Y: at - half},
			{X: x(to), Y: at + half}, {X: x(from), Y: at + half}})
	}
	for i, s := range b.all {
		// The axis grows upwards, and the first series stands on top.
		at := y(float64(len(b.all) - 1 - i))
		label := fmt.Sprintf("all %s failed", count(s.Failed, "run"))
		end := x(0)
		if len(s.Samples) > 0 {
			colour := modeColour(s.Mode)
			// The medians of the parts need not add up to that of the whole, which counts.
			ping := min(s.ping, s.both)
			box(pale(colour), 0, ping*b.scale, at)
			box(colour, ping*b.scale, s.both*b.scale, at)
			// Of a single run there is no spread to show.
			if s.most > s.least {
				l := draw.LineStyle{Color: black, Width: 1}
				from, to := x(s.least*b.scale), x(s.most*b.scale)
				c.StrokeLine2(l, from, at, to, at)
				c.StrokeLine2(l, from, at-4, from, at+4)
				c.StrokeLine2(l, to, at-4, to, at+4)
			}
			end = x(s.most * b.scale)
			label = strconv.FormatFloat(s.both, 'f', 3, 64) + " s"
			if s.Failed > 0 {
				label += fmt.Sprintf(" (%s failed)", commas(s.Failed))
			}
		}
		// Behind the whisker and not behind the bar, which it would cross.
		c.FillText(number, vg.Point{X: end + 6, Y: at}, label)
	}
}

// modeColour is the colour of a mode. The first two colours; readBench lets no other
// mode in.
func modeColour(mode int) color.RGBA { return colours[(mode-1)&1] }

// foremost gives those of the series that are drawn, and how many are left out. They are
// sorted only where some have to go: else the order of the offer is kept, which people know.
func foremost(alone []*sery) (drawn []*sery, left int) {
	if left = len(alone) - maxBars; left <= 0 {
		return alone, 0
	}
	slices.SortStableFunc(alone, func(x, y *sery) int {
		// Those without a run go last.
		return cmp.Or(cmp.Compare(min(1, len(y.Samples)), min(1, len(x.Samples))),
			cmp.Compare(x.both, y.both))
	})
	return alone[:maxBars], left
}

// compare draws balanced sending against each receiver alone. What failed in every run
// has a row all the same, which says so.
func compare(b *bench) (*picture, error) {
	shown, alone := []*sery{}, []*sery{}
	most, runs := 0.0, 0
	for _, s := range b.Series {
		if s.Mode == 2 {
			alone = append(alone, s)
		} else {
			shown = append(shown, s)
		}
		most = max(most, s.most)
		runs += len(s.Samples)
	}
	if runs == 0 {
		return nil, errors.New("no run in it ended well")
	}
	alone, left := foremost(alone)
	shown = append(shown, alone...)

	about := fmt.Sprintf("%s to %s, median of %s, without the wait for the offer",
		count(b.Size, "byte"), count(b.Receivers, "receiver"), count(b.Runs, "run"))
	// One unit for all bars, by the longest.
	scale, unit := timeAxis(most)
	p := newPicture("Balanced sending and each receiver alone", about,
		"time for pings and sending ("+unit+")", "")
	if x, y := b.fastest(1), b.fastest(2); x != nil && y != nil && x.both > 0 {
		// Only if both were measured: a picture without the one or the other keeps its plain title.
		p.title = fmt.Sprintf("Balanced (%s) is %.1f times as fast as %s, the best receiver alone",
			short(x.Balance, 12), y.both/x.both, short(y.receiver(), 46))
	}
	labels := make([]string, len(shown))
	for i, s := range shown {
		labels[i] = "balanced: " + short(s.Balance, 12)
		if s.Mode == 2 {
			labels[i] = short(s.receiver(), 46) + " alone"
		}
	}
	number(labels)
	var names plot.ConstantTicks
	for i, l := range labels {
		names = append(names, plot.Tick{Value: float64(len(shown) - 1 - i), Label: l})
	}
	p.plot.Y.Tick.Marker, p.plot.Y.Tick.Length = names, 0
	// A third more, for the figures behind the bars.
	p.plot.X.Min, p.plot.X.Max = 0, most*scale*1.33
	p.plot.Y.Min, p.plot.Y.Max = -0.6, float64(len(shown))-0.4
	p.plot.Add(&bars{shown, scale})
	// Thirty points for each row, within what still is a picture.
	p.height = min(max(220, 120+vg.Length(len(shown))*30), 1200)

	for _, m := range []struct {
		mode int
		name string
	}{{1, "To all receivers"}, {2, "To one receiver alone"}} {
		if slices.ContainsFunc(shown, func(s *sery) bool { return s.Mode == m.mode }) {
			p.legend = append(p.legend, entry{text: m.name},
				entry{text: "sending", mark: square(modeColour(m.mode))},
				entry{text: "pings", mark: square(pale(modeColour(m.mode)))})
		}
	}
	p.legend = append(p.legend, entry{text: "Both"},
		entry{text: "least to most", mark: line(draw.LineStyle{Color: black, Width: 1})})
	if left > 0 {
		p.legend = append(p.legend,
			entry{note: fmt.Sprintf("%s left out", count(int64(left), "slower receiver"))})
	}
	return p, nil
}
