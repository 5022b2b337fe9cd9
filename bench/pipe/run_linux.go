package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// measure measures rows one after the other. What fails is told, and the rows after it are
// measured all the same.
func measure(ctx context.Context, o *options, rs []row, out io.Writer) error {
	b, err := newBench(ctx, o)
	if err != nil {
		return err
	}
	defer b.close()
	if b.iperf == "" && !o.noTCP {
		fmt.Fprintln(out, "There is no iperf3 in the PATH: TCP is left out. Install iperf3 to compare.")
	}
	failed := 0
	for i := range rs {
		if i > 0 {
			fmt.Fprintln(out)
		}
		failed += b.row(ctx, &rs[i], out)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of the measurements failed, see above", failed)
	}
	return nil
}

// row measures one row, and tells each result at once, since a row takes a while. It gives
// how many of its measurements failed.
func (b *bench) row(ctx context.Context, r *row, out io.Writer) (failed int) {
	p, err := r.complete()
	if err != nil {
		fmt.Fprintln(out, err)
		return 1
	}
	fmt.Fprintln(out, r.title(p))
	// An interruption is no failure, and so is not told.
	tell := func(who string, err error, results ...result) {
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			fmt.Fprintf(out, "  %-5s failed: %s\n", who, strings.ReplaceAll(err.Error(), "\n", "; "))
			failed++
			return
		}
		for _, x := range results {
			fmt.Fprintln(out, x)
			if r.fair && x.who == "mdalp" {
				// Who comes first fills the queue: the shares hang on it. In memory a store
				// takes longer to make room for a large payload than on a disk.
				fmt.Fprintf(out, "        its first segment came %.0f ms after the first packet of either\n",
					x.began.Seconds()*1e3)
			}
			if len(p.paths) > 1 && x.who == "mdalp" {
				fmt.Fprintln(out, x.links(p))
			}
		}
	}
	if r.fair {
		if b.iperf == "" {
			tell("both", errors.New("this needs iperf3: install it"))
			return failed
		}
		ours, theirs, err := b.fair(ctx, p, r)
		tell("both", err, ours, theirs)
		return failed
	}
	if b.iperf != "" {
		res, err := b.tcp(ctx, p, r)
		tell("TCP", err, res)
	}
	if ctx.Err() == nil {
		res, err := b.alone(ctx, p, r)
		tell("mdalp", err, res)
	}
	return failed
}
