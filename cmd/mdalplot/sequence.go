package main

import (
	"errors"
	"fmt"
	"image/color"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// timeAxis gives the unit that fits times in seconds up to the last. Below two seconds
// milliseconds have the better numbers.
func timeAxis(last float64) (scale float64, unit string) {
	if last < 2 {
		return 1e3, "ms"
	}
	return 1, "s"
}

// dense is from how many segments on a picture is more of a cloud: its dots are small.
const dense = 600

// sequence draws which segment went to which receiver when. Each receiver has its
// colour, so that what goes on side by side can be seen; a line leads from a segment to
// its acknowledgement, and from there to the next one.
func sequence(t *transfer) (*picture, error) {
	if t.events {
		return progress(t)
	}
	if err := t.single(); err != nil {
		return nil, err
	}
	// The last instant in seconds, and the range of sequence numbers, which need not begin at 0
	// in a capture that began late.
	last, least, most := 0.0, math.Inf(1), math.Inf(-1)
	for _, r := range t.receivers {
		for _, s := range r.shots {
			last = max(last, s.at+s.took.Seconds())
			least, most = min(least, float64(s.seq)), max(most, float64(s.seq))
		}
	}
	scale, unit := timeAxis(last)
	p := newPicture(t.title("Segments over time"), t.about(),
		"time since the first segment ("+unit+")", "segment (SEQ)")
	p.plot.Y.Tick.Marker = ticks{10, true}
	// So that marks at the edge are whole, and a single segment has an axis at all.
	pad := max(0.6, (most-least)*0.02)
	p.plot.X.Min, p.plot.X.Max = -last*scale*0.01, max(last*scale*1.02, 1e-9)
	p.plot.Y.Min, p.plot.Y.Max = least-pad, most+pad

	lost, lostAgain := &dots{glyph: lostMark}, &dots{glyph: lostMark}
	lostAgain.glyph.Shape = cross{bare: true} // its edge would hide the triangle below
	for i, r := range t.receivers {
		p.shots(r.shots, colourOf(i), scale, t.segments > dense)
		for _, s := range r.shots {
			at := point{s.at * scale, float64(s.seq)}
			switch {
			case s.state == unanswered && s.try == 1:
				lost.at = append(lost.at, at)
			case s.state == unanswered:
				lostAgain.at = append(lostAgain.at, at)
			}
		}
	}
	p.plot.Add(lost, lostAgain) // over all others

	p.receivers(t.receivers, func(i int) func(*draw.Canvas, vg.Point) {
		return square(colourOf(i))
	}, func(r *receiver) string {
		return strings.Join(r.figures(), ", ")
	})
	p.legend = append(p.legend,
		entry{text: "Segments"},
		entry{text: "sent", mark: glyph(disc(dim))},
		entry{text: "until its acknowledgement", mark: line(draw.LineStyle{Color: pale(dim), Width: 1.6})},
	)
	if t.resent() > 0 {
		p.legend = append(p.legend, entry{text: "sent again", mark: glyph(triangle(dim))})
	}
	if t.lost() > 0 {
		p.legend = append(p.legend,
			entry{text: "unanswered: it or the", mark: glyph(lostMark)},
			// An empty mark, so that the second line stands below the first and is no heading.
			entry{text: "acknowledgement was lost", mark: func(*draw.Canvas, vg.Point) {}})
	}
	if t.lost() > 0 && t.resent() > 0 {
		p.legend = append(p.legend, entry{text: "until the timeout",
			mark: line(draw.LineStyle{Color: dim, Width: 1, Dashes: []vg.Length{3, 3}})})
	}
	return p, nil
}

// shots adds the segments of one receiver, and what came of them.
func (p *picture) shots(shots []shot, colour color.RGBA, scale float64, cloud bool) {
	flight := &lines{style: draw.LineStyle{Color: pale(colour), Width: 1.6}}
	climb := &lines{style: draw.LineStyle{Color: pale(colour), Width: 0.6}}
	silent := &lines{style: draw.LineStyle{Color: colour, Width: 1, Dashes: []vg.Length{3, 3}}}
	sent, again := &dots{glyph: disc(colour)}, &dots{glyph: triangle(colour)}
	// Dots of the usual size would cover each other.
	if cloud {
		sent.glyph.Radius = 1.2
	}
	for k, s := range shots {
		at, y := s.at*scale, float64(s.seq)
		switch {
		case s.state == answered:
			end := (s.at + s.took.Seconds()) * scale
			flight.all = append(flight.all, []point{{at, y}, {end, y}})
			// Where one segment is out at a time, the next follows its acknowledgement.
			// A later segment is no answer to this acknowledgement: such a line would run across the
			// whole picture. A quarter of the delay is what sending on may take.
			if k+1 < len(shots) && shots[k+1].at*scale >= end &&
				(shots[k+1].at-s.at)*4 < s.took.Seconds()*5 {
				next := shots[k+1]
				climb.all = append(climb.all, []point{{end, y}, {next.at * scale, float64(next.seq)}})
			}
		// Sent again: the dashes are as long as the timeout was.
		case s.state == unanswered && s.next > s.at:
			silent.all = append(silent.all, []point{{at, y}, {s.next * scale, y}})
		}
		if s.try == 1 {
			sent.at = append(sent.at, point{at, y})
		} else {
			again.at = append(again.at, point{at, y})
		}
	}
	// Lines below, marks above; receivers in the order of the offer.
	p.plot.Add(flight, climb, silent, sent, again)
}

// figures counts what a receiver got. They are counted from what is drawn, so that
// picture and legend agree.
func (r *receiver) figures() []string {
	seqs := make(map[int64]struct{})
	again, lost := 0, 0
	for _, s := range r.shots {
		seqs[s.seq] = struct{}{}
		if s.try > 1 {
			again++
		}
		if s.state == unanswered {
			lost++
		}
	}
	all := []string{count(int64(len(seqs)), "segment")}
	if again > 0 {
		all = append(all, commas(int64(again))+" again")
	}
	if lost > 0 {
		all = append(all, commas(int64(lost))+" unanswered")
	}
	return all
}

// progress draws how many segments each receiver had acknowledged, from events. It is
// what sequence can make of events, which do not tell single segments.
func progress(t *transfer) (*picture, error) {
	last, most, steps := 0.0, int64(0), 0
	for _, r := range t.receivers {
		for _, s := range r.steps {
			last, most = max(last, s.at), max(most, s.acked)
		}
		// The object of --json tells the end alone, and no step leads there.
		steps += len(r.steps)
	}
	if steps == 0 {
		return nil, errors.New("it tells only how the transfer ended: " +
			"give the events of --json-stream, or a capture")
	}
	scale, unit := timeAxis(last)
	p := newPicture(t.title("Progress"), t.about(),
		"time since the split ("+unit+")", "segments acknowledged")
	p.plot.Y.Tick.Marker = ticks{10, true}
	p.plot.X.Min, p.plot.X.Max = 0, max(last*scale*1.02, 1e-9)
	p.plot.Y.Min, p.plot.Y.Max = 0, max(float64(most)*1.04, 1)
	dead := &dots{glyph: lostMark}
	var marks []plot.Plotter
	anyAgain, anyDead := false, false
	for i, r := range t.receivers {
		// The first are drawn wider, so that those that run on top do not hide them.
		// Three steps are enough: wider lines would look like areas.
		wide := 1.2 + 1.1*vg.Length(min(3, len(t.receivers)-1-i))
		stairs := &lines{all: [][]point{nil}, style: draw.LineStyle{Color: colourOf(i), Width: wide}}
		again := &dots{glyph: triangle(colourOf(i))}
		acked := int64(0)
		// The last step leads to the end of the axis, as the line would stop in the air.
		for _, s := range slices.Concat(r.steps, []step{{at: last, acked: r.acked}}) {
			x := s.at * scale
			// Events come some time after what they tell: a step is drawn as a step.
			stairs.all[0] = append(stairs.all[0], point{x, float64(acked)}, point{x, float64(s.acked)})
			acked = s.acked
			at := point{x, float64(s.acked)}
			if s.resent {
				again.at, anyAgain = append(again.at, at), true
			}
			if s.dead {
				dead.at, anyDead = append(dead.at, at), true
			}
		}
		p.plot.Add(stairs)
		marks = append(marks, again)
	}
	p.plot.Add(append(marks, dead)...) // over all lines
	p.receivers(t.receivers, func(i int) func(*draw.Canvas, vg.Point) {
		return square(colourOf(i))
	}, func(r *receiver) string {
		return fmt.Sprintf("%s acknowledged", commas(r.acked))
	})
	if anyAgain || anyDead {
		p.legend = append(p.legend, entry{text: "Events"})
	}
	if anyAgain {
		p.legend = append(p.legend, entry{text: "sent again", mark: glyph(triangle(dim))})
	}
	if anyDead {
		p.legend = append(p.legend, entry{text: "given up as dead", mark: glyph(lostMark)})
	}
	return p, nil
}
