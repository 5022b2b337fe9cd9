// Command mdalpd is an orchestrator and receivers of the Multi Destination
// Application Layer Protocol in one process.
//
//	mdalpd --store DIR
//
// answers intents on UDP port 4650 and takes segments on the same port of every
// address that it offers. It logs one line for each transaction to standard error.
//
// SIGINT, SIGTERM or SIGHUP settles what is whole, once it has been silent, keeps the rest
// for the next start, and ends it with exit code 0; a second one waits for nothing. The
// others: 1 store verify has found something damaged; 2 the command line is wrong;
// 4 a socket, permission or file. SIGQUIT or SIGUSR1 logs the counters.
//
// Every option can come from the environment: --store-bytes from MDALPD_STORE_BYTES. The
// command line wins.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"mdalp"
	"mdalp/cmd/internal/asyncio"
	_ "mdalp/cmd/internal/fewfiles/first" // ends it where it may not open enough files
	"mdalp/cmd/internal/shell"
	"mdalp/cmd/internal/status"
	"mdalp/cmd/internal/usage"
	"mdalp/seal"
	"mdalp/server"
)

// The exit codes.
const (
	exitDamaged = 1 // store verify: something is not as it was stored
	exitUsage   = 2 // the command line is wrong
	exitSystem  = 4 // name, socket, permission, file
)

func main() {
	os.Exit(run(os.Args[1:]))
}

// run is the program: it gives the exit code.
func run(args []string) int {
	// Nothing waits for standard error, not even the end.
	errs := asyncio.NewWriter(os.Stderr, logRoom)
	defer errs.Close(lastWords)
	c := newCommand(errs)
	c.SetArgs(args)
	if shell.Asked(args) {
		shell.Complete(c, shell.Values{"log-format": {"text", "json"}})
	}
	out := new(usage.Output)
	c.SetOut(out)
	err := out.Or(c.ExecuteContext(context.Background()))
	if err == nil {
		return 0
	}
	var said reported // of several problems check has said each
	if !errors.As(err, &said) {
		fmt.Fprintf(errs, "mdalpd: %s\n", usage.Line(err))
	}
	if usage.Is(err) {
		fmt.Fprintln(errs, "Try 'mdalpd --help'.")
		return exitUsage
	}
	if errors.Is(err, errDamaged) {
		return exitDamaged
	}
	return exitSystem
}

// options is the command line.
type options struct {
	listen    string
	receivers []string
	names     []string
	store     string
	// A payload's file has the name that its client gave it.
	clientNames bool
	expect      string
	limit       time.Duration
	idle        time.Duration
	delay       time.Duration
	// 0 is the server's default for this and most numbers below.
	concurrent int
	// Of intents: beyond them an intent is dropped, as on a network that is too busy.
	queue    int
	maxBytes int64
	// The bounds of what is stored, in bytes; 0 is none. reserve is negative when not given.
	storeBytes, reserve, keepBytes int64
	keep                           time.Duration
	// What one source may have; 0 is the server's default, or no bound.
	sourceConcurrent int
	sourceBytes      int64
	rate             float64
	offerRate        int64 // bytes a second
	bindClients      bool
	firstTID         int64
	partial          bool
	drain            time.Duration
	verbose          bool
	logFormat        string
	// Of the extended protocol.
	base            bool
	segment, window int
	silence         time.Duration
	bounded         bool // --max-bytes was given,
	asked           bool // and --concurrent
	// Of sealed transactions: [NAME=]FILE, and what is in them.
	keys       []string
	requireKey bool
	sealed     *seal.Keyring

	mistyped []usage.Mistyped // variables of the environment
	http     status.Options

	errs *asyncio.Writer // standard error
}

func newCommand(errs *asyncio.Writer) *cobra.Command {
	o := options{errs: errs}
	c := &cobra.Command{
		Use:   "mdalpd",
		Short: "An MDALP orchestrator and its receivers",
		Long: `An MDALP orchestrator and its receivers in one process: it answers intents
and puts the segments of each transaction together in a directory.

Clients that can are spoken to in the extended protocol: large segments, many at once, and a
verdict when the payload's digest is the client's and, with --store, all of it is flushed. Those
that have a key can have it sealed: nobody else reads it, changes it, or takes part.

In the base protocol nobody tells it how long a payload is. Without --expect silence alone
decides: what has no hole, and to which nothing has come for --idle, counts as complete.

There is no configuration file. Each option can come from the environment: --store-bytes from
MDALPD_STORE_BYTES. The command line wins. 'mdalpd check' says what a start would do.

UDP sockets that systemd passes (sd_listen_fds(3)) are taken for --listen and --receivers, and
systemd is told when all is ready (sd_notify(3)).`,
		Example: `  mdalpd --store /var/lib/mdalpd
  mdalpd --listen 192.0.2.1:4650 --receivers 192.0.2.1,192.0.2.2,192.0.2.3 --expect payload`,
		Version:       mdalp.Version,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args: func(c *cobra.Command, a []string) error {
			if len(a) > 0 {
				return usage.Errorf("unexpected argument %q", a[0])
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return o.given(c, o.run) },
	}
	c.CompletionOptions.DisableDefaultCmd = true
	c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage.Flag(err) })
	usage.Help(c)
	c.AddCommand(newCheck(errs), newStore(), shell.Command("mdalpd"), book.Command())
	o.define(c.Flags())
	return c
}

