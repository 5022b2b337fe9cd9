package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"mdalp/fleet/overview"
)

// errUnwell is the error of a status that tells of something that needs somebody.
var errUnwell = errors.New("something needs somebody")

func newStatus() *cobra.Command {
	var (
		o       common
		asJSON  bool
		timeout time.Duration
	)
	c := &cobra.Command{
		Use:   "status",
		Short: "Tell who is there, what is open, and how the engine is",
		Long: `Tell who is there, what is open, and how the engine is.

It ends with exit code 1 when something needs somebody: the engine does not answer, or a server
of it is behind; nobody takes intents or segments; the ledger is nearly full.`,
		Args: none,
		RunE: func(c *cobra.Command, _ []string) error {
			if timeout <= 0 {
				return usagef("--timeout %v: it is not above 0", timeout)
			}
			o.Look = true
			e, err := o.dial("mdalp-fleet status", slog.New(slog.DiscardHandler))
			if err != nil {
				return err
			}
			defer e.Close()
			ctx, cancel := context.WithTimeout(c.Context(), timeout)
			defer cancel()
			v := overview.Look(ctx, e)
			if asJSON {
				err = writeJSON(c.OutOrStdout(), v)
			} else {
				err = v.Text(c.OutOrStdout())
			}
			if err == nil && len(v.Problems) > 0 {
				err = errUnwell
			}
			return err
		},
	}
	o.define(c.Flags())
	c.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	c.Flags().DurationVar(&timeout, "timeout", 10*time.Second, "how long the engine may take to answer")
	return c
}

func writeJSON(w io.Writer, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("status: %w", err)
	}
	_, err = w.Write(append(b, '\n'))
	return err
}
