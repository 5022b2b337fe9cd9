// Command pipe measures how much of a network's rate a transfer brings, with TCP beside it in
// the same run. The networks are emulated between two network namespaces of this machine, in
// real time, and the programs are the real ones.
//
//	go run ./bench/pipe [OPTION]... [NETWORK]...
//
// Without arguments it measures all rows of the tables in bench/README.md. It needs root,
// /dev/net/tun, and for TCP iperf3. Nothing else should run meanwhile: how late the emulation
// delivered is told with each figure, and has to be far below the round trip.
//
//	client                                    orchestrator, receivers
//	  TUN  --->  queue, rate, delay, loss  --->  TUN
//	       <---  queue, rate, delay        <---
//
// With -hold it is for programs of others, which enter the namespaces by nsenter(1); bench/compare
// does so.
//
// A share is payload bytes by the bytes that the link can carry, those of headers included,
// from the first segment that goes in to the last one that comes out. Luck is seeded.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// options are those of the command line.
type options struct {
	row           row  // of each network that is named
	store         bool // -store was given
	noTCP         bool
	hold          bool // make the network for programs of others
	seed          uint64
	mdalp, mdalpd string
	dir           string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal ends it at once
	// The program ends here alone, when all deferred clearing up is done.
	code := 0
	switch err := command(ctx, os.Args[1:], os.Stdout); {
	case errors.Is(err, flag.ErrHelp):
	case ctx.Err() != nil:
		code = 130
	case err != nil:
		fmt.Fprintln(os.Stderr, "pipe:", err)
		code = 1
	}
	os.Exit(code)
}

// command is the whole program. Its error is one line.
func command(ctx context.Context, args []string, out io.Writer) error {
	o, rs, err := parse(args)
	if err != nil {
		return err
	}
	// All of them before the first: a mistake shall not show after minutes.
	for i := range rs {
		if _, err := rs[i].complete(); err != nil {
			return err
		}
	}
	if o.hold {
		return hold(ctx, &rs[0], o.seed, os.Stdin, out)
	}
	return measure(ctx, o, rs, out)
}

// parse reads the command line, and gives the rows that it asks for. What does not go together
// is an error, and not passed over: a figure of something else would be taken for the one meant.
func parse(args []string) (o *options, rs []row, err error) {
	o = new(options)
	f := flag.NewFlagSet("pipe", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.BoolVar(&o.row.fair, "fair", false, "mdalp beside one TCP flow in one queue")
	f.IntVar(&o.row.seconds, "seconds", 0,
		"`seconds` that a row takes (default 10, the whole trace, or 20 with -fair)")
	f.IntVar(&o.row.receivers, "receivers", 0, "`number` of receivers that share the link (default 1)")
	f.BoolVar(&o.store, "store", false, "keep the payload in a folder, and check its digest (the default)")
	f.BoolVar(&o.row.noStore, "no-store", false, "no store, and no digest")
	f.Int64Var(&o.row.size, "size", 0, "`bytes` of the payload (default: what takes the seconds)")
	f.BoolVar(&o.noTCP, "no-tcp", false, "do not measure TCP")
	f.BoolVar(&o.hold, "hold", false,
		"measure nothing: make the network, say where it is, and keep it until standard input ends")
	f.Uint64Var(&o.seed, "seed", 1, "of the `luck`")
	f.StringVar(&o.dir, "dir", "", "`folder` in which payload and store are put (default /dev/shm)")
	f.StringVar(&o.mdalp, "mdalp", "", "`path` of a client, instead of building it")
	f.StringVar(&o.mdalpd, "mdalpd", "", "`path` of a server, instead of building it")

	// Options may stand behind a network, too.
	var networks []string
	for {
		if err := f.Parse(args); errors.Is(err, flag.ErrHelp) {
			usage(f)
			return nil, nil, err
		} else if err != nil {
			return nil, nil, fmt.Errorf("%w: -help tells the options", err)
		}
		if f.NArg() == 0 {
			break
		}
		networks, args = append(networks, f.Arg(0)), f.Args()[1:]
	}
	switch {
	case o.store && o.row.noStore:
		return nil, nil, errors.New("-store and -no-store: take one of them")
	case o.row.seconds < 0 || o.row.seconds > 3600:
		return nil, nil, fmt.Errorf("-seconds %d: 1 to 3600 are possible", o.row.seconds)
	case o.row.receivers < 0 || o.row.receivers > maxReceivers:
		return nil, nil, fmt.Errorf("-receivers %d: 1 to %d are possible", o.row.receivers, maxReceivers)
	case o.row.size < 0:
		return nil, nil, fmt.Errorf("-size %d: it has to be above 0", o.row.size)
	case o.hold && len(networks) != 1:
		return nil, nil, errors.New("-hold: name one network")
	case o.row.fair && o.noTCP:
		return nil, nil, errors.New("-fair and -no-tcp: there is nothing to be fair to")
	}
	return o, o.rows(networks), nil
}

// rows are those of the networks, or all if there are none. Of all, options change what they
// are about: -fair leaves the rows beside TCP, -no-store takes the store from each.
func (o *options) rows(networks []string) (rs []row) {
	for _, n := range networks {
		r := o.row
		r.network = n
		rs = append(rs, r)
	}
	if len(networks) > 0 {
		return rs
	}
	for _, r := range rows {
		switch {
		case o.row.fair && !r.fair, o.noTCP && r.fair:
			continue
		case o.row.seconds != 0:
			r.seconds = o.row.seconds
		}
		if r.network != "three" {
			r.receivers = o.row.receivers
		}
		r.size = o.row.size
		r.noStore = !o.store && (r.noStore || o.row.noStore)
		rs = append(rs, r)
	}
	return rs
}

// usage tells the options and the networks.
func usage(f *flag.FlagSet) {
	fmt.Print("Measure mdalp, and TCP beside it, through emulated networks.\n\n" +
		"Usage: go run ./bench/pipe [OPTION]... [NETWORK]...\n\n" +
		"Without a network all rows of the tables are measured.\n\nNetworks:\n")
	for _, p := range profiles {
		fmt.Printf("  %-16s %s\n", p.name, p.about)
	}
	for _, name := range labs {
		fmt.Printf("  %-16s as `mdalp lab --profile %s`, to its first receiver\n", name, name)
	}
	fmt.Print("\nOptions:\n")
	f.SetOutput(os.Stdout)
	f.PrintDefaults()
}
