package main

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
	eventJSON struct {
		Event  string  `json:"event"`
		Schema string  `json:"schema"`
		At     float64 `json:"at_seconds"`
	}
	startedJSON struct {
		eventJSON
		File         string `json:"file"`
		Size         int64  `json:"size_bytes"`
		Orchestrator string `json:"orchestrator"`
		Balance      string `json:"balance"`
	}
	offerJSON struct {
		eventJSON
		TID       int64       `json:"tid"`
		Receivers []namedJSON `json:"receivers"`
	}
	namedJSON struct {
		peerJSON
		Name string `json:"name"`
	}
	pingedJSON struct {
		eventJSON
		Socket    string       `json:"ping_socket"`
		Receivers []probedJSON `json:"receivers"`
	}
	probedJSON struct {
		peerJSON
		echoesJSON
		latencyJSON
	}
	splitJSON struct {
		eventJSON
		Segments  int64          `json:"segments"`
		Extended  bool           `json:"extended"`
		Size      *int           `json:"segment_bytes"`
		Receivers []assignedJSON `json:"receivers"`
	}
	assignedJSON struct {
		peerJSON
		shareJSON
	}
	progressJSON struct {
		eventJSON
		countsJSON
		Receivers []doneByJSON `json:"receivers"` // those that did something since the last one
	}
	doneByJSON struct {
		peerJSON
		doneJSON
		flowJSON
	}
	// Told for a receiver and not for a segment: a bad link would make a line of each.
	resentJSON struct {
		eventJSON
		peerJSON
		More     int64 `json:"new_resent_datagrams"` // since the last such event of this receiver
		Resent   int64 `json:"resent_datagrams"`
		Timeouts int64 `json:"timeouts"`
	}
	deadJSON struct {
		eventJSON
		peerJSON
		Error string `json:"error"`
	}
	finishingJSON struct { // everything is acknowledged; the verdict is awaited
		eventJSON
	}
	revivedJSON struct { // by a late acknowledgement
		eventJSON
		peerJSON
	}
)

// A stream writes the events of a transfer as they happen, told from one report to
// the next.
type stream struct {
	f io.Writer // standard output
	// How far the events have come, which may be behind the report.
	phase     mdalp.Phase
	finishing bool       // told
	seen      []doneJSON // by receiver, when it was last told
	// What was told last, so that death and return are told once each.
	dead []bool
	// Lines that are not written yet: of one report at most.
	text bytes.Buffer
	// Closed when the lines before are written; nil before the first.
	taken chan struct{}
}

// begin tells that a file is being sent.
func (s *stream) begin(file string, size int64, c *mdalp.Config) {
	*s = stream{f: s.f, taken: s.taken}
	s.write(startedJSON{s.event("started", 0), file, size, c.Orchestrator.String(), c.Balance.String()})
	s.flush()
}

// see tells what is new, with a report at every change of phase and from time to time. A
// reader that is behind does not stop the transfer: it is told nothing until it has
// taken the lines before, and then all that is new since, as counts are totals.
func (s *stream) see(r *mdalp.Report) {
	if s.flush() {
		s.news(r)
		s.flush()
	}
}

// end tells what is still to be told, and waits for the reader: only the object that ends
// the stream comes behind it. A reader that has taken nothing when ctx ends is told no
// more.
func (s *stream) end(ctx context.Context, r *mdalp.Report) {
	s.news(r)
	for !s.flush() {
		if await(ctx, s.taken) != nil {
			return
		}
	}
}

// news makes the events since the last report.
func (s *stream) news(r *mdalp.Report) {
	at := r.Elapsed
	// A transfer that ended at once may have gone through a phase unseen.
	if s.phase == mdalp.Waiting && len(r.Receivers) > 0 {
		s.phase = mdalp.Pinging
		j := offerJSON{s.event("offer", at), r.TID, []namedJSON{}}
		for i := range r.Receivers {
			j.Receivers = append(j.Receivers, namedJSON{newPeer(r.Receivers[i].Addr), r.Receivers[i].Name})
		}
		s.write(j)
	}
	if s.phase == mdalp.Pinging && r.Segments > 0 {
		s.phase = mdalp.Sending
		s.split(r)
	}
	if s.phase == mdalp.Sending {
		s.changes(r)
	}
	// Once: what the server lacks may be sent again, and that is told as progress. It may be
	// over before anybody has seen it.
	if (r.Phase == mdalp.Finishing || r.Verdict > 0) && !s.finishing {
		s.finishing = true
		s.write(finishingJSON{s.event("finishing", at)})
	}
}

// split tells the outcome of the pings, if there were any, and who gets how much.
func (s *stream) split(r *mdalp.Report) {
	n := len(r.Receivers)
	s.seen, s.dead = make([]doneJSON, n), make([]bool, n)
	pinged := pingedJSON{s.event("pinged", r.Elapsed), r.Ping.String(), []probedJSON{}}
	split := splitJSON{s.event("split", r.Elapsed), r.Segments, r.Extended, newVerdict(r).Segment, []assignedJSON{}}
	sent := 0
	for i := range r.Receivers {
		x := &r.Receivers[i]
		sent += x.Echoes.Sent
		// Both lists have every receiver, in the order of the offer.
		p := newPeer(x.Addr)
		pinged.Receivers = append(pinged.Receivers, probedJSON{p, newEchoes(&x.Echoes), newLatency(x)})
		split.Receivers = append(split.Receivers, assignedJSON{p, shareJSON{x.Share, x.Assigned}})
	}
	// With --ping off, or a balance that needs none, nobody was pinged.
	if sent > 0 {
		s.write(pinged)
	}
	s.write(split)
}

// changes tells which receivers came further, repeated segments, or died. The order
// within a report is repetitions, then deaths, then progress.
func (s *stream) changes(r *mdalp.Report) {
	j := progressJSON{s.event("progress", r.Elapsed), newCounts(r), []doneByJSON{}}
	for i := range r.Receivers {
		x := &r.Receivers[i]
		p, now := newPeer(x.Addr), newDone(x)
		if more := now.Resent - s.seen[i].Resent; more > 0 {
			s.write(resentJSON{s.event("retransmission", r.Elapsed), p, more, now.Resent, now.Timeouts})
			s.seen[i].Resent = now.Resent
		}
		// A late acknowledgement brings a receiver back.
		if died := x.Err != nil; died != s.dead[i] {
			s.dead[i] = died
			if died {
				s.write(deadJSON{s.event("dead", r.Elapsed), p, root(x.Err).Error()})
			} else {
				s.write(revivedJSON{s.event("revived", r.Elapsed), p})
			}
		}
		if now != s.seen[i] {
			y := doneByJSON{peerJSON: p, doneJSON: now}
			if r.Extended {
				y.flowJSON = newFlow(x)
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
func (s *stream) event(name string, at time.Duration) eventJSON {
	return eventJSON{name, sendSchema, inSeconds(at)}
}

// write appends a line.
func (s *stream) write(v any) { encode(&s.text, v) }

// flush has the lines written by a goroutine of its own, as the reader may have stopped.
// It reports whether there is nothing left to write. That nobody reads them any more is
// no reason to stop sending.
func (s *stream) flush() bool {
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
