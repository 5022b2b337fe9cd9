package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"

	"mdalp/cmd/internal/shape"
)

// A bench is what mdalp bench --format json printed, as far as the picture needs it.
// Times are in seconds.
type bench struct {
	Size, Receivers, Runs int64
	Series                []*sery
}

// A sery is one way to send.
type sery struct {
	Mode    int
	Balance string
	Address string
	Port    uint16
	// Runs that were incomplete. They are no samples, as half a transfer takes half the time.
	Failed  int64
	Samples []sample

	ping, send, both float64 // medians
	least, most      float64 // of pings and sending together
}

// A sample is what a run took.
type sample struct{ Ping, Send float64 }

// newBench takes what the picture needs of a comparison.
func newBench(in *shape.Bench) *bench {
	b := &bench{Size: in.Size, Receivers: int64(in.Receivers), Runs: int64(in.Runs)}
	for i := range in.Series {
		x := &in.Series[i]
		s := &sery{Mode: x.Mode, Balance: x.Balance, Failed: int64(x.Failed)}
		if x.Address != nil {
			s.Address = *x.Address
		}
		if x.Port != nil {
			s.Port = *x.Port
		}
		for k := range x.Samples {
			s.Samples = append(s.Samples, sample{x.Samples[k].Probe, x.Samples[k].Transfer})
		}
		b.Series = append(b.Series, s)
	}
	return b
}

// receiver is whom a series of mode 2 sends to, with the port where it is not the usual.
func (s *sery) receiver() string {
	return strings.TrimSuffix(net.JoinHostPort(s.Address, strconv.Itoa(int(s.Port))), ":4650")
}

// readBench reads a comparison.
func readBench(name string) (*bench, error) {
	// Errors say what the file is instead, where that can be told: the wrong file given to the
	// wrong picture is the usual mistake.
	in, isJSON, done, err := open(name)
	if err != nil {
		return nil, err
	}
	defer done()
	if !isJSON {
		return nil, errors.New("that is no JSON: it is what mdalp bench --format json prints")
	}
	read := new(shape.Bench)
	schema, err := decode(json.NewDecoder(in), shape.BenchSchema, read)
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, errors.New("it ends in the middle: it was cut")
	case err != nil:
		return nil, fmt.Errorf("it is not what mdalp bench --format json prints: %w", bare(err))
	// Any version of it: also a newer one is the wrong file.
	case strings.HasPrefix(schema, "mdalp.send/"):
		return nil, errors.New("that is a transfer: draw it with mdalplot sequence, or share")
	case schema != shape.BenchSchema:
		return nil, fmt.Errorf("it has the schema %q instead of %q", schema, shape.BenchSchema)
	}
	b := newBench(read)
	for _, s := range b.Series {
		// JSON may have null in a list, and the mode is an index of the colours.
		if s.Mode != 1 && s.Mode != 2 {
			return nil, errors.New("it holds a series that is of no mode, 1 or 2")
		}
		for _, x := range s.Samples {
			// What no run takes would leave no axis to draw on.
			if x.Ping < 0 || x.Send < 0 || x.Ping > longest || x.Send > longest {
				return nil, fmt.Errorf("it holds a run whose times, %g s and %g s, cannot be right",
					x.Ping, x.Send)
			}
		}
		s.sum()
	}
	return b, nil
}

// longest is more than any run takes, in seconds: thirty years.
const longest = 1e9

// sum works out what is drawn. Without samples all stay 0, which callers tell from a
// measured 0 by the samples.
func (s *sery) sum() {
	if len(s.Samples) == 0 {
		return
	}
	var pings, sends, boths []float64
	for _, x := range s.Samples {
		pings, sends, boths = append(pings, x.Ping), append(sends, x.Send), append(boths, x.Ping+x.Send)
	}
	s.ping, s.send, s.both = median(pings), median(sends), median(boths)
	s.least, s.most = slices.Min(boths), slices.Max(boths)
}

// median gives the middle of what is not empty. Of an even number it is the mean of the
// two in the middle, as mdalp bench has it, so that picture and table show the same
// figure.
// The samples stay in their order.
func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	n := len(v)
	return (v[(n-1)/2] + v[n/2]) / 2
}

// fastest gives the series of a mode with the least median, or nil.
func (b *bench) fastest(mode int) (best *sery) {
	for _, s := range b.Series {
		if s.Mode == mode && len(s.Samples) > 0 && (best == nil || s.both < best.both) {
			best = s
		}
	}
	return best
}
