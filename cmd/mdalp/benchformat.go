package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"mdalp/cmd/internal/shape"
	"mdalp/cmd/internal/usage"
)

// table writes the comparison for people.
func (b *benchmark) table(w io.Writer) {
	// Medians of fewer runs than were asked for must not look like the others.
	state := ""
	if b.Interrupted {
		state = ", interrupted"
	}
	fmt.Fprintf(w, "%d bytes by %v, %d receivers, %d runs of each (and %d before, not measured)%s: "+
		"median (least..most)\n\n",
		b.Size, b.Orchestrator, b.Receivers, b.Runs, b.Warmup, state)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	columns := "mode\tway\truns\telapsed ms\twait ms\tping ms\tsend ms\tCPU us/segment\tresent\ttimeouts\t"
	extended := slices.ContainsFunc(b.Series, (*series).extended)
	if extended {
		columns += "MB/s\t"
	}
	fmt.Fprintln(t, columns)
	// Seconds to milliseconds, to a microsecond.
	ms := func(s *series, get func(*measurement) float64) string {
		return spreadText(s.spreadOf(get), 1e3, 3)
	}
	for _, s := range b.Series {
		way := s.Balance.String()
		if s.Server > 0 {
			way = strconv.Itoa(s.Server) + ": " + usage.Name(s.Receiver)
		}
		runs := strconv.Itoa(len(s.Samples))
		if s.Failed > 0 {
			runs += fmt.Sprintf(" (%d failed)", s.Failed)
		}
		cells := []string{strconv.Itoa(s.mode()), way, runs}
		if len(s.Samples) > 0 {
			cells = append(cells, ms(s, ofElapsed), ms(s, ofWait), ms(s, ofPing), ms(s, ofSend),
				spreadText(s.spreadOf(ofCPU), 1e-3, 1), spreadText(s.spreadOf(ofResent), 1, 0),
				spreadText(s.spreadOf(ofTimeouts), 1, 0))
			if extended {
				cells = append(cells, spreadText(s.spreadOf(ofSpeed), 1e-6, 1))
			}
		}
		// Dashes, because zeroes would be the fastest of all.
		for len(cells) < strings.Count(columns, "\t") {
			cells = append(cells, "-")
		}
		fmt.Fprintln(t, strings.Join(cells, "\t")+"\t") // ours, but for the way, which is shown as it may be
	}
	t.Flush()
	for _, s := range b.Series {
		if s.Changed {
			fmt.Fprintf(w, "\nnot every offer had %s in place %d", usage.Name(s.Receiver), s.Server)
		}
	}
	// None if every run to one receiver failed: then there is nothing to be faster than.
	single := b.fastest(func(s *series) bool { return s.mode() == 2 })
	if single == nil {
		return
	}
	fmt.Fprintln(w)
	for _, s := range b.Series {
		if s.mode() == 1 && len(s.Samples) > 0 {
			fmt.Fprintf(w,
				"%s is %.2f times as fast as the best receiver alone (%s), without the wait for the offer\n",
				s.Balance, single.spreadOf(ofActive).Median/s.spreadOf(ofActive).Median,
				usage.Name(single.Receiver))
		}
	}
}

// spreadText writes a spread times scale with so many decimals.
func spreadText(s shape.Spread, scale float64, decimals int) string {
	f := func(v float64) string { return strconv.FormatFloat(v*scale, 'f', decimals, 64) }
	// As with a single run; the parentheses would say nothing.
	if s.Min == s.Max {
		return f(s.Median)
	}
	return f(s.Median) + " (" + f(s.Min) + ".." + f(s.Max) + ")"
}

// benchfmt writes every run as a line of the format of Go benchmarks
// (golang.org/design/14313-benchmark-format), which benchstat reads. benchstat works
// out medians and significance itself, so it gets runs and not sums.
func (b *benchmark) benchfmt(w io.Writer) {
	fmt.Fprintf(w, "goos: %s\ngoarch: %s\npkg: mdalp/cmd/mdalp\n", runtime.GOOS, runtime.GOARCH)
	if cpu := cpuModel(); cpu != "" {
		fmt.Fprintf(w, "cpu: %s\n", cpu)
	}
	// Keys of our own: benchstat keeps runs apart in which they differ.
	fmt.Fprintf(w, "payload-bytes: %d\nreceivers: %d\n", b.Size, b.Receivers)
	for _, s := range b.Series {
		// The form key=value is what benchstat can filter and group by. The number behind the last
		// dash is GOMAXPROCS, as package testing writes it.
		name := fmt.Sprintf("BenchmarkMdalp/mode=%d/%s", s.mode(), s.name())
		if s.Server > 0 {
			name += "/receiver=" + usage.Name(s.Receiver)
		}
		for i := range s.Samples {
			x := &s.Samples[i]
			fmt.Fprintf(w, "%s-%d\t1\t%d ns/op\t%.9f wait-sec\t%.9f ping-sec\t%.9f send-sec\t"+
				"%.1f cpu-ns/segment\t%d resent/op\t%d timeouts/op",
				name, // ours: name
				runtime.GOMAXPROCS(0), x.Elapsed.Nanoseconds(), x.Wait.Seconds(),
				x.Ping.Seconds(), x.Send.Seconds(),
				x.cpuPerSegment(), x.Resent, x.Timeouts)
			if x.Extended {
				fmt.Fprintf(w, "\t%.0f B/s", x.Speed)
			}
			fmt.Fprintln(w)
		}
	}
}

// cpuModel is the name of the processor, as the kernel has it (proc(5)), or "".
func cpuModel() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	defer f.Close()
	// On some architectures, arm64 for one, no line has that name.
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if k, v, _ := strings.Cut(lines.Text(), ":"); strings.TrimSpace(k) == "model name" {
			return strings.TrimSpace(v)
		}
	}
	return ""
}
