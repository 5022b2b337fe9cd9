package main

import (
	"bytes"
	"context"
	"net/netip"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"mdalp/cmd/internal/doctor"
	"mdalp/cmd/internal/shape"
	"mdalp/cmd/internal/usage"
	"mdalp/seal"
	"mdalp/wire"
)

// exitFix says that a send would not work, or would go without pings.
const exitFix = 1

// doctorOptions is the command line of doctor.
type doctorOptions struct {
	addr string
	// How many acknowledgements may arrive at once, for the receive buffer.
	receivers int
	key       string
	json      bool
	// This is the process that tryNamespace started.
	inside     bool
	ipv4, ipv6 bool
	flags      *pflag.FlagSet
}

// newDoctor is the command that looks why things do not work.
func newDoctor() *cobra.Command {
	var o doctorOptions
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Look whether this host lets a send work, and say what to fix",
		Long: `Look whether this host lets a send work with pings, and say what to fix. What can be
tried is tried: sockets are opened, 127.0.0.1 is pinged, namespaces are made. Nothing is
sent to other hosts and nothing is changed.

Each line is "ok"; or "warning" where a send works all the same; or "fix" where it does
not, or goes without pings. The command that fixes it stands below the line.

The exit code is 0 if a send works with pings, also with warnings; 1 if something is to
be fixed; 2 if the command line is wrong; 4 if the name behind -a has no address.`,
		Example: `  mdalp doctor
  mdalp doctor -a orchestrator.example --receivers 1000
  mdalp doctor --json | jq '.checks[] | select(.state != "ok")'`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			// Before the environment is looked at, so that a bad variable there does not pass for a
			// namespace that is refused.
			if o.inside {
				return doctor.InsideNamespace()
			}
			return o.run(c.Context(), fromEnvironment(c.Flags()))
		},
	}
	f := c.Flags()
	o.flags = f
	f.SortFlags = false
	f.StringVarP(&o.addr, "addr", "a", "", "`address` or name of the orchestrator, to look at the way there")
	f.IntVar(&o.receivers, "receivers", 100, "how many receivers are to be sent to at the same time")
	f.StringVar(&o.key, "key", "", "key `file` of sealed transactions, to look whether it is one")
	f.BoolVar(&o.json, "json", false, "print JSON")
	f.BoolVarP(&o.ipv4, "ipv4", "4", false, "look for an IPv4 address behind -a only")
	f.BoolVarP(&o.ipv6, "ipv6", "6", false, "look for an IPv6 address behind -a only")
	f.BoolVar(&o.inside, "inside", false, "")
	f.MarkHidden("inside") // for the process in the namespaces that are tried
	return c
}

// run looks and prints. bad is what was wrong with the command line so far; it is told
// here because --json wants it on standard output too.
func (o *doctorOptions) run(ctx context.Context, bad error) error {
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := cancelBySignal(ctx)
	defer stop()
	var f *doctor.Facts
	err := bad
	if err == nil {
		f, err = o.look(ctx)
	}
	err = blame(o.flags, err)
	var checks []doctor.Check
	if err == nil {
		// The lines have said what is wrong; only the code is left to tell.
		checks = f.Judge(o.receivers)
		if o.key != "" {
			k, err := seal.ReadKeyFile(o.key)
			checks = append(checks, doctor.JudgeKey(o.key, &k, err))
		}
		if doctor.Sick(checks) {
			err = exited(exitFix)
		}
	}
	var text bytes.Buffer
	switch {
	case o.json:
		shape.Encode(&text, doctor.NewJSON(newHead(shape.DoctorSchema, err), f, checks))
	case f != nil:
		doctor.Show(&text, f, checks)
	}
	if e := deliver(ctx, text.Bytes()); e != nil && !isFailure(err) {
		return e // an exit code says less
	}
	return err
}

// look finds out what there is to judge.
func (o *doctorOptions) look(ctx context.Context) (*doctor.Facts, error) {
	switch {
	case o.receivers < 1 || o.receivers > wire.MaxReceivers:
		return nil, usage.Errorf("--receivers %d: it is 1 to %d, as many as an offer may name",
			o.receivers, wire.MaxReceivers)
	// No address is of both, so it cannot be meant.
	case o.ipv4 && o.ipv6:
		return nil, usage.Errorf("-4 and -6 exclude each other")
	}
	var to netip.Addr
	if o.addr != "" {
		family := 0
		if o.ipv4 {
			family = 4
		} else if o.ipv6 {
			family = 6
		}
		// The way to a host is the same for all ports.
		a, err := lookUp(ctx, o.addr, 0, family)
		if err != nil {
			return nil, err
		}
		to = a.Addr()
	}
	return doctor.Gather(ctx, to), nil
}
