package shape

// A Line is a line of --json-stream, whatever its event, as far as those that read one need
// it. Keys that an event does not have are zero. A line of --json is the last of them.
type Line struct {
	Event
	Size int64 `json:"size_bytes"`
	// A pointer, as 0 is a TID.
	TID      *int64 `json:"tid"`
	Segments int64  `json:"segments"`
	// An event of one receiver has its keys at the top, the others a list of them.
	LineReceiver
	Receivers []LineReceiver `json:"receivers"`
}

// A LineReceiver is what a [Line] says of a receiver.
type LineReceiver struct {
	Peer
	Name string `json:"name"`
	Latency
	// Only in "split" and in the last event.
	Share int64 `json:"share_bytes"`
	Acked int64 `json:"acknowledged_segments"`
}
