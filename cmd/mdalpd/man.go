package main

import (
	"mdalp"
	"mdalp/cmd/internal/manual"
)

// book is the manual; the command man writes it. What it says of exit codes must
// be what the doc comment of the command says, and the unit file relies on 2: such an
// end is not started again.
var book = manual.Book{
	Program: "mdalpd", Version: mdalp.Version, Section: 8,
	See:   []string{"mdalp(1)", "systemd.unit(5)", "systemd.socket(5)"},
	Usage: "[OPTION...]",
	Root: []manual.Section{
		{Title: "SIGNALS",
			Text: `SIGINT, SIGTERM and SIGHUP settle what is open, and end it. With --drain the first one
only ends the offers, and open transactions have that long to end. What is cut off is in
the store, and the next start goes on with it. SIGQUIT and SIGUSR1 log the counters.

With sockets that systemd passes the first one ends it at once: what comes from then on waits
in them for the next start, which goes on with what is open.`},
		{Title: "ENVIRONMENT",
			Text: `Every option can come from the environment: --store-bytes from MDALPD_STORE_BYTES. The
command line wins, and an empty variable is none.

LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES pass UDP sockets (sd_listen_fds(3)). Each must be
bound to the address of --listen or of one of --receivers; those that are missing are opened.

To NOTIFY_SOCKET it tells that all is ready, how many transactions are open, how many payloads
were stored and how fast, and that it ends (sd_notify(3)). With WATCHDOG_USEC its loop is heard
of at least twice in that time.`},
		{Title: "EXIT STATUS", Text: `  0    ended by a signal
  1    store verify has found something that is not as it was stored
  2    the command line is wrong
  4    a socket, permission or file`},
	},
}
