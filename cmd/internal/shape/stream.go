package shape

import (
	"bytes"
	"context"
	"io"
	"time"

	"mdalp"
)

// The events of --json-stream, one a line. The last one of a file is the same object
// that --json prints. at_seconds counts from the beginning of the transfer.
type (
	Event struct {
		Event  string  `json:"event"`
		Schema string  `json:"schema"`
		At     float64 `json:"at_seconds"`
	}
	Started struct {
		Event
		File         string `json:"file"`
		Size         int64  `json:"size_bytes"`
		Orchestrator string `json:"orchestrator"`
		Balance      string `json:"balance"`
	}
	Offer struct {
		Event
		TID       int64   `json:"tid"`
		Receivers []Named `json:"receivers"`
	}
	Named struct {
		Peer
		Name string `json:"name"`
	}
	Pinged struct {
		Event
		Socket    string   `json:"ping_socket"`
		Receivers []Probed `json:"receivers"`
	}
	Probed struct {
		Peer
		Echoes
		Latency
	}
	Split struct {
		Event
		Segments  int64      `json:"segments"`
		Extended  bool       `json:"extended"`
		Size      *int       `json:"segment_bytes"`
		Receivers []Assigned `json:"receivers"`
	}
	Assigned struct {
		Peer
		Part
	}
	Progress struct {
		Event
		Counts
		Receivers []DoneBy `json:"receivers"` // those that did something since the last one
	}
	DoneBy struct {
		Peer
		Done
		Flow
	}
	// Told for a receiver and not for a segment: a bad link would make a line of each.
	Resent struct {
		Event
		Peer
		More     int64 `json:"new_resent_datagrams"` // since the last such event of this receiver
		Resent   int64 `json:"resent_datagrams"`
		Timeouts int64 `json:"timeouts"`
	}
	Dead struct {
		Event
		Peer
		Error string `json:"error"`
	}
	Finishing struct { // everything is acknowledged; the verdict is awaited
		Event
	}
	Revived struct { // by a late acknowledgement
		Event
		Peer
	}
)

// A stream writes the events of a transfer as they happen, told from one report to
// the next.
type Stream struct {
	f io.Writer // standard output
	// Waits for something to be closed, as long as ctx allows.
	await func(ctx context.Context, done <-chan struct{}) error
	// How far the events have come, which may be behind the report.
	tid       int64 // of the offer that was told last
	phase     mdalp.Phase
	finishing bool   // told
	seen      []Done // by receiver, when it was last told
	// What was told last, so that death and return are told once each.
	dead []bool
	// Lines that are not written yet: of one report at most.
	text bytes.Buffer
	// Closed when the lines before are written; nil before the first.
	taken chan struct{}
}

// NewStream gives a stream to f. await waits for a channel to be closed, as long as ctx
// allows, and fails where it was not.
func NewStream(f io.Writer, await func(ctx context.Context, done <-chan struct{}) error) *Stream {
	return &Stream{f: f, await: await}
}

// Begin tells that a file is being sent.
func (s *Stream) Begin(file string, size int64, c *mdalp.Config) {
	*s = Stream{f: s.f, await: s.await, taken: s.taken}
	s.write(Started{s.event("started", 0), file, size, c.Orchestrator.String(), c.Balance.String()})
	s.Flush()
}

// See tells what is new, with a report at every change of phase and from time to time. A
// reader that is behind does not stop the transfer: it is told nothing until it has
// taken the lines before, and then all that is new since, as counts are totals.
func (s *Stream) See(r *mdalp.Report) {
	if s.Flush() {
		s.news(r)
		s.Flush()
	}
}

// End tells what is still to be told, and waits for the reader: only the object that ends
// the stream comes behind it. A reader that has taken nothing when ctx ends is told no
// more.
func (s *Stream) End(ctx context.Context, r *mdalp.Report) {
	s.news(r)
	for !s.Flush() {
		if s.await(ctx, s.taken) != nil {
			return
		}
	}
}

