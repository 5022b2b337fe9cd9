//go:build linux

// Command compare sends a file by mdalp and by what else one might take: scp, curl, rsync and
// tftp, each with a server of its own on this machine, and tells how long each took. iperf3 says
// what plain TCP brings there.
//
//	go run ./bench/compare [OPTION]... [NETWORK]...
//
// A network is loopback or one of bench/pipe, which emulates it between two network namespaces;
// that takes root. A figure is the median of some runs, in turns, each by a server that was just
// started and a network that was just made. The time is that of the whole command, from its start
// to its end, with greetings, keys and verdicts. Every file that arrived is compared with the one
// that was sent.
//
// It installs nothing: what is not there is named and left out. Keys of ssh are made for the run
// and removed behind it, and no setting of the user is read.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// options are those of the command line.
type options struct {
	runs     int
	tools    string
	tcp      string
	size     int64
	dir      string
	networks []string
}

// A network is where files are sent.
type network struct {
	name  string
	about string
	size  int64 // of the file
	// few is the size for programs that wait for an answer to each block: the rest would take
	// hours where the round trip is long.
	few, least int64
}

// networks are those that are measured if none is named.
var networks = []network{
	{"loopback", "127.0.0.1", 200_000_000, 20_000_000, 20_000_000},
	{"100m-80ms", "100 Mbit/s, round trip 80 ms, queue of 1 MB", 20_000_000, 200_000, 20_000},
	{"100m-80ms-loss", "the same, 1 % of the packets towards the server lost at random",
		5_000_000, 200_000, 20_000},
}

func main() {
	if len(os.Args) == 4 && os.Args[1] == "serve" {
		fmt.Fprintln(os.Stderr, "compare:", serveWeb(os.Args[2], os.Args[3]))
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal ends it at once
	code := 0
	switch err := command(ctx, os.Args[1:], os.Stdout); {
	case errors.Is(err, flag.ErrHelp):
	case ctx.Err() != nil:
		code = 130
	case err != nil:
		fmt.Fprintln(os.Stderr, "compare:", err)
		code = 1
	}
	os.Exit(code)
}

// command is the whole program. Its error is one line.
func command(ctx context.Context, args []string, out io.Writer) error {
	o, err := parse(args, out)
	if err != nil {
		return err
	}
	list, err := o.chosen()
	if err != nil {
		return err
	}
	b, err := newBench(ctx, o)
	if err != nil {
		return err
	}
	defer b.close()
	list = slices.DeleteFunc(list, func(t *tool) bool {
		why := t.missing()
		if why != "" {
			fmt.Fprintf(out, "%s is left out: %s\n", t.name, why)
		}
		return why != ""
	})
	var failed []error
	for _, n := range o.networks {
		i := slices.IndexFunc(networks, func(x network) bool { return x.name == n })
		if err := b.network(ctx, &networks[i], list, out); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// parse reads the command line.
func parse(args []string, out io.Writer) (*options, error) {
	var o options
	f := flag.NewFlagSet("compare", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.IntVar(&o.runs, "runs", 3, "`number` of runs of each program")
	f.StringVar(&o.tools, "tools", "", "`list` of the programs to measure, with commas between (default all)")
	f.Int64Var(&o.size, "size", 0, "`bytes` of the file (default: what suits the network)")
	f.StringVar(&o.tcp, "tcp", "",
		"congestion control of TCP in emulated networks, by its `name` (default: this machine's)")
	f.StringVar(&o.dir, "dir", "/dev/shm", "`folder` for the file and what arrives of it")
	// Options may stand behind a network, too.
	err := f.Parse(args)
	for err == nil && f.NArg() > 0 {
		o.networks = append(o.networks, f.Arg(0))
		err = f.Parse(f.Args()[1:])
	}
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(out, "Compare mdalp with other ways to send a file.\n\n"+
			"Usage: go run ./bench/compare [OPTION]... [NETWORK]...\n\nNetworks:\n")
		for _, n := range networks {
			fmt.Fprintf(out, "  %-16s %s\n", n.name, n.about)
		}
		fmt.Fprint(out, "\nPrograms:\n")
		for _, t := range tools {
			fmt.Fprintf(out, "  %-16s %s\n", t.name, t.about)
		}
		fmt.Fprint(out, "\nOptions:\n")
		f.SetOutput(out)
		f.PrintDefaults()
		return nil, err
	} else if err != nil {
		return nil, fmt.Errorf("%w: -help tells the options", err)
	}
	if o.runs < 1 || o.size < 0 {
		return nil, errors.New("-runs and -size: they have to be above 0")
	}
	if len(o.networks) == 0 {
		for _, n := range networks {
			o.networks = append(o.networks, n.name)
		}
	}
	for _, n := range o.networks {
		if !slices.ContainsFunc(networks, func(x network) bool { return x.name == n }) {
			return nil, fmt.Errorf("no network %q: -help tells the networks", n)
		}
		if n != "loopback" && os.Geteuid() != 0 {
			return nil, fmt.Errorf("%s: network namespaces need root; name loopback alone, or use sudo", n)
		}
	}
	return &o, nil
}

// chosen are the programs of -tools, in the order of the table.
func (o *options) chosen() (list []*tool, err error) {
	var names []string
	if o.tools != "" {
		names = strings.Split(o.tools, ",")
	}
	for i := range tools {
		if len(names) == 0 || slices.Contains(names, tools[i].name) {
			list = append(list, &tools[i])
		}
	}
	for _, n := range names {
		if !slices.ContainsFunc(tools, func(t tool) bool { return t.name == n }) {
			return nil, fmt.Errorf("-tools %s: -help tells the programs", n)
		}
	}
	return list, nil
}
