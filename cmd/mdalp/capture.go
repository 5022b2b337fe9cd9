package main

import (
	"context"
	"fmt"
	"os"

	"mdalp"
	"mdalp/cmd/internal/usage"
)

// openCapture makes the file of --pcap, if that is given, and has c write to it. The
// transactions of several files follow each other in it, a section for each. It is made
// before anything is asked of the orchestrator, so that a folder that cannot be written
// costs no transaction. c.Capture stays nil without --pcap; a nil pointer in it would
// be a writer to Send. To open a FIFO is to wait for its reader, but not beyond ctx
// and the deadline.
func (o *sendOptions) openCapture(ctx context.Context, c *mdalp.Config) (*os.File, error) {
	if o.pcap == "" {
		return nil, nil
	}
	if o.pcap == "-" {
		return nil, usage.Errorf("--pcap -: standard output has the summary; name a file")
	}
	// Compared by what the names lead to, links too: os.Create would empty the payload before
	// it is read.
	if there, err := os.Stat(o.pcap); err == nil {
		for _, file := range o.files {
			if sent, err := os.Stat(file); err == nil && os.SameFile(there, sent) {
				return nil, usage.Errorf("--pcap %s: that is the file to send", o.pcap)
			}
		}
	}
	ctx, cancel := after(o.deadline).on(ctx, "the file of --pcap was opened")
	defer cancel()
	// Not O_RDWR, as os.Create has it: of a FIFO this would be a reader itself, and never hear
	// that the other one is gone.
	f, err := within(ctx, func() (*os.File, error) {
		return os.OpenFile(o.pcap, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
	})
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, fmt.Errorf("--pcap %s: %w", o.pcap, usage.File(err))
	}
	c.Capture = f
	return f, nil
}

// closeCapture closes it, before ctx ends. The summary has been printed: what is wrong
// now, as on a network file system that is full, is only told.
func closeCapture(ctx context.Context, f *os.File, c *mdalp.Config) {
	var err error
	done := make(chan struct{})
	go func() {
		err = f.Close()
		close(done)
	}()
	if e := await(ctx, done); e != nil {
		err = e
	}
	if err != nil {
		c.Logger.Warn("the capture could not be written to its end", "err", err)
	}
}
