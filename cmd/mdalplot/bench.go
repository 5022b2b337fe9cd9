package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// A bench is what mdalp bench --format json printed, as far as the picture needs it.
// Times are in seconds.
type bench struct {
	Size      int64   `json:"payload_bytes"`
	Receivers int64   `json:"receivers"`
	Runs      int64   `json:"runs"`
	Series    []*sery `json:"series"`
}

// A sery is one way to send.
type sery struct {
	Mode     int    `json:"mode"`
	Balance  string `json:"balance"`
	Receiver string `json:"receiver"`
	Failed   int64  `json:"failed_runs"`
	Samples  []struct {
		Ping float64 `json:"ping_seconds"`
		Send float64 `json:"send_seconds"`
	} `json:"samples"`

	ping, send, both float64 // medians
	least, most      float64 // of pings and sending together
}

// readBench reads a comparison.
func readBench(name string) (*bench, error) {
	in, isJSON, done, err := open(name)
	if err != nil {
		return nil, err
	}
	defer done()
	if !isJSON {
		return nil, errors.New("that is no JSON: it is what mdalp bench --format json prints")
	}
	b := new(bench)
	schema, err := decode(json.NewDecoder(in), benchSchema, b)
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, errors.New("it ends in the middle: it was cut")
	case err != nil:
		return nil, fmt.Errorf("it is not what mdalp bench --format json prints: %w", plain(err))
	case strings.HasPrefix(schema, "mdalp.send/"):
		return nil, errors.New("that is a transfer: draw it with mdalplot sequence, or share")
	case schema != benchSchema:
		return nil, fmt.Errorf("it has the schema %q instead of %q", schema, benchSchema)
	}
	for _, s := range b.Series {
		s.sum()
	}
	return b, nil
}

// sum works out what is drawn.
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

// median gives the middle of what is not empty.
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
