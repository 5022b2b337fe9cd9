package doctor

import (
	"fmt"
	"io"
	"slices"

	"mdalp/cmd/internal/shape"
	"mdalp/cmd/internal/usage"
)

// A state is what a check came to.
type state string

// The states.
const (
	fine    state = "ok"
	warning state = "warning" // a send works all the same
	fix     state = "fix"     // a send does not work, or goes without pings
)

// A check is one line. Name and State are for scripts and do not change; Text is for
// people and may.
type Check struct {
	Name  string
	State state
	Text  string
	Fix   string // a command line, or a few words where there is no such command
}

// Sick reports whether something is to be fixed.
func Sick(checks []Check) bool {
	for _, c := range checks {
		if c.State == fix {
			return true
		}
	}
	return false
}

// NewJSON makes the JSON of checks that ended as the head says. f is nil if it did
// not come to looking. OK is the exit code in a word, for those who read the object and not
// the code.
func NewJSON(h shape.Head, f *Facts, checks []Check) shape.Doctor {
	j := shape.Doctor{Head: h, OK: h.ExitCode == 0, Checks: []shape.Check{}}
	if f != nil {
		j.Socket = shape.Ptr(f.mode())
	}
	for _, c := range checks {
		x := shape.Check{Name: c.Name, State: string(c.State), Text: c.Text}
		if c.Fix != "" {
			x.Fix = &c.Fix
		}
		j.Checks = append(j.Checks, x)
	}
	return j
}

// Show writes a line for each check, and one for the whole.
func Show(w io.Writer, f *Facts, checks []Check) {
	for _, c := range checks {
		fmt.Fprintf(w, "%-8s %-18s %s\n", c.State, c.Name, usage.Text(c.Text)) // ours: Name
		if c.Fix != "" {
			// On a line of its own, to be copied as it is.
			fmt.Fprintf(w, "%-8s %-18s > %s\n", "", "", usage.Text(c.Fix))
		}
	}
	// Without a route there is nobody to send to but oneself.
	works := "a send works here"
	if !slices.ContainsFunc(f.ways, func(w way) bool { return w.err == nil }) {
		works = "no way leads out of this host: a send works to its own addresses alone"
	}
	switch mode := f.mode(); {
	case !Sick(checks):
		fmt.Fprintf(w, "\n%s, with pings by %s sockets\n", works,
			map[string]string{"raw": "raw", "dgram": "ICMP datagram"}[mode])
	// The socket for segments is there, and a send can do without pings.
	case mode == "off" && !Sick(slices.DeleteFunc(slices.Clone(checks), isPing)):
		fmt.Fprintf(w, "\n%s, but without pings: all receivers get the same share\n", works)
	default:
		fmt.Fprintln(w, "\na send does not work here as it should")
	}
}
