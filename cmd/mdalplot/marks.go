package main

import (
	"image/color"
	"math"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// A point is a place in the units of the axes. A vg.Point is a place on the paper, in
// points of 1/72 inch.
type point struct{ x, y float64 }

// cell is a place on the paper, to a point. What falls on what is there already is
// not drawn again: else a capture of a million segments made a picture of hundreds of
// megabytes that looks the same.
type cell struct{ x, y int }

func cellOf(p vg.Point) cell {
	return cell{int(math.Round(float64(p.X))), int(math.Round(float64(p.Y)))}
}

// dots are marks of one kind. All of one glyph are drawn together, so that what is
// added to the plot later lies above them.
type dots struct {
	at    []point
	glyph draw.GlyphStyle
}

// Plot implements plot.Plotter.
func (d *dots) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	seen := make(map[cell]struct{})
	for _, at := range d.at {
		v := vg.Point{X: x(at.x), Y: y(at.y)}
		if _, ok := seen[cellOf(v)]; ok {
			continue
		}
		seen[cellOf(v)] = struct{}{}
		c.DrawGlyphNoClip(d.glyph, v) // those at the edge are whole
	}
}

// lines are polygonal chains of one style.
type lines struct {
	all   [][]point
	style draw.LineStyle
}

// Plot implements plot.Plotter.
func (l *lines) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	type stroke struct{ from, to cell }
	seen := make(map[stroke]struct{})
	for _, chain := range l.all {
		var last []vg.Point
		for _, at := range chain {
			v := vg.Point{X: x(at.x), Y: y(at.y)}
			if n := len(last); n > 0 && cellOf(last[n-1]) == cellOf(v) {
				continue
			}
			last = append(last, v)
		}
		// Only strokes of two ends come by the hundred thousand. A chain is one for each receiver.
		if len(last) == 2 {
			k := stroke{cellOf(last[0]), cellOf(last[1])}
			if _, ok := seen[k]; ok {
				continue
			}
			seen[k] = struct{}{}
		}
		if len(last) > 1 {
			c.StrokeLines(l.style, last)
		}
	}
}

// filled is a shape with a white edge, so that it stands out among others.
type filled struct{ shape draw.GlyphDrawer }

// DrawGlyph implements draw.GlyphDrawer.
func (f filled) DrawGlyph(c *draw.Canvas, s draw.GlyphStyle, at vg.Point) {
	edge := s
	edge.Color, edge.Radius = color.White, s.Radius+1
	c.SetColor(edge.Color)
	f.shape.DrawGlyph(c, edge, at)
	c.SetColor(s.Color)
	f.shape.DrawGlyph(c, s, at)
}

// cross is a diagonal cross, with a white edge unless it is bare. The white edge parts
// it from the dot that it strikes out.
type cross struct{ bare bool }

// DrawGlyph implements draw.GlyphDrawer.
func (x cross) DrawGlyph(c *draw.Canvas, s draw.GlyphStyle, at vg.Point) {
	r := s.Radius
	styles := []draw.LineStyle{{Color: color.White, Width: 3.4}, {Color: s.Color, Width: 1.6}}
	if x.bare {
		styles = styles[1:]
	}
	for _, l := range styles {
		c.StrokeLine2(l, at.X-r, at.Y-r, at.X+r, at.Y+r)
		c.StrokeLine2(l, at.X-r, at.Y+r, at.X+r, at.Y-r)
	}
}

// The marks, in the colour of a receiver or in black.
func disc(c color.Color) draw.GlyphStyle {
	return draw.GlyphStyle{Color: c, Radius: 2, Shape: draw.CircleGlyph{}}
}
func triangle(c color.Color) draw.GlyphStyle {
	return draw.GlyphStyle{Color: c, Radius: 5.5, Shape: filled{draw.PyramidGlyph{}}}
}
func spot(c color.Color) draw.GlyphStyle {
	return draw.GlyphStyle{Color: c, Radius: 6, Shape: filled{draw.CircleGlyph{}}}
}

var lostMark = draw.GlyphStyle{Color: black, Radius: 3.2, Shape: cross{}}

// glyph makes the legend's mark of a glyph. The legend draws the same glyphs as the
// plot, in grey where every receiver has its own colour.
func glyph(g draw.GlyphStyle) func(*draw.Canvas, vg.Point) {
	return func(c *draw.Canvas, at vg.Point) { c.DrawGlyphNoClip(g, at) }
}

