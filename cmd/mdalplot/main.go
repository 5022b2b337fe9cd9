// Command mdalplot draws what transfers did, as SVG or PNG.
//
//	mdalplot sequence run.pcapng -o sequence.svg
//
// draws which segment went to which receiver when; delay how long acknowledgements took,
// share who got how much, window and rate how a transfer went on, and compare balanced
// sending against each receiver alone. It is a command of its own so that the client does
// not carry what draws.
//
// Exit codes: 0 the pictures are written; 2 the command line is wrong; 4 a file
// cannot be read or written, or holds nothing to draw.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"mdalp"
	"mdalp/cmd/internal/fewfiles"
	"mdalp/cmd/internal/manual"
	"mdalp/cmd/internal/shell"
	"mdalp/cmd/internal/usage"
)

// The exit codes.
const (
	exitUsage  = 2 // the command line is wrong
	exitSystem = 4 // a file, or what is in it
)

// book is the manual; the command man writes it.
var book = manual.Book{
	Program: "mdalplot", Version: mdalp.Version, Section: 1, See: []string{"mdalp(1)"},
	Usage: "[OPTION...]",
	Root: []manual.Section{{Title: "EXIT STATUS", Text: `  0    the pictures are written
  2    the command line is wrong
  4    a file cannot be read or written, or holds nothing to draw`}},
}

func main() {
	fewfiles.Check("mdalplot")
	os.Exit(run(os.Args[1:]))
}

// run is the program: it gives the exit code. Errors are printed here and nowhere else,
// on one line, whatever a file's name has in it.
func run(args []string) int {
	root := newRoot()
	// Only a completion script needs the values; -o is the only option that takes a file.
	if shell.Asked(args) {
		shell.Complete(root, shell.Values{"output": {"..."}})
	}
	root.SetArgs(args)
	out := new(usage.Output)
	root.SetOut(out)
	err := out.Or(root.ExecuteContext(context.Background()))
	if err == nil {
		return 0
	}
	fmt.Fprintf(os.Stderr, "mdalplot: %s\n", usage.Line(err))
	if usage.Is(err) {
		fmt.Fprintln(os.Stderr, "Try 'mdalplot --help'.")
		return exitUsage
	}
	return exitSystem
}

// newRoot is the command tree.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "mdalplot",
		Short: "Draw what transfers did",
		Long: `Draw what transfers did, as SVG or PNG, from captures (pcapng or pcap, as mdalp send
--pcap, tcpdump and Wireshark write them), from the events of mdalp send --json-stream,
and from comparisons of mdalp bench --format json.`,
		Version:       mdalp.Version,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.ArbitraryArgs, // else cobra looks for the command itself, and says less
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage.Errorf("there is no picture %q: "+
					"it is sequence, delay, share, window, rate or compare", args[0])
			}
			return usage.Errorf("say what to draw: sequence, delay, share, window, rate or compare")
		},
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage.Flag(err) })
	usage.Help(root)
	root.AddCommand(
		newDrawing("sequence", "Draw which segment went to which receiver when",
			`Draw the segments over time in the colours of their receivers: when each was sent, when
it was acknowledged, what was sent again, and which datagrams nothing answered.

The events of --json-stream do not tell single segments: from them, draw how many each
receiver had acknowledged.`, sequence),
		newDrawing("delay", "Draw how long acknowledgements took",
			`Draw how long each segment took to be acknowledged, counted from the transmission that
the acknowledgement belongs to, and the mean of the pings as a dashed line. Only a
capture tells that.`, delay),
		newDrawing("share", "Draw who got how much, against the latency",
			`Draw the bytes of each receiver against the latency that its pings measured, beside the
curve of shares in inverse proportion to the latency.`, share),
		newDrawing("window", "Draw how many segments were in flight",
			`Draw over time how many segments were out at each receiver at once: one in the base
protocol, and as many as window and network allow in the extended one. Only a capture
tells that.`, window),
		newDrawing("rate", "Draw how fast each receiver acknowledged",
			`Draw over time how many bits of the payload each receiver acknowledged in a second, and
when segments were sent again. Only a capture tells that.`, rate),
		newCompare(), shell.Command("mdalplot"), book.Command(),
	)
	return root
}

