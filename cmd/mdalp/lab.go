package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"mdalp/cmd/internal/table"
	"mdalp/cmd/internal/usage"
	"mdalp/internal/lab"
	"mdalp/server"
	"mdalp/wire"
)

// labOptions is the command line of lab.
type labOptions struct {
	profile string
	// The same seed plays the same losses and delays to the same flows.
	seed    uint64
	sealed  bool
	verbose int
	quiet   bool
}

// newLab is the command that plays a wide-area network on this machine.
func newLab() *cobra.Command {
	var o labOptions
	names := lab.Names()
	c := &cobra.Command{
		Use:   "lab [flags] [-- COMMAND [ARG...]]",
		Short: "Play a wide-area network on this machine and send over it",
		Long: `Play a wide-area network on this machine, in a network namespace of its own:
an orchestrator and receivers that are far away, and lose what a profile says.

Without a command, send 5,000 bytes balanced over all receivers, then to each
receiver alone, and compare. With a command, run it inside, with MDALP_ADDR and
MDALP_PORT set to the orchestrator, and MDALP_FILE, unless that is set already, to a
file of 5,000 bytes: mdalp and mdalp bench need no options there. With --sealed the
orchestrator takes sealed transactions, and MDALP_KEY, unless set already, is a key that
is made for this run. Both files go when the command ends.

How far the comparison is shows on a terminal, and elsewhere in a line after 2 seconds and
then more and more rarely. With --quiet the lab itself prints nothing but errors, and the
exit code tells: 0 if all went as the rules and the profile have it, 1 if something did
not; with a command, the command's own.`,
		Example: `  mdalp lab
  mdalp lab --profile capture -- mdalp -v
  mdalp lab --profile tampered --sealed -- mdalp -v`,
		Args: func(c *cobra.Command, args []string) error {
			// Without -- the options of the command would be taken for the lab's.
			if n := c.ArgsLenAtDash(); len(args) > 0 && n != 0 {
				return usage.Errorf("unexpected argument %q: a command goes behind --", args[0])
			}
			if len(args) > 0 && args[0] == "" {
				return usage.Errorf("the command behind -- is empty")
			}
			if o.sealed && len(args) == 0 {
				return usage.Errorf("--sealed: the comparison is of the base protocol; " +
					"to send sealed, give a command, as in: mdalp lab --sealed -- mdalp")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error { return o.run(c.Context(), args) },
	}
	f := c.Flags()
	f.SortFlags = false
	f.StringVar(&o.profile, "profile", "",
		"network to play: "+strings.Join(names, ", ")+", or a JSON file (default "+names[0]+")")
	f.Uint64Var(&o.seed, "seed", 8, "seed of everything that is left to chance")
	f.BoolVar(&o.sealed, "sealed", false, "have the command send sealed, by a key in MDALP_KEY")
	f.BoolVarP(&o.quiet, "quiet", "q", false,
		"print nothing but errors; a command prints what it likes; wins over -v")
	f.CountVarP(&o.verbose, "verbose", "v", "say what happens; twice: every datagram")
	return c
}

// run enters a network of its own and plays the profile there. The profile is loaded
// first, as a wrong one should cost nothing. It happens twice, since Enter starts this
// program again inside.
func (o *labOptions) run(ctx context.Context, command []string) error {
	profile, err := lab.Load(o.profile)
	if err != nil {
		var path *fs.PathError
		if errors.Is(err, syscall.EISDIR) {
			return fmt.Errorf("--profile %s: it is a directory: give a JSON file in it", o.profile)
		}
		if errors.As(err, &path) {
			return fmt.Errorf("--profile %s: %w", o.profile, path.Err)
		}
		return usage.Errorf("--profile: %w", err)
	}
	network, code, err := lab.Enter()
	switch {
	// In a container without namespaces a lab with late segments is better than none.
	case err != nil && !o.quiet:
		fmt.Fprintf(stderr, "mdalp: %s; on plain loopback instead, "+
			"where only segments are late and pings are not\n", usage.Line(err))
	// All output has been written by the process inside, errors too.
	case err == nil && network == nil: // it ran in there and has ended
		if code == exitOK {
			return nil
		}
		return exited(code)
	}
	signal.Ignore(syscall.SIGPIPE)
	cfg := lab.Config{Network: network, Profile: profile, Seed: o.seed,
		Log: newLogger(verbosity(o.verbose, o.quiet))}
	if len(command) > 0 {
		return o.command(ctx, cfg, command)
	}
	return o.compare(ctx, cfg)
}

// command runs a command inside the lab; its exit code is ours.
func (o *labOptions) command(ctx context.Context, cfg lab.Config, command []string) error {
	// The command decides what a signal means; the lab ends when the command does. Those typed
	// at the terminal reach it twice, which cancelBySignal knows.
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1)
	defer signal.Stop(signals)
	// mdalp finds the orchestrator there without -a and -p, and has something to send.
	env, remove, err := o.prepare(&cfg)
	defer remove()
	if err != nil {
		return err
	}
	l, err := lab.Start(ctx, cfg)
	if err != nil {
		return err
	}
	// Behind the command's own output, and also if it could not be started.
	defer func() {
		l.Close()
		if !o.quiet {
			verdicts(stderr, l.Results())
		}
	}()
	// The command that is meant by mdalp is this one.
	if self, err := os.Executable(); err == nil {
		os.Setenv("PATH", filepath.Dir(self)+string(os.PathListSeparator)+os.Getenv("PATH"))
	}
	c := exec.Command(command[0], command[1:]...)
	c.Env = append(l.Environ(), env...)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := c.Start(); err != nil {
		return notStarted(command[0], err)
	}
	go func() {
		for s := range signals {
			c.Process.Signal(s)
		}
	}()
	err = c.Wait()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		// As shells have it.
		if status, ok := failed.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return exited(128 + int(status.Signal()))
		}
		return exited(failed.ExitCode())
	}
	return err
}

