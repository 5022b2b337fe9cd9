package table

import (
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"mdalp"
	"mdalp/cmd/internal/shape"
	"mdalp/cmd/internal/usage"
)

// Plan writes a line for each receiver.
func Plan(w io.Writer, r *mdalp.Report) {
	// A session without bytes does not ask.
	if r.Size == 0 {
		fmt.Fprintln(w, "nothing to send: the payload is empty; nobody was asked")
		return
	}
	j := shape.NewPlan(shape.Head{}, r)
	// Rounded so that the column adds up to 100 %.
	weights := permille(shape.Weights(r))
	fmt.Fprintf(w, "transaction %d was opened at %v to ask; "+
		"it stays unfinished, nothing of the payload was sent\n", r.TID, r.Orchestrator)
	fmt.Fprintf(w, "%d bytes in %d segments over %d receivers, balance %s, waited %s, %s\n",
		r.Size, r.Segments, len(r.Receivers), r.Balance, Seconds(r.Wait), echoed(r))
	if r.Extended {
		sealed := ""
		if r.Sealed {
			sealed = "sealed with key " + r.Key + ", "
		}
		fmt.Fprintf(w, "%sextended: segments of up to %d bytes, "+
			"at most %s at a receiver at once as offered\n",
			sealed, r.Segment, windows(r))
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t,
		"receiver\tlatency\tanswered\tmin/median/max\tweight\tbytes\tfrom\tsegments\tSEQ\tat least\t")
	for i := range r.Receivers {
		x, y := &r.Receivers[i], &j.Receivers[i]
		e := &x.Echoes
		rtt, weight, least := "-", "-", "-"
		if e.Received > 0 {
			rtt = fmt.Sprintf("%.3f/%.3f/%s", shape.InMillis(e.Min), shape.InMillis(e.Median), Millis(e.Max))
		}
		if y.Weight != nil {
			weight = fmt.Sprintf("%d.%d %%", weights[i]/10, weights[i]%10)
		}
		if y.Least != nil {
			least = Seconds(x.Latency * time.Duration(x.Assigned))
		}
		fmt.Fprintf(t, "%v\t%s\t%d/%d\t%s\t%s\t%d\t%d\t%d\t%s\t%s\t\n",
			printableName(x), Latency(x), e.Received, e.Sent, rtt, weight,
			x.Share, y.Offset, x.Assigned, y.Sequence(), least)
	}
	t.Flush()
	// With mode 2 the others get nothing, which breaks that rule by intent.
	if r.Balance != mdalp.BalanceNone {
		fmt.Fprintf(w, "\nthe orchestrator's rule: at least %d bytes to each\n", j.MinShare)
	}
}

// windows is how many segments the receivers offer to take at once, the least and the most.
func windows(r *mdalp.Report) string {
	least, most := r.Receivers[0].OfferedWindow, 0
	for i := range r.Receivers {
		n := r.Receivers[i].OfferedWindow
		least, most = min(least, n), max(most, n)
	}
	if least == most {
		return strconv.Itoa(most)
	}
	return fmt.Sprintf("%d to %d", least, most)
}

// printableName is the address of a receiver, and its name where it has one. Names
// come from strangers and must not steer the terminal.
func printableName(x *mdalp.ReceiverReport) string {
	if x.Name == "" {
		return Address(x.Addr)
	}
	return Address(x.Addr) + " (" + usage.Name(x.Name) + ")"
}

// echoed says how the latencies were had.
func echoed(r *mdalp.Report) string {
	var echoes int
	for i := range r.Receivers {
		echoes += r.Receivers[i].Echoes.Sent
	}
	if echoes == 0 {
		return "pinged nobody"
	}
	return fmt.Sprintf("pinged %s (%v)", Seconds(r.Probe), r.Ping)
}