// newDrawing is a command that draws a transfer.
func newDrawing(name, short, long string, draw func(*transfer) (*picture, error)) *cobra.Command {
	var outputs []string
	tid := int64(-1)
	c := &cobra.Command{
		Use:   name + " FILE -o OUT.svg|OUT.png",
		Short: short,
		Long: long + `

FILE is a capture or the events of --json-stream; - is standard input.`,
		Example: fmt.Sprintf(`  mdalp -a orchestrator.example -p 4650 -f payload --pcap run.pcapng
  mdalplot %s run.pcapng -o %[1]s.svg -o %[1]s.png`, name),
		Args: oneFile,
		RunE: func(c *cobra.Command, args []string) error {
			// First what costs nothing: a capture may take long to read.
			if err := checkOutputs(outputs, args[0]); err != nil {
				return err
			}
			// -1 stands for "not given" inside, and is not for users.
			if c.Flags().Changed("tid") && tid < 0 {
				return usage.Errorf("--tid %d: it may not be negative", tid)
			}
			// A capture that was cut, as by a full disk, is drawn as far as it goes, and the exit code
			// still says that it was cut.
			all, damage := readTransfers(args[0])
			if all == nil {
				return fmt.Errorf("%s: %w", args[0], damage)
			}
			t, err := pick(all, tid)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			p, err := draw(t)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			if err := p.save(outputs); err != nil {
				return err
			}
			if damage != nil { // what came before it is drawn
				return fmt.Errorf("%s: %w", args[0], damage)
			}
			return nil
		},
	}
	addOutputs(c, &outputs)
	c.Flags().Int64Var(&tid, "tid", -1, "the `transaction` to draw, if the file holds more than one")
	c.Flags().Lookup("tid").DefValue = "0" // which the help leaves out
	return c
}

// newCompare is the command that draws a comparison. It has no --tid, as it shows no
// single transaction.
func newCompare() *cobra.Command {
	var outputs []string
	c := &cobra.Command{
		Use:   "compare BENCH.json -o OUT.svg|OUT.png",
		Short: "Draw balanced sending against each receiver alone",
		Long: `Draw what mdalp bench --format json measured: the medians of the times for pings and
for sending, and the least and the most of both together. The wait for the offer is left
out: no way to send changes it.

BENCH.json may be - for standard input.`,
		Example: `  mdalp lab --profile continents -- mdalp bench -f payload --format json >bench.json
  mdalplot compare bench.json -o compare.svg -o compare.png`,
		Args: oneFile,
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkOutputs(outputs, args[0]); err != nil {
				return err
			}
			b, err := readBench(args[0])
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			p, err := compare(b)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			return p.save(outputs)
		},
	}
	addOutputs(c, &outputs)
	return c
}

// oneFile refuses all but one argument.
func oneFile(c *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return usage.Errorf("name the file to draw, or - for standard input: mdalplot %s", c.Use)
	case args[0] == "":
		return usage.Errorf("the name of the file to draw is empty")
	case len(args) > 1:
		return usage.Errorf("unexpected argument %q: a picture shows one file", args[1])
	}
	return nil
}

// addOutputs adds the option -o.
func addOutputs(c *cobra.Command, outputs *[]string) {
	c.Flags().SortFlags = false
	c.Flags().StringArrayVarP(outputs, "output", "o", nil,
		"`file` to write, whose name ends with .svg or .png; again for more")
}

// checkOutputs looks at the names before anything is read. All of them are to be right,
// or none is written.
func checkOutputs(outputs []string, input string) error {
	if len(outputs) == 0 {
		return usage.Errorf("name the picture: -o FILE.svg or -o FILE.png")
	}
	for _, o := range outputs {
		switch strings.ToLower(filepath.Ext(o)) {
		case ".svg", ".png":
		default:
			return usage.Errorf("-o %s: the name must end with .svg or .png", usage.Shown(o))
		}
		// By what the names lead to, so that links count too: the picture would overwrite the
		// capture, which cannot be made again.
		here, err := os.Stat(o)
		if there, e := os.Stat(input); err == nil && e == nil && os.SameFile(here, there) {
			return usage.Errorf("-o %s: that is the file to draw", o)
		}
	}
	return nil
}