// verdictLines is how many transactions have a line each.
const verdictLines = 8

// verdicts writes what the orchestrator says of each transaction. More than a few, as bench
// makes them, are counted by what it says, in the order in which it first said so.
func verdicts(w io.Writer, all []server.Result) {
	if len(all) <= verdictLines {
		for i := range all {
			fmt.Fprintf(w, "lab: transaction %d: %s: %s\n", all[i].TID, arrived(&all[i]),
				usage.Text(all[i].Comment))
		}
		return
	}
	var said []string
	times, whole := make(map[string]int), 0
	for i := range all {
		if all[i].SHA256 != [sha256.Size]byte{} {
			whole++
		}
		c := all[i].Comment
		if times[c]++; times[c] == 1 {
			said = append(said, c)
		}
	}
	fmt.Fprintf(w, "lab: %d transactions, %d payloads whole\n", len(all), whole)
	for _, c := range said {
		fmt.Fprintf(w, "lab: %d times: %s\n", times[c], usage.Text(c))
	}
}

// notStarted says why a command could not be started, without the words of Go.
func notStarted(name string, err error) error {
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("-- %s: there is no such command in PATH", name)
	}
	var start *exec.Error
	if errors.As(err, &start) {
		err = start.Err
	}
	return fmt.Errorf("-- %s: %w", name, usage.File(err))
}

// arrived says what the receivers have of a payload. What was not put together has no
// hash. They cannot know of segments behind the last one that came.
func arrived(r *server.Result) string {
	text := table.Count(r.Bytes, "byte")
	switch {
	case r.SHA256 != [sha256.Size]byte{}:
		return fmt.Sprintf("%s, sha256 %x", text, r.SHA256[:8])
	case r.Err != nil:
		return fmt.Sprintf("%s, not put together: %v", text, r.Err)
	case len(r.Missing) > 0:
		return fmt.Sprintf("%s, incomplete: SEQ %s missing", text, wire.AppendRanges(nil, r.Missing))
	case r.Segments == 0:
		return text + ", incomplete: no segment came"
	}
	return text + ", incomplete"
}
