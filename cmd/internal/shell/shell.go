// Package shell has the command that prints completion scripts, and the values that
// they complete. Nothing of it runs before it is asked for: a command that sends has no
// time for it.
package shell

import (
	"bytes"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"mdalp/cmd/internal/usage"
)

// shells are those that there are scripts for.
var shells = []struct {
	name  string
	write func(*cobra.Command, io.Writer) error
}{
	{"bash", bash},
	{"zsh", func(c *cobra.Command, w io.Writer) error { return c.GenZshCompletion(w) }},
	{"fish", func(c *cobra.Command, w io.Writer) error { return c.GenFishCompletion(w, true) }},
	{"powershell", func(c *cobra.Command, w io.Writer) error { return c.GenPowerShellCompletionWithDesc(w) }},
}

// commas corrects what cobra's script does to lists: it compares words as printf(1) escapes
// them, and so finds nothing behind a comma that was typed.
var commas = strings.NewReplacer(
	`[[ $comp == "$cur"* ]] || continue`, `[[ ${comp//\\,/,} == "$cur"* ]] || continue`,
	`COMPREPLY[0]=$(printf "%q" "${COMPREPLY[0]%%$tab*}")`,
	`COMPREPLY[0]=$(printf "%q" "${COMPREPLY[0]%%$tab*}"); COMPREPLY[0]=${COMPREPLY[0]//\\,/,}`,
)

// bash writes the script for bash.
func bash(c *cobra.Command, w io.Writer) error {
	var b bytes.Buffer
	// The script is changed as text. Where a new cobra words it otherwise nothing is replaced,
	// and lists complete as badly as before, but nothing breaks.
	if err := c.GenBashCompletionV2(&b, true); err != nil {
		return err
	}
	_, err := commas.WriteString(w, b.String())
	return err
}

// Command is the command completion of the program.
func Command(program string) *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell",
		Short: "Print the completion script of a shell",
		Long: strings.ReplaceAll(
			`Print the completion script of a shell. The packages install it; by hand it is
one of

  . <(PROGRAM completion bash)                    # in .bashrc; needs bash-completion
  PROGRAM completion zsh >"${fpath[1]}/_PROGRAM"
  PROGRAM completion fish >~/.config/fish/completions/PROGRAM.fish
  PROGRAM completion powershell | Out-String | Invoke-Expression`, "PROGRAM", program),
		ValidArgsFunction: func(
			_ *cobra.Command, args []string, _ string,
		) (names []cobra.Completion, _ cobra.ShellCompDirective) {
			for _, s := range shells {
				if len(args) == 0 {
					names = append(names, s.name)
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage.Errorf("name one shell: bash, zsh, fish or powershell")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			for _, s := range shells {
				if s.name == args[0] {
					return s.write(c.Root(), os.Stdout)
				}
			}
			return usage.Errorf("there is no completion for %q: it is bash, zsh, fish or powershell", args[0])
		},
	}
}

// Values are what an option may be: "value" or "value\twhat it means".
type Values map[string][]string

// Complete makes the values known to the completion, when a script has [Asked]. Keys
// are names of options, or "command option" where a command has its own; the value "..."
// stands for files. An option that is not among them and takes no file completes to
// nothing, and so does an operand that is no file. Where a directory is wanted, only those
// are offered.
func Complete(root *cobra.Command, values Values) {
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		if c.ValidArgs == nil && c.ValidArgsFunction == nil {
			c.ValidArgsFunction = operand
		}
		c.Flags().VisitAll(func(f *pflag.Flag) {
			f.Usage = strings.ReplaceAll(f.Usage, "`", "") // which only mark the value's name in help
			list, ok := values[c.Name()+" "+f.Name]
			if !ok {
				list, ok = values[f.Name]
			}
			switch {
			case ok:
				c.RegisterFlagCompletionFunc(f.Name,
					complete(list, strings.HasSuffix(f.Value.Type(), "Slice")))
			case f.Name == "store":
				c.RegisterFlagCompletionFunc(f.Name,
					cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs))
			case !slices.Contains([]string{"file", "expect", "hosts", "pcap", "key", "key-log"}, f.Name):
				c.RegisterFlagCompletionFunc(f.Name, cobra.NoFileCompletions)
			}
		})
		for _, s := range c.Commands() {
			walk(s)
		}
	}
	walk(root)
}

// operand leaves an operand to the shell, which offers files, or directories if that is
// what the command takes first, unless it takes no more of them, or takes hosts.
func operand(c *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	words := strings.Fields(c.Use)
	directory := len(words) > 1 && strings.Trim(words[1], "[]") == "DIR"
	switch {
	case strings.Contains(c.Use, " HOST"), directory && len(args) > 0,
		c.Args != nil && tooMany(c, args):
		return nil, cobra.ShellCompDirectiveNoFileComp
	case directory:
		return nil, cobra.ShellCompDirectiveFilterDirs
	}
	return nil, cobra.ShellCompDirectiveDefault
}

// tooMany reports whether a command takes no operand behind args, whatever that is.
func tooMany(c *cobra.Command, args []string) bool {
	return c.Args(c, append(slices.Clone(args), "x")) != nil
}

// Asked reports whether it is a completion script that runs the program.
func Asked(args []string) bool {
	return len(args) > 1 &&
		(args[0] == cobra.ShellCompRequestCmd || args[0] == cobra.ShellCompNoDescRequestCmd)
}

// complete offers the values; of a list, those that are not there yet, each behind
// what is.
func complete(values []string, list bool) cobra.CompletionFunc {
	return func(_ *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		directive, before := cobra.ShellCompDirectiveNoFileComp, ""
		if i := strings.LastIndexByte(typed, ','); list && i >= 0 {
			before = typed[:i+1]
		}
		var out []cobra.Completion
		for _, v := range values {
			if v == "..." {
				directive = cobra.ShellCompDirectiveDefault
				continue
			}
			word, _, _ := strings.Cut(v, "\t")
			if !slices.Contains(strings.Split(before, ","), word) && strings.HasPrefix(before+v, typed) {
				out = append(out, before+v)
			}
		}
		// More may follow behind a comma.
		if list {
			directive |= cobra.ShellCompDirectiveNoSpace
		}
		return out, directive
	}
}
