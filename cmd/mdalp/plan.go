package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"mdalp"
	"mdalp/cmd/internal/shape"
	"mdalp/cmd/internal/table"
	"mdalp/cmd/internal/usage"
)

// planOptions is the command line of plan: that of send, as far as it says to whom
// and how much.
type planOptions struct {
	send sendOptions
	size int64
	// 0 is a size that may be asked for, so a flag of its own.
	sized bool // the size was given, not a file
	json  bool
}

// newPlan is the command that shows what send would do.
func newPlan() *cobra.Command {
	// Values that config accepts, of options that mean nothing without sending.
	o := planOptions{send: sendOptions{transfer: transfer{rto: "adaptive", maxTries: 1}}}
	s := &o.send
	c := &cobra.Command{
		Use:   "plan -a ADDR -p PORT -f FILE | plan -a ADDR -p PORT --size N",
		Short: "Show how a file would be split, and send nothing of it",
		Long: `Ask the orchestrator for receivers, ping them, split the file as send would, and
print that. No data is sent; the file is asked for its size alone.

Mind that to ask is to begin: the intent opens a transaction at the orchestrator,
which then ends unfinished, and may count as a failure or keep others waiting. A
later send is a transaction of its own, with an offer and pings of its own.

"at least" is the number of segments times the latency: what a receiver needs if it
acknowledges as fast as it answers an echo, and nothing is lost. The original servers
take about five times as long. In the extended protocol, where many segments are out at once,
there is no such figure; what the server takes at once, it says when a payload is announced.

The exit code is 0 if there is a plan, also one without pings; 1 if the deadline passed,
2 if the command line is wrong, 3 if there is no offer, 4 for a name, socket or file, 130 if
interrupted. SIGQUIT (Ctrl-\) and SIGUSR1 print how far it is, and it goes on.`,
		Example: `  mdalp plan -a 18.139.29.142 -p 4650 -f large_payload
  mdalp plan -a orchestrator.example -p 4650 --size 5000 --json`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			f := c.Flags()
			// Before the environment is read, which counts as Changed too.
			file, size := f.Changed("file"), f.Changed("size")
			bad := fromEnvironment(f)
			if file && size {
				bad = usage.Errorf("--size and -f exclude each other")
			}
			// The command line wins over the environment; of that, the file.
			if o.sized = size || s.file == "" && f.Changed("size"); o.sized {
				s.file = ""
			}
			return o.run(c.Context(), bad)
		},
	}
	f := c.Flags()
	s.flags = f
	f.SortFlags = false
	f.StringVarP(&s.addr, "addr", "a", "",
		"`address` or name of the orchestrator; others behind commas, asked in turn")
	f.Uint16VarP(&s.port, "port", "p", 0, "UDP `port` of the orchestrator")
	f.StringVarP(&s.file, "file", "f", "", "`file` that would be sent, - for standard input")
	f.Int64Var(&o.size, "size", 0, "its size in `bytes`, instead of a file")
	f.IntVarP(&s.mode, "mode", "m", 1, "1: balance the load over all receivers, 2: send to one")
	f.IntVarP(&s.server, "server", "s", 1, "with mode 2, the receiver to use, from 1")
	f.StringVar(&s.balance, "balance", "", "how to split: icmp (mode 1), none (mode 2), equal or adaptive")
	f.BoolVar(&o.json, "json", false, "print JSON")
	usage.Duration(f, &s.deadline, "deadline", 0, "give up after this time (0: never)")
	usage.Duration(f, &s.intentTimeout, "intent-timeout", 0,
		"give up waiting for the offer after this time (0: never)")
	usage.Duration(f, &s.intentRetry, "intent-retry", 0, "ask again at this interval (0: ask once)")
	s.common(f)
	return c
}

// run plans and prints. bad is what was wrong with the command line so far; it is told
// here because --json wants it on standard output too.
func (o *planOptions) run(ctx context.Context, bad error) error {
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := cancelBySignal(ctx)
	defer stop()
	until := after(o.send.deadline)
	var r *mdalp.Report
	err := bad
	if err == nil {
		r, err = o.plan(ctx, until)
	}
	err = blame(o.send.flags, err)
	var text bytes.Buffer
	switch {
	case o.json:
		shape.Encode(&text, shape.NewPlan(newHead(shape.PlanSchema, err), r))
	case err == nil:
		table.Plan(&text, r)
	}
	ctx, cancel := until.on(ctx, "the plan was written")
	defer cancel()
	return cmp.Or(err, deliver(ctx, text.Bytes()))
}

// plan asks, pings and splits. There is no report when it did not come to that.
func (o *planOptions) plan(ctx context.Context, until bound) (*mdalp.Report, error) {
	s := &o.send
	file := s.file
	switch {
	case o.sized && o.size < 0:
		return nil, usage.Errorf("--size %d: it may not be negative", o.size)
	case o.sized:
		s.file = "-" // which is not opened
	case file == "":
		return nil, usage.Errorf("how much would be sent is needed: -f FILE or --size N")
	}
	c, err := s.config()
	if err != nil {
		return nil, err
	}
	if err := s.readKey(c); err != nil {
		return nil, err
	}
	on := newAsked()
	defer on.stop()
	c.Progress, c.ProgressEvery = on.report, lookEvery
	preparing, cancel := until.on(ctx, "-f "+file+" was read, or the address of -a looked up")
	defer cancel()
	if !o.sized {
		p, err := openPayload(preparing, file)
		if err != nil {
			return nil, err
		}
		// A pipe is read to its end for that, as send would.
		o.size = p.size
		p.Close()
	}
	if err := s.resolve(preparing, c); err != nil {
		return nil, err
	}
	c.Deadline = until.left()
	r, err := mdalp.Plan(ctx, o.size, c)
	var wrong *mdalp.ConfigError
	switch {
	case errors.As(err, &wrong):
		err = usage.Errorf("%w", wrong.Err)
	// What bind(2) says of an address that is nobody's here.
	case c.Bind.IsValid() && errors.Is(err, syscall.EADDRNOTAVAIL):
		err = fmt.Errorf("--bind %s: this host has no such address: %w", s.bind, err)
	}
	return r, err
}
