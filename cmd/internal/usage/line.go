package usage

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// Line is the text of an error on one line. Names of files and hosts may hold line feeds
// and escape sequences, which are spelled out, as are bytes that are no UTF-8.
func Line(err error) string {
	text := err.Error()
	if e, ok := err.(*fs.PathError); ok && e.Path == os.Stdout.Name() {
		text = "standard output: " + e.Err.Error()
	}
	return Text(text)
}

// An Output is where help and the version go: standard output. cobra passes over an error
// of it, or tells it in words of its own; so it is kept here.
type Output struct{ err error }

// Write implements io.Writer, and never fails.
func (o *Output) Write(b []byte) (int, error) {
	if _, err := os.Stdout.Write(b); o.err == nil && !errors.Is(err, syscall.EPIPE) {
		o.err = err
	}
	return len(b), nil
}

// Or gives err, or if that is nil, what went wrong with the output.
func (o *Output) Or(err error) error {
	if err == nil {
		return o.err
	}
	return err
}

// Help makes the command help of root, which cobra's own would not do: it shows the help
// of root for a command that there is not.
func Help(root *cobra.Command) {
	// As all our commands tell it; cobra would say "version" in between.
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.SetHelpCommand(&cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Tell how a command is used",
		Long:  "Tell how a command is used: what \"" + root.Name() + " COMMAND --help\" prints, too.",
		ValidArgsFunction: func(
			_ *cobra.Command, args []string, begin string,
		) (names []string, _ cobra.ShellCompDirective) {
			for _, c := range root.Commands() {
				if len(args) == 0 && c.IsAvailableCommand() && strings.HasPrefix(c.Name(), begin) {
					names = append(names, c.Name()+"\t"+c.Short)
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			c, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return Errorf("there is no command %q: see %s help", strings.Join(args, " "), root.Name())
			}
			c.InitDefaultHelpFlag()
			return c.Help()
		},
	})
}