// line makes the legend's mark of a line.
func line(s draw.LineStyle) func(*draw.Canvas, vg.Point) {
	return func(c *draw.Canvas, at vg.Point) { c.StrokeLine2(s, at.X-9, at.Y, at.X+9, at.Y) }
}

// square makes the legend's mark of a colour.
func square(fill color.Color) func(*draw.Canvas, vg.Point) {
	return func(c *draw.Canvas, at vg.Point) {
		c.FillPolygon(fill, []vg.Point{{X: at.X - 6, Y: at.Y - 4}, {X: at.X + 6, Y: at.Y - 4},
			{X: at.X + 6, Y: at.Y + 4}, {X: at.X - 6, Y: at.Y + 4}})
	}
}

// grid draws faint lines at the ticks.
type grid struct{}

// Plot implements plot.Plotter.
func (grid) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	s := draw.LineStyle{Color: faint, Width: 0.6}
	for _, t := range p.X.Tick.Marker.Ticks(p.X.Min, p.X.Max) {
		if t.Label != "" {
			c.StrokeLine2(s, x(t.Value), c.Min.Y, x(t.Value), c.Max.Y)
		}
	}
	if _, named := p.Y.Tick.Marker.(plot.ConstantTicks); named {
		return // of bars
	}
	for _, t := range p.Y.Tick.Marker.Ticks(p.Y.Min, p.Y.Max) {
		if t.Label != "" {
			c.StrokeLine2(s, c.Min.X, y(t.Value), c.Max.X, y(t.Value))
		}
	}
}

// ticks are at most n places at 1, 2 or 5 times a power of ten. They stand in for those
// of gonum, which write a million as 1e+06.
type ticks struct {
	n     int
	whole bool // whole numbers only
}

// Ticks implements plot.Ticker.
func (t ticks) Ticks(from, to float64) (all []plot.Tick) {
	span := to - from
	// Written so that NaN is refused too.
	if !(span > 0) || math.IsInf(span, 0) {
		return nil
	}
	power := int(math.Floor(math.Log10(span / float64(t.n))))
	// There is no half of a segment.
	if t.whole {
		power = max(power, 0)
	}
	step, decimals := 0.0, max(0, -power)
	for _, m := range []float64{1, 2, 5, 10} {
		if step = m * math.Pow10(power); span/step <= float64(t.n) {
			// Ten times a power needs one digit less behind the point than the power.
			if m == 10 {
				decimals = max(0, decimals-1)
			}
			break
		}
	}
	// From an integer, so that errors do not add up.
	// A bit of slack, so that rounding does not lose the first and last tick; the bound on the
	// number ends it whatever the rounding does.
	for i := math.Ceil(from/step - 1e-9); i*step <= to+step*1e-9 && len(all) <= 2*t.n; i++ {
		v := i * step
		label := strconv.FormatFloat(v, 'g', 6, 64)
		switch {
		// It may be -0, which would be written so.
		case v == 0:
			v, label = 0, "0"
		case math.Abs(v) >= 1e3 && math.Abs(v) < 1e15:
			label = commas(int64(math.Round(v)))
		case math.Abs(v) < 1e3:
			label = strconv.FormatFloat(v, 'f', decimals, 64)
		}
		all = append(all, plot.Tick{Value: v, Label: label})
	}
	return all
}

// decades are the places of a logarithmic axis: 1, 2 and 5 times powers of ten, or the
// powers alone where there are many.
type decades struct{}

// Ticks implements plot.Ticker.
func (decades) Ticks(from, to float64) (all []plot.Tick) {
	if !(from > 0) || !(to > from) || math.IsInf(to, 0) {
		return nil
	}
	low, high := int(math.Floor(math.Log10(from))), int(math.Ceil(math.Log10(to)))
	for power := low; power <= high; power++ {
		for _, m := range []float64{1, 2, 5} {
			v := m * math.Pow10(power)
			if v < from || v > to || high-low > 4 && m > 1 {
				continue
			}
			label := strconv.FormatFloat(v, 'f', max(0, -power), 64)
			if v >= 1e3 && v < 1e15 {
				label = commas(int64(v))
			}
			all = append(all, plot.Tick{Value: v, Label: label})
		}
	}
	return all
}
