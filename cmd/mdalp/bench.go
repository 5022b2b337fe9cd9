package main

import (
	"bytes"
	"cmp"
	"context"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"mdalp"
	"mdalp/cmd/internal/progress"
	"mdalp/cmd/internal/table"
	"mdalp/cmd/internal/usage"
)

// benchOptions is the command line of bench: that of send, as far as it says how
// to send, and how often.
type benchOptions struct {
	// As for send, but that mode, server and balance are set for each run.
	send sendOptions
	// As the command line has them; config checks and translates them.
	balances []string
	runs     int
	// Runs before the measured ones, which meet cold caches, ARP and neighbour tables.
	warmup int
	format string
}

// balances are the ways to send to all receivers. mdalp.BalanceNone is not among them: each
// receiver alone is measured in any case.
var balances = []mdalp.Balance{mdalp.BalanceLatency, mdalp.BalanceEqual, mdalp.BalanceAdaptive}

// newBench is the command that compares ways to send.
func newBench() *cobra.Command {
	// Values that config accepts, as bench has no options for these two.
	o := benchOptions{send: sendOptions{transfer: transfer{mode: 1, server: 1}}}
	s := &o.send
	c := &cobra.Command{
		Use:   "bench -a ADDR -p PORT -f FILE",
		Short: "Compare balanced sending with each receiver alone",
		Long: `Send a file over all receivers (mode 1) and to each of them alone (mode 2), in
turns, and compare: medians over the runs, with the least and the most in
parentheses.

Every run is a transaction of its own at the orchestrator, so there are
(runs + warmup) times (ways to balance + receivers) of them. To send to one
receiver may count there as a violation of the rules.

"wait" is for the offer, "ping" for the echoes, "send" from the first segment to the
last acknowledgement; elapsed is all three, and in the extended protocol the wait for the
verdict too. "MB/s" is there where that protocol was spoken: bytes of the file while they
were sent. CPU is that of this process in a run,
sockets and pings included, divided by the segments.

The exit code is that of send; 1 if some run was incomplete, 5 if the server had something
else, or nothing to say of it, 130 if interrupted, with
what was measured so far. SIGQUIT (Ctrl-\) and SIGUSR1 print that too, and it goes on.`,
		Example: `  mdalp bench -a 18.139.29.142 -p 4650 -f large_payload --runs 5
  mdalp lab --profile lan -- mdalp bench --balance icmp,adaptive
  mdalp bench -f large_payload --format benchfmt >new; benchstat old new`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return o.run(c.Context(), fromEnvironment(c.Flags()))
		},
	}
	f := c.Flags()
	s.flags = f
	f.SortFlags = false
	f.StringVarP(&s.addr, "addr", "a", "",
		"`address` or name of the orchestrator; others behind commas, asked in turn")
	f.Uint16VarP(&s.port, "port", "p", 0, "UDP `port` of the orchestrator")
	f.StringVarP(&s.file, "file", "f", "", "`file` to send, - for standard input")
	f.IntVar(&o.runs, "runs", 10, "measured runs of each way to send")
	f.IntVar(&o.warmup, "warmup", 1, "runs before that are not measured")
	f.StringSliceVar(&o.balances, "balance", []string{"icmp"},
		"ways to balance: a `list` of icmp, equal and adaptive")
	f.StringVar(&o.format, "format", "table", "table, json or benchfmt (for benchstat)")
	f.StringVar(&s.rto, "rto", "adaptive",
		"repeat a segment after the measured time (adaptive) or 3 s (fixed)")
	f.IntVar(&s.maxTries, "max-tries", 8, "how often a segment is sent before its receiver is dead")
	usage.Duration(f, &s.deadline, "deadline", 0, "give up a run after this time (0: never)")
	usage.Duration(f, &s.intentTimeout, "intent-timeout", 0,
		"give up waiting for an offer after this time (0: never)")
	s.common(f)
	return c
}

