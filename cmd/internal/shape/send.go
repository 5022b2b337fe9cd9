// Package shape has the shapes of the JSON that the commands print: the types, which are the
// one declaration of their keys, and how they are made of reports. What reads that JSON uses
// the same types. docs/schema describes them for others; a key that the schema lacks fails
// a test.
package shape

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
	DoctorSchema = "mdalp.doctor/2"
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
		// How often another orchestrator was asked, as the one before was silent or refused.
		Moves int64 `json:"orchestrator_changes"`
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
		// With a key, whose ID follows; null if not.
		Sealed bool    `json:"sealed"`
		Key    *string `json:"key_id"`
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
		// Of sealed transactions.
		Unopened int64 `json:"unopened_datagrams"`
		Replayed int64 `json:"replayed_datagrams"`
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
