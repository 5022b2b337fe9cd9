package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"slices"

	"mdalp"
	"mdalp/cmd/internal/shape"
)

// measure makes the runs, a round of all ways after the other, so that what changes
// with time changes for all. A run that is incomplete is counted, and the others go on;
// any other error ends it all. The error is the last incomplete run's, wrapped, or what
// ended it all; nil means that every run was complete.
func (b *benchmark) measure() error {
	var failed error
	for round := -b.Warmup; round < b.Runs; round++ {
		// The first run of all tells how many receivers there are.
		for i := 0; i < len(b.Series); i++ {
			s := b.Series[i]
			x, err := b.send(s.Balance, s.Server)
			var sig interrupted
			switch {
			case errors.As(err, &sig):
				b.Interrupted = true
				return err
			// Each run has an offer of its own, and this one was shorter than the first. That is the
			// run's bad luck, and no mistake on the command line.
			case errors.Is(err, mdalp.ErrConfig) && s.Server > 0:
				err = fmt.Errorf("%w: this offer has no receiver %d", mdalp.ErrIncomplete, s.Server)
			case errors.Is(err, mdalp.ErrUnverified), errors.Is(err, mdalp.ErrDamaged):
			case err != nil && !errors.Is(err, mdalp.ErrIncomplete):
				return err
			}
			b.log.Info("run", "round", round+1, "way", s.name(), "elapsed", x.Elapsed, "err", err)
			b.meet(x.Receivers)
			// It is not measured, and its failure counts for nothing.
			if round < 0 {
				continue
			}
			if s.add(x, err); err != nil {
				failed = err
			}
		}
	}
	if failed == nil {
		return nil
	}
	return fmt.Errorf("some runs failed, the last: %w", failed)
}

// meet adds the receivers of the first offer, each to be sent to alone. A later offer
// may name others. They get no series, as it would have too few runs to be compared.
func (b *benchmark) meet(receivers []string) {
	if b.Receivers > 0 {
		return
	}
	b.Receivers = len(receivers)
	for i, r := range receivers {
		b.Series = append(b.Series, &series{Balance: mdalp.BalanceNone, Server: i + 1, Receiver: r})
	}
}

// A benchmark is a comparison, as far as it has come.
type benchmark struct {
	Orchestrator netip.AddrPort
	Size         int64 // bytes
	Runs, Warmup int
	// 0 until there was an offer.
	Receivers   int // of the first offer
	Series      []*series
	Interrupted bool

	// A field, so that tests can play runs without a network. The measurement is valid with an
	// error too.
	send func(balance mdalp.Balance, server int) (measurement, error)
	log  *slog.Logger
}

// measured reports whether there is something to show.
func (b *benchmark) measured() bool {
	return slices.ContainsFunc(b.Series, func(s *series) bool { return len(s.Samples)+s.Failed > 0 })
}

// show writes it in a format. err is how it ended.
func (b *benchmark) show(w io.Writer, format string, err error) {
	switch format {
	case "json":
		shape.Encode(w, b.json(err))
	case "benchfmt":
		b.benchfmt(w)
	default:
		b.table(w)
	}
}
