// Package overview tells how a fleet is: who is there, what is open, and how the engine keeps it.
package overview

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"sort"
	"strings"
	"text/tabwriter"

	"mdalp/fleet/engine"
	"mdalp/fleet/engine/nats"
	"mdalp/server"
)

// A Source is an engine that tells of itself; [nats.Engine] is one.
type Source interface {
	engine.Ledger
	engine.Registry
	Streams(ctx context.Context) []nats.Stream
	Stats() nats.Stats
}

// A View is how a fleet was at one time.
type View struct {
	Parties []engine.Party       `json:"parties"`
	Open    map[engine.State]int `json:"open"` // transactions, by how far they are
	// Owners has, of these, how many each orchestrator answers for; Orphans is how many none
	// does that is there.
	Owners   map[string]int `json:"owners"`
	Orphans  int            `json:"orphans"`
	Streams  []nats.Stream  `json:"streams"`
	Server   string         `json:"server"` // of the engine, that was asked
	Problems []string       `json:"problems"`
}

// Look asks e. What is not answered before ctx is done is a problem of the view.
func Look(ctx context.Context, e Source) *View {
	v := &View{Open: make(map[engine.State]int), Owners: make(map[string]int), Problems: []string{},
		Parties: []engine.Party{}}
	v.look(ctx, e)
	v.Server = e.Stats().Server
	return v
}

func (v *View) problem(format string, args ...any) {
	v.Problems = append(v.Problems, fmt.Sprintf(format, args...))
}

func (v *View) look(ctx context.Context, e Source) {
	// Unsettled first: it waits until the engine is there.
	open, err := e.Unsettled(ctx)
	if err != nil && !e.Stats().Connected { // nothing else would be answered
		v.problem("%v", err)
		return
	}
	if err != nil {
		v.problem("the ledger cannot be read: %v", err)
	}
	if n := e.Stats().Senseless; n > 0 {
		v.problem("%d records of the ledger make no sense: the logs of the orchestrators have their keys", n)
	}
	unread := err
	parties, err := e.Living(ctx)
	if err != nil {
		v.problem("the registry cannot be read: %v", err)
	}
	v.Parties = append(v.Parties, parties...)
	there, full := make(map[engine.Role]int), 0
	for _, p := range parties {
		switch state(p) {
		case takes:
			there[p.Role]++
		case isFull:
			full++
		}
		if p.Role == engine.Orchestrator {
			v.Owners[p.ID] = 0
		}
	}
	for _, o := range open {
		v.Open[o.Record.State]++
		if _, lives := v.Owners[o.Record.Owner]; lives {
			v.Owners[o.Record.Owner]++
		} else {
			v.Orphans++
		}
	}
	if err == nil {
		for _, r := range []engine.Role{engine.Orchestrator, engine.Receiver} {
			if there[r] == 0 {
				v.problem("no %s is there that takes anything new", r)
			}
		}
	}
	if full > 0 {
		v.problem("%d receivers have no room: their directory is full, or read-only", full)
	}
	v.addresses()
	v.keys()
	v.Streams = e.Streams(ctx)
	if mute(err, v.Streams) { // one cause, and not six problems
		v.Problems = []string{silence(e.Stats().Server, unread)}
		return
	}
	for _, s := range v.Streams {
		if s.Problem != "" {
			v.problem("stream %s: %s", s.Name, s.Problem)
		}
		for _, w := range s.Warnings {
			v.problem("stream %s: %s", s.Name, w)
		}
	}
}

// mute reports whether the engine has told nothing, neither who is there nor of any stream.
func mute(err error, all []nats.Stream) bool {
	return err != nil && len(all) > 0 &&
		!slices.ContainsFunc(all, func(s nats.Stream) bool { return s.Problem == "" })
}

// silence says why a server may answer nothing, unless the error does.
func silence(server string, why error) string {
	if why != nil && !errors.Is(why, context.DeadlineExceeded) {
		return why.Error()
	}
	return "server " + server + " of the engine is reached, and answers nothing: most of the servers are" +
		" away, or do not reach each other, or it has no JetStream; its log says which"
}

// What a party does.
const (
	takes  = "takes"
	drains = "drains"
	isFull = "full" // a receiver that is not offered, for want of room
)

func state(p engine.Party) string {
	switch {
	case p.Draining:
		return drains
	case p.Role == engine.Receiver && p.Free >= 0 && p.Free < server.DefaultRoomPerOffer:
		return isFull
	}
	return takes
}

// addresses finds receivers that say the same address: what is sent to one of them reaches the
// other, or neither.
func (v *View) addresses() {
	first := make(map[netip.AddrPort]string)
	for _, p := range v.Parties {
		if p.Role != engine.Receiver {
			continue
		}
		if other, twice := first[p.Addr]; twice {
			v.problem("receivers %s and %s both say that they are at %v", other, p.ID, p.Addr)
			continue
		}
		first[p.Addr] = p.ID
	}
}

// keys finds receivers without a key of the fleet's beside some that have one: who serves clients
// with keys offers those alone.
func (v *View) keys() {
	var without []string
	have := false
	for _, p := range v.Parties {
		switch {
		case p.Role != engine.Receiver:
		case p.Seal != "":
			have = true
		default:
			without = append(without, p.ID)
		}
	}
	if have && len(without) > 0 {
		v.problem("these receivers have no --fleet-key, and others have: %s; orchestrators with --key"+
			" do not offer them", strings.Join(without, ", "))
	}
}

// Text writes it for people.
func (v *View) Text(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "ROLE\tID\tADDRESS\tZONE\tOPEN\tFREE\tSTATE")
	for _, p := range v.Parties {
		free := "-"
		if p.Role == engine.Receiver && p.Free >= 0 {
			free = size(p.Free)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%s\t%s\n", p.Role, p.ID, p.Addr, orDash(p.Zone), p.Open,
			free, state(p))
	}
	fmt.Fprintln(t, "\nSTREAM\tLEADER\tOTHERS\tRECORDS\tHOLDS\tOF")
	for _, s := range v.Streams {
		var others []string
		for _, c := range s.Replicas {
			n := c.Name
			switch {
			case c.Offline:
				n += " (away)"
			case !c.Current:
				n += fmt.Sprintf(" (behind by %d)", c.Lag)
			}
			others = append(others, n)
		}
		if s.Problem != "" {
			fmt.Fprintf(t, "%s\t-\t-\t-\t-\t-\n", s.Name)
			continue
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\t%s\n", s.Name, orDash(s.Leader),
			orDash(strings.Join(others, ", ")), s.Messages, size(int64(s.Bytes)), size(s.MaxBytes))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	var counts []string
	for state, n := range v.Open { // sorted below
		counts = append(counts, fmt.Sprintf("%d %s", n, state))
	}
	sort.Strings(counts)
	_, err := fmt.Fprintf(w, "\nopen: %s; without an orchestrator: %d\n",
		orDash(strings.Join(counts, ", ")), v.Orphans)
	for _, p := range v.Problems {
		if err == nil {
			_, err = fmt.Fprintf(w, "problem: %s\n", p)
		}
	}
	return err
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// size is a number of bytes, for people.
func size(n int64) string {
	if n < 0 {
		return "-"
	}
	unit, x := 0, float64(n)
	for x >= 1024 && unit < 5 {
		x, unit = x/1024, unit+1
	}
	if unit == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %ciB", x, "KMGTP"[unit-1])
}
