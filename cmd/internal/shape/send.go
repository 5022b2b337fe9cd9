// Package shape has the shapes of the JSON that the commands print: the types, which are the
// one declaration of their keys, and how they are made of reports. What reads that JSON uses
// the same types. docs/schema describes them for others; a key that the schema lacks fails
// a test.
package shape

import (
	"encoding/json"
	"io"
	"math"
	"net/netip"
	"time"

	"mdalp"
	"mdalp/icmp"
)

// SendSchema names the form of what --json and --json-stream print. The number
// changes when a key goes or changes its meaning; keys may come without that. It is
// written down in docs/schema/send.schema.json.
const SendSchema = "mdalp.send/1"

// The schemas of the other commands.
const (
	PingSchema   = "mdalp.ping/1"
	PlanSchema   = "mdalp.plan/1"
	BenchSchema  = "mdalp.bench/1"
	DecodeSchema = "mdalp.decode/1"
	DoctorSchema = "mdalp.doctor/1"
)

// The JSON of a file that was sent, or was not. Every key is always there, and null
// where there is nothing to tell.
type (
	// Head begins the object of every command but send, which has these keys too.
	Head struct {
		Schema   string   `json:"schema"`
		Version  string   `json:"version"`
		ExitCode int      `json:"exit_code"`
		Error    *Failure `json:"error"`
	}
	Result struct {
		// Always "finished", also with --json alone: the last event of a file and its only object
		// are the same.
		Event   string  `json:"event"` // "finished"
		Schema  string  `json:"schema"`
		Version string  `json:"version"`
		File    *string `json:"file"` // null if the command line was wrong
		// complete, incomplete, interrupted, or failed for any other reason.
		Status   string `json:"status"`
		ExitCode int    `json:"exit_code"`
		// What the command says on standard error.
		Error        *Failure `json:"error"`
		Orchestrator *string  `json:"orchestrator"`
		// Null without an offer; 0 is a TID.
		TID *int64 `json:"tid"`
		// Null if it did not come to asking, as is the orchestrator.
		Balance *string `json:"balance"`
		// raw, dgram, or off if nobody was pinged; null without an offer.
		Socket *string `json:"ping_socket"`
		Counts
		// Of the bytes, from 0 to 1; 1 for an empty payload, of which nothing is missing.
		Share   float64 `json:"acknowledged_ratio"`
		Missing []Range `json:"missing"`
		// The phases, as in mdalp.Report. Their sum is a little less than elapsed_seconds, which
		// has the set-up in it.
		Wait     float64 `json:"wait_seconds"`
		Probe    float64 `json:"probe_seconds"`
		Transfer float64 `json:"transfer_seconds"`
		Elapsed  float64 `json:"elapsed_seconds"`
		Dropped  Drops   `json:"dropped"`
		Extension
		Host SocketCounts `json:"socket"`

		Receivers []Receiver `json:"receivers"`
	}
	Failure struct {
		// One of the words of errorKind: messages may be worded anew, these not.
		Kind    string `json:"kind"`
		Message string `json:"message"`
	}
	// Counts is how far a transfer is.
	Counts struct {
		// Of the payload. Segments and datagrams are 0 before the split.
		Size     int64 `json:"size_bytes"`
		Bytes    int64 `json:"acknowledged_bytes"`
		Segments int64 `json:"segments"`
		Acked    int64 `json:"acknowledged_segments"`
		// Data alone, repetitions included.
		Sent     int64 `json:"sent_datagrams"`
		Resent   int64 `json:"resent_datagrams"`
		Timeouts int64 `json:"timeouts"`
	}
	// Extension is what the extended protocol adds.
	Extension struct {
		Extended bool `json:"extended"`
		// Null in the base protocol, whose segments have at most 100.
		Segment *int `json:"segment_bytes"`
		// In hexadecimal; null if it was not wanted, or did not come to it.
		SHA256 *string `json:"sha256"`
		// From the last acknowledgement on; null if none was waited for.
		Verdict *float64 `json:"verdict_seconds"`
		HashCPU *float64 `json:"hash_cpu_seconds"`
		// The server has said that it is whole, with that digest.
		Verified bool `json:"verified"`
		// Of the acknowledged bytes, those that an earlier transaction had brought.
		Resumed int64 `json:"resumed_bytes"`
	}
	// The keys and their order are those of mdalp.SocketReport.
	SocketCounts struct {
		Drops     int64 `json:"overflowed_datagrams"`
		Truncated int64 `json:"truncated_datagrams"`
		Lost      int64 `json:"unsent_datagrams"`
		Blocked   int64 `json:"blocked_sends"`
		Trains    int64 `json:"trains"`
	}
	Range struct {
		First int64 `json:"first_segment"`
		Last  int64 `json:"last_segment"`
	}
	Drops struct {
		// The keys and their order are those of mdalp.Drops, so that one converts to the other.
		Malformed int64 `json:"malformed_datagrams"`
		Foreign   int64 `json:"foreign_datagrams"`
		Unwanted  int64 `json:"unwanted_datagrams"`
		Unsent    int64 `json:"unsent_acks"`
		Duplicate int64 `json:"duplicate_acks"`
	}
	// Peer tells which receiver is meant.
	Peer struct {
		Address string `json:"address"`
		Port    uint16 `json:"port"`
	}
	Echoes struct {
		Sent     int      `json:"echoes_sent"`
		Received int      `json:"echoes_received"`
		MinMS    *float64 `json:"echo_min_ms"`
		MedianMS *float64 `json:"echo_median_ms"`
		MeanMS   *float64 `json:"echo_mean_ms"`
		MaxMS    *float64 `json:"echo_max_ms"`
	}
	Latency struct {
		LatencyMS *float64 `json:"latency_ms"` // what it is weighed by
		// It answered no echo, and is weighed as the slowest that did.
		Guessed bool `json:"latency_guessed"`
	}
	Part struct {
		// By the split; what other receivers took over later does not change it.
		Share    int64 `json:"share_bytes"`
		Assigned int64 `json:"assigned_segments"`
	}
	Done struct {
		Bytes    int64 `json:"acknowledged_bytes"`
		Acked    int64 `json:"acknowledged_segments"`
		Sent     int64 `json:"sent_datagrams"`
		Resent   int64 `json:"resent_datagrams"`
		Timeouts int64 `json:"timeouts"`
		// Late or doubled.
		Duplicate int64 `json:"duplicate_acks"`
		// Segments taken over from others, and given to them.
		Took int64 `json:"took_segments"`
		Gave int64 `json:"gave_segments"`
	}
	// Flow is what the extended protocol knows of a receiver; all null in the base one.
	Flow struct {
		Window *int64   `json:"window_bytes"` // that may be in flight
		RTT    *float64 `json:"rtt_ms"`       // smoothed
		// The bound that it was sent by at the end.
		Pace     *float64 `json:"pace_bytes_per_second"`
		Lost     *int64   `json:"lost_segments"`   // declared lost
		Spurious *int64   `json:"spurious_losses"` // of these, those that had arrived
	}
	Receiver struct {
		Peer
		Name string `json:"name"`
		Echoes
		Latency
		Part
		Done
		// Null if none was measured.
		AckMinMS  *float64 `json:"ack_min_ms"`
		AckMeanMS *float64 `json:"ack_mean_ms"`
		AckMaxMS  *float64 `json:"ack_max_ms"`
		Rate      float64  `json:"rate_bytes_per_second"`
		Flow
		Error *string `json:"error"` // why it is dead
	}
)

