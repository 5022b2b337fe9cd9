package progress

import (
	"fmt"
	"strings"
	"time"

	"mdalp"
	"mdalp/cmd/internal/table"
)

// A pingTable shows pings on a terminal while they go on: the table as it stands, in place,
// as far as there is room.
type Pings struct {
	screen *Screen
	frames chan livePing // the newest alone
	done   chan struct{}
}

// A livePing is what is to be painted.
type livePing struct {
	elapsed time.Duration
	lines   []string
}

// NewPings begins to paint on s.
func NewPings(s *Screen) *Pings {
	l := &Pings{screen: s, frames: make(chan livePing, 1), done: make(chan struct{})}
	go l.run()
	return l
}

// Every tells how often See is called, before its first call.
func (l *Pings) Every(d time.Duration) { l.screen.every = d }

// See takes a report, in the loop's goroutine, and does not wait. names are what whoever
// asked calls its hosts.
func (l *Pings) See(names []string, r *mdalp.PingReport) {
	cols, rows := room(size(l.screen.f))
	f := livePing{r.Elapsed, PingFrame(names, r, cols, rows)}
	// An older one that the terminal has not taken yet is of no use any more.
	select {
	case <-l.frames:
	default:
	}
	l.frames <- f
}

// run paints, as a terminal may take nothing for as long as its user likes.
func (l *Pings) run() {
	defer close(l.done)
	for f := range l.frames {
		l.screen.mu.Lock()
		l.screen.draw(f.elapsed, func(int, int) []string { return f.lines })
		l.screen.mu.Unlock()
	}
	l.screen.clear()
}

// End takes the table away. It is gone when what it gives is closed.
func (l *Pings) End() <-chan struct{} {
	close(l.frames)
	return l.done
}

// PingFrame gives the lines that show a report: one for the whole, and below it one for
// each host, as far as there is room, in the order that was asked for. None is wider than
// cols.
func PingFrame(names []string, r *mdalp.PingReport, cols, rows int) []string {
	n := len(r.Hosts)
	round := 0
	for i := range r.Hosts {
		round = max(round, r.Hosts[i].Echoes.Sent)
	}
	silent := r.Silent()
	out := []string{table.Clip(fmt.Sprintf("pinging %s  round %d  %d answered  %d silent  %.1f s ...",
		table.Count(int64(n), "host"), round, n-silent, silent, r.Elapsed.Seconds()), cols)}
	shown := n
	// Of the rows, two are for the head and for the line that says how many more there are.
	if room := rows - 2; n > room {
		shown = max(0, room-1)
	}
	if shown > 0 {
		out = append(out, pingRows(names, r, shown, cols)...)
	}
	if shown < n && len(out) < rows {
		out = append(out, table.Clip(fmt.Sprintf("... and %d more", n-shown), cols))
	}
	return out
}

// pingRows gives the first n lines of the table, and its head. Where they are too wide the
// hosts get what the figures leave, and the last figures go.
func pingRows(names []string, r *mdalp.PingReport, n, cols int) []string {
	labels := make([]string, n)
	wide := len("host")
	for i := range labels {
		labels[i] = table.Label(names[i], r.Hosts[i].Addr)
		wide = max(wide, table.Columns(labels[i]))
	}
	const least, units = 16, len("  ms")
	wide = min(wide, max(least, cols-6*table.Column-units))
	fit := func(line []byte) string { return strings.TrimRight(table.Clip(string(line), cols), " \n") }
	out := []string{fit(table.PingHead(nil, wide))}
	for i := range labels {
		out = append(out, fit(table.PingLine(nil, wide, table.Cut(labels[i], wide), &r.Hosts[i])))
	}
	return out
}
