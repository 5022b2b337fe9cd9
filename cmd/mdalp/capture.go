package main

import (
	"fmt"
	"io"
	"os"

	"mdalp"
	"mdalp/cmd/internal/usage"
)

// openCapture makes the file of --pcap, if that is given, and has c write to it. The
// transactions of several files follow each other in it, a section for each. It is made
// before anything is asked of the orchestrator, so that a folder that cannot be written
// costs no transaction. c.Capture stays nil without --pcap; a nil *os.File in it would
// be a writer to Send.
func (o *sendOptions) openCapture(c *mdalp.Config) error {
	if o.pcap == "" {
		return nil
	}
	if o.pcap == "-" {
		return usage.Errorf("--pcap -: standard output has the summary; name a file")
	}
	// Compared by what the names lead to, links too: os.Create would empty the payload before
	// it is read.
	if there, err := os.Stat(o.pcap); err == nil {
		for _, file := range o.files {
			if sent, err := os.Stat(file); err == nil && os.SameFile(there, sent) {
				return usage.Errorf("--pcap %s: that is the file to send", o.pcap)
			}
		}
	}
	f, err := os.Create(o.pcap)
	if err != nil {
		return fmt.Errorf("--pcap %s: %w", o.pcap, usage.File(err))
	}
	c.Capture = f
	return nil
}

// closeCapture closes it. The summary has been printed: what is wrong now, as on a
// network file system that is full, is only told.
func closeCapture(c *mdalp.Config) {
	if f, ok := c.Capture.(io.Closer); ok {
		if err := f.Close(); err != nil {
			c.Logger.Warn("the capture could not be written to its end", "err", err)
		}
	}
}
