package main

import (
	"fmt"
	"image/color"
	"regexp"

	"golang.org/x/image/font"
	"gonum.org/v1/plot"
	pfont "gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// An SVG names its font and does not hold it, which would be more than all else. Where
// it is not installed another is taken, which may be wider: DejaVu Sans, which most
// Linux systems have, by a sixth. So texts get more room than they need, and each is
// held where it belongs: at its begin, its middle or its end.
const spare = 1.2

// families are the fonts to take, in their order; the first three have the same widths.
const families = "'Liberation Sans',Arimo,Arial,Helvetica,sans-serif"

// roomy is a text handler whose texts have room to spare.
type roomy struct{ text.Handler }

// Box implements text.Handler.
func (r roomy) Box(txt string, f pfont.Font) (w, h, d vg.Length) {
	w, h, d = r.Handler.Box(txt, f)
	return w * spare, h, d
}

// Draw implements text.Handler.
func (r roomy) Draw(c vg.Canvas, txt string, sty text.Style, at vg.Point) {
	// A part of a canvas is a canvas around it.
	for below := c; below != nil; {
		switch x := below.(type) {
		case *draw.Canvas:
			below = x.Canvas
		case draw.Canvas:
			below = x.Canvas
		case *svg:
			x.align = sty.XAlign
			below = nil
		default:
			below = nil
		}
	}
	r.Handler.Draw(c, txt, sty, at)
}

// style is a style of text.
func style(size vg.Length, c color.Color, bold bool) text.Style {
	f := pfont.From(plot.DefaultFont, size)
	f.Variant = "Sans"
	if bold {
		f.Weight = font.WeightBold
	}
	return text.Style{Color: c, Font: f, Handler: roomy{plot.DefaultTextHandler}}
}

// svg is a canvas whose texts have anchors. The canvas below knows of none, so each text
// is marked by a character of the private use area, which render makes the attribute of.
type svg struct {
	*vgsvg.Canvas
	align text.XAlignment // of the text that is drawn
}

// The marks of texts that are held in the middle, and at the end.
const (
	atMiddle = '\uE001'
	atEnd    = '\uE002'
)

// FillString implements vg.Canvas. The place that it is given is the begin of the text as
// wide as the font says.
func (s *svg) FillString(f pfont.Face, at vg.Point, txt string) {
	switch s.align {
	case text.XCenter:
		at.X += f.Width(txt) / 2
		txt = string(atMiddle) + txt
	case text.XRight:
		at.X += f.Width(txt)
		txt = string(atEnd) + txt
	}
	s.Canvas.FillString(f, at, txt)
}

var (
	marked = regexp.MustCompile(`<text ([^>]*)>([` + string(atMiddle) + string(atEnd) + `])`)
	opened = regexp.MustCompile(`<svg [^>]*>`)
	family = regexp.MustCompile(`font-family:[^;]*;`)
)

// finish makes of what the canvas wrote what is saved: anchors, fonts, and a title for
// those who cannot see it.
func finish(b []byte, title, about string) []byte {
	b = marked.ReplaceAllFunc(b, func(m []byte) []byte {
		p := marked.FindSubmatch(m)
		anchor := "middle"
		if string(p[2]) == string(atEnd) {
			anchor = "end"
		}
		return fmt.Appendf(nil, `<text text-anchor="%s" %s>`, anchor, p[1])
	})
	b = family.ReplaceAll(b, []byte("font-family:"+families+";"))
	first := true
	return opened.ReplaceAllFunc(b, func(m []byte) []byte {
		if !first {
			return m
		}
		first = false
		return fmt.Appendf(nil, "%s\n<title>%s</title>\n<desc>%s</desc>", m, escaped(title), escaped(about))
	})
}
