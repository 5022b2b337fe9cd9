package mdalp

import (
	"context"
)

// maxPlan is the largest payload that can be split, in bytes.
const maxPlan = 1 << 62

// Plan tells what [Send] would do with a payload of size bytes, and sends none of
// it: it asks cfg.Orchestrator for receivers, pings them as cfg says and splits the
// payload by what it measured. The same code decides as in Send. For the
// orchestrator it opens a transaction like any other, which then ends unfinished.
//
// The Report is never nil. Of the Receivers, Addr, Name, Echoes, Latency, Guessed,
// Share and Assigned are filled in; Segments and Left are those of the whole. The
// errors are those of Send before its first segment. A size of 0 asks nobody.
func Plan(ctx context.Context, size int64, cfg *Config) (*Report, error) {
	c, err := newRun(cfg)
	if err == nil && (size < 0 || size > maxPlan) {
		err = bad("size", "a payload of %d bytes: %d are the most", size, int64(maxPlan))
	}
	if err != nil {
		return &Report{Size: size}, err
	}
	c.planOnly = true
	r, err := send(ctx, nil, size, c)
	// Nothing is missing of what was never to be sent.
	r.Missing = nil
	return r, err
}