// define adds the options of serving to f.
func (o *options) define(f *pflag.FlagSet) {
	f.SortFlags = false
	f.StringVar(&o.listen, "listen", ":4650", "address and port for intents; without ADDR, all of this host")
	f.StringSliceVar(&o.receivers, "receivers", nil,
		"addresses of this host to offer, each ADDR or ADDR:PORT (default: that of the default route)")
	f.StringSliceVar(&o.names, "names", nil,
		"names of the receivers in the offer, in the same order (default: Receiver 1...)")
	f.StringVar(&o.store, "store", "", "directory for the payloads (default: keep none)")
	f.BoolVar(&o.clientNames, "names-from-clients", false,
		"name an extended payload TID-NAME, as its client calls it, instead of TID.bin")
	f.StringVar(&o.expect, "expect", "", "the payload that every transaction must bring")
	usage.Duration(f, &o.limit, "limit", server.DefaultLimit, "how long a transaction may take; then silence")
	usage.Duration(f, &o.idle, "idle", server.DefaultIdle,
		"without --expect, silence after which data without a hole is complete")
	usage.Duration(f, &o.delay, "offer-delay", 0, "hold every offer back, as a busy orchestrator does")
	f.IntVar(&o.concurrent, "concurrent", server.DefaultConcurrent, "transactions at the same time")
	f.IntVar(&o.sourceConcurrent, "source-concurrent", 0,
		"of these, how many one source may have (default: a quarter, and at least 8)")
	f.IntVar(&o.queue, "queue", server.DefaultQueue, "intents that may wait for their turn")
	f.Int64Var(&o.maxBytes, "max-bytes", server.DefaultMaxBytes,
		"largest payload of a transaction, in bytes; unless given, of the base protocol's alone")
	f.BoolVar(&o.base, "base", false, "speak the base protocol alone")
	f.IntVar(&o.segment, "segment", server.DefaultSegment,
		"most bytes that a receiver takes in one extended segment")
	f.IntVar(&o.window, "window", 0,
		"most segments that a receiver takes before it has acknowledged them "+
			"(default: what its buffer holds)")
	usage.Duration(f, &o.silence, "silence", server.DefaultSilence,
		"how long an extended transaction may be silent")
	usage.Size(f, &o.sourceBytes, "source-bytes", 0,
		"payload that one source may have in open transactions (0: no bound)")
	usage.Size(f, &o.storeBytes, "store-bytes", 0, "most that the store may hold (0: no bound)")
	usage.Size(f, &o.reserve, "reserve", -1,
		"what stays free on the store's disk (default: a hundredth of it)")
	usage.Duration(f, &o.keep, "keep", server.DefaultKeep,
		"how long what came of incomplete payloads is kept (0: for ever)")
	usage.Size(f, &o.keepBytes, "keep-bytes", 0, "and how much of it, the oldest goes first (0: no bound)")
	f.BoolVar(&o.bindClients, "bind-clients", false,
		"take segments from the address alone that the intent came from")
	f.StringSliceVar(&o.keys, "key", nil,
		"a key of sealed transactions, [NAME=]FILE as 'mdalp key' makes it; once for each client")
	f.BoolVar(&o.requireKey, "require-key", false, "drop intents without one of these keys")
	usage.Size(f, &o.offerRate, "offer-rate", -1,
		"bytes of offers a second to all clients together "+
			"(default: those of 1,000, at most 256K; 0: no bound)")
	f.Float64Var(&o.rate, "intent-rate", server.DefaultIntentRate,
		"intents a second that one source may send and not follow up (negative: any)")
	f.Int64Var(&o.firstTID, "first-tid", 0, "number the transactions from here (default: random numbers)")
	f.BoolVar(&o.partial, "keep-partial", false, "keep what came of an incomplete payload as TID.partial")
	usage.Duration(f, &o.drain, "drain", 0,
		"at the first signal, let open transactions end for so long "+
			"(default: whole ones alone, for --idle); a second one ends it at once")
	o.http.Flags(f)
	f.BoolVarP(&o.verbose, "verbose", "v", false, "log counters at the end")
	f.StringVar(&o.logFormat, "log-format", "text",
		"log lines as text or json; intents, and offers, have at most 20 lines a minute, more are counted")
}
