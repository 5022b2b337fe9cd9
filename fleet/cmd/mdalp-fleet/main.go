// Command mdalp-fleet runs the parts of an MDALP server that is spread over several machines.
//
//	mdalp-fleet orchestrator --engine nats://ENGINE:4222 --dir DIR
//	mdalp-fleet receiver --engine nats://ENGINE:4222 --dir DIR
//	mdalp-fleet status --engine nats://ENGINE:4222
//
// Orchestrators answer intents and manifests, receivers take segments; all share one directory,
// and agree by NATS JetStream.
//
// SIGINT, SIGTERM or SIGHUP has a part drain: it takes nothing new, and ends when what it has
// is over; a second one ends it at once. Exit codes: 0 ended by a signal; 1 status has found
// something that needs somebody; 2 the command line is wrong; 4 a socket, permission, file, the
// engine, or another receiver with this one's ID.
//
// Every option can come from the environment: --dir from MDALP_FLEET_DIR. The command line wins.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"mdalp"
)

// The exit codes.
const (
	exitUnwell = 1 // status: something needs somebody
	exitUsage  = 2 // the command line is wrong
	exitSystem = 4 // socket, permission, file, engine
)

// variables is how the environment variables of options begin.
const variables = "MDALP_FLEET_"

func main() { os.Exit(run(os.Args[1:])) }

// run is the program: it gives the exit code.
func run(args []string) int {
	c := newCommand()
	c.SetArgs(args)
	err := c.ExecuteContext(context.Background())
	if err == nil {
		return 0
	}
	if errors.Is(err, errUnwell) {
		return exitUnwell // it has said what
	}
	fmt.Fprintf(os.Stderr, "mdalp-fleet: %s\n", oneLine(err.Error()))
	var wrong *usageError
	if errors.As(err, &wrong) {
		fmt.Fprintln(os.Stderr, "Try 'mdalp-fleet --help'.")
		return exitUsage
	}
	return exitSystem
}

func newCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "mdalp-fleet",
		Short: "An MDALP server on many machines",
		Long: `An MDALP server on many machines: orchestrators answer intents, receivers take segments.
All share one directory, where the payloads are, and agree by NATS JetStream: it keeps a few
small records of each transaction, and never a payload.

Each option can come from the environment: --dir from MDALP_FLEET_DIR. The command line wins.`,
		Version:       mdalp.Version,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args: func(c *cobra.Command, a []string) error {
			if len(a) > 0 {
				return usagef("there is no command %q", a[0])
			}
			return nil
		},
		RunE: func(*cobra.Command, []string) error {
			return usagef("a command is missing: orchestrator, receiver or status")
		},
		PersistentPreRunE: func(c *cobra.Command, _ []string) error { return fromEnvironment(c.Flags()) },
	}
	c.CompletionOptions.DisableDefaultCmd = true
	c.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usagef("%w", err) })
	c.AddCommand(newOrchestrator(), newReceiver(), newStatus())
	return c
}

// none is for commands without arguments.
func none(_ *cobra.Command, a []string) error {
	if len(a) > 0 {
		return usagef("unexpected argument %q", a[0])
	}
	return nil
}

// A usageError is the command line's.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// variable is the environment variable of an option.
func variable(f *pflag.Flag) string {
	return variables + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
}

// fromEnvironment sets the options that the command line left out from their variables. An
// empty variable counts as not set.
func fromEnvironment(flags *pflag.FlagSet) (err error) {
	flags.VisitAll(func(f *pflag.Flag) {
		name := variable(f)
		v := os.Getenv(name)
		if f.Changed || v == "" || f.Name == "help" || f.Name == "version" || err != nil {
			return
		}
		if e := flags.Set(f.Name, v); e != nil {
			err = usagef("%s: %w", name, e)
		}
	})
	return err
}

// oneLine spells out what would break a line.
func oneLine(s string) string {
	q := fmt.Sprintf("%q", s)
	return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
}
