package main

import (
	"bytes"
	"os"
	"os/signal"
	"syscall"

	"mdalp"
)

// A table answers SIGQUIT and SIGUSR1 with what a command has so far, which goes on. By
// default the first would end it with a dump of its goroutines.
type table struct{ signals chan os.Signal }

// newTable takes the signals, until stop.
func newTable() *table {
	// Two signals since the last look are answered by one table.
	t := &table{make(chan os.Signal, 1)}
	signal.Notify(t.signals, syscall.SIGQUIT, syscall.SIGUSR1)
	return t
}

// stop gives the signals back.
func (t *table) stop() { signal.Stop(t.signals) }

// show writes what write gives to standard error, if a signal has come. It does not wait,
// so that a loop's goroutine may call it.
func (t *table) show(write func(*bytes.Buffer)) {
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
func (t *table) report(r *mdalp.Report) {
	t.show(func(b *bytes.Buffer) { interim(b, r, width(os.Stderr)) })
}