// config checks the options. It looks nothing up.
func (o *benchOptions) config() (*mdalp.Config, []*series, error) {
	c, err := o.send.config()
	switch {
	case err != nil:
		return nil, nil, err
	case o.runs < 1:
		return nil, nil, usage.Errorf("--runs %d: at least 1 is needed", o.runs)
	case o.warmup < 0:
		return nil, nil, usage.Errorf("--warmup %d: it may not be negative", o.warmup)
	case !slices.Contains([]string{"table", "json", "benchfmt"}, o.format):
		return nil, nil, usage.Errorf("--format %s: it is table, json or benchfmt", usage.Shown(o.format))
	case len(o.balances) == 0:
		return nil, nil, usage.Errorf("--balance: the list is empty")
	}
	// Those over all receivers. Those to one of them follow when the first offer tells how many
	// there are.
	var all []*series
	for i, name := range o.balances {
		at := slices.IndexFunc(balances, func(b mdalp.Balance) bool { return b.String() == name })
		if at < 0 {
			return nil, nil, usage.Errorf("--balance %s: it is a list of icmp, equal and adaptive",
				usage.Shown(name))
		}
		if slices.Contains(o.balances[:i], name) {
			return nil, nil, usage.Errorf("--balance %s: it is there twice", name)
		}
		all = append(all, &series{Balance: balances[at]})
	}
	c.DropPrivileges = false // the next run pings again
	return c, all, nil
}

// run measures and prints, also when interrupted. bad is what was wrong with the
// command line so far; it is told here because --format json wants it on standard
// output too. JSON is printed in any case, the other formats only when there is a run
// to show.
func (o *benchOptions) run(ctx context.Context, bad error) error {
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := cancelBySignal(ctx)
	defer stop()
	b := &benchmark{Runs: o.runs, Warmup: o.warmup}
	err := bad
	if err == nil {
		err = o.measure(ctx, b)
	}
	err = blame(o.send.flags, err)
	var text bytes.Buffer
	if o.format == "json" || b.measured() {
		b.show(&text, o.format, err)
	}
	return cmp.Or(err, deliver(ctx, text.Bytes()))
}

// measure finds out what to compare, in b, and does it.
func (o *benchOptions) measure(ctx context.Context, b *benchmark) error {
	c, all, err := o.config()
	if err != nil {
		return err
	}
	if err := o.send.readKey(c); err != nil {
		return err
	}
	preparing, cancel := after(o.send.deadline).on(ctx,
		"-f "+o.send.file+" was read, or the address of -a looked up")
	defer cancel()
	p, err := openPayload(preparing, o.send.file)
	if err != nil {
		return err
	}
	defer p.Close()
	// A session of no bytes does not even ask, and there would be nothing to measure.
	if p.size == 0 {
		return usage.Errorf("-f %s: there is nothing to send: it is empty", o.send.file)
	}
	if err := o.send.resolve(preparing, c); err != nil {
		return err
	}
	on := newAsked()
	defer on.stop()
	c.ProgressEvery = lookEvery
	c.Progress = func(r *mdalp.Report) {
		on.show(func(text *bytes.Buffer) {
			if b.measured() {
				b.table(text)
			}
			table.Interim(text, r, progress.Width(os.Stderr))
		})
	}
	b.Orchestrator, b.Size, b.Series, b.log = c.Orchestrator, p.size, all, c.Logger
	b.send = func(balance mdalp.Balance, server int) (measurement, error) {
		// Each run has a configuration of its own: Send must not see what another run made of it.
		d := *c
		d.Balance, d.Receiver = balance, server
		return measure(ctx, p, &d)
	}
	return b.measure()
}

// measure sends once. A run that failed has a measurement too, as far as it came.
func measure(ctx context.Context, p *payload, c *mdalp.Config) (measurement, error) {
	// Else a run would pay for the one before it.
	runtime.GC() // of what the last run left behind
	// Behind the collection, which belongs to no run.
	before := cpuTime()
	r, err := mdalp.Send(ctx, p, p.size, c)
	s := measurement{
		Wait: r.Wait, Ping: r.Probe, Send: r.Transfer, Elapsed: r.Elapsed, CPU: cpuTime() - before,
		TID: r.TID, Segments: r.Segments, Resent: r.Resent(), Timeouts: r.Timeouts(),
		Verdict: r.Verdict, Extended: r.Extended,
	}
	if r.Transfer > 0 {
		s.Speed = float64(r.Acked) / r.Transfer.Seconds()
	}
	for i := range r.Receivers {
		s.Receivers = append(s.Receivers, r.Receivers[i].Addr.String())
	}
	return s, err
}

// cpuTime is what this process has used so far, in the kernel too (getrusage(2)).
func cpuTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic("mdalp: getrusage: " + err.Error()) // of ourselves: it cannot fail
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
