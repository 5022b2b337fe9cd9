package sim

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"time"
)

// Millis is a span of time that JSON writes as a number of milliseconds, with a
// fraction down to the nanosecond: 0.25 is 250 µs.
type Millis time.Duration

// MarshalJSON writes the span as a number of milliseconds.
func (m Millis) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(m)/1e6, 'f', -1, 64), nil
}

// UnmarshalJSON reads a number of milliseconds, at most a year either way.
func (m *Millis) UnmarshalJSON(b []byte) error {
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil {
		return fmt.Errorf("want a number of milliseconds, got %.20s", b)
	}
	if math.Abs(f) > 365*24*3600e3 {
		return fmt.Errorf("%.20s milliseconds are more than a year", b)
	}
	*m = Millis(math.Round(f * 1e6))
	return nil
}

// The kinds of Delay.
const (
	Fixed   = "fixed"   // always Mean
	Uniform = "uniform" // even between Mean-Spread and Mean+Spread
	Normal  = "normal"  // Mean, with Spread as the standard deviation
	Pareto  = "pareto"  // Mean is the least; a heavy tail of scale Spread and exponent Shape above it
	Trace   = "trace"   // the delays of Trace in order, from the start again after the last
)

// maxDelay bounds what a distribution with a heavy tail may draw. Nothing in a
// network waits longer, and a sum of instants can not overflow.
const maxDelay = time.Hour

// A Delay is the distribution of a one-way delay. Its zero value is no delay.
type Delay struct {
	Kind   string   `json:"kind,omitempty"`      // one of the constants above; "" is Fixed
	Mean   Millis   `json:"ms,omitempty"`        // see the kinds
	Spread Millis   `json:"spread_ms,omitempty"` // see the kinds
	Shape  float64  `json:"shape,omitempty"`     // exponent of Pareto, more than 1 for a finite mean; 0 is 3
	Min    Millis   `json:"min_ms,omitempty"`    // drawn delays below it become it
	Max    Millis   `json:"max_ms,omitempty"`    // drawn delays above it become it; 0 is an hour
	Trace  []Millis `json:"trace_ms,omitempty"`  // delays to replay
}

// Validate says what is wrong with d, or returns nil.
func (d *Delay) Validate() error {
	switch d.Kind {
	case "", Fixed, Uniform, Normal, Pareto, Trace:
	default:
		return fmt.Errorf("delay kind %.20q is none of fixed, uniform, normal, pareto, trace", d.Kind)
	}
	if d.Mean < 0 || d.Spread < 0 || d.Min < 0 || d.Max < 0 {
		return fmt.Errorf("a delay below 0")
	}
	if d.Max > 0 && d.Min > d.Max {
		return fmt.Errorf("min_ms is above max_ms")
	}
	if d.Shape != 0 && !(d.Shape > 0) {
		return fmt.Errorf("shape %v is not above 0", d.Shape)
	}
	if d.Kind == Trace && len(d.Trace) == 0 {
		return fmt.Errorf("delay kind trace without trace_ms")
	}
	if d.Kind != Trace && len(d.Trace) != 0 {
		return fmt.Errorf("trace_ms without delay kind trace")
	}
	for _, t := range d.Trace {
		if t < 0 {
			return fmt.Errorf("a delay below 0 in trace_ms")
		}
	}
	return nil
}

// draw gives the next delay. i counts the delays drawn before.
func (d *Delay) draw(rng *rand.Rand, i int) time.Duration {
	x := time.Duration(d.Mean)
	switch d.Kind {
	case Uniform:
		if d.Spread > 0 {
			x += time.Duration(rng.Int64N(2*int64(d.Spread)+1)) - time.Duration(d.Spread)
		}
	case Normal:
		x += time.Duration(rng.NormFloat64() * float64(d.Spread))
	case Pareto:
		shape := d.Shape
		if shape == 0 {
			shape = 3
		}
		// Inverse of the Lomax distribution function; 1-U is never 0.
		tail := float64(d.Spread) * (math.Pow(1-rng.Float64(), -1/shape) - 1)
		x += time.Duration(min(tail, float64(maxDelay)))
	case Trace:
		x = time.Duration(d.Trace[i%len(d.Trace)])
	}
	most := maxDelay
	if d.Max > 0 {
		most = time.Duration(d.Max)
	}
	return min(max(x, time.Duration(d.Min)), most)
}
