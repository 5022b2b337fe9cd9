package main

import (
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/netip"
	"time"

	"mdalp"
	"mdalp/icmp"
)

// sendSchema names the form of what --json and --json-stream print. The number
// changes when a key goes or changes its meaning; keys may come without that. It is
// written down in docs/schema/send.schema.json.
const sendSchema = "mdalp.send/1"

// The JSON of a file that was sent, or was not. Every key is always there, and null
// where there is nothing to tell.
type (
	// headJSON begins the object of every command but send, which has these keys too.
	headJSON struct {
		Schema   string     `json:"schema"`
		Version  string     `json:"version"`
		ExitCode int        `json:"exit_code"`
		Error    *errorJSON `json:"error"`
	}
	resultJSON struct {
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
		Error        *errorJSON `json:"error"`
		Orchestrator *string    `json:"orchestrator"`
		// Null without an offer; 0 is a TID.
		TID *int64 `json:"tid"`
		// Null if it did not come to asking, as is the orchestrator.
		Balance *string `json:"balance"`
		// raw, dgram, or off if nobody was pinged; null without an offer.
		Socket *string `json:"ping_socket"`
		countsJSON
		// Of the bytes, from 0 to 1; 1 for an empty payload, of which nothing is missing.
		Share   float64     `json:"acknowledged_ratio"`
		Missing []rangeJSON `json:"missing"`
		// The phases, as in mdalp.Report. Their sum is a little less than elapsed_seconds, which
		// has the set-up in it.
		Wait     float64   `json:"wait_seconds"`
		Probe    float64   `json:"probe_seconds"`
		Transfer float64   `json:"transfer_seconds"`
		Elapsed  float64   `json:"elapsed_seconds"`
		Dropped  dropsJSON `json:"dropped"`
		verdictJSON
		Host socketJSON `json:"socket"`

		Receivers []receiverJSON `json:"receivers"`
	}
	errorJSON struct {
		// One of the words of errorKind: messages may be worded anew, these not.
		Kind    string `json:"kind"`
		Message string `json:"message"`
	}
	// countsJSON is how far a transfer is.
	countsJSON struct {
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
	// verdictJSON is what the extended protocol adds.
	verdictJSON struct {
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
	socketJSON struct {
		Drops     int64 `json:"overflowed_datagrams"`
		Truncated int64 `json:"truncated_datagrams"`
		Lost      int64 `json:"unsent_datagrams"`
		Blocked   int64 `json:"blocked_sends"`
		Trains    int64 `json:"trains"`
	}
	rangeJSON struct {
		First int64 `json:"first_segment"`
		Last  int64 `json:"last_segment"`
	}
	dropsJSON struct {
		// The keys and their order are those of mdalp.Drops, so that one converts to the other.
		Malformed int64 `json:"malformed_datagrams"`
		Foreign   int64 `json:"foreign_datagrams"`
		Unwanted  int64 `json:"unwanted_datagrams"`
		Unsent    int64 `json:"unsent_acks"`
		Duplicate int64 `json:"duplicate_acks"`
	}
	// peerJSON tells which receiver is meant.
	peerJSON struct {
		Address string `json:"address"`
		Port    uint16 `json:"port"`
	}
	echoesJSON struct {
		Sent     int      `json:"echoes_sent"`
		Received int      `json:"echoes_received"`
		MinMS    *float64 `json:"echo_min_ms"`
		MedianMS *float64 `json:"echo_median_ms"`
		MeanMS   *float64 `json:"echo_mean_ms"`
		MaxMS    *float64 `json:"echo_max_ms"`
	}
	latencyJSON struct {
		LatencyMS *float64 `json:"latency_ms"` // what it is weighed by
		// It answered no echo, and is weighed as the slowest that did.
		Guessed bool `json:"latency_guessed"`
	}
	shareJSON struct {
		// By the split; what other receivers took over later does not change it.
		Share    int64 `json:"share_bytes"`
		Assigned int64 `json:"assigned_segments"`
	}
	doneJSON struct {
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
	// flowJSON is what the extended protocol knows of a receiver; all null in the base one.
	flowJSON struct {
		Window *int64   `json:"window_bytes"` // that may be in flight
		RTT    *float64 `json:"rtt_ms"`       // smoothed
		// The bound that it was sent by at the end.
		Pace     *float64 `json:"pace_bytes_per_second"`
		Lost     *int64   `json:"lost_segments"`   // declared lost
		Spurious *int64   `json:"spurious_losses"` // of these, those that had arrived
	}
	receiverJSON struct {
		peerJSON
		Name string `json:"name"`
		echoesJSON
		latencyJSON
		shareJSON
		doneJSON
		// Null if none was measured.
		AckMinMS  *float64 `json:"ack_min_ms"`
		AckMeanMS *float64 `json:"ack_mean_ms"`
		AckMaxMS  *float64 `json:"ack_max_ms"`
		Rate      float64  `json:"rate_bytes_per_second"`
		flowJSON
		Error *string `json:"error"` // why it is dead
	}
)

// newHead makes the beginning of the object of a command that ended with err. An exit
// code alone, as of a host that does not answer, is no error: the object tells it.
func newHead(schema string, err error) headJSON {
	j := headJSON{Schema: schema, Version: mdalp.Version}
	var code exited
	switch {
	case err == nil:
	case errors.As(err, &code):
		j.ExitCode = int(code)
	default:
		j.ExitCode, j.Error = exitCode(err), &errorJSON{errorKind(err), err.Error()}
	}
	return j
}

// newResult makes the JSON of a transfer that ended with err. r is nil if it never
// began. It is made of whatever there is: a script reads the same keys however it
// ended.
func newResult(file string, r *mdalp.Report, err error) *resultJSON {
	j := &resultJSON{
		Event: "finished", Schema: sendSchema, Version: mdalp.Version, Status: "complete",
		Missing: []rangeJSON{}, Receivers: []receiverJSON{},
	}
	if file != "" {
		j.File = &file
	}
	if err != nil {
		j.ExitCode = exitCode(err)
		// Every kind that is neither incomplete nor interrupted is "failed".
		kind := errorKind(err)
		j.Status = map[string]string{"incomplete": "incomplete", "interrupted": "interrupted"}[kind]
		if j.Status == "" {
			j.Status = "failed"
		}
		j.Error = &errorJSON{kind, err.Error()}
	}
	if r == nil {
		return j
	}
	if r.Orchestrator.IsValid() {
		j.Orchestrator = ptr(r.Orchestrator.String())
	}
	// A TID may be 0, so receivers tell as well that there was an offer.
	if r.TID != 0 || len(r.Receivers) > 0 {
		j.TID = &r.TID
		j.Socket = ptr(r.Ping.String())
	}
	j.Balance = ptr(r.Balance.String())
	j.countsJSON = newCounts(r)
	if r.Size > 0 {
		j.Share = float64(r.Acked) / float64(r.Size)
	} else if err == nil {
		j.Share = 1
	}
	for _, m := range r.Missing {
		j.Missing = append(j.Missing, rangeJSON(m))
	}
	j.Wait, j.Probe, j.Transfer, j.Elapsed = inSeconds(r.Wait), inSeconds(r.Probe), inSeconds(r.Transfer), inSeconds(r.Elapsed)
	j.Dropped, j.verdictJSON, j.Host = dropsJSON(r.Dropped), newVerdict(r), socketJSON(r.Socket)
	for i := range r.Receivers {
		x := newReceiver(&r.Receivers[i])
		if r.Extended {
			x.flowJSON = newFlow(&r.Receivers[i])
		}
		j.Receivers = append(j.Receivers, x)
	}
	return j
}

// errorKind is a word for scripts. It is finer than the exit code only where a script
// may want to act on it: a bad offer does not get better by asking again.
func errorKind(err error) string {
	switch c := exitCode(err); {
	case c == exitInterrupted:
		return "interrupted"
	case c == exitUsage:
		return "usage"
	case errors.Is(err, mdalp.ErrBadOffer):
		return "bad_offer"
	case c == exitNoOffer:
		return "no_offer"
	case c == exitIncomplete:
		return "incomplete"
	case errors.Is(err, mdalp.ErrRefused):
		return "refused"
	case errors.Is(err, mdalp.ErrDamaged):
		return "damaged"
	case c == exitUnverified:
		return "unverified"
	}
	return "system"
}

// newCounts makes the counts of a report.
func newCounts(r *mdalp.Report) countsJSON {
	return countsJSON{r.Size, r.Acked, r.Segments, r.Segments - r.Left, r.Sent(), r.Resent(), r.Timeouts()}
}

// newVerdict makes what the extended protocol adds to a report.
func newVerdict(r *mdalp.Report) verdictJSON {
	j := verdictJSON{Extended: r.Extended, Verified: r.Verified, Resumed: r.Resumed}
	if !r.Extended {
		return j
	}
	j.Segment = ptr(r.Segment)
	if r.SHA256 != "" {
		j.SHA256, j.HashCPU = &r.SHA256, ptr(inSeconds(r.Hashing))
	}
	if r.Verdict > 0 {
		j.Verdict = ptr(inSeconds(r.Verdict))
	}
	return j
}

// newFlow makes how a receiver was sent to in the extended protocol.
func newFlow(x *mdalp.ReceiverReport) flowJSON {
	// Copies: a report is valid only as long as it is shown.
	return flowJSON{ptr(x.Window), maybe(x.RTT), ptr(math.Round(x.Pace)), ptr(x.Lost), ptr(x.Spurious)}
}

// newPeer says which receiver is meant.
func newPeer(a netip.AddrPort) peerJSON { return peerJSON{a.Addr().String(), a.Port()} }

// newEchoes makes what echoes measured. A round trip of no time at all is one too.
// Without an answer the times are null, not 0.
func newEchoes(e *icmp.Stats) echoesJSON {
	j := echoesJSON{Sent: e.Sent, Received: e.Received}
	if e.Received > 0 {
		j.MinMS, j.MedianMS, j.MeanMS, j.MaxMS = ptr(inMillis(e.Min)), ptr(inMillis(e.Median)), ptr(inMillis(e.Mean)), ptr(inMillis(e.Max))
	}
	return j
}

// newLatency makes what a receiver is weighed by.
func newLatency(x *mdalp.ReceiverReport) latencyJSON {
	return latencyJSON{maybe(x.Latency), x.Guessed && x.Latency > 0}
}

// newDone makes how far a receiver is.
func newDone(x *mdalp.ReceiverReport) doneJSON {
	return doneJSON{x.Bytes, x.Acked, x.Sent, x.Resent, x.Timeouts, x.Duplicate, x.Took, x.Gave}
}

// newReceiver makes all of a receiver.
func newReceiver(x *mdalp.ReceiverReport) receiverJSON {
	j := receiverJSON{
		peerJSON: newPeer(x.Addr), Name: x.Name, echoesJSON: newEchoes(&x.Echoes), latencyJSON: newLatency(x),
		shareJSON: shareJSON{x.Share, x.Assigned}, doneJSON: newDone(x),
		AckMinMS: maybe(x.AckMin), AckMeanMS: maybe(x.AckMean), AckMaxMS: maybe(x.AckMax), Rate: math.Round(x.Rate*1e3) / 1e3,
	}
	if x.Err != nil {
		j.Error = ptr(root(x.Err).Error())
	}
	return j
}

// encode writes v on one line. Names and errors may have <, > and &, which package json
// would escape for web pages.
func encode(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// root is the innermost cause of an error. That is the kernel's word, such as
// "connection refused"; whose it is, the line or object around it tells. It stops at an
// error that joins several.
func root(err error) error {
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
	return ptr(inMillis(d))
}

// inSeconds gives d in seconds, to a microsecond.
func inSeconds(d time.Duration) float64 { return float64(d.Round(time.Microsecond)) / 1e9 }

// ptr gives the address of a copy.
func ptr[T any](v T) *T { return &v }
