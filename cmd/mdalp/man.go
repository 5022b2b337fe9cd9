package main

import (
	"github.com/spf13/cobra"

	"mdalp"
	"mdalp/cmd/internal/manual"
)

// newMan is the command that writes the man pages.
func newMan() *cobra.Command {
	// Only what the help does not say: the rest of the page is made from that.
	b := manual.Book{
		Program: "mdalp", Version: mdalp.Version, Section: 1,
		See:   []string{"mdalpd(8)", "ping(8)", "capabilities(7)"},
		Usage: "-a ADDR -p PORT -f FILE [OPTION...]", Main: "send",
		Root: []manual.Section{
			{Title: "ENVIRONMENT",
				Text: `Every option of a command can come from the environment: --intent-timeout from
MDALP_INTENT_TIMEOUT. The command line wins. NO_COLOR keeps colour from a terminal,
TMPDIR says where what is no plain file is kept while it is sent.`},
			{Title: "EXIT STATUS", Text: `Of send; the pages of the other commands tell theirs.

  0    every byte was acknowledged; in an extended transfer, unless --no-verify, the server
       also says that it is whole, with the same digest, and kept if the server keeps any
  1    incomplete: tries used up, deadline, no receiver left
  2    the command line is wrong
  3    no offer: refused, or none in time; or none that can be used
  4    name, socket, permission, file
  5    the server refuses the payload, or has something else; or everything was
       acknowledged, and it does not say within a minute that it is whole
  130  interrupted by SIGINT, SIGTERM or SIGHUP`},
		},
	}
	return b.Command()
}
