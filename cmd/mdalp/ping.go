package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"mdalp"
	"mdalp/cmd/internal/usage"
	"mdalp/icmp"
)

// pingLimit is how many hosts one ping takes. There must be some end to what is
// read from standard input.
const pingLimit = 10_000

// exitSilent says that some host answered nothing.
const exitSilent = 1

// pingOptions is the command line of ping.
type pingOptions struct {
	orchestrator  sendOptions // its addr, port, family, bind and verbose
	intentTimeout time.Duration
	// Echoes to each host, and the time between two rounds of them.
	count    int
	interval time.Duration
	// How long answers are waited for after the last echo.
	timeout time.Duration
	json    bool
	// raw, dgram or auto, as the option has it.
	mode string
}

// newPing is the command that pings hosts, or the receivers of an offer.
func newPing() *cobra.Command {
	var o pingOptions
	s := &o.orchestrator
	c := &cobra.Command{
		Use:   "ping HOST... | ping -a ADDR -p PORT",
		Short: "Ping many hosts at once, or the receivers of an offer",
		Long: fmt.Sprintf(`Ping up to %d hosts side by side: addresses or names, or - for one a line on
standard input. With -a and -p, ask the orchestrator for receivers and ping those.

Mind that to ask is to begin: the intent opens a transaction at the orchestrator,
which then ends unfinished, and may count as a failure or keep others waiting.

A round is one echo to every host, back to back. The times are round trips, from
the instant before the send to the kernel's stamp of the answer.

The exit code is 0 if all hosts answered, 1 if some answered nothing, 2 if the
command line makes no sense, 3 if there is no offer, 4 if a name has no address or a
socket cannot be had, 130 if interrupted. SIGQUIT (Ctrl-\) and SIGUSR1 print the table as it stands.`, pingLimit),
		Example: `  mdalp ping 192.0.2.1 receiver.example
  mdalp ping --json - <hosts
  mdalp ping -a 18.139.29.142 -p 4650`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			// Asked before the environment is read: MDALP_ADDR may be set for send, and must not forbid
			// to ping hosts.
			named := c.Flags().Changed("addr") || c.Flags().Changed("port")
			bad := fromEnvironment(c.Flags())
			if named && len(args) > 0 {
				bad = usage.Errorf("hosts and -a exclude each other")
			}
			return o.run(c.Context(), args, bad)
		},
	}
	f := c.Flags()
	s.flags = f
	f.SortFlags = false
	f.StringVarP(&s.addr, "addr", "a", "", "`address` or name of an orchestrator whose receivers to ping")
	f.Uint16VarP(&s.port, "port", "p", 0, "UDP `port` of the orchestrator")
	f.IntVar(&o.count, "count", icmp.DefaultCount, "echoes to each host")
	usage.Duration(f, &o.interval, "interval", icmp.DefaultGap, "time between the rounds")
	usage.Duration(f, &o.timeout, "timeout", icmp.DefaultTimeout, "wait for answers after the last echo")
	usage.Duration(f, &o.intentTimeout, "intent-timeout", 0, "give up waiting for the offer after this time (0: never)")
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
		DropPrivileges: true, Logger: newLogger(o.orchestrator.verbose),
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
		encode(&text, newPingJSON(&t, r, err))
	case r != nil && len(t.addrs) > 0:
		showPings(&text, &t, r)
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
	table := newTable()
	defer table.stop()
	// Hosts that are named win over an orchestrator from the environment.
	if len(args) > 0 {
		*t, err = o.hosts(ctx, args)
	} else {
		*t, err = o.receivers(ctx, c.Logger, table)
	}
	if err != nil {
		return nil, err
	}
	if o.orchestrator.bind != "" && len(t.addrs) > 0 {
		if c.Bind, err = source(o.orchestrator.bind, t.addrs[0]); err != nil {
			return nil, fmt.Errorf("--bind %s: %w", o.orchestrator.bind, err)
		}
	}
	c.Logger.Info("pinging", "hosts", len(t.addrs), "rounds", o.count)
	c.ProgressEvery = lookEvery
	c.Progress = func(r *mdalp.PingReport) {
		table.show(func(b *bytes.Buffer) { showPings(b, t, r) })
	}
	r, err := mdalp.Ping(ctx, t.addrs, c)
	var sig interrupted
	// After an interrupt the report of what had come is worth telling, after any other error
	// it is not.
	if err != nil && !errors.As(err, &sig) {
		switch {
		case c.Bind.IsValid() && errors.Is(err, syscall.EADDRNOTAVAIL):
			err = fmt.Errorf("--bind %s: this host has no such address", o.orchestrator.bind)
		case errors.Is(err, os.ErrPermission):
			err = fmt.Errorf("%w; grant pings with `setcap cap_net_raw+ep` on the command, or open net.ipv4.ping_group_range", err)
		case errors.Is(err, mdalp.ErrConfig):
			err = usage.Errorf("%s", strings.TrimPrefix(err.Error(), mdalp.ErrConfig.Error()+": "))
		}
		return nil, err
	}
	return r, err
}

// targets are the hosts to ping. addrs and names belong together by their places, as do
// the hosts of the report.
type targets struct {
	addrs      []netip.Addr
	names      []string       // as the user, or the offer, calls them
	asked      netip.AddrPort // the orchestrator that named them, or the zero value
	tid        int64          // the transaction that it opened for that
	unresolved int            // names that are left out
}

