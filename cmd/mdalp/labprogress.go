package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"mdalp"
)

// farEvery is the time between two looks at how far a comparison is.
const farEvery = 250 * time.Millisecond

// A far shows how far the trials of the lab are: all the time on a terminal, where ten
// seconds of silence look like a fault, and elsewhere when SIGQUIT or SIGUSR1 asks for it.
type far struct {
	out      io.Writer // a line that is written over; nil without a terminal
	size     int
	end      chan struct{}
	over     sync.WaitGroup
	mu       sync.Mutex
	acked    []int64 // by trial
	finished []bool
}

// newFar begins with n trials of size bytes each. asked tells when somebody wants to know.
func newFar(asked *table, n, size int) *far {
	f := &far{size: size, end: make(chan struct{}), acked: make([]int64, n), finished: make([]bool, n)}
	if paintable(os.Stderr) {
		f.out = stderr
	}
	f.over.Go(func() { f.watch(asked) })
	return f
}

// see is the Progress of trial i.
func (f *far) see(i int, r *mdalp.Report) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.acked[i], f.finished[i] = r.Acked, r.Phase == mdalp.Finished
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
func (f *far) watch(t *table) {
	tick := time.NewTicker(farEvery)
	defer tick.Stop()
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
		case <-tick.C:
			if f.out != nil && writable(os.Stderr) && foreground(os.Stderr) {
				fmt.Fprintf(f.out, "\r%s\x1b[K", clip(f.line(), width(os.Stderr)-1))
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
		if i > 0 {
			fmt.Fprintf(&b, "  server %d", i)
		}
		if f.finished[i] && n < int64(f.size) {
			b.WriteString(" failed")
		} else {
			fmt.Fprintf(&b, " %d %%", percent(n, int64(f.size)))
		}
	}
	return b.String()
}
