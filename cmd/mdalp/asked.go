package main

import (
	"bytes"
	"os"
	"os/signal"
	"syscall"

	"mdalp"
	"mdalp/cmd/internal/progress"
	"mdalp/cmd/internal/table"
)

// An asked answers SIGQUIT and SIGUSR1 with what a command has so far, which goes on. By
// default the first would end it with a dump of its goroutines.
type asked struct{ signals chan os.Signal }

// newAsked takes the signals, until stop.
func newAsked() *asked {
	// Two signals since the last look are answered by one table.
	t := &asked{make(chan os.Signal, 1)}
	signal.Notify(t.signals, syscall.SIGQUIT, syscall.SIGUSR1)
	return t
}

// stop gives the signals back.
func (t *asked) stop() { signal.Stop(t.signals) }

// show writes what write gives to standard error, if a signal has come. It does not wait,
// so that a loop's goroutine may call it.
func (t *asked) show(write func(*bytes.Buffer)) {
	select {
	case <-t.signals:
		// One write, so that nothing comes in between.
		var b bytes.Buffer
		write(&b)
		stderr.Write(b.Bytes())
	default:
	}
}

// report is a session's Progress, which shows the transfer.
func (t *asked) report(r *mdalp.Report) {
	t.show(func(b *bytes.Buffer) { table.Interim(b, r, progress.Width(os.Stderr)) })
}
