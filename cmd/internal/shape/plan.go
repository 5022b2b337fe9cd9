package shape

import (
	"fmt"
	"strconv"
	"time"

	"mdalp"
	"mdalp/sched"
)

// The JSON of a plan. Weights sum up to 1, and are null, as latencies are, where
// nobody was pinged; a range of segments is null where there are none. They are not
// rounded here as in the table, so that a script can work the split out again.
type (
	Plan struct {
		Head
		Orchestrator *string `json:"orchestrator"`
		TID          *int64  `json:"tid"`
		Balance      *string `json:"balance"`
		Socket       *string `json:"ping_socket"`
		Size         int64   `json:"size_bytes"`
		Segments     int64   `json:"segments"`
		Extended     bool    `json:"extended"`
		// At most: an echo of that size, and the announcement, may make it less.
		Segment *int `json:"segment_bytes"`
		// What the orchestrator demands for each receiver; 0 without an offer.
		MinShare  int64          `json:"minimum_share_bytes"`
		Wait      float64        `json:"wait_seconds"`
		Probe     float64        `json:"probe_seconds"`
		Receivers []PlanReceiver `json:"receivers"`
	}
	PlanReceiver struct {
		Peer
		Name string `json:"name"`
		// Of the offer; null of the base protocol alone.
		OfferedSegment *int `json:"offered_segment_bytes"`
		OfferedWindow  *int `json:"offered_window_segments"`
		Echoes
		Latency
		Weight *float64 `json:"weight_ratio"`
		// Where its part of the payload begins.
		Offset int64 `json:"offset_bytes"`
		Part
		// Its range of sequence numbers, both ends included.
		First *int64   `json:"first_segment"`
		Last  *int64   `json:"last_segment"`
		Least *float64 `json:"least_transfer_seconds"` // segments times latency
	}
)

// NewPlan makes the JSON of a plan that ended as its head says. r is nil if it did not
// come to asking.
func NewPlan(h Head, r *mdalp.Report) Plan {
	j := Plan{Head: h, Receivers: []PlanReceiver{}}
	if r == nil {
		return j
	}
	if r.Orchestrator.IsValid() {
		j.Orchestrator = Ptr(r.Orchestrator.String())
	}
	j.Balance, j.Size, j.Segments = Ptr(r.Balance.String()), r.Size, r.Segments
	j.Wait, j.Probe = inSeconds(r.Wait), inSeconds(r.Probe)
	j.Extended, j.Segment = r.Extended, newVerdict(r).Segment
	if len(r.Receivers) > 0 {
		j.TID, j.Socket = &r.TID, Ptr(r.Ping.String())
		j.MinShare = sched.MinShare(r.Size, len(r.Receivers))
	}
	weights := Weights(r)
	// Parts follow each other in the order of the offer, in bytes and in segments.
	// The same sums by which Send cuts the payload.
	var off, seq int64
	for i := range r.Receivers {
		x := &r.Receivers[i]
		y := PlanReceiver{
			Peer: newPeer(x.Addr), Name: x.Name, Echoes: newEchoes(&x.Echoes), Latency: newLatency(x),
			Offset: off, Part: Part{x.Share, x.Assigned},
		}
		if x.OfferedSegment > 0 {
			y.OfferedSegment, y.OfferedWindow = &x.OfferedSegment, &x.OfferedWindow
		}
		if x.Latency > 0 {
			y.Weight = &weights[i]
			// Windows know no such bound: what the network carries is not known beforehand.
			if !r.Extended {
				y.Least = Ptr(inSeconds(x.Latency * time.Duration(x.Assigned)))
			}
		}
		if x.Assigned > 0 {
			y.First, y.Last = Ptr(seq), Ptr(seq+x.Assigned-1)
		}
		off, seq = off+x.Share, seq+x.Assigned
		j.Receivers = append(j.Receivers, y)
	}
	return j
}

// Weights gives the weights by which a payload was split: inverse latencies that sum up
// to 1; 0 for a receiver without latency. Inverse as the protocol has them: half the
// latency is twice the weight.
func Weights(r *mdalp.Report) []float64 {
	weights := make([]float64, len(r.Receivers))
	var total float64
	for i := range r.Receivers {
		if d := r.Receivers[i].Latency; d > 0 {
			weights[i] = 1 / InMillis(d)
			total += weights[i]
		}
	}
	for i := range weights {
		weights[i] /= max(total, 1e-300) // 0 stays 0
	}
	return weights
}

// Sequence writes the receiver's range of segments.
func (y *PlanReceiver) Sequence() string {
	switch {
	case y.First == nil:
		return "-"
	case *y.First == *y.Last:
		return strconv.FormatInt(*y.First, 10)
	}
	return fmt.Sprintf("%d-%d", *y.First, *y.Last)
}
