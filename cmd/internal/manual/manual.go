// Package manual writes man pages, in the language of man(7), from a tree of commands.
package manual

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"mdalp/cmd/internal/usage"
)

// A Book is what the pages of a program have in common.
type Book struct {
	Program string // "mdalp"
	Version string
	Section int      // 1 for commands, 8 for daemons
	See     []string // related pages, as "mdalpd(8)"
	// Of the page of the program itself: how it is called beside its commands, such as
	// "[OPTION...] FILE", and more sections.
	Usage string
	Root  []Section
	// Main is the command that the program runs when none is named: the program's page has
	// its options and examples. It is empty if there is none.
	Main string
}

// A Section is a heading and paragraphs, which empty lines part. A line that begins
// with blanks stays as it is.
type Section struct{ Title, Text string }

// Command is the command that writes the pages: all of them to a folder, or that of the
// program to standard output.
func (b *Book) Command() *cobra.Command {
	return &cobra.Command{
		Use:   "man [DIR]",
		Short: "Write the man pages to a folder, or the program's own to standard output",
		Long: `Write the man pages, one for each command, to a folder, or the program's own to standard
output. The packages bring them.`,
		Example: fmt.Sprintf("  %s man | man -l -\n  %s man ~/.local/share/man/man%d",
			b.Program, b.Program, b.Section),
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usage.Errorf("unexpected argument %q", args[1])
			}
			if len(args) == 1 && args[0] == "" {
				return usage.Errorf("the folder's name is empty")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				_, err := os.Stdout.Write(b.page(c.Root()))
				return err
			}
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return fmt.Errorf("%s: %w", args[0], usage.File(err))
			}
			return b.write(c.Root(), args[0])
		},
	}
}

// write writes the page of a command, and of those below it. Hidden commands have none.
func (b *Book) write(c *cobra.Command, dir string) error {
	name := filepath.Join(dir, fmt.Sprintf("%s.%d", pageName(c), b.Section))
	if err := os.WriteFile(name, b.page(c), 0o644); err != nil {
		return fmt.Errorf("%s: %w", name, usage.File(err))
	}
	for _, s := range c.Commands() {
		if s.IsAvailableCommand() {
			if err := b.write(s, dir); err != nil {
				return err
			}
		}
	}
	return nil
}

// pageName is "mdalp-send" for mdalp send.
func pageName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

// page is the page of a command.
func (b *Book) page(c *cobra.Command) []byte {
	w := new(bytes.Buffer)
	// No date: the same source gives the same page.
	fmt.Fprintf(w, ".TH %s %d \"\" \"%s %s\"\n",
		quote(strings.ToUpper(pageName(c))), b.Section, b.Program, b.Version)
	fmt.Fprintf(w, ".SH NAME\n%s \\- %s\n", escape(pageName(c)), escape(lower(c.Short)))
	w.WriteString(".SH SYNOPSIS\n")
	for i, s := range b.synopsis(c) {
		// Lines of the synopsis would be filled into one otherwise.
		if i > 0 {
			w.WriteString(".br\n")
		}
		fmt.Fprintf(w, "\\fB%s\\fR%s\n", escape(c.CommandPath()), escape(s))
	}
	long := c.Long
	if long == "" {
		long = c.Short + "."
	}
	section(w, "DESCRIPTION", long)
	commands(w, c)
	main := b.main(c)
	options(w, main)
	if main.Example != "" {
		section(w, "EXAMPLES", main.Example)
	}
	see := b.See
	// Each page leads to the others: those of commands up to the program's, that one down to
	// all of them.
	if c.HasParent() {
		see = append([]string{fmt.Sprintf("%s(%d)", b.Program, b.Section)}, see...)
	} else {
		var list []string
		for _, s := range c.Commands() {
			if s.IsAvailableCommand() {
				list = append(list, fmt.Sprintf("%s(%d)", pageName(s), b.Section))
			}
		}
		see = append(list, see...)
		for _, s := range b.Root {
			section(w, s.Title, s.Text)
		}
	}
	if len(see) > 0 {
		section(w, "SEE ALSO", strings.Join(see, ", "))
	}
	return w.Bytes()
}

// main gives the command whose options and examples the page of c has: of the program's
// page that of Main, as they work there too.
func (b *Book) main(c *cobra.Command) *cobra.Command {
	if c.HasParent() || b.Main == "" {
		return c
	}
	for _, s := range c.Commands() {
		if s.Name() == b.Main {
			return s
		}
	}
	return c
}

