package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"mdalp/internal/pcapng"
	"mdalp/internal/trace"
	"mdalp/wire"
)

// flow is what went from a client to a receiver in a transaction. The TID alone would
// not do: several clients and orchestrators may be in one capture.
type flow struct {
	client, receiver netip.AddrPort
	tid              int64
}

// A sending is a datagram with a segment, as a capture has it.
type sending struct {
	seq int64
	at  time.Time
}

// sendings are all of a capture. [trace.Trace] tells which transmission of a segment was
// acknowledged; the instants of the others are kept here.
type sendings struct {
	of map[flow][]sending
	n  int // all, also those that are not kept
}

// maxSendings bounds those that are kept. Of more no picture shows single ones, and a
// gigabyte has a million.
const maxSendings = 1 << 20

// add takes a datagram if it is a segment. What has neither TID nor SEQ is no segment
// to trace.Analyzer either: the two must agree.
func (s *sendings) add(d *pcapng.Datagram) {
	if d.Proto != pcapng.UDP {
		return
	}
	m, err := wire.Parse(d.Data)
	if err != nil || m.Type != wire.Data || m.TID == wire.Absent || m.Seq == wire.Absent {
		return
	}
	k := flow{d.Src, d.Dst, m.TID}
	if s.n++; s.n <= maxSendings {
		s.of[k] = append(s.of[k], sending{m.Seq, d.At})
	}
}

// readCapture reads the transactions of a capture that sent something. All that came
// before some damage is given together with the error. Without a transaction the error
// comes with nil, which says that there is nothing to draw; an undamaged capture gives
// a list that is empty but not nil.
func readCapture(in io.Reader) ([]*transfer, error) {
	p, err := pcapng.NewReader(in)
	if err != nil {
		if err == pcapng.ErrFormat { // one that wraps it knows what the file is
			err = errors.New("neither a capture (pcapng or pcap) nor the JSON of mdalp")
		}
		return nil, bare(err)
	}
	var a trace.Analyzer
	var d pcapng.Datagram
	sent := &sendings{of: make(map[flow][]sending)}
	for err == nil {
		if err = p.Next(&d); err == nil {
			if a.Add(&d) { // a second copy was not sent again
				sent.add(&d)
			}
		}
	}
	all, untimed := []*transfer{}, false
	found := a.Finish().Transactions
	// They are sorted by their beginnings, so the next with that TID is the one behind.
	for i, x := range found {
		// Asking alone, or pings, leaves nothing to draw.
		if x.Datagrams == 0 {
			continue
		}
		if x.Begin.IsZero() {
			untimed = true
			continue
		}
		// Sendings are kept by TID, and an orchestrator may use a TID anew: then only their
		// instants tell which transaction they belong to.
		until := time.Time{} // of the next transaction with the same TID
		for _, y := range found[i+1:] {
			if y.TID == x.TID && y.Client == x.Client && y.Datagrams > 0 {
				until = y.Begin
				break
			}
		}
		all = append(all, newTransfer(x, sent, until))
	}
	// A picture is of times.
	if len(all) == 0 && untimed {
		return nil, errors.New("its packets have no times: nothing can be drawn of it")
	}
	// Frames as Wireshark numbers them, for whoever wants to look at the place.
	frames := p.Stats().Frames
	switch {
	case err == io.EOF:
		return all, nil
	case errors.Is(err, io.ErrUnexpectedEOF):
		err = fmt.Errorf("the capture ends in the middle of packet %d: it was cut", frames+1)
	default:
		err = fmt.Errorf("the capture is damaged after packet %d: %w", frames, bare(err))
	}
	if len(all) == 0 {
		return nil, err
	}
	return all, err
}

// newTransfer makes a transfer of a transaction, which ended before until if that is not
// the zero Time.
func newTransfer(x *trace.Transaction, sent *sendings, until time.Time) *transfer {
	t := &transfer{tid: x.TID, size: x.Bytes, segments: x.Segments, slot: x.Slot, large: sent.n > maxSendings}
	for _, y := range x.Receivers {
		r := &receiver{addr: y.Addr, name: y.Name, bytes: y.Bytes, acked: y.Acked}
		if len(y.Echoes) > 0 {
			r.latency = trace.SpreadOf(y.Echoes).Mean
		}
		r.take(y)
		// Of very many delays only a part is kept.
		t.large = t.large || y.Timed() > int64(len(y.Delays))
		// Where transmissions have numbers, each may be acknowledged.
		type try struct {
			seq int64
			n   int
		}
		acks, first := make(map[try]time.Duration, len(y.Delays)), make(map[int64]int, len(y.Delays))
		for _, d := range y.Delays {
			acks[try{d.Seq, d.Try}] = d.Took
			if n := first[d.Seq]; n == 0 || d.Try < n {
				first[d.Seq] = d.Try
			}
			r.delays = append(r.delays, d.Took)
		}
		// How long these took is not known: their acks are in the capture before them.
		for _, seq := range y.Untimed {
			if first[seq] == 0 {
				acks[try{seq, 1}], first[seq] = 0, 1
			}
		}
		// Transmissions count from 1 in the order of the capture, as in trace.Delay.Try.
		tries := make(map[int64]int)
		for _, s := range sent.of[flow{x.Client, y.Addr, x.TID}] {
			// Without a time there is no place for it.
			if s.at.Before(x.Begin) || !until.IsZero() && !s.at.Before(until) {
				continue
			}
			tries[s.seq]++
			h := shot{seq: s.seq, at: s.at.Sub(x.Begin).Seconds(), try: tries[s.seq], state: unanswered}
			// Transmissions before the acknowledged one stay unanswered; those behind it were sent
			// while its acknowledgement was on the way.
			if took, ok := acks[try{s.seq, h.try}]; ok {
				h.state, h.took = answered, took
			} else if n := first[s.seq]; n > 0 && h.try > n {
				h.state = needless
			}
			r.shots = append(r.shots, h)
		}
		r.link()
		t.receivers = append(t.receivers, r)
	}
	return t
}
