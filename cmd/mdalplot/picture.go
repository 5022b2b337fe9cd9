package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"image/color"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"

	"mdalp/cmd/internal/usage"
)

// The size of pictures in points, and the dots per inch of PNG: twice as many as the
// points, for dense screens.
const (
	width  = vg.Length(840)
	height = vg.Length(440)
	margin = vg.Length(14)
	dpi    = 144
)

// The colours that tell receivers apart for the colour-blind too: those of Okabe and Ito
// (Color Universal Design, 2008) without yellow, which is too pale for white paper.
var colours = []color.RGBA{
	{0x00, 0x72, 0xb2, 0xff}, // blue
	{0xd5, 0x5e, 0x00, 0xff}, // vermilion
	{0x00, 0x9e, 0x73, 0xff}, // green
	{0xcc, 0x79, 0xa7, 0xff}, // purple
	{0xe6, 0x9f, 0x00, 0xff}, // orange
	{0x56, 0xb4, 0xe9, 0xff}, // sky blue
	{0x44, 0x44, 0x44, 0xff},
}

var (
	black = color.RGBA{0, 0, 0, 0xff}
	dim   = color.RGBA{0x55, 0x55, 0x55, 0xff}
	faint = color.RGBA{0xe4, 0xe4, 0xe4, 0xff}
)

// colourOf gives the colour of the receiver in that place. Colours repeat behind the
// last; the legend says so.
func colourOf(i int) color.RGBA { return colours[i%len(colours)] }

// pale mixes a colour with white. It is mixed and not made transparent: transparent
// lines on top of each other would look darker, as if that meant something.
func pale(c color.RGBA) color.RGBA {
	mix := func(v uint8) uint8 { return uint8((int(v)*45 + 255*55) / 100) }
	return color.RGBA{mix(c.R), mix(c.G), mix(c.B), 0xff}
}

// A picture is a plot with its title above, and its legend beside it, where it covers
// nothing.
type picture struct {
	// The second is a line below the first: what was sent to how many.
	title, about string
	plot         *plot.Plot
	legend       []entry
	height       vg.Length // 0: as usual
}

// An entry is what the legend says of a mark. It is a heading without one, and stands
// alone below what is above if it has neither.
type entry struct {
	text, note string
	mark       func(c *draw.Canvas, at vg.Point)
}

// maxEntries is how many receivers a legend tells: all colours, and no more than has room.
const maxEntries = 7

// newPicture makes a picture with axes. What is the same in all pictures is set here,
// so that they look like one family.
func newPicture(title, about, x, y string) *picture {
	p := plot.New()
	p.BackgroundColor = nil
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Label.TextStyle.Font = style(11, black, false).Font
		a.Label.TextStyle.Handler = style(11, black, false).Handler
		a.Label.Padding = 5
		a.Tick.Label.Font = style(10, black, false).Font
		a.Tick.Label.Handler = style(10, black, false).Handler
		a.Tick.Length = 4
		a.Tick.LineStyle.Color = dim
		a.LineStyle.Color = dim
		a.Padding = 0
	}
	p.X.Label.Text, p.Y.Label.Text = x, y
	p.X.Tick.Marker, p.Y.Tick.Marker = ticks{10, false}, ticks{8, false}
	p.Add(grid{})
	return &picture{title: title, about: about, plot: p}
}

// receivers adds the legend of receivers: name and address, and what note says.
func (p *picture) receivers(
	all []*receiver, mark func(i int) func(*draw.Canvas, vg.Point), note func(*receiver) string,
) {
	p.legend = append(p.legend, entry{text: "Receivers"})
	names := make([]string, len(all))
	for i, r := range all {
		if names[i] = r.label(); r.name != "" {
			names[i] += " " + short(r.name, 20)
		}
	}
	number(names)
	for i, r := range all {
		// One more fits as well as the line that would stand for it.
		if i == maxEntries && len(all) > maxEntries+1 {
			p.legend = append(p.legend,
				entry{note: fmt.Sprintf("and %s more; colours repeat", commas(int64(len(all)-i)))})
			break
		}
		p.legend = append(p.legend, entry{text: names[i], note: note(r), mark: mark(i)})
	}
}

// number tells equal names apart: the second gets (2) behind it, the third (3).
func number(names []string) {
	seen := make(map[string]int)
	for i, n := range names {
		if seen[n]++; seen[n] > 1 {
			names[i] = fmt.Sprintf("%s (%d)", n, seen[n])
		}
	}
}