// receivers asks the orchestrator whom to ping.
func (o *pingOptions) receivers(ctx context.Context, log *slog.Logger, table *table) (targets, error) {
	s := &o.orchestrator
	switch {
	case s.addr == "" && s.port == 0:
		return targets{}, usage.Errorf("say whom to ping: HOST..., - for standard input, or -a ADDR -p PORT")
	case s.addr == "":
		return targets{}, usage.Errorf("the orchestrator's address is needed: -a ADDR (or MDALP_ADDR)")
	case s.port == 0:
		return targets{}, usage.Errorf("the orchestrator's port, 1 to 65535, is needed: -p PORT (or MDALP_PORT)")
	}
	// The family of --bind is the orchestrator's here; for the echoes it is looked at again.
	c := &mdalp.Config{IntentTimeout: o.intentTimeout, Logger: log, Progress: table.report, ProgressEvery: lookEvery}
	if err := s.resolve(ctx, c); err != nil {
		return targets{}, err
	}
	offer, err := mdalp.Offer(ctx, c)
	if err != nil {
		// The JSON tells who was asked in vain.
		return targets{asked: c.Orchestrator}, err
	}
	t := targets{asked: c.Orchestrator, tid: offer.TID}
	seen := make(map[netip.Addr]bool, len(offer.Receivers))
	for i := range offer.Receivers {
		// Receivers may share a host and differ in their ports.
		if r := &offer.Receivers[i]; !seen[r.Addr.Addr()] {
			seen[r.Addr.Addr()] = true
			t.addrs, t.names = append(t.addrs, r.Addr.Addr()), append(t.names, r.Name)
		}
	}
	return t, nil
}

// hosts gives the addresses of the arguments. Names that have none are told, and
// left out.
func (o *pingOptions) hosts(ctx context.Context, args []string) (targets, error) {
	// Whoever is to write the hosts may take as long as it likes.
	all, err := within(ctx, func() ([]string, error) { return expandHosts(args, os.Stdin) })
	if err != nil {
		return targets{}, err
	}
	family := 0
	switch {
	case o.orchestrator.ipv4:
		family = 4
	case o.orchestrator.ipv6:
		family = 6
	}
	// By place, so that the goroutines below share nothing, and the order stays the user's.
	addrs, errs := make([]netip.Addr, len(all)), make([]error, len(all))
	var wait sync.WaitGroup
	// At most 16 look-ups at a time: a resolver may take more for a flood.
	free := make(chan struct{}, 16)
	for i, h := range all {
		// With -4 or -6 Resolve says what is wrong with an address of the other family.
		if a, err := netip.ParseAddr(bare(h)); err == nil && family == 0 {
			addrs[i], errs[i] = a.Unmap(), zoned(a)
			continue
		}
		wait.Go(func() {
			free <- struct{}{}
			defer func() { <-free }()
			var found netip.AddrPort
			found, errs[i] = mdalp.Resolve(ctx, bare(h), 0, family)
			if addrs[i] = found.Addr(); errs[i] == nil {
				errs[i] = zoned(addrs[i])
			}
		})
	}
	wait.Wait()
	// Else an interrupt would look like thousands of names without an address.
	if cause := context.Cause(ctx); cause != nil {
		return targets{}, cause
	}
	var t targets
	for i, h := range all {
		if errs[i] != nil {
			t.unresolved++
			fmt.Fprintf(stderr, "mdalp: %s\n", usage.Line(fmt.Errorf("%s: %s", h, reason(errs[i]))))
			continue
		}
		t.addrs, t.names = append(t.addrs, addrs[i]), append(t.names, h)
	}
	return t, nil
}

// reason is what a look-up failed of, without what it looked up and where.
func reason(err error) string {
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns) && dns.IsTimeout:
		return "no name server answered in time"
	case dns != nil:
		return dns.Err
	}
	return err.Error()
}

// expandHosts puts the lines of in where the arguments say "-". Empty lines and
// those that begin with # are passed over.
func expandHosts(args []string, in io.Reader) ([]string, error) {
	var all []string
	for _, a := range args {
		if a != "-" {
			all = append(all, a)
			continue
		}
		lines := bufio.NewScanner(in)
		for first := true; lines.Scan() && len(all) <= pingLimit; first = false {
			line := lines.Text()
			if first {
				line = strings.TrimPrefix(line, "\ufeff") // a byte order mark, as Windows has it
			}
			if h := strings.TrimSpace(line); h != "" && h[0] != '#' {
				all = append(all, h)
			}
		}
		switch err := lines.Err(); {
		case errors.Is(err, bufio.ErrTooLong):
			return nil, usage.Errorf("standard input has a line of more than %d bytes, which is no host: one a line", bufio.MaxScanTokenSize)
		case err != nil:
			return nil, fmt.Errorf("standard input: %w", err)
		}
	}
	switch {
	case len(all) > pingLimit:
		return nil, usage.Errorf("more than %d hosts", pingLimit)
	case len(all) == 0:
		return nil, usage.Errorf("standard input names no host")
	}
	for _, h := range all {
		// A line with a comment behind the name, or a table: better refused than half looked up.
		if h == "" || strings.ContainsAny(h, " \t") {
			return nil, usage.Errorf("%q is no host: one a line", h)
		}
	}
	return all, nil
}