// synopsis gives the ways to call a command, without its name. Alternatives of Use
// repeat the name.
func (b *Book) synopsis(c *cobra.Command) []string {
	if !c.HasParent() {
		return []string{" " + b.Usage, " COMMAND ..."}
	}
	_, rest, _ := strings.Cut(c.Use, " ")
	if rest != "" {
		rest = " " + rest
	}
	if c.HasAvailableFlags() && !strings.Contains(rest, "[flags]") && !strings.Contains(rest, " | ") {
		rest = " [OPTION...]" + rest
	}
	return strings.Split(strings.ReplaceAll(rest, "[flags]", "[OPTION...]"), " | "+c.Name())
}

// commands writes what is below a command.
func commands(w *bytes.Buffer, c *cobra.Command) {
	if c.HasAvailableSubCommands() {
		w.WriteString(".SH COMMANDS\n")
	}
	for _, s := range c.Commands() {
		if s.IsAvailableCommand() {
			fmt.Fprintf(w, ".TP\n\\fB%s\\fR\n%s\n", escape(s.Name()), line(s.Short))
		}
	}
}

// options writes the options in the order of their help. It must see the flags as
// cobra's help does, so the flag --help is made first, which cobra adds only when the
// command runs.
func options(w *bytes.Buffer, c *cobra.Command) {
	c.InitDefaultHelpFlag()
	first := true
	c.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		if first {
			w.WriteString(".SH OPTIONS\n")
			first = false
		}
		// The word in backquotes is the value's name, and has to go from the text.
		value, text := pflag.UnquoteUsage(f)
		w.WriteString(".TP\n")
		if f.Shorthand != "" {
			fmt.Fprintf(w, "\\fB\\-%s\\fR, ", f.Shorthand)
		}
		fmt.Fprintf(w, "\\fB\\-\\-%s\\fR", escape(f.Name))
		if value != "" {
			fmt.Fprintf(w, " \\fI%s\\fR", escape(value))
		}
		// A default that means "nothing" would only be noise, and some texts tell it themselves.
		// A flag without a value is false unless given.
		if d := f.DefValue; value != "" && d != "" && d != "0" && d != "0s" && d != "[]" &&
			!strings.Contains(text, "(default") {
			text += " (default " + strings.Trim(d, "[]") + ")"
		}
		fmt.Fprintf(w, "\n%s\n", line(text))
	})
}

// section writes a heading and its text. Indented lines, which are examples and lists,
// keep their breaks between .nf and .fi; all others are filled. Empty lines become
// requests, as troff would make two of them.
func section(w *bytes.Buffer, title, text string) {
	fmt.Fprintf(w, ".SH %s\n", escape(title))
	first, gap, literal := true, false, false
	for l := range strings.Lines(strings.Trim(text, "\n")) {
		l = strings.TrimSuffix(l, "\n")
		if l == "" {
			gap = true
			continue
		}
		indented := strings.HasPrefix(l, "  ")
		switch {
		case indented && !literal && !first:
			w.WriteString(".PP\n.nf\n")
		case indented && !literal:
			w.WriteString(".nf\n")
		case !indented && literal && gap:
			w.WriteString(".fi\n.PP\n")
		case !indented && literal:
			w.WriteString(".fi\n")
		case gap && literal:
			w.WriteString("\n")
		case gap:
			w.WriteString(".PP\n")
		}
		w.WriteString(line(l) + "\n")
		first, gap, literal = false, false, indented
	}
	if literal {
		w.WriteString(".fi\n")
	}
}

// line escapes a line of text. A dot or a quote at its beginning would be a request.
func line(s string) string {
	if s != "" && (s[0] == '.' || s[0] == '\'') {
		return `\&` + escape(s)
	}
	return escape(s)
}

// escape keeps backslashes, and hyphens that people copy, as they are (groff_char(7)).
var escape = strings.NewReplacer(`\`, `\e`, "-", `\-`, "`", `\(ga`, "'", `\(aq`,
	"^", `\(ha`, "~", `\(ti`).Replace

// quote makes an argument of a request. Without the quotes a blank would begin the next
// one.
func quote(s string) string { return `"` + escape(s) + `"` }

// lower makes the beginning of a sentence that of a phrase. The section NAME is a
// phrase, by which apropos(1) finds the page.
func lower(s string) string {
	if len(s) > 1 && (s[1] < 'A' || s[1] > 'Z') { // else an abbreviation
		return strings.ToLower(s[:1]) + s[1:]
	}
	return s
}
