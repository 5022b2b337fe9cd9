package table

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"mdalp/cmd/internal/shape"
	"mdalp/cmd/internal/usage"
	"mdalp/internal/trace"
)

// showReceivers writes the table.
func showReceivers(w io.Writer, t *trace.Transaction) {
	fmt.Fprintln(w)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	more := ""
	if t.Extended {
		more = "acks\tin flight\tbytes/s\t"
	}
	fmt.Fprintln(tw, "receiver\tname\techoes\trtt mean ms\tsegments\tbytes\tresent\tlost\tacked\tduplicate\t"+
		more+"ack delay min/median/mean/max ms\t")
	for _, r := range t.Receivers {
		rtt, delay := "-", "-"
		if len(r.Echoes) > 0 {
			rtt = strings.TrimSuffix(Millis(trace.SpreadOf(r.Echoes).Mean), " ms")
		}
		if len(r.Delays) > 0 {
			s := r.AckDelays()
			delay = fmt.Sprintf("%.3f/%.3f/%.3f/%.3f", shape.InMillis(s.Min),
				shape.InMillis(s.Median), shape.InMillis(s.Mean), shape.InMillis(s.Max))
		}
		if t.Extended {
			rate := "-"
			if f, ok := r.Rate(); ok {
				rate = fmt.Sprintf("%.0f", f)
			}
			more = fmt.Sprintf("%d\t%d\t%s\t", r.Acks, r.Flight, rate)
		}
		fmt.Fprintf(tw, "%v\t%s\t%d/%d\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%s%s\t\n",
			r.Addr, shown(r.Name), r.Answered, r.EchoesSent, rtt,
			r.Segments, r.Bytes, r.Again(), r.Lost, r.Acked, r.Duplicate, more, delay)
	}
	tw.Flush()
}

// shown is the name of a receiver in a table.
func shown(name string) string {
	if name == "" {
		return "-"
	}
	return usage.Name(name)
}
