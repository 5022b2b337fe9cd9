package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"mdalp"
	"mdalp/cmd/internal/progress"
	"mdalp/cmd/internal/table"
)

// farEvery is the time between two looks at how far a comparison is.
const farEvery = 250 * time.Millisecond

// farMost is how many trials have a figure of their own in a line.
const farMost = 16

// A far shows how far the trials of the lab are, since ten seconds of silence look like a
// fault: all the time on a terminal, elsewhere in a line now and then, and wherever SIGQUIT
// or SIGUSR1 asks for it.
type far struct {
	out      io.Writer // a line that is written over; nil without a terminal
	quiet    bool      // only when asked
	size     int
	began    time.Time
	end      chan struct{}
	over     sync.WaitGroup
	mu       sync.Mutex
	acked    []int64 // by trial
	finished []bool
}

// newFar begins with n trials of size bytes each. asked tells when somebody wants to know.
func newFar(asked *asked, n, size int, quiet bool) *far {
	f := &far{
		quiet: quiet, size: size, began: time.Now(), end: make(chan struct{}),
		acked: make([]int64, n), finished: make([]bool, n),
	}
	if !quiet && progress.Paintable(os.Stderr) {
		f.out = stderr
	}
	f.over.Go(func() { f.watch(asked) })
	return f
}

// see is the Progress of trial i.
func (f *far) see(i int, r *mdalp.Report) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.acked[i], f.finished[i] = r.Acked, r.Phase == mdalp.PhaseFinished
}

// stop takes the line away.
func (f *far) stop() {
	close(f.end)
	f.over.Wait()
	if f.out != nil {
		io.WriteString(f.out, "\r\x1b[K")
	}
}

// watch writes lines until the end.
func (f *far) watch(t *asked) {
	tick := time.NewTicker(farEvery)
	defer tick.Stop()
	var rare progress.Rarely
	for {
		select {
		case <-f.end:
			return
		case <-t.signals:
			head := ""
			if f.out != nil {
				head = "\r\x1b[K"
			}
			fmt.Fprintf(stderr, "%s%s\n", head, f.line())
		case now := <-tick.C:
			elapsed := now.Sub(f.began)
			switch {
			case f.out != nil && progress.Writable(os.Stderr) && progress.Foreground(os.Stderr):
				fmt.Fprintf(f.out, "\r%s\x1b[K", table.Clip(f.line(), progress.Width(os.Stderr)-1))
			case f.out == nil && !f.quiet && rare.Due(elapsed):
				fmt.Fprintf(stderr, "lab: after %.0f s: %s\n", elapsed.Seconds(), f.line())
			}
		}
	}
}

// line tells of each trial how much is acknowledged.
func (f *far) line() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var b strings.Builder
	b.WriteString("balanced")
	for i, n := range f.acked {
		if i == farMost {
			fmt.Fprintf(&b, "  ... and %d more", len(f.acked)-i)
			break
		}
		if i > 0 {
			fmt.Fprintf(&b, "  server %d", i)
		}
		if f.finished[i] && n < int64(f.size) {
			b.WriteString(" failed")
		} else {
			fmt.Fprintf(&b, " %d %%", table.Percent(n, int64(f.size)))
		}
	}
	return b.String()
}
