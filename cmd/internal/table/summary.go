// Package table has what the commands print for people: summaries, a line for each
// receiver, host or transaction, and the words and widths that those are made of. It
// writes, and looks at no terminal: how wide one is, it is told.
package table

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"mdalp"
	"mdalp/cmd/internal/usage"
	"mdalp/wire"
)

// Summarize writes what a transfer that ended with failure, or nil, did, for a terminal of
// width columns: a line for the whole, a line for each receiver, and what was not
// acknowledged; more of what it cost if verbose.
func Summarize(w io.Writer, r *mdalp.Report, failure error, width int, verbose bool) {
	switch {
	case r.Size == 0:
		fmt.Fprintln(w, "nothing to send: the payload is empty")
		return
	// A TID may be 0, so both.
	case r.TID == 0 && len(r.Receivers) == 0:
		wrap(w, width, "no transaction: waited %s for the offer of %v", Seconds(r.Wait), r.Orchestrator)
		return
	}
	figures(w, r, width, ended(r, failure))
	if verbose {
		costs(w, r)
	}
	if len(r.Missing) > 0 {
		// Not broken up: whoever searches for the line wants all of it.
		fmt.Fprintf(w, "not acknowledged: %d of %d segments, SEQ %s\n",
			r.Left, r.Segments, wire.AppendRanges(nil, r.Missing))
	}
}

// ended is how a transfer ended, in a word or two.
func ended(r *mdalp.Report, failure error) string {
	switch {
	case errors.Is(failure, mdalp.ErrRefused):
		return "REFUSED"
	case errors.Is(failure, mdalp.ErrDamaged):
		return "DAMAGED"
	case r.Acked < r.Size:
		return "INCOMPLETE"
	case errors.Is(failure, mdalp.ErrUnverified):
		return "NOT VERIFIED"
	}
	return "complete"
}

// Interim writes how far a transfer is that goes on.
func Interim(w io.Writer, r *mdalp.Report, width int) {
	switch r.Phase {
	case mdalp.PhaseWaiting:
		wrap(w, width, "waiting for the offer of %v: %s so far", r.Orchestrator, Seconds(r.Wait))
	case mdalp.PhasePinging:
		wrap(w, width, "transaction %d: pinging %d receivers: %s so far",
			r.TID, len(r.Receivers), Seconds(r.Probe))
	case mdalp.PhaseSending, mdalp.PhaseFinishing:
		// One write, so that nothing comes in between.
		var b strings.Builder
		figures(&b, r, width, r.Phase.String())
		io.WriteString(w, b.String())
	}
}

// figures writes what is known of a transfer that has begun.
func figures(w io.Writer, r *mdalp.Report, width int, state string) {
	wrap(w, width, "transaction %d: %s, %d of %d bytes acknowledged in %s",
		r.TID, state, r.Acked, r.Size, Seconds(r.Elapsed))
	times := fmt.Sprintf("waited %s, pinged %s, sent %s",
		Seconds(r.Wait), Seconds(r.Probe), Seconds(r.Transfer))
	if r.Verdict > 0 {
		times += ", verdict " + Seconds(r.Verdict)
	}
	wrap(w, width, "%s", times)
	if r.Extended {
		wrap(w, width, "%s", extended(r))
	}
	if r.Segments > 0 {
		receivers(w, r, width)
	}
	// Nothing is dropped on most networks, so the line is worth reading where it is there.
	if n := r.Dropped.Total(); n > 0 {
		sealed := ""
		if r.Sealed {
			sealed = fmt.Sprintf(", %d that did not open, %d replayed",
				r.Dropped.Unopened, r.Dropped.Replayed)
		}
		fmt.Fprintf(w, "%d datagrams dropped: %d malformed, %d foreign, %d not awaited, "+
			"%d acks of segments never sent, %d duplicate acks%s\n",
			n, r.Dropped.Malformed, r.Dropped.Foreign, r.Dropped.Unwanted,
			r.Dropped.Unsent, r.Dropped.Duplicate, sealed)
	}
}

// extended is what the extended protocol adds, in a line.
func extended(r *mdalp.Report) string {
	var window, lost int64
	for i := range r.Receivers {
		window, lost = max(window, r.Receivers[i].Window), lost+r.Receivers[i].Lost
	}
	line := fmt.Sprintf("extended: segments of %d bytes, windows of up to %s, %d lost and sent again",
		r.Segment, Amount(window), lost)
	if r.Sealed {
		line = "sealed with key " + r.Key + ", " + line
	}
	if r.Transfer > 0 {
		line += ", " + Speed(float64(r.Acked-r.Resumed)/r.Transfer.Seconds())
	}
	if r.Resumed > 0 {
		line += fmt.Sprintf("; %d bytes were there already", r.Resumed)
	}
	if r.SHA256 != "" {
		line += "; sha256 " + r.SHA256
	}
	switch {
	case r.Verified:
		line += ", verified by the server"
	case r.Phase == mdalp.PhaseFinished && r.Acked == r.Size:
		line += "; acknowledged, not verified"
	}
	return line
}

// costs writes what a transfer cost this host, and what this host did to its datagrams.
func costs(w io.Writer, r *mdalp.Report) {
	if r.SHA256 != "" {
		fmt.Fprintf(w, "hashing took %s of CPU time, beside the sending\n", Seconds(r.Hashing))
	}
	k := &r.Socket
	fmt.Fprintf(w, "socket: %d datagrams dropped for want of a receive buffer, %d too long, "+
		"%d not sent for want of memory; send buffer full %d times; %d trains\n",
		k.Drops, k.Truncated, k.Lost, k.Blocked, k.Trains)
}

// wrap writes a line, broken at blanks where it is wider than width.
func wrap(w io.Writer, width int, format string, args ...any) {
	used := 0
	var b strings.Builder
	// A word that is wider than the terminal stays whole: it may be an address to copy.
	for i, word := range strings.Fields(usage.Text(fmt.Sprintf(format, args...))) {
		switch {
		case i > 0 && used+1+len(word) > width:
			b.WriteString("\n  ")
			used = 2
		case i > 0:
			b.WriteByte(' ')
			used++
		}
		b.WriteString(word)
		used += len(word)
	}
	io.WriteString(w, b.String()+"\n")
}
