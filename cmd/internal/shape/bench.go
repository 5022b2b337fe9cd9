package shape

// The JSON that bench prints. A series of which no run ended well has no medians: zeroes
// would look like a very fast one. The medians could be worked out from the samples, but
// are what most readers want, and few tools of the shell can sort.
type (
	Bench struct {
		Head
		GOOS   string  `json:"goos"`
		GOARCH string  `json:"goarch"`
		CPU    *string `json:"cpu_model"`
		// ADDR:PORT; null if it did not come to asking.
		Orchestrator *string `json:"orchestrator"`
		Size         int64   `json:"size_bytes"`
		Receivers    int     `json:"receiver_count"`
		// As asked for. How many there are, the samples tell.
		Runs   int      `json:"runs"`
		Warmup int      `json:"warmup_runs"`
		Series []Series `json:"series"`
	}
	Series struct {
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
		Wait     *Spread `json:"wait_seconds"`
		Probe    *Spread `json:"probe_seconds"`
		Transfer *Spread `json:"transfer_seconds"`
		Elapsed  *Spread `json:"elapsed_seconds"`
		// Of this process alone, in user and kernel mode.
		CPU     *Spread  `json:"cpu_ns_per_segment"`
		Speed   *Spread  `json:"bytes_per_second"` // of the payload, while it was sent
		Samples []Sample `json:"samples"`
	}
	Sample struct {
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

// A spread is the middle and the ends of some values.
type Spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}
