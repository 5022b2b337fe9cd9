package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"mdalp"
	"mdalp/cmd/internal/progress"
	"mdalp/cmd/internal/shape"
	"mdalp/cmd/internal/table"
	"mdalp/cmd/internal/usage"
	"mdalp/icmp"
)

// exitSilent says that some host answered nothing.
const exitSilent = 1

// pingOptions is the command line of ping.
type pingOptions struct {
	orchestrator  sendOptions // its addr, port, family, bind, verbose and quiet
	intentTimeout time.Duration
	// Echoes to each host, and the time between two rounds of them.
	count    int
	interval time.Duration
	// How long answers are waited for after the last echo.
	timeout time.Duration
	lists   []string // files that name hosts
	json    bool
	// raw, dgram or auto, as the option has it.
	mode string
}

// newPing is the command that pings hosts, or the receivers of an offer.
func newPing() *cobra.Command {
	var o pingOptions
	s := &o.orchestrator
	c := &cobra.Command{
		Use:   "ping HOST... | ping -f FILE | ping -a ADDR -p PORT",
		Short: "Ping many hosts at once, or the receivers of an offer",
		Long: fmt.Sprintf(
			`Ping up to %d hosts side by side: addresses, names, or networks such as 192.0.2.0/28, of
which network and broadcast address are left out. With - they come from standard input, with
-f from a file, one a line; # begins a comment. With -a and -p, ask the orchestrator for
receivers and ping those.

Mind that to ask is to begin: the intent opens a transaction at the orchestrator,
which then ends unfinished, and may count as a failure or keep others waiting.

A round is one echo to every host, back to back. The times are round trips, from
the instant before the send to the kernel's stamp of the answer.

A terminal shows the figures as they come, as far as there is room. In the end, and after
Ctrl-C (exit code 130), there is a line for each host, and one for all. -q shows nothing
before that.

The exit code is 0 if all hosts answered, 1 if some answered nothing, 2 if the
command line is wrong, 3 if there is no offer, 4 if a name has no address or a
socket cannot be had, 130 if interrupted. SIGQUIT (Ctrl-\) and SIGUSR1 print the table as it stands.`,
			pingLimit),
		Example: `  mdalp ping 192.0.2.1 receiver.example
  mdalp ping -c 10 -i 0.5 192.0.2.0/28 fd00::/120
  mdalp ping --json - <hosts
  mdalp ping -a 18.139.29.142 -p 4650`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			// Asked before the environment is read: MDALP_ADDR may be set for send, and must not forbid
			// to ping hosts.
			named := c.Flags().Changed("addr") || c.Flags().Changed("port")
			listed := c.Flags().Changed("hosts")
			bad := fromEnvironment(c.Flags())
			switch {
			case named && (len(args) > 0 || listed):
				bad = usage.Errorf("hosts and -a exclude each other")
			case !listed && (named || len(args) > 0):
				o.lists = nil // of the environment
			}
			return o.run(c.Context(), args, bad)
		},
	}
	f := c.Flags()
	s.flags = f
	f.SortFlags = false
	f.StringVarP(&s.addr, "addr", "a", "",
		"`address` or name of an orchestrator whose receivers to ping; several by commas")
	f.Uint16VarP(&s.port, "port", "p", 0, "UDP `port` of the orchestrator")
	f.StringArrayVarP(&o.lists, "hosts", "f", nil,
		"`file` with hosts, one a line, - for standard input; again for more")
	f.IntVarP(&o.count, "count", "c", icmp.DefaultCount, "echoes to each host")
	usage.DurationP(f, &o.interval, "interval", "i", icmp.DefaultGap,
		"time between the rounds; a plain number is seconds")
	usage.DurationP(f, &o.timeout, "timeout", "W", icmp.DefaultTimeout,
		"wait for answers after the last echo")
	f.BoolVarP(&s.quiet, "quiet", "q", false, "print only the summary at the end; wins over -v")
	usage.Duration(f, &o.intentTimeout, "intent-timeout", 0,
		"give up waiting for the offer after this time (0: never)")
	f.BoolVar(&o.json, "json", false, "print JSON")
	f.StringVar(&o.mode, "ping", "auto", "sockets: raw, dgram or auto")
	f.BoolVarP(&s.ipv4, "ipv4", "4", false, "use IPv4 only")
	f.BoolVarP(&s.ipv6, "ipv6", "6", false, "use IPv6 only")
	f.StringVar(&s.bind, "bind", "", "source `address`, or the interface to take it from")
	f.CountVarP(&s.verbose, "verbose", "v", "say what happens; twice: every message dropped")
	return c
}