// escaped is a text between the tags of an SVG.
func escaped(s string) string {
	var b strings.Builder
	xml.EscapeText(&b, []byte(short(s, 300)))
	return b.String()
}

// short gives a name that comes from elsewhere in at most n letters that can be drawn.
// An SVG file with control characters would be no XML, and a font has no glyph for
// them.
func short(s string, n int) string {
	letters := []rune(strings.Map(func(r rune) rune {
		// Private characters have no glyph, and mark texts in this program.
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar || unicode.Is(unicode.Co, r) {
			return '?'
		}
		return r
	}, s))
	if len(letters) > n {
		letters = append(letters[:n-1], '…')
	}
	return string(letters)
}

// The measures of a legend.
const (
	markWidth = vg.Length(24)
	rowHeight = vg.Length(15)
)

// draw draws everything. From the top to the bottom, as the canvas has its origin at
// the bottom: what is taken for the title, and then for the legend, is cut off from the
// rectangle that is left.
func (p *picture) draw(c draw.Canvas) {
	c.SetColor(color.White)
	c.Fill(c.Rectangle.Path())
	// The margin is paper too: it is filled before this.
	c = draw.Crop(c, margin, -margin, margin, -margin)
	head := style(14, black, true)
	sub := style(10.5, dim, false)
	top := c.Max.Y
	top -= 12
	c.FillText(head, vg.Point{X: c.Min.X, Y: top}, p.title)
	top -= 17
	c.FillText(sub, vg.Point{X: c.Min.X, Y: top}, p.about)
	top -= 16
	c.Max.Y = top

	normal, note, strong := style(10, black, false), style(9, dim, false), style(10, black, true)
	// The legend takes the room that its widest line needs; the plot gets the rest.
	wide := vg.Length(0)
	for _, e := range p.legend {
		w, x := normal.Width(e.text), note.Width(e.note)
		// Headings and notes without a mark begin at the left edge.
		if e.mark != nil {
			w, x = w+markWidth, x+markWidth
		}
		wide = max(wide, w, x)
	}
	if wide > 0 {
		at := vg.Point{X: c.Max.X - wide, Y: top}
		for _, e := range p.legend {
			left := at.X
			if e.mark != nil {
				left += markWidth
				e.mark(&c, vg.Point{X: at.X + markWidth/2 - 3, Y: at.Y - 6.5})
			}
			switch {
			case e.text != "" && e.mark == nil:
				at.Y -= 3
				c.FillText(strong, vg.Point{X: left, Y: at.Y - 10}, e.text)
				at.Y -= rowHeight + 2
			case e.text != "":
				c.FillText(normal, vg.Point{X: left, Y: at.Y - 10}, e.text)
				at.Y -= rowHeight
			}
			if e.note != "" {
				c.FillText(note, vg.Point{X: left, Y: at.Y - 8}, e.note)
				at.Y -= rowHeight
			}
		}
		// The plot and its labels draw up to the edge of what is left.
		c.Max.X -= wide + 22
	}
	p.plot.Draw(c)
}

// render gives the bytes of the format that the name's end tells. What does not end
// with .png is SVG; checkOutputs lets nothing else in. Nothing of the time or the
// machine gets in, so the same input gives the same picture.
func (p *picture) render(name string) ([]byte, error) {
	h := p.height
	if h == 0 {
		h = height
	}
	var b bytes.Buffer
	if strings.EqualFold(filepath.Ext(name), ".png") {
		c := vgimg.NewWith(vgimg.UseWH(width, h), vgimg.UseDPI(dpi))
		p.draw(draw.New(c))
		_, err := vgimg.PngCanvas{Canvas: c}.WriteTo(&b)
		return b.Bytes(), err
	}
	c := &svg{Canvas: vgsvg.New(width, h)}
	p.draw(draw.New(c))
	if _, err := c.WriteTo(&b); err != nil {
		return nil, err
	}
	return finish(b.Bytes(), p.title, p.about), nil
}

// save writes the picture to all names. It stops at the first that fails; those before
// it are written.
func (p *picture) save(names []string) error {
	for _, name := range names {
		b, err := p.render(name)
		if err == nil {
			err = os.WriteFile(name, b, 0o644)
		}
		if err != nil {
			return fmt.Errorf("-o %s: %w", name, usage.File(err))
		}
	}
	return nil
}
