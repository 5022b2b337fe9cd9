package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/netip"
	"os/signal"
	"slices"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"mdalp/cmd/internal/usage"
	"mdalp/wire"
)

// exitMend says that a send would not work, or would go without pings.
const exitMend = 1

// doctorOptions is the command line of doctor.
type doctorOptions struct {
	addr string
	// How many acknowledgements may arrive at once, for the receive buffer.
	receivers int
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
		Short: "Look whether this host lets a send work, and say what to mend",
		Long: `Look whether this host lets a send work with pings, and say what to mend. What can be
tried is tried: sockets are opened, 127.0.0.1 is pinged, namespaces are made. Nothing is
sent to other hosts and nothing is changed.

Each line is "ok"; or "warning" where a send works all the same; or "mend" where it does
not, or goes without pings. The command that mends it stands below the line.

The exit code is 0 if a send works with pings, also with warnings; 1 if something is to
be mended; 2 if the command line makes no sense; 4 if the name behind -a has no address.`,
		Example: `  mdalp doctor
  mdalp doctor -a orchestrator.example --receivers 1000
  mdalp doctor --json | jq '.checks[] | select(.state != "ok")'`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			// Before the environment is looked at, so that a bad variable there does not pass for a
			// namespace that is refused.
			if o.inside {
				return insideNamespace()
			}
			return o.run(c.Context(), fromEnvironment(c.Flags()))
		},
	}
	f := c.Flags()
	o.flags = f
	f.SortFlags = false
	f.StringVarP(&o.addr, "addr", "a", "", "`address` or name of the orchestrator, to look at the way there")
	f.IntVar(&o.receivers, "receivers", 100, "how many receivers are to be sent to at the same time")
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
	var f *facts
	err := bad
	if err == nil {
		f, err = o.look(ctx)
	}
	err = blame(o.flags, err)
	var checks []check
	if err == nil {
		// The lines have said what is wrong; only the code is left to tell.
		if checks = f.judge(o.receivers); sick(checks) {
			err = exited(exitMend)
		}
	}
	var text bytes.Buffer
	switch {
	case o.json:
		encode(&text, newDoctorJSON(f, checks, err))
	case f != nil:
		showChecks(&text, f, checks)
	}
	if e := deliver(ctx, text.Bytes()); e != nil && !isFailure(err) {
		return e // an exit code says less
	}
	return err
}

// look finds out what there is to judge.
func (o *doctorOptions) look(ctx context.Context) (*facts, error) {
	switch {
	case o.receivers < 1 || o.receivers > wire.MaxReceivers:
		return nil, usage.Errorf("--receivers %d: it is 1 to %d, as many as an offer may name", o.receivers, wire.MaxReceivers)
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
	return gather(ctx, to), nil
}

// A state is what a check came to.
type state string

// The states.
const (
	fine    state = "ok"
	warning state = "warning" // a send works all the same
	mend    state = "mend"    // a send does not work, or goes without pings
)

// A check is one line. Name and State are for scripts and do not change; Text is for
// people and may.
type check struct {
	Name  string
	State state
	Text  string
	Mend  string // a command line, or a few words where there is no such command
}

// sick reports whether something is to be mended.
func sick(checks []check) bool {
	for _, c := range checks {
		if c.State == mend {
			return true
		}
	}
	return false
}

// The JSON that doctor prints.
type (
	doctorJSON struct {
		headJSON
		OK     bool        `json:"ok"`          // as the exit code says
		Socket *string     `json:"ping_socket"` // raw, dgram or off
		Checks []checkJSON `json:"checks"`
	}
	checkJSON struct {
		Name  string  `json:"name"`
		State state   `json:"state"`
		Text  string  `json:"text"`
		Mend  *string `json:"mend"`
	}
)

// newDoctorJSON makes the JSON of checks that ended with err. f is nil if it did not
// come to looking. OK is the exit code in a word, for those who read the object and not
// the code.
func newDoctorJSON(f *facts, checks []check, err error) doctorJSON {
	j := doctorJSON{headJSON: newHead("mdalp.doctor/1", err), OK: err == nil, Checks: []checkJSON{}}
	if f != nil {
		j.Socket = ptr(f.mode())
	}
	for _, c := range checks {
		x := checkJSON{Name: c.Name, State: c.State, Text: c.Text}
		if c.Mend != "" {
			x.Mend = &c.Mend
		}
		j.Checks = append(j.Checks, x)
	}
	return j
}

// showChecks writes a line for each check, and one for the whole.
func showChecks(w io.Writer, f *facts, checks []check) {
	for _, c := range checks {
		fmt.Fprintf(w, "%-8s %-18s %s\n", c.State, c.Name, usage.Text(c.Text)) // ours: Name
		if c.Mend != "" {
			// On a line of its own, to be copied as it is.
			fmt.Fprintf(w, "%-8s %-18s > %s\n", "", "", usage.Text(c.Mend))
		}
	}
	// Without a route there is nobody to send to but oneself.
	works := "a send works here"
	if !slices.ContainsFunc(f.ways, func(w way) bool { return w.err == nil }) {
		works = "no way leads out of this host: a send works to its own addresses alone"
	}
	switch mode := f.mode(); {
	case !sick(checks):
		fmt.Fprintf(w, "\n%s, with pings by %s sockets\n", works, map[string]string{"raw": "raw", "dgram": "ICMP datagram"}[mode])
	// The socket for segments is there, and a send can do without pings.
	case mode == "off" && !sick(slices.DeleteFunc(slices.Clone(checks), isPing)):
		fmt.Fprintf(w, "\n%s, but without pings: all receivers get the same share\n", works)
	default:
		fmt.Fprintln(w, "\na send does not work here as it should")
	}
}
