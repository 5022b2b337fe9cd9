package table

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"mdalp"
	"mdalp/cmd/internal/shape"
	"mdalp/cmd/internal/usage"
)

// tookOver is the column of segments that came from dead receivers, or slower ones.
const tookOver = "took over"

// A field is a column of the table.
type field struct {
	head string
	of   func(*mdalp.ReceiverReport) string
}

// baseFields are the columns in their order.
var baseFields = []field{
	{"receiver", func(x *mdalp.ReceiverReport) string { return Address(x.Addr) }},
	{"latency", Latency},
	{"bytes", func(x *mdalp.ReceiverReport) string { return fmt.Sprint(x.Bytes) }},
	{"segments", func(x *mdalp.ReceiverReport) string { return fmt.Sprintf("%d/%d", x.Acked, Assigned(x)) }},
	{"resent", func(x *mdalp.ReceiverReport) string { return fmt.Sprint(x.Resent) }},
	{"timeouts", func(x *mdalp.ReceiverReport) string { return fmt.Sprint(x.Timeouts) }},
	{tookOver, func(x *mdalp.ReceiverReport) string { return fmt.Sprint(x.Took) }},
	{"ack min/mean/max", acks},
	{"bytes/s", func(x *mdalp.ReceiverReport) string { return fmt.Sprintf("%.0f", x.Rate) }},
	{"state", health},
}

// extendedFields are those of an extended transfer, in which an acknowledgement is of many
// segments: how long it took says nothing of one.
var extendedFields = []field{
	baseFields[0], baseFields[1], baseFields[2], baseFields[3],
	{"lost", func(x *mdalp.ReceiverReport) string { return fmt.Sprint(x.Lost) }},
	baseFields[4], baseFields[5], baseFields[6],
	{"window", func(x *mdalp.ReceiverReport) string { return Amount(x.Window) }},
	{"rtt", roundTrip},
	baseFields[8], baseFields[9],
}

// roundTrip is the smoothed one.
func roundTrip(x *mdalp.ReceiverReport) string {
	if x.RTT == 0 {
		return "-"
	}
	return Millis(x.RTT)
}

// sacrifices are the columns that go, in this order, until the table is narrow enough.
// Address, segments and state stay in any case.
var sacrifices = []string{"ack min/mean/max", "rtt", "window", "bytes/s", tookOver, "timeouts", "latency",
	"bytes", "resent", "lost"}

// receivers writes the table. What killed a receiver stands below it, as it may be
// long. Where even the shortest table is too wide, each receiver has two lines.
func receivers(w io.Writer, r *mdalp.Report, width int) {
	// All cells are made before the first is written, as the widths depend on all of them.
	fields := baseFields
	if r.Extended {
		fields = extendedFields
	}
	cells, wide := make([][]string, len(fields)), make([]int, len(fields))
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
		order = slices.DeleteFunc(slices.Clone(order), func(s string) bool { return s == tookOver })
		order = append(order, tookOver)
	}
	for _, s := range order {
		if all > width {
			i := slices.IndexFunc(fields, func(f field) bool { return f.head == s })
			if i < 0 {
				continue // of the other protocol
			}
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
			fmt.Fprintf(w, "%s is dead: %s\n", Address(x.Addr), usage.Line(shape.Cause(x.Err)))
		}
	}
}

// Latency is the base of a receiver's weight. "~" marks one that answered no echo, and
// is weighed as the slowest that did.
func Latency(x *mdalp.ReceiverReport) string {
	switch {
	case x.Latency == 0:
		return "-"
	case x.Guessed:
		return "~" + Millis(x.Latency)
	}
	return Millis(x.Latency)
}

// acks is how long acknowledgements took.
func acks(x *mdalp.ReceiverReport) string {
	if x.AckMean == 0 {
		return "-"
	}
	one := func(d time.Duration) string { return strings.TrimSuffix(Millis(d), " ms") }
	return one(x.AckMin) + "/" + one(x.AckMean) + "/" + Millis(x.AckMax)
}

// health is one word.
func health(x *mdalp.ReceiverReport) string {
	if x.Err != nil {
		return "dead"
	}
	return "ok"
}
