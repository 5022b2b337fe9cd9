package main

import (
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"mdalp"
	"mdalp/cmd/internal/usage"
	"mdalp/icmp"
)

// sendOptions is the command line of send: who is asked, how it is sent, and what is told.
type sendOptions struct {
	target
	transfer
	output
	file  string // bench's; send has files
	files []string
	// What the options came from, for messages.
	flags *pflag.FlagSet
}

// A target is the orchestrator, and the way to it.
type target struct {
	addr       string
	port       uint16
	ipv4, ipv6 bool
	bind       string
}

// A transfer is how a payload is split and sent.
type transfer struct {
	// As the original has them: 1 or 2, and a receiver from 1 for mode 2.
	mode, server int
	// Empty as long as the mode decides.
	balance, rto string
	ping         string
	maxTries     int
	noFailover   bool
	// Times of 0 bound nothing.
	deadline      time.Duration
	intentTimeout time.Duration
	// Never by default: a second intent may open a second transaction.
	intentRetry time.Duration
	extended    extendedOptions
}

// An output is what is told of it, and where.
type output struct {
	verbose    int
	progress   string
	logFormat  string
	quiet      bool
	json       bool
	jsonStream bool
	pcap       string
	keyLog     string
}

// newSend is the command that sends: the original's options first, as it has
// them.
func newSend() *cobra.Command {
	var o sendOptions
	c := &cobra.Command{
		Use:   "send -a ADDR -p PORT -f FILE [FILE...]",
		Short: "Send a file (the default)",
		Long: `Send a file to the receivers that an orchestrator names.

Several files, by -f again or behind the options, are sent one after the other, each in a
transaction of its own. One that fails does not stop the next, a signal does; the exit
code is the highest of all.

Where the orchestrator offers it, the extended protocol is spoken: larger segments, many at
once, and at the end the server's verdict on the file's digest. The exit code is 0 only if
that is "complete"; 5 if it is not, or none comes. --base keeps to segments of 100 bytes,
which are acknowledged, no more.

A file of 1 MiB or more whose extended transfer was cut off is not sent from the start again:
the same command goes on with it, if the file has not changed. "mdalp unfinished" lists such
transfers.

SIGQUIT (Ctrl-\) and SIGUSR1 print the table as it stands, and the transfer goes on.`,
		Args: cobra.ArbitraryArgs,
		Example: `  mdalp -a 18.139.29.142 -p 4650 -f large_payload -vv
  tar c logs | mdalp -a orchestrator.example -p 4650 -f - --deadline 2m
  mdalp -a orchestrator.example -p 4650 --json *.log | jq .elapsed_seconds`,
		RunE: func(c *cobra.Command, args []string) error {
			// The command line wins over MDALP_FILE also where it names files without -f.
			named := c.Flags().Changed("file")
			bad := fromEnvironment(c.Flags())
			if len(args) > 0 && !named {
				o.files = nil
			}
			o.files = append(o.files, args...)
			return o.run(c.Context(), bad)
		},
	}
	f := c.Flags()
	o.flags = f
	// The order of the help is the one below: the original's options, then ours by subject.
	f.SortFlags = false
	f.StringVarP(&o.addr, "addr", "a", "",
		"`address` or name of the orchestrator; others behind commas, asked in turn")
	f.Uint16VarP(&o.port, "port", "p", 0, "UDP `port` of the orchestrator")
	f.StringArrayVarP(&o.files, "file", "f", nil, "`file` to send, - for standard input; again for more")
	f.IntVarP(&o.mode, "mode", "m", 1, "1: balance the load over all receivers, 2: send to one")
	f.IntVarP(&o.server, "server", "s", 1, "with mode 2, the receiver to use, from 1")
	f.StringVar(&o.balance, "balance", "", "how to split: icmp (mode 1), none (mode 2), equal or adaptive")
	f.StringVar(&o.rto, "rto", "adaptive",
		"repeat a segment after the measured time (adaptive) or 3 s (fixed)")
	f.IntVar(&o.maxTries, "max-tries", 8, "how often a segment is sent before its receiver is dead")
	f.BoolVar(&o.noFailover, "no-failover", false, "do not give the segments of a dead receiver to others")
	usage.Duration(f, &o.deadline, "deadline", 0, "give up after this time (0: never)")
	usage.Duration(f, &o.intentTimeout, "intent-timeout", 0,
		"give up waiting for the offer after this time (0: never)")
	usage.Duration(f, &o.intentRetry, "intent-retry", 0, "ask again at this interval (0: ask once)")
	o.common(f)
	f.Var(&o.extended.resume, "resume", "go on with a transfer that was cut off: auto, off or the `TID`")
	f.StringVar(&o.pcap, "pcap", "", "write what is sent and received, pings too, to this pcapng `file`")
	f.StringVar(&o.keyLog, "key-log", "",
		"for debugging: append to this `file` what opens each sealed transaction")
	f.StringVar(&o.progress, "progress", "auto",
		"bars on a terminal (auto), lines (plain; auto with -v and no terminal) or off")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "print nothing but errors, and JSON if asked for; wins over -v")
	f.BoolVar(&o.json, "json", false, "print a JSON object for each file instead of the summary")
	f.BoolVar(&o.jsonStream, "json-stream", false,
		"print events as JSON, one a line; the last of a file is what --json prints")
	f.StringVar(&o.logFormat, "log-format", "text",
		"log lines as text, json, or like the original client's (original)")
	return c
}