// config checks the options. It looks nothing up.
func (o *pingOptions) config() (*mdalp.PingConfig, error) {
	mode, err := icmp.ParseMode(o.mode)
	switch {
	case err != nil || mode == icmp.Off:
		return nil, usage.Errorf("--ping %s: it is raw, dgram or auto", usage.Shown(o.mode))
	case o.count < 1 || o.count > 1000:
		return nil, usage.Errorf("--count %d: it is 1 to 1000", o.count)
	// A round to thousands of hosts takes some milliseconds itself, and less would be a flood.
	case o.interval < time.Millisecond:
		return nil, usage.Errorf("--interval %v: it is 1ms or more", o.interval)
	case o.timeout <= 0:
		return nil, usage.Errorf("--timeout %v: it must be more than 0", o.timeout)
	case o.intentTimeout < 0:
		return nil, usage.Errorf("--intent-timeout %v: it may not be negative", o.intentTimeout)
	case o.orchestrator.ipv4 && o.orchestrator.ipv6:
		return nil, usage.Errorf("-4 and -6 exclude each other")
	}
	return &mdalp.PingConfig{
		Count: o.count, Interval: o.interval, Timeout: o.timeout, Mode: mode,
		// Nothing is pinged after this.
		DropPrivileges: true, Logger: newLogger(o.orchestrator.verbosity()),
	}, nil
}

// run pings and prints the table, also when interrupted. bad is what was wrong with the
// command line so far; it is told here because --json wants it on standard output too.
func (o *pingOptions) run(ctx context.Context, args []string, bad error) error {
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := cancelBySignal(ctx)
	defer stop()
	var t targets
	var r *mdalp.PingReport
	err := bad
	if err == nil {
		r, err = o.ping(ctx, args, &t)
	}
	err = blame(o.orchestrator.flags, err)
	switch {
	case err != nil:
	case t.unresolved > 0:
		err = exited(exitSystem) // each has had its line
	case r.Silent() > 0:
		err = exited(exitSilent)
	}
	var text bytes.Buffer
	switch {
	case o.json:
		shape.Encode(&text, t.json(r, err))
	case r != nil && len(t.addrs) > 0:
		table.Pings(&text, t.names, r)
	}
	if e := deliver(ctx, text.Bytes()); e != nil && !isFailure(err) {
		return e // an exit code says less
	}
	return err
}

// isFailure reports whether err has something to say beside an exit code.
func isFailure(err error) bool {
	var code exited
	return err != nil && !errors.As(err, &code)
}

// ping finds out whom to ping, in t, and does it. There is no report when it did not
// come to that.
func (o *pingOptions) ping(ctx context.Context, args []string, t *targets) (*mdalp.PingReport, error) {
	c, err := o.config()
	if err != nil {
		return nil, err
	}
	on := newAsked()
	defer on.stop()
	live := o.live()
	if live != nil {
		defer func() { await(ctx, live.End()) }()
	}
	// Hosts that are named win over an orchestrator from the environment.
	if len(args)+len(o.lists) > 0 {
		*t, err = o.hosts(ctx, args)
	} else {
		*t, err = o.receivers(ctx, c.Logger, on)
	}
	if err != nil {
		return nil, err
	}
	if o.orchestrator.bind != "" && len(t.addrs) > 0 {
		if c.Bind, err = localFor(o.orchestrator.bind, t.addrs[0]); err != nil {
			return nil, fmt.Errorf("--bind %s: %w", o.orchestrator.bind, err)
		}
	}
	c.Logger.Info("pinging", "hosts", len(t.addrs), "rounds", o.count)
	c.ProgressEvery = lookEvery
	if live != nil {
		c.ProgressEvery = progress.PaintEvery
	}
	// To sum up a million echoes takes some time, in which the loop waits.
	c.ProgressEvery = max(c.ProgressEvery, time.Duration(len(t.addrs)*o.count)*time.Microsecond)
	if live != nil {
		live.Every(c.ProgressEvery)
	}
	c.Progress = func(r *mdalp.PingReport) {
		on.show(func(b *bytes.Buffer) { table.Pings(b, t.names, r) })
		if live != nil {
			live.See(t.names, r)
		}
	}
	r, err := mdalp.Ping(ctx, t.addrs, c)
	var sig interrupted
	var wrong *mdalp.ConfigError
	// After an interrupt the report of what had come is worth telling, after any other error
	// it is not.
	if err != nil && !errors.As(err, &sig) {
		switch {
		case c.Bind.IsValid() && errors.Is(err, syscall.EADDRNOTAVAIL):
			err = fmt.Errorf("--bind %s: this host has no such address", o.orchestrator.bind)
		case errors.Is(err, os.ErrPermission):
			err = fmt.Errorf("%w; grant pings with `setcap cap_net_raw+ep` on the command, "+
				"or open net.ipv4.ping_group_range", err)
		case errors.As(err, &wrong):
			err = usage.Errorf("%w", wrong.Err)
		}
		return nil, err
	}
	return r, err
}

// live begins to show pings while they go on, or gives nil where there is no terminal for
// that, or it is to be quiet.
func (o *pingOptions) live() *progress.Pings {
	if o.orchestrator.quiet || !progress.Paintable(os.Stderr) {
		return nil
	}
	s := progress.NewScreen(os.Stderr)
	// What is written from now on passes by the table, which makes room for it.
	stderr.pass(s, nil)
	return progress.NewPings(s)
}
