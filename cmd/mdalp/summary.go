package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"mdalp"
	"mdalp/wire"
)

// summarize writes what a transfer did: a line for the whole, a line for each
// receiver, and what was not acknowledged.
func summarize(w io.Writer, r *mdalp.Report) {
	switch {
	case r.Size == 0:
		fmt.Fprintln(w, "nothing to send: the payload is empty")
		return
	case r.TID == 0:
		fmt.Fprintf(w, "no transaction: waited %s for the offer of %v\n", seconds(r.Wait), r.Orchestrator)
		return
	}
	state := "complete"
	if r.Phase != mdalp.Finished {
		state = r.Phase.String()
	} else if r.Acked < r.Size {
		state = "INCOMPLETE"
	}
	fmt.Fprintf(w, "transaction %d: %s, %d of %d bytes acknowledged in %s (waited %s, pinged %s, sent %s)\n",
		r.TID, state, r.Acked, r.Size, seconds(r.Elapsed), seconds(r.Wait), seconds(r.Probe), seconds(r.Transfer))
	if r.Segments > 0 {
		receivers(w, r)
	}
	if n := r.Dropped.Total(); n > 0 {
		fmt.Fprintf(w, "%d datagrams dropped: %d malformed, %d foreign, %d not awaited, %d acks of segments never sent, %d duplicate acks\n",
			n, r.Dropped.Malformed, r.Dropped.Foreign, r.Dropped.Unwanted, r.Dropped.Unsent, r.Dropped.Duplicate)
	}
	if len(r.Missing) > 0 {
		fmt.Fprintf(w, "not acknowledged: %d of %d segments, SEQ %s\n", r.Left, r.Segments, wire.AppendRanges(nil, r.Missing))
	}
}

// receivers writes the table. Those that had nothing to do are left out.
func receivers(w io.Writer, r *mdalp.Report) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "receiver\tlatency\tbytes\tsegments\tresent\ttimeouts\ttook over\tack min/mean/max\tbytes/s\tstate\t")
	for i := range r.Receivers {
		x := &r.Receivers[i]
		fmt.Fprintf(t, "%v\t%s\t%d\t%d/%d\t%d\t%d\t%d\t%s\t%.0f\t%s\t\n", x.Addr, latency(x), x.Bytes, x.Acked, x.Assigned+x.Took-x.Gave,
			x.Resent, x.Timeouts, x.Took, acks(x), x.Rate, health(x))
	}
	t.Flush()
}

// latency is the base of a receiver's weight.
func latency(x *mdalp.ReceiverReport) string {
	switch {
	case x.Latency == 0:
		return "-"
	case x.Guessed:
		return "~" + millis(x.Latency)
	}
	return millis(x.Latency)
}

// acks is how long acknowledgements took.
func acks(x *mdalp.ReceiverReport) string {
	if x.AckMean == 0 {
		return "-"
	}
	one := func(d time.Duration) string { return strings.TrimSuffix(millis(d), " ms") }
	return one(x.AckMin) + "/" + one(x.AckMean) + "/" + millis(x.AckMax)
}

// health is one word, or why the receiver is dead.
func health(x *mdalp.ReceiverReport) string {
	if x.Err == nil {
		return "ok"
	}
	var err = x.Err
	for {
		u, ok := err.(interface{ Unwrap() error })
		if !ok {
			return "dead: " + err.Error()
		}
		err = u.Unwrap()
	}
}

// millis writes a time in milliseconds, to a thousandth as ping does.
func millis(d time.Duration) string { return fmt.Sprintf("%.3f ms", float64(d)/1e6) }

// seconds writes a time in seconds.
func seconds(d time.Duration) string { return fmt.Sprintf("%.3f s", d.Seconds()) }
