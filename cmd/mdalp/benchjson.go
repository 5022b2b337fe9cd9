package main

import (
	"net/netip"
	"runtime"
)

// The JSON that bench prints. A series of which no run ended well has no medians: zeroes
// would look like a very fast one. The medians could be worked out from the samples, but
// are what most readers want, and few tools of the shell can sort.
type (
	benchJSON struct {
		headJSON
		GOOS   string  `json:"goos"`
		GOARCH string  `json:"goarch"`
		CPU    *string `json:"cpu_model"`
		// ADDR:PORT; null if it did not come to asking.
		Orchestrator *string `json:"orchestrator"`
		Size         int64   `json:"size_bytes"`
		Receivers    int     `json:"receiver_count"`
		// As asked for. How many there are, the samples tell.
		Runs   int          `json:"runs"`
		Warmup int          `json:"warmup_runs"`
		Series []seriesJSON `json:"series"`
	}
	seriesJSON struct {
		Mode int `json:"mode"`
		// As --balance takes it; "none" with mode 2.
		Balance string `json:"balance"`
		// The receiver's place in the offer, from 1, and its address in the first offer; null with
		// mode 1, as are address and port.
		Server  *int    `json:"server"`
		Address *string `json:"address"`
		Port    *uint16 `json:"port"`
		// Some offer had another receiver in that place, so the samples are of more than one.
		Changed bool `json:"receiver_changed"`
		// Incomplete runs, which are no samples.
		Failed   int     `json:"failed_runs"`
		Wait     *spread `json:"wait_seconds"`
		Probe    *spread `json:"probe_seconds"`
		Transfer *spread `json:"transfer_seconds"`
		Elapsed  *spread `json:"elapsed_seconds"`
		// Of this process alone, in user and kernel mode.
		CPU     *spread      `json:"cpu_ns_per_segment"`
		Speed   *spread      `json:"bytes_per_second"` // of the payload, while it was sent
		Samples []sampleJSON `json:"samples"`
	}
	sampleJSON struct {
		TID      int64   `json:"tid"`
		Wait     float64 `json:"wait_seconds"`
		Probe    float64 `json:"probe_seconds"`
		Transfer float64 `json:"transfer_seconds"`
		Verdict  float64 `json:"verdict_seconds"`
		Elapsed  float64 `json:"elapsed_seconds"`
		// Of the whole run, and not for a segment: sums of it mean something.
		CPU      float64 `json:"cpu_seconds"`
		Segments int64   `json:"segments"`
		Resent   int64   `json:"resent_datagrams"`
		Timeouts int64   `json:"timeouts"`
		Extended bool    `json:"extended"`
		Speed    float64 `json:"bytes_per_second"`
	}
)

// json makes the JSON of a comparison that ended with err. One that ended early has fewer
// samples than runs were asked for.
func (b *benchmark) json(err error) benchJSON {
	j := benchJSON{
		headJSON: newHead("mdalp.bench/1", err), GOOS: runtime.GOOS, GOARCH: runtime.GOARCH,
		Size: b.Size, Receivers: b.Receivers, Runs: b.Runs, Warmup: b.Warmup, Series: []seriesJSON{},
	}
	if cpu := cpuModel(); cpu != "" {
		j.CPU = &cpu
	}
	if b.Orchestrator.IsValid() {
		j.Orchestrator = ptr(b.Orchestrator.String())
	}
	for _, s := range b.Series {
		j.Series = append(j.Series, s.json())
	}
	return j
}

// json makes the JSON of one way to send.
func (s *series) json() seriesJSON {
	x := seriesJSON{Mode: s.mode(), Balance: s.Balance.String(), Changed: s.Changed, Failed: s.Failed, Samples: []sampleJSON{}}
	if s.Server > 0 {
		x.Server = &s.Server
	}
	// A series knows its receiver by the text of the table; "" is all of them.
	if a, err := netip.ParseAddrPort(s.Receiver); err == nil {
		x.Address, x.Port = ptr(a.Addr().String()), ptr(a.Port())
	}
	sum := func(get func(*measurement) float64) *spread {
		if len(s.Samples) == 0 {
			return nil
		}
		return ptr(s.spreadOf(get))
	}
	x.Elapsed, x.Wait, x.Probe, x.Transfer, x.CPU = sum(ofElapsed), sum(ofWait), sum(ofPing), sum(ofSend), sum(ofCPU)
	x.Speed = sum(ofSpeed)
	for i := range s.Samples {
		r := &s.Samples[i]
		x.Samples = append(x.Samples, sampleJSON{
			TID: r.TID, Elapsed: r.Elapsed.Seconds(), Wait: r.Wait.Seconds(), Probe: r.Ping.Seconds(), Transfer: r.Send.Seconds(),
			CPU: r.CPU.Seconds(), Segments: r.Segments, Resent: r.Resent, Timeouts: r.Timeouts,
			Verdict: r.Verdict.Seconds(), Extended: r.Extended, Speed: r.Speed,
		})
	}
	return x
}