// common declares the options that every command has which asks an orchestrator for
// receivers and pings them: they mean the same in all.
func (o *sendOptions) common(f *pflag.FlagSet) {
	o.extended.declare(f)
	f.StringVar(&o.ping, "ping", "auto", "sockets for pings: raw, dgram, off or auto")
	f.BoolVarP(&o.ipv4, "ipv4", "4", false, "use IPv4 only")
	f.BoolVarP(&o.ipv6, "ipv6", "6", false, "use IPv6 only")
	f.StringVar(&o.bind, "bind", "", "source `address`, or the interface to take it from")
	f.CountVarP(&o.verbose, "verbose", "v", "say what happens; twice: every datagram")
}

// verbosity is what the log is to tell, see [level].
func (o *sendOptions) verbosity() int { return verbosity(o.verbose, o.quiet) }

// verbosity is how often -v counts: -q wins.
func verbosity(verbose int, quiet bool) int {
	if quiet {
		return -1
	}
	return verbose
}

// config checks the options. It looks nothing up. Errors are all of usage, and name the
// option and what would be right. The order is that in which a user would look: what is
// missing first.
func (o *sendOptions) config() (*mdalp.Config, error) {
	c := &mdalp.Config{
		Receiver: o.server, Tries: o.maxTries, NoFailover: o.noFailover,
		Deadline: o.deadline, IntentTimeout: o.intentTimeout, IntentRetry: o.intentRetry,
		DropPrivileges: true, Logger: newLogger(o.verbose),
	}
	switch {
	case o.addr == "":
		return nil, usage.Errorf("the orchestrator's address is needed: -a ADDR (or MDALP_ADDR)")
	case o.port == 0:
		return nil, usage.Errorf("the orchestrator's port, 1 to 65535, is needed: -p PORT (or MDALP_PORT)")
	case o.file == "" && len(o.files) == 0:
		return nil, usage.Errorf("the file to send is needed: -f FILE, or -f - for standard input")
	case o.mode != 1 && o.mode != 2:
		return nil, usage.Errorf("-m %d: the mode is 1 (balance the load) or 2 (one receiver)", o.mode)
	case o.server < 1:
		return nil, usage.Errorf("-s %d: receivers count from 1", o.server)
	case o.maxTries < 1:
		return nil, usage.Errorf("--max-tries %d: at least 1 is needed", o.maxTries)
	case o.deadline < 0:
		return nil, usage.Errorf("--deadline %v: a time may not be negative", o.deadline)
	case o.intentTimeout < 0:
		return nil, usage.Errorf("--intent-timeout %v: a time may not be negative", o.intentTimeout)
	case o.intentRetry < 0:
		return nil, usage.Errorf("--intent-retry %v: a time may not be negative", o.intentRetry)
	case o.ipv4 && o.ipv6:
		return nil, usage.Errorf("-4 and -6 exclude each other")
	}
	// As with the original, the mode alone says how to split.
	if o.balance == "" {
		o.balance = map[int]string{1: "icmp", 2: "none"}[o.mode]
	} else if o.mode == 2 && o.balance != "none" {
		return nil, usage.Errorf("--balance %s does not go with -m 2, which sends to one receiver", o.balance)
	}
	var err error
	if c.Balance, err = mdalp.ParseBalance(o.balance); err != nil {
		return nil, usage.Errorf("--balance %s: it is icmp, equal, none or adaptive", o.balance)
	}
	if err := o.extended.check(); err != nil {
		return nil, err
	}
	o.extended.apply(c)
	if c.Ping, err = icmp.ParseMode(o.ping); err != nil {
		return nil, usage.Errorf("--ping %s: it is raw, dgram, off or auto", usage.Shown(o.ping))
	}
	if o.rto != mdalp.RTOAdaptive.String() && o.rto != mdalp.RTOFixed.String() { // and no other time
		return nil, usage.Errorf("--rto %s: it is adaptive or fixed", usage.Shown(o.rto))
	}
	c.RTO, _ = mdalp.ParseRTO(o.rto)
	return c, nil
}
