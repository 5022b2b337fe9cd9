package main

import (
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"

	"mdalp"
	"mdalp/cmd/internal/usage"
	"mdalp/wire"
)

// summarize writes what a transfer did, for a terminal of width columns: a line for
// the whole, a line for each receiver, and what was not acknowledged.
func summarize(w io.Writer, r *mdalp.Report, width int) {
	switch {
	case r.Size == 0:
		fmt.Fprintln(w, "nothing to send: the payload is empty")
		return
	// A TID may be 0, so both.
	case r.TID == 0 && len(r.Receivers) == 0:
		wrap(w, width, "no transaction: waited %s for the offer of %v", seconds(r.Wait), r.Orchestrator)
		return
	}
	state := "complete"
	if r.Acked < r.Size {
		state = "INCOMPLETE"
	}
	figures(w, r, width, state)
	if len(r.Missing) > 0 {
		// Not broken up: whoever searches for the line wants all of it.
		fmt.Fprintf(w, "not acknowledged: %d of %d segments, SEQ %s\n", r.Left, r.Segments, wire.AppendRanges(nil, r.Missing))
	}
}

// interim writes how far a transfer is that goes on.
func interim(w io.Writer, r *mdalp.Report, width int) {
	switch r.Phase {
	case mdalp.Waiting:
		wrap(w, width, "waiting for the offer of %v: %s so far", r.Orchestrator, seconds(r.Wait))
	case mdalp.Pinging:
		wrap(w, width, "transaction %d: pinging %d receivers: %s so far", r.TID, len(r.Receivers), seconds(r.Probe))
	case mdalp.Sending:
		// One write, so that nothing comes in between.
		var b strings.Builder
		figures(&b, r, width, r.Phase.String())
		io.WriteString(w, b.String())
	}
}

// figures writes what is known of a transfer that has begun.
func figures(w io.Writer, r *mdalp.Report, width int, state string) {
	wrap(w, width, "transaction %d: %s, %d of %d bytes acknowledged in %s", r.TID, state, r.Acked, r.Size, seconds(r.Elapsed))
	wrap(w, width, "waited %s, pinged %s, sent %s", seconds(r.Wait), seconds(r.Probe), seconds(r.Transfer))
	if r.Segments > 0 {
		receivers(w, r, width)
	}
	// Nothing is dropped on most networks, so the line is worth reading where it is there.
	if n := r.Dropped.Total(); n > 0 {
		fmt.Fprintf(w, "%d datagrams dropped: %d malformed, %d foreign, %d not awaited, %d acks of segments never sent, %d duplicate acks\n",
			n, r.Dropped.Malformed, r.Dropped.Foreign, r.Dropped.Unwanted, r.Dropped.Unsent, r.Dropped.Duplicate)
	}
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

// tookOver is the column of segments that came from dead receivers, or slower ones.
const tookOver = "took over"

// A field is a column of the table.
type field struct {
	head string
	of   func(*mdalp.ReceiverReport) string
}

// fields are the columns in their order.
var fields = [...]field{
	{"receiver", func(x *mdalp.ReceiverReport) string { return address(x.Addr) }},
	{"latency", latency},
	{"bytes", func(x *mdalp.ReceiverReport) string { return fmt.Sprint(x.Bytes) }},
	{"segments", func(x *mdalp.ReceiverReport) string { return fmt.Sprintf("%d/%d", x.Acked, assigned(x)) }},
	{"resent", func(x *mdalp.ReceiverReport) string { return fmt.Sprint(x.Resent) }},
	{"timeouts", func(x *mdalp.ReceiverReport) string { return fmt.Sprint(x.Timeouts) }},
	{tookOver, func(x *mdalp.ReceiverReport) string { return fmt.Sprint(x.Took) }},
	{"ack min/mean/max", acks},
	{"bytes/s", func(x *mdalp.ReceiverReport) string { return fmt.Sprintf("%.0f", x.Rate) }},
	{"state", health},
}

// sacrifices are the columns that go, in this order, until the table is narrow enough.
// Address, segments and state stay in any case.
var sacrifices = []string{"ack min/mean/max", "bytes/s", tookOver, "timeouts", "latency", "bytes", "resent"}

// receivers writes the table. What killed a receiver stands below it, as it may be
// long. Where even the shortest table is too wide, each receiver has two lines.
func receivers(w io.Writer, r *mdalp.Report, width int) {
	// All cells are made before the first is written, as the widths depend on all of them.
	var cells [len(fields)][]string
	var wide [len(fields)]int
	all := 0
	for i, f := range fields {
		wide[i] = len(f.head)
		for k := range r.Receivers {
			s := f.of(&r.Receivers[k])
			cells[i] = append(cells[i], s)
			wide[i] = max(wide[i], len(s))
		}
		all += 2 + wide[i]
	}
	order := sacrifices
	if slices.ContainsFunc(r.Receivers, func(x mdalp.ReceiverReport) bool { return x.Took > 0 }) {
		// Who took over is what one wants to know then: that goes last.
		order = append(slices.DeleteFunc(slices.Clone(order), func(s string) bool { return s == tookOver }), tookOver)
	}
	for _, s := range order {
		if all > width {
			i := slices.IndexFunc(fields[:], func(f field) bool { return f.head == s })
			all -= 2 + wide[i]
			// A column without width is left out below.
			wide[i] = 0
		}
	}
	// All that could go has gone, and it still is too wide.
	stacked := all > width
	var b strings.Builder
	row := func(cell func(int) string) {
		for i := range fields {
			switch {
			case wide[i] == 0:
			case stacked && i == 0:
				b.WriteString("  " + cell(i) + "\n")
			default:
				fmt.Fprintf(&b, "  %*s", wide[i], cell(i))
			}
		}
		b.WriteByte('\n')
	}
	row(func(i int) string { return fields[i].head })
	for k := range r.Receivers {
		row(func(i int) string { return cells[i][k] })
	}
	io.WriteString(w, b.String())
	for i := range r.Receivers {
		// The cause alone, without the names of packages around it.
		if x := &r.Receivers[i]; x.Err != nil {
			fmt.Fprintf(w, "%s is dead: %s\n", address(x.Addr), usage.Line(root(x.Err)))
		}
	}
}

// address writes a receiver's address. Its zone may be anything that a stranger wrote
// into the offer.
func address(a netip.AddrPort) string {
	return strings.Map(func(r rune) rune {
		if r > unicode.MaxASCII || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, a.String())
}

// latency is the base of a receiver's weight. "~" marks one that answered no echo, and
// is weighed as the slowest that did.
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

// health is one word.
func health(x *mdalp.ReceiverReport) string {
	if x.Err != nil {
		return "dead"
	}
	return "ok"
}

// millis writes a time in milliseconds, to a thousandth as ping does.
func millis(d time.Duration) string { return fmt.Sprintf("%.3f ms", float64(d)/1e6) }

// seconds writes a time in seconds.
func seconds(d time.Duration) string { return fmt.Sprintf("%.3f s", d.Seconds()) }
