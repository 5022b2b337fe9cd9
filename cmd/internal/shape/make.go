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

// NewResult makes the JSON of a transfer that ended as its head says. r is nil if it never
// began. It is made of whatever there is: a script reads the same keys however it
// ended.
func NewResult(h Head, file string, r *mdalp.Report) *Result {
	j := &Result{
		Event: "finished", Schema: h.Schema, Version: h.Version, ExitCode: h.ExitCode,
		Error: h.Error, Status: "complete",
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
	j.Moves = r.Moves
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
	j.Wait, j.Probe = inSeconds(r.Wait), inSeconds(r.Probe)
	j.Transfer, j.Elapsed = inSeconds(r.Transfer), inSeconds(r.Elapsed)
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
	j := Extension{Extended: r.Extended, Sealed: r.Sealed, Verified: r.Verified, Resumed: r.Resumed}
	if r.Sealed {
		j.Key = &r.Key
	}
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
		j.MinMS, j.MedianMS = Ptr(InMillis(e.Min)), Ptr(InMillis(e.Median))
		j.MeanMS, j.MaxMS = Ptr(InMillis(e.Mean)), Ptr(InMillis(e.Max))
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
		AckMinMS: maybe(x.AckMin), AckMeanMS: maybe(x.AckMean), AckMaxMS: maybe(x.AckMax),
		Rate: math.Round(x.Rate*1e3) / 1e3,
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
