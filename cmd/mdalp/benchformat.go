package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"text/tabwriter"

	"mdalp"
)

// table writes the comparison for people.
func (b *benchmark) table(w io.Writer) {
	state := ""
	if b.Interrupted {
		state = ", interrupted"
	}
	fmt.Fprintf(w, "%d bytes by %v, %d receivers, %d runs of each (and %d before, not measured)%s: median (least..most)\n\n",
		b.Size, b.Orchestrator, b.Receivers, b.Runs, b.Warmup, state)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "mode\tway\truns\telapsed ms\twait ms\tping ms\tsend ms\tCPU us/segment\tresent\ttimeouts\t")
	ms := func(s *series, get func(*measurement) float64) string { return s.spreadOf(get).text(1e3, 3) }
	for _, s := range b.Series {
		way := s.Balance.String()
		if s.Server > 0 {
			way = strconv.Itoa(s.Server) + ": " + s.Receiver
		}
		runs := strconv.Itoa(len(s.Samples))
		if s.Failed > 0 {
			runs += fmt.Sprintf(" (%d failed)", s.Failed)
		}
		if len(s.Samples) == 0 {
			fmt.Fprintf(t, "%d\t%s\t%s\t-\t-\t-\t-\t-\t-\t-\t\n", s.mode(), way, runs)
			continue
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", s.mode(), way, runs,
			ms(s, ofElapsed), ms(s, ofWait), ms(s, ofPing), ms(s, ofSend),
			s.spreadOf(ofCPU).text(1e-3, 1), s.spreadOf(ofResent).text(1, 0), s.spreadOf(ofTimeouts).text(1, 0))
	}
	t.Flush()
	for _, s := range b.Series {
		if s.Changed {
			fmt.Fprintf(w, "\nnot every offer had %s in place %d", s.Receiver, s.Server)
		}
	}
	single := b.fastest(func(s *series) bool { return s.mode() == 2 })
	if single == nil {
		return
	}
	fmt.Fprintln(w)
	for _, s := range b.Series {
		if s.mode() == 1 && len(s.Samples) > 0 {
			fmt.Fprintf(w, "%s is %.2f times as fast as the best receiver alone (%s), without the wait for the offer\n",
				s.Balance, single.spreadOf(ofActive).Median/s.spreadOf(ofActive).Median, single.Receiver)
		}
	}
}

// text writes the spread times scale with so many decimals.
func (s spread) text(scale float64, decimals int) string {
	f := func(v float64) string { return strconv.FormatFloat(v*scale, 'f', decimals, 64) }
	if s.Min == s.Max {
		return f(s.Median)
	}
	return f(s.Median) + " (" + f(s.Min) + ".." + f(s.Max) + ")"
}