// NewResult makes the JSON of a transfer that ended as its head says. r is nil if it never
// began. It is made of whatever there is: a script reads the same keys however it
// ended.
func NewResult(h Head, file string, r *mdalp.Report) *Result {
	j := &Result{
		Event: "finished", Schema: h.Schema, Version: h.Version, ExitCode: h.ExitCode, Error: h.Error, Status: "complete",
		Missing: []Range{}, Receivers: []Receiver{},
	}
	if file != "" {
		j.File = &file
	}
	if h.Error != nil {
		// Every kind that is neither incomplete nor interrupted is "failed".
		j.Status = map[string]string{"incomplete": "incomplete", "interrupted": "interrupted"}[h.Error.Kind]
		if j.Status == "" {
			j.Status = "failed"
		}
	}
	if r == nil {
		return j
	}
	if r.Orchestrator.IsValid() {
		j.Orchestrator = Ptr(r.Orchestrator.String())
	}
	// A TID may be 0, so receivers tell as well that there was an offer.
	if r.TID != 0 || len(r.Receivers) > 0 {
		j.TID = &r.TID
		j.Socket = Ptr(r.Ping.String())
	}
	j.Balance = Ptr(r.Balance.String())
	j.Counts = newCounts(r)
	if r.Size > 0 {
		j.Share = float64(r.Acked) / float64(r.Size)
	} else if h.Error == nil {
		j.Share = 1
	}
	for _, m := range r.Missing {
		j.Missing = append(j.Missing, Range(m))
	}
	j.Wait, j.Probe, j.Transfer, j.Elapsed = inSeconds(r.Wait), inSeconds(r.Probe), inSeconds(r.Transfer), inSeconds(r.Elapsed)
	j.Dropped, j.Extension, j.Host = Drops(r.Dropped), newVerdict(r), SocketCounts(r.Socket)
	for i := range r.Receivers {
		x := newReceiver(&r.Receivers[i])
		if r.Extended {
			x.Flow = newFlow(&r.Receivers[i])
		}
		j.Receivers = append(j.Receivers, x)
	}
	return j
}

