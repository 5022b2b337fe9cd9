// Package progress shows what goes on while it does: bars and tables in place on a
// terminal, lines elsewhere. What paints has a goroutine of its own and nobody waits for
// it; what is shown is made of reports, by functions that look at no terminal.
package progress

import (
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"mdalp"
	"mdalp/cmd/internal/table"
)

// PaintEvery is how often a session is to tell how far it is: often enough for the eye.
const PaintEvery = 100 * time.Millisecond

// paintAfter is how long a transfer must last before it is worth bars: what is over
// at once should not flicker.
const paintAfter = 300 * time.Millisecond

// A screen paints bars on a terminal, in place, and lets log lines through above
// them.
//
// It is our own rather than a library's (vbauerster/mpb is the usual one) since all
// it needs is a frame of lines, given ten times a second by a session that has all
// the figures already. Libraries keep a goroutine and a queue for each bar, which
// would take turns with the loop on its core, and their packages are initialized
// also when there is nothing to paint.
type Screen struct {
	// Standard error, which is a terminal.
	f  *os.File
	mu sync.Mutex // text and bars come from a goroutine each
	// Receivers that are dead are red. Not with NO_COLOR (no-color.org).
	color bool
	// Fed by every report, also those that are not painted.
	speed speed
	rows  []int         // how wide each line is that stands there
	cols  int           // the terminal's width then
	last  time.Duration // when they were painted, since the transfer's beginning
	// How often they are, if that is no fraction of a second.
	every time.Duration
	// SIGCONT: the process was stopped, and goes on.
	continued chan os.Signal
}

// NewScreen gives the screen of a terminal.
func NewScreen(f *os.File) *Screen {
	s := &Screen{f: f, color: os.Getenv("NO_COLOR") == "", continued: make(chan os.Signal, 1)}
	signal.Notify(s.continued, unix.SIGCONT)
	return s
}

// Begin starts over with another transfer: times in reports count from its beginning, and the
// rate of the last one must not stay.
func (s *Screen) Begin() { s.speed, s.last = speed{}, 0 }

// See paints a report.
func (s *Screen) See(r *mdalp.Report) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Phase == mdalp.PhaseFinished {
		s.erase()
		return
	}
	s.speed.see(r)
	s.draw(r.Elapsed, func(cols, rows int) []string { return frame(r, s.speed.rate, cols, rows) })
}

// draw paints what lines gives for at most that many columns and rows, elapsed after the
// beginning, unless that would do harm: a terminal that does not take it (Ctrl-S) would
// keep it until it is old, and a job in the background should not write into what its user
// does now.
func (s *Screen) draw(elapsed time.Duration, lines func(cols, rows int) []string) {
	if elapsed < paintAfter || !Writable(s.f) || !s.ours() {
		return
	}
	late := elapsed-s.last > max(time.Second, 3*s.every)
	s.last = elapsed
	if late && len(s.rows) > 0 {
		return // a signal that tells why may be on its way
	}
	cols, rows := size(s.f)
	// No room for a bar with its figures.
	if cols < 20 || rows < 3 {
		return
	}
	s.paint(lines(room(cols, rows)), cols)
}

// ours reports whether this process may paint, and forgets the frame if others may have written
// meanwhile: the bars are not where they were once a shell had the terminal (Ctrl-Z). Time alone
// does not tell: it passes too while the machine is busy, or the terminal stopped.
func (s *Screen) ours() bool {
	ours := Foreground(s.f)
	select {
	case <-s.continued:
		s.rows = nil
	default:
		if !ours {
			s.rows = nil
		}
	}
	return ours
}

// room gives the columns and rows of a frame on a terminal. The last column stays empty, as
// some terminals break the line there; so does the last row, for the cursor. And half of
// the rest: a terminal that becomes narrower breaks each line, and what it then pushes into
// its scroll-back nobody can take away.
func room(cols, rows int) (int, int) { return cols - 1, max(2, (rows-1)/2) }

// clear takes the frame away for good.
func (s *Screen) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
}

// paint puts a frame where the last one stands. The cursor stays below it.
func (s *Screen) paint(frame []string, cols int) {
	var b strings.Builder
	n := s.up(&b, cols)
	if cols != s.cols {
		// Lines that the terminal has broken would be one to it for ever, whatever is
		// written over them, and be joined when it is wide again.
		wipe(&b, n)
		s.cols = cols
	}
	s.rows = s.rows[:0]
	for _, line := range frame {
		s.rows = append(s.rows, table.Columns(line))
		if s.color && strings.HasSuffix(line, dead) {
			line = "\x1b[31m" + line + "\x1b[m"
		}
		// EL, to the end of the line, and below ED, to the end of the screen: what stood there may
		// have been longer (ECMA-48). All in one write, so that nothing flickers.
		b.WriteString(line + "\x1b[K\r\n")
	}
	b.WriteString("\x1b[J")
	s.f.WriteString(b.String())
}

// up moves the cursor to where the frame begins, and gives the number of its rows. The
// terminal may have become narrower since, and have broken the lines. What it has
// pushed into its scroll-back then is out of reach, and stays there.
func (s *Screen) up(b *strings.Builder, cols int) (n int) {
	// Rows that a line of w columns takes now.
	for _, w := range s.rows {
		n += max(1, (w+cols-1)/cols)
	}
	if n > 0 {
		fmt.Fprintf(b, "\r\x1b[%dA", n)
	}
	return n
}

// wipe clears n rows from the cursor's on and the one below them, where the keyboard's
// echo may stand. Line by line: tmux, told to clear all of the screen, saves it first.
func wipe(b *strings.Builder, n int) {
	if n > 0 {
		fmt.Fprintf(b, "%s\x1b[2K\x1b[%dA", strings.Repeat("\x1b[2K\x1b[B", n), n)
	}
}

// erase takes the frame away.
func (s *Screen) erase() {
	if !s.ours() || len(s.rows) == 0 {
		return
	}
	cols, _ := size(s.f)
	var b strings.Builder
	wipe(&b, s.up(&b, cols))
	s.f.WriteString(b.String())
	s.rows = nil
}

// Write implements io.Writer, for what is not progress. The bars go and come back below
// with the next report, so that log lines stand above them and scroll away as usual.
func (s *Screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	return s.f.Write(b)
}
