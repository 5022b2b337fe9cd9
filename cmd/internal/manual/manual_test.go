package manual

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

// TestPage has what troff would take for requests, escapes and typographic signs.
func TestPage(t *testing.T) {
	root := &cobra.Command{Use: "prog", Short: "Do things", RunE: func(*cobra.Command, []string) error { return nil }}
	sub := &cobra.Command{
		Use: "sub [flags] FILE | sub --none", Short: "A subcommand", Run: func(*cobra.Command, []string) {},
		Long:    "  first\n\n\nTakes a\\b and it's `so`.\n.dotted\n\n  an example\n\n  'another'\nafter it",
		Example: "  prog sub -x\n",
	}
	sub.Flags().IntP("count", "c", 3, "how `many`")
	sub.Flags().Bool("none", false, "none ~ at ^ all")
	sub.Flags().Bool("secret", false, "")
	sub.Flags().MarkHidden("secret")
	root.AddCommand(sub)
	b := &Book{Program: "prog", Version: "1.2", Section: 1, See: []string{"other(5)"}, Usage: "FILE", Root: []Section{{"MORE", "Text."}}}

	want := `.TH "PROG\-SUB" 1 "" "prog 1.2"
.SH NAME
prog\-sub \- a subcommand
.SH SYNOPSIS
\fBprog sub\fR [OPTION...] FILE
.br
\fBprog sub\fR \-\-none
.SH DESCRIPTION
.nf
  first
.fi
.PP
Takes a\eb and it\(aqs \(gaso\(ga.
\&.dotted
.PP
.nf
  an example

  \(aqanother\(aq
.fi
after it
.SH OPTIONS
.TP
\fB\-c\fR, \fB\-\-count\fR \fImany\fR
how many (default 3)
.TP
\fB\-\-none\fR
none \(ti at \(ha all
.TP
\fB\-h\fR, \fB\-\-help\fR
help for sub
.SH EXAMPLES
.nf
  prog sub \-x
.fi
.SH SEE ALSO
prog(1), other(5)
`
	sub.Flags().SortFlags = false
	if diff := cmp.Diff(want, string(b.page(sub))); diff != "" {
		t.Error(diff)
	}
	want = `.TH "PROG" 1 "" "prog 1.2"
.SH NAME
prog \- do things
.SH SYNOPSIS
\fBprog\fR FILE
.br
\fBprog\fR COMMAND ...
.SH DESCRIPTION
Do things.
.SH COMMANDS
.TP
\fBsub\fR
A subcommand
.SH OPTIONS
.TP
\fB\-h\fR, \fB\-\-help\fR
help for prog
.SH MORE
Text.
.SH SEE ALSO
prog\-sub(1), other(5)
`
	if diff := cmp.Diff(want, string(b.page(root))); diff != "" {
		t.Error(diff)
	}
	want = strings.Replace(want, "\\fB\\-h\\fR, \\fB\\-\\-help\\fR\nhelp for prog\n", `\fB\-c\fR, \fB\-\-count\fR \fImany\fR
how many (default 3)
.TP
\fB\-\-none\fR
none \(ti at \(ha all
.TP
\fB\-h\fR, \fB\-\-help\fR
help for sub
.SH EXAMPLES
.nf
  prog sub \-x
.fi
`, 1)
	b.Main = "sub"
	if diff := cmp.Diff(want, string(b.page(root))); diff != "" {
		t.Error(diff)
	}
}
