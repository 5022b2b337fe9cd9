package progress

import (
	"fmt"
	"slices"
	"strings"

	"mdalp"
	"mdalp/cmd/internal/table"
	"mdalp/cmd/internal/usage"
)

// dead ends the line of a receiver that is. paint looks for it to colour the line.
const dead = "  dead"

// frame gives the lines that show a report: one for the whole, and below it one for
// each receiver, as far as there is room. None is wider than cols. rate is that of a
// [speed].
func frame(r *mdalp.Report, rate float64, cols, rows int) []string {
	switch r.Phase {
	case mdalp.PhaseWaiting:
		return []string{table.Clip(fmt.Sprintf("waiting for the offer  %d s ... (%v)",
			int(r.Wait.Seconds()), table.Address(r.Orchestrator)), cols)}
	case mdalp.PhasePinging:
		return []string{table.Clip(fmt.Sprintf("pinging %d receivers  %.1f s ...",
			len(r.Receivers), r.Probe.Seconds()), cols)}
	case mdalp.PhaseFinishing:
		what := "waiting for the verdict"
		if r.SHA256 == "" {
			what = "hashing"
		}
		return []string{table.Clip(fmt.Sprintf("finishing  %s  %.1f s ...", what, r.Verdict.Seconds()), cols)}
	}
	out := []string{total(r, rate, cols)}
	shown := barsOf(r)
	more := 0
	// One row is for the line that says how many more there are.
	if room := rows - 1; len(shown) > room {
		// Whoever still has something to do is worth a line first.
		slices.SortStableFunc(shown, func(a, b barOf) int {
			return min(1, int(table.Remaining(b.of))) - min(1, int(table.Remaining(a.of)))
		})
		more = len(shown) - (room - 1)
		shown = shown[:room-1]
	}
	out = append(out, receiverLines(shown, cols)...)
	if more > 0 {
		out = append(out, table.Clip(fmt.Sprintf("... and %d more", more), cols))
	}
	return out
}

// total is the line for the whole. Where it does not fit, the bytes go first, then what
// has no room of ETA, rate and repetitions, in this order of worth.
func total(r *mdalp.Report, rate float64, cols int) string {
	word := "sending"
	if r.Sealed {
		word = "sending sealed"
	}
	share := fmt.Sprintf("%s %3d %%", word, table.Percent(r.Acked, r.Size))
	resent := ""
	if n := r.Resent(); n > 0 {
		resent = fmt.Sprintf("  %d resent", n)
	}
	left := "  ETA " + eta(r, rate)
	fast, short := fmt.Sprintf("  %.0f segments/s", rate), fmt.Sprintf("  %.0f/s", rate)
	if r.Extended {
		fast = "  " + table.Speed(rate)
		short = fast
	}
	long := share + "  " + table.Amount(r.Acked) + " of " + table.Amount(r.Size) + fast + resent + left
	if len(long) <= cols {
		return long
	}
	line := share
	for _, s := range []string{left, short, resent} {
		if len(line)+len(s) <= cols {
			line += s
		}
	}
	return table.Clip(line, cols)
}

// A barOf is a receiver that is shown, and what it is called.
type barOf struct {
	of   *mdalp.ReceiverReport
	name string
	// It is an address, of which both ends tell more than the middle.
	unnamed bool
}

// barsOf names all receivers: as the offer does, where it gives a name that no other has,
// and else by number and address.
func barsOf(r *mdalp.Report) []barOf {
	times := make(map[string]int)
	all := make([]barOf, len(r.Receivers))
	for i := range all {
		x := &r.Receivers[i]
		all[i] = barOf{of: x, name: strings.TrimSpace(usage.Name(x.Name))}
		times[all[i].name]++
	}
	for i := range all {
		b := &all[i]
		if b.name != "" && times[b.name] == 1 {
			continue
		}
		b.unnamed, b.name = true, table.Address(b.of.Addr)
		if len(all) > 1 { // the only one may be any of the offer, by -s
			b.name = fmt.Sprintf("%d %s", i+1, b.name)
		}
	}
	return all
}

// fit gives the name in n columns.
func (b *barOf) fit(n int) string {
	if b.unnamed {
		return table.Fill(table.Squeeze(b.name, n), n)
	}
	return table.Fill(table.Cut(b.name, n), n)
}

// receiverLines gives the lines of receivers, their bars below each other.
func receiverLines(shown []barOf, cols int) []string {
	// Columns have one width for all receivers, so that bars begin and end below each other.
	name, count := 0, 0
	end := false
	for _, b := range shown {
		x := b.of
		name = max(name, table.Columns(b.name))
		count = max(count, len(counted(x)))
		end = end || ending(x) != ""
	}
	// What does not fit goes, the least telling first; the bar gets the rest, and at
	// least half of a narrow line is for figures.
	name = min(name, max(20, cols/2))
	const least, share, tail = len("  [####]"), len(" 100 %"), len("  99 resent") // share is len(dead) too
	rest := cols - name - share
	counts, ends := rest-count-tail >= least, end && rest-tail >= least
	if !end {
		counts = rest-count >= least
	}
	if counts {
		rest -= count
	}
	if ends {
		rest -= tail
	}
	var out []string
	for _, b := range shown {
		x, line := b.of, b.fit(name)
		done, all := x.Acked, table.Assigned(x)
		if all == 0 && x.Err == nil {
			done, all = 1, 1 // it had nothing to do
		}
		if rest >= least {
			line += bar(min(30, rest-4), done, all)
		}
		if x.Err != nil && !ends {
			line += dead
		} else {
			line += fmt.Sprintf(" %3d %%", table.Percent(done, all))
		}
		if counts {
			line += fmt.Sprintf("%-*s", count, counted(x))
		}
		if ends {
			line += ending(x)
		}
		out = append(out, table.Clip(strings.TrimRight(line, " "), cols))
	}
	return out
}

// counted tells of how many segments how many are acknowledged.
func counted(x *mdalp.ReceiverReport) string {
	return fmt.Sprintf("  %d/%d", x.Acked, table.Assigned(x))
}

// ending is what is out of the ordinary about a receiver.
func ending(x *mdalp.ReceiverReport) string {
	switch {
	case x.Err != nil:
		return dead
	case x.Resent > 0:
		return fmt.Sprintf("  %d resent", x.Resent)
	}
	return ""
}

// bar is a bar of n columns, in brackets. Four columns more with its blanks and
// brackets. All is drawn by ASCII, since not every terminal has blocks.
func bar(n int, done, all int64) string {
	full := n
	if all > 0 {
		full = min(n, int(float64(done)/float64(all)*float64(n)))
	}
	return "  [" + strings.Repeat("#", full) + strings.Repeat(".", n-full) + "]"
}