// newCounts makes the counts of a report.
func newCounts(r *mdalp.Report) Counts {
	return Counts{r.Size, r.Acked, r.Segments, r.Segments - r.Left, r.Sent(), r.Resent(), r.Timeouts()}
}

// newVerdict makes what the extended protocol adds to a report.
func newVerdict(r *mdalp.Report) Extension {
	j := Extension{Extended: r.Extended, Verified: r.Verified, Resumed: r.Resumed}
	if !r.Extended {
		return j
	}
	j.Segment = Ptr(r.Segment)
	if r.SHA256 != "" {
		j.SHA256, j.HashCPU = &r.SHA256, Ptr(inSeconds(r.Hashing))
	}
	if r.Verdict > 0 {
		j.Verdict = Ptr(inSeconds(r.Verdict))
	}
	return j
}

// newFlow makes how a receiver was sent to in the extended protocol.
func newFlow(x *mdalp.ReceiverReport) Flow {
	// Copies: a report is valid only as long as it is shown.
	return Flow{Ptr(x.Window), maybe(x.RTT), Ptr(math.Round(x.Pace)), Ptr(x.Lost), Ptr(x.Spurious)}
}

// newPeer says which receiver is meant.
func newPeer(a netip.AddrPort) Peer { return Peer{a.Addr().String(), a.Port()} }

// newEchoes makes what echoes measured. A round trip of no time at all is one too.
// Without an answer the times are null, not 0.
func newEchoes(e *icmp.Stats) Echoes {
	j := Echoes{Sent: e.Sent, Received: e.Received}
	if e.Received > 0 {
		j.MinMS, j.MedianMS, j.MeanMS, j.MaxMS = Ptr(InMillis(e.Min)), Ptr(InMillis(e.Median)), Ptr(InMillis(e.Mean)), Ptr(InMillis(e.Max))
	}
	return j
}

// newLatency makes what a receiver is weighed by.
func newLatency(x *mdalp.ReceiverReport) Latency {
	return Latency{maybe(x.Latency), x.Guessed && x.Latency > 0}
}

// newDone makes how far a receiver is.
func newDone(x *mdalp.ReceiverReport) Done {
	return Done{x.Bytes, x.Acked, x.Sent, x.Resent, x.Timeouts, x.Duplicate, x.Took, x.Gave}
}

// newReceiver makes all of a receiver.
func newReceiver(x *mdalp.ReceiverReport) Receiver {
	j := Receiver{
		Peer: newPeer(x.Addr), Name: x.Name, Echoes: newEchoes(&x.Echoes), Latency: newLatency(x),
		Part: Part{x.Share, x.Assigned}, Done: newDone(x),
		AckMinMS: maybe(x.AckMin), AckMeanMS: maybe(x.AckMean), AckMaxMS: maybe(x.AckMax), Rate: math.Round(x.Rate*1e3) / 1e3,
	}
	if x.Err != nil {
		j.Error = Ptr(Cause(x.Err).Error())
	}
	return j
}

// Encode writes v on one line. Names and errors may have <, > and &, which package json
// would escape for web pages.
func Encode(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// Cause is the innermost cause of an error. That is the kernel's word, such as
// "connection refused"; whose it is, the line or object around it tells. It stops at an
// error that joins several.
func Cause(err error) error {
	for {
		u, ok := err.(interface{ Unwrap() error })
		if !ok {
			return err
		}
		err = u.Unwrap()
	}
}

// maybe gives a time in milliseconds, or nil if there is none. It is for times that cannot
// be 0, so that 0 stands for "not measured".
func maybe(d time.Duration) *float64 {
	if d == 0 {
		return nil
	}
	return Ptr(InMillis(d))
}

// inSeconds gives d in seconds, to a microsecond.
func inSeconds(d time.Duration) float64 { return float64(d.Round(time.Microsecond)) / 1e9 }

// Ptr gives the address of a copy.
func Ptr[T any](v T) *T { return &v }
