package main

import (
	"errors"
	"fmt"
	"time"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"mdalp/sched"
)

// share draws the bytes of each receiver against its latency. By the protocol's rule
// shares are in inverse proportion to the mean of the pings. What lies off the curve
// was given its least share, rounded, or moved from another receiver.
func share(t *transfer) (*picture, error) {
	// The sum of 1/latency in 1/s, the longest latency in s, and the greatest share in bytes, of
	// those receivers that have a latency.
	var inverse, far, most float64
	var total, measured int64
	for _, r := range t.receivers {
		// All of them count for percentages; only those that were pinged are on the curve.
		total += r.bytes
		if r.latency > 0 {
			measured += r.bytes
			inverse += 1 / r.latency.Seconds()
			far = max(far, r.latency.Seconds())
			most = max(most, float64(r.bytes))
		}
	}
	switch {
	case inverse == 0 && t.events:
		return nil, errors.New("no receiver in it was pinged")
	case inverse == 0:
		return nil, errors.New("no answer to a ping of a receiver is in the capture: " +
			"it must begin before the pings, and hold ICMP")
	case most == 0:
		return nil, errors.New("it ended before the payload was shared out")
	}
	scale, unit := timeAxis(far)
	what := "bytes sent to the receiver"
	if t.events {
		what = "bytes assigned to the receiver"
	}
	p := newPicture(t.title("Share against latency"), t.about(),
		"latency: mean of the pings ("+unit+")", what)
	p.plot.Y.Tick.Marker = ticks{8, true}
	// Some room, so that the outermost dots are whole.
	right, top := far*1.12, most*1.15
	p.plot.X.Min, p.plot.X.Max = 0, right*scale
	p.plot.Y.Min, p.plot.Y.Max = 0, top

	// The curve on which all would lie if shares were exact and had no least.
	curve := hyperbola(float64(measured)/inverse, right, top)
	for i := range curve {
		curve[i].x *= scale
	}
	exact := draw.LineStyle{Color: dim, Width: 1}
	p.plot.Add(&lines{all: [][]point{curve}, style: exact})
	// What a server demands of each; the split gives no receiver less.
	least := sched.MinShare(t.size, len(t.receivers))
	floor := draw.LineStyle{Color: dim, Width: 1, Dashes: []vg.Length{2, 3}}
	if least > 0 && float64(least) < top {
		p.plot.Add(&lines{all: [][]point{{{0, float64(least)}, {right * scale, float64(least)}}},
			style: floor})
	}
	for i, r := range t.receivers {
		if r.latency > 0 {
			p.plot.Add(&dots{at: []point{{r.latency.Seconds() * scale, float64(r.bytes)}},
				glyph: spot(colourOf(i))})
		}
	}
	p.receivers(t.receivers, func(i int) func(*draw.Canvas, vg.Point) {
		return glyph(spot(colourOf(i)))
	}, func(r *receiver) string {
		return r.part(total)
	})
	p.legend = append(p.legend, entry{text: "Rule"}, entry{text: "share ~ 1 / latency", mark: line(exact)})
	if least > 0 {
		p.legend = append(p.legend, entry{text: "least share: " + count(least, "byte"), mark: line(floor)})
	}
	return p, nil
}

// hyperbola is the curve y = k/x up to a right edge, from where it comes down to the top.
func hyperbola(k, right, top float64) (curve []point) {
	// Steps that are finer than the paper shows.
	for i := 1; i <= 400; i++ {
		x := right * float64(i) / 400
		if y := k / x; y <= top {
			if curve == nil { // where it comes down into the picture
				curve = append(curve, point{k / top, top})
			}
			curve = append(curve, point{x, y})
		}
	}
	return curve
}

// part tells what a receiver got of so many bytes, beside its latency.
func (r *receiver) part(total int64) string {
	s := fmt.Sprintf("%s, %.1f %%", count(r.bytes, "byte"), 100*float64(r.bytes)/float64(max(total, 1)))
	switch {
	case r.latency == 0:
		return s + ", no answer to pings"
	case r.guessed:
		return s + ", latency guessed"
	}
	return millis(r.latency.Round(time.Microsecond)) + ": " + s
}