// news makes the events since the last report.
func (s *Stream) news(r *mdalp.Report) {
	at := r.Elapsed
	// Another offer: the session has begun again, with smaller segments or where the server had
	// closed the transaction.
	if len(r.Receivers) > 0 && r.TID != s.tid {
		s.tid, s.phase, s.finishing = r.TID, mdalp.PhaseWaiting, false
	}
	// A transfer that ended at once may have gone through a phase unseen.
	if s.phase == mdalp.PhaseWaiting && len(r.Receivers) > 0 {
		s.phase = mdalp.PhasePinging
		j := Offer{s.event("offer", at), r.TID, []Named{}}
		for i := range r.Receivers {
			j.Receivers = append(j.Receivers, Named{newPeer(r.Receivers[i].Addr), r.Receivers[i].Name})
		}
		s.write(j)
	}
	if s.phase == mdalp.PhasePinging && r.Segments > 0 {
		s.phase = mdalp.PhaseSending
		s.split(r)
	}
	if s.phase == mdalp.PhaseSending {
		s.changes(r)
	}
	// Once: what the server lacks may be sent again, and that is told as progress. It may be
	// over before anybody has seen it.
	if (r.Phase == mdalp.PhaseFinishing || r.Verdict > 0) && !s.finishing {
		s.finishing = true
		s.write(Finishing{s.event("finishing", at)})
	}
}

// split tells the outcome of the pings, if there were any, and who gets how much.
func (s *Stream) split(r *mdalp.Report) {
	n := len(r.Receivers)
	s.seen, s.dead = make([]Done, n), make([]bool, n)
	pinged := Pinged{s.event("pinged", r.Elapsed), r.Ping.String(), []Probed{}}
	split := Split{s.event("split", r.Elapsed), r.Segments, r.Extended, newVerdict(r).Segment, []Assigned{}}
	sent := 0
	for i := range r.Receivers {
		x := &r.Receivers[i]
		sent += x.Echoes.Sent
		// Both lists have every receiver, in the order of the offer.
		p := newPeer(x.Addr)
		pinged.Receivers = append(pinged.Receivers, Probed{p, newEchoes(&x.Echoes), newLatency(x)})
		split.Receivers = append(split.Receivers, Assigned{p, Part{x.Share, x.Assigned}})
	}
	// With --ping off, or a balance that needs none, nobody was pinged.
	if sent > 0 {
		s.write(pinged)
	}
	s.write(split)
}

// changes tells which receivers came further, repeated segments, or died. The order
// within a report is repetitions, then deaths, then progress.
func (s *Stream) changes(r *mdalp.Report) {
	j := Progress{s.event("progress", r.Elapsed), newCounts(r), []DoneBy{}}
	for i := range r.Receivers {
		x := &r.Receivers[i]
		p, now := newPeer(x.Addr), newDone(x)
		if more := now.Resent - s.seen[i].Resent; more > 0 {
			s.write(Resent{s.event("retransmission", r.Elapsed), p, more, now.Resent, now.Timeouts})
			s.seen[i].Resent = now.Resent
		}
		// A late acknowledgement brings a receiver back.
		if died := x.Err != nil; died != s.dead[i] {
			s.dead[i] = died
			if died {
				s.write(Dead{s.event("dead", r.Elapsed), p, Cause(x.Err).Error()})
			} else {
				s.write(Revived{s.event("revived", r.Elapsed), p})
			}
		}
		if now != s.seen[i] {
			y := DoneBy{Peer: p, Done: now}
			if r.Extended {
				y.Flow = newFlow(x)
			}
			j.Receivers = append(j.Receivers, y)
			s.seen[i] = now
		}
	}
	if len(j.Receivers) > 0 {
		s.write(j)
	}
}

// event makes what all events begin with.
func (s *Stream) event(name string, at time.Duration) Event {
	return Event{name, SendSchema, inSeconds(at)}
}

// write appends a line.
func (s *Stream) write(v any) { Encode(&s.text, v) }

// Flush has the lines written by a goroutine of its own, as the reader may have stopped.
// It reports whether there is nothing left to write. That nobody reads them any more is
// no reason to stop sending.
func (s *Stream) Flush() bool {
	if s.taken != nil {
		select {
		case <-s.taken:
		default:
			return false
		}
	}
	if s.taken = nil; s.text.Len() == 0 {
		return true
	}
	b := bytes.Clone(s.text.Bytes())
	s.text.Reset()
	done := make(chan struct{})
	s.taken = done
	go func() {
		s.f.Write(b)
		close(done)
	}()
	return false
}

// Taken gives what is closed when the lines before are written; nil before the first.
func (s *Stream) Taken() <-chan struct{} { return s.taken }