// benchfmt writes every run as a line of the format of Go benchmarks
// (golang.org/design/14313-benchmark-format), which benchstat reads.
func (b *benchmark) benchfmt(w io.Writer) {
	fmt.Fprintf(w, "goos: %s\ngoarch: %s\npkg: mdalp/cmd/mdalp\n", runtime.GOOS, runtime.GOARCH)
	if cpu := cpuModel(); cpu != "" {
		fmt.Fprintf(w, "cpu: %s\n", cpu)
	}
	fmt.Fprintf(w, "payload-bytes: %d\nreceivers: %d\n", b.Size, b.Receivers)
	for _, s := range b.Series {
		name := fmt.Sprintf("BenchmarkMdalp/mode=%d/%s", s.mode(), s.name())
		if s.Server > 0 {
			name += "/receiver=" + s.Receiver
		}
		for i := range s.Samples {
			x := &s.Samples[i]
			fmt.Fprintf(w, "%s-%d\t1\t%d ns/op\t%.9f wait-sec\t%.9f ping-sec\t%.9f send-sec\t%.1f cpu-ns/segment\t%d resent/op\t%d timeouts/op\n",
				name, runtime.GOMAXPROCS(0), x.Elapsed.Nanoseconds(), x.Wait.Seconds(), x.Ping.Seconds(), x.Send.Seconds(),
				x.cpuPerSegment(), x.Resent, x.Timeouts)
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
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if k, v, _ := strings.Cut(lines.Text(), ":"); strings.TrimSpace(k) == "model name" {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// The JSON that bench prints.
type (
	benchJSON struct {
		Schema       string       `json:"schema"` // "mdalp.bench/1"
		Version      string       `json:"mdalp_version"`
		GOOS         string       `json:"goos"`
		GOARCH       string       `json:"goarch"`
		CPU          string       `json:"cpu,omitempty"`
		Orchestrator string       `json:"orchestrator"`
		Size         int64        `json:"payload_bytes"`
		Receivers    int          `json:"receivers"`
		Runs         int          `json:"runs"`
		Warmup       int          `json:"warmup_runs"`
		Interrupted  bool         `json:"interrupted"`
		Series       []seriesJSON `json:"series"`
	}
	seriesJSON struct {
		Mode     int          `json:"mode"`
		Balance  string       `json:"balance"`
		Server   int          `json:"server,omitempty"`
		Receiver string       `json:"receiver,omitempty"`
		Changed  bool         `json:"receiver_changed,omitempty"`
		Failed   int          `json:"failed_runs"`
		Elapsed  *spread      `json:"elapsed_seconds,omitempty"`
		Wait     *spread      `json:"wait_seconds,omitempty"`
		Ping     *spread      `json:"ping_seconds,omitempty"`
		Send     *spread      `json:"send_seconds,omitempty"`
		CPU      *spread      `json:"cpu_ns_per_segment,omitempty"`
		Samples  []sampleJSON `json:"samples"`
	}
	sampleJSON struct {
		TID      int64   `json:"tid"`
		Elapsed  float64 `json:"elapsed_seconds"`
		Wait     float64 `json:"wait_seconds"`
		Ping     float64 `json:"ping_seconds"`
		Send     float64 `json:"send_seconds"`
		CPU      float64 `json:"cpu_seconds"`
		Segments int64   `json:"segments"`
		Resent   int64   `json:"resent_segments"`
		Timeouts int64   `json:"timeouts"`
	}
)

// json writes the comparison for programs.
func (b *benchmark) json(w io.Writer) error {
	j := benchJSON{
		Schema: "mdalp.bench/1", Version: mdalp.Version, GOOS: runtime.GOOS, GOARCH: runtime.GOARCH, CPU: cpuModel(),
		Orchestrator: b.Orchestrator.String(), Size: b.Size, Receivers: b.Receivers,
		Runs: b.Runs, Warmup: b.Warmup, Interrupted: b.Interrupted,
	}
	for _, s := range b.Series {
		x := seriesJSON{
			Mode: s.mode(), Balance: s.Balance.String(), Server: s.Server, Receiver: s.Receiver,
			Changed: s.Changed, Failed: s.Failed, Samples: []sampleJSON{},
		}
		sum := func(get func(*measurement) float64) *spread {
			if len(s.Samples) == 0 {
				return nil
			}
			v := s.spreadOf(get)
			return &v
		}
		x.Elapsed, x.Wait, x.Ping, x.Send, x.CPU = sum(ofElapsed), sum(ofWait), sum(ofPing), sum(ofSend), sum(ofCPU)
		for i := range s.Samples {
			r := &s.Samples[i]
			x.Samples = append(x.Samples, sampleJSON{
				TID: r.TID, Elapsed: r.Elapsed.Seconds(), Wait: r.Wait.Seconds(), Ping: r.Ping.Seconds(), Send: r.Send.Seconds(),
				CPU: r.CPU.Seconds(), Segments: r.Segments, Resent: r.Resent, Timeouts: r.Timeouts,
			})
		}
		j.Series = append(j.Series, x)
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(&j)
}
