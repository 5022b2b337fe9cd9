// Command mdalp sends a payload to the receivers that an orchestrator names.
//
//	mdalp -a ADDR -p PORT -f FILE [-m 1|2] [-s N] [-v|-vv]
//
// is the command line of the original client, and works as it is; mdalp send is
// the same. Results go to standard output, everything else to standard error.
//
// Every option of send can come from the environment: --intent-timeout from
// MDALP_INTENT_TIMEOUT. The command line wins.
//
// Exit codes: 0 all was acknowledged, and by the extended protocol is whole and kept; 1 not
// all was acknowledged; 2 the command line is wrong; 3 no offer, or a bad one; 4 a
// name, socket, permission or file; 5 the server refuses the payload, has something else, or
// does not say that it is whole; 130 SIGINT, SIGTERM or SIGHUP. A command in the lab passes
// its own on.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"mdalp"
	"mdalp/cmd/internal/fewfiles"
	"mdalp/cmd/internal/shell"
	"mdalp/cmd/internal/usage"
)

// The exit codes, for scripts.
const (
	exitOK          = 0
	exitIncomplete  = 1   // not everything was acknowledged
	exitUsage       = 2   // the command line is wrong
	exitNoOffer     = 3   // no offer, or none that can be used
	exitSystem      = 4   // name, socket, permission, file
	exitUnverified  = 5   // refused, damaged, or without a verdict
	exitInterrupted = 130 // SIGINT, SIGTERM or SIGHUP
)

// interrupted is the cause of a context that a signal cancelled. It is told from other
// ends by its type, and gives the exit code that shells give for SIGINT.
type interrupted struct{ os.Signal }

// Error names the signal by the word that kill(1) takes, not by the sentence that
// stands for it.
func (i interrupted) Error() string {
	if n, ok := i.Signal.(syscall.Signal); ok {
		return "interrupted (" + unix.SignalName(n) + ")"
	}
	return "interrupted"
}

// exited is an error that stands for the exit code of another command, which has
// said what was wrong itself.
type exited int

// Error is never shown.
func (e exited) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

func main() {
	fewfiles.Check("mdalp")
	os.Exit(run(os.Args[1:]))
}

// run is the program: it gives the exit code.
func run(args []string) int {
	root := newRoot()
	given := args
	args = arrange(root, args)
	if len(args) == 0 || args[0] != "send" {
		addOthers(root)
	}
	if shell.Asked(args) {
		shell.Complete(root, completions())
	}
	root.SetArgs(args)
	out := new(usage.Output)
	root.SetOut(out)
	// That help could not be written is an error only if nothing else was.
	c, err := root.ExecuteContextC(context.Background())
	err = out.Or(err)
	code := exitOK
	var passed exited
	switch {
	case err == nil:
	// Whatever was wrong has been told.
	case errors.As(err, &passed):
		code = int(passed)
	default:
		fmt.Fprintf(stderr, "mdalp: %s\n", usage.Line(err))
		if code = exitCode(err); code == exitUsage {
			fmt.Fprintf(stderr, "Try '%s --help'.\n", called(c, given))
		}
	}
	// Who was told to end does not wait for a reader that has stopped.
	ctx, cancel := context.WithCancel(context.Background())
	if code == exitInterrupted || errors.Is(err, mdalp.ErrDeadline) {
		cancel()
	}
	defer cancel()
	stderr.flush(ctx)
	return code
}

// called is the command whose help has the options: the whole program's has those of
// send.
func called(c *cobra.Command, given []string) string {
	if c.Name() == "help" || c.Name() == "send" && (len(given) == 0 || given[0] != "send") {
		return c.Root().Name()
	}
	return c.CommandPath()
}

// exitCode is the table of exit codes. The order matters: an interrupted transfer is
// incomplete as well.
func exitCode(err error) int {
	var sig interrupted
	switch {
	case errors.As(err, &sig):
		return exitInterrupted
	case usage.Is(err), errors.Is(err, mdalp.ErrConfig):
		return exitUsage
	case errors.Is(err, mdalp.ErrNoOffer), errors.Is(err, mdalp.ErrBadOffer):
		return exitNoOffer
	case errors.Is(err, mdalp.ErrRefused), errors.Is(err, mdalp.ErrDamaged),
		errors.Is(err, mdalp.ErrUnverified):
		return exitUnverified
	case errors.Is(err, mdalp.ErrIncomplete):
		return exitIncomplete
	}
	return exitSystem
}

// newRoot is the command tree.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "mdalp",
		Short: "Send a payload to the receivers that an orchestrator names",
		Long: `Send a payload to the receivers that an orchestrator names, by the Multi
Destination Application Layer Protocol.

Arguments that start with - mean "send": mdalp -a ADDR -p PORT -f FILE`,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(c *cobra.Command, args []string) error {
			// Most likely a file without -f, or a command that was mistyped.
			if len(args) > 0 {
				var names []string
				for _, s := range c.Commands() {
					names = append(names, s.Name())
				}
				return usage.Errorf("there is no command %q among %s; a file goes behind -f",
					args[0], strings.Join(names, ", "))
			}
			return usage.Errorf("say what to do: -a ADDR -p PORT -f FILE sends a file")
		},
		// Else cobra looks for the command itself, and says less.
		Args: cobra.ArbitraryArgs,
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage.Flag(err) })
	usage.Help(root)
	send := newSend()
	root.AddCommand(send)
	help := root.HelpFunc()
	root.SetHelpFunc(func(c *cobra.Command, args []string) {
		help(c, args)
		if c == root { // the original's -h shows the options
			fmt.Fprintf(c.OutOrStdout(), "\nOptions of send:\n%s", send.LocalFlags().FlagUsages())
		}
	})
	return root
}

// addOthers adds the commands beside send, which does not wait for them to be built.
func addOthers(root *cobra.Command) {
	root.AddCommand(newPing(), newPlan(), newBench(), newLab(), newDecode(), newDoctor(), newUnfinished(),
		newKey(), newVersion(), shell.Command("mdalp"), newMan())
}

// noArgs refuses arguments that are no options. cobra's own would speak of "unknown
// command".
func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage.Errorf("unexpected argument %q", args[0])
	}
	return nil
}

// newVersion is the command that prints the version.
func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			return toStdout([]byte("mdalp " + mdalp.Version + "\n"))
		},
	}
}
