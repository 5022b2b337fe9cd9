package trace

import (
	"net/netip"
	"time"

	"mdalp/internal/pcapng"
	"mdalp/wire"
)

// The bounds of what is kept of segments that are out. In a capture without
// acknowledgements all are, for ever.
const (
	maxOpen     = 1 << 16 // segments, by receiver
	maxDoubtful = 1 << 14 // by receiver
	maxTries    = 64      // transmissions of one whose instants are kept
)

// receiver gives the receiver at an address, and makes it if need be, but does not put
// it into the order.
func (t *Transaction) receiver(addr netip.AddrPort) *Receiver {
	r := t.byAddr[addr]
	if r == nil {
		r = &Receiver{Addr: addr, open: make(map[int64]*shot), floor: -1, top: -1, largest: -1,
			tried: make(map[int64]int)}
		r.sent.rough, r.acked.rough, r.nums.rough = true, true, true
		r.told.Last = -1
		t.byAddr[addr] = r
	}
	return r
}

// met is receiver for one that was met on the way.
func (t *Transaction) met(addr netip.AddrPort) *Receiver {
	if t.byAddr[addr] == nil && len(t.byAddr) < maxReceivers {
		t.Receivers = append(t.Receivers, t.receiver(addr))
	}
	return t.byAddr[addr]
}

// data takes a segment. count is the datagram's number.
func (t *Transaction) data(d *pcapng.Datagram, m *wire.Message, count int64) {
	r := t.met(d.Dst)
	if r == nil {
		return
	}
	if t.begun == 0 {
		t.begun = count
		t.Begin = d.At
	}
	t.End = later(t.End, d.At)
	t.Datagrams++
	if r.Datagrams++; r.Datagrams == 1 {
		r.First = d.At
	}
	if m.Num != wire.Absent {
		t.segment(r, d, m)
		return
	}
	size := int64(len(m.Data) + d.Missing)
	if !r.sent.add(m.Seq) {
		t.count(r, d.At, slot{sent: size, again: 1, flight: int64(len(r.open))})
		if s := r.open[m.Seq]; s != nil && len(s.again) < maxTries {
			s.again = append(s.again, d.At)
		}
		return
	}
	r.Segments++
	r.Bytes += size
	if t.sent.add(m.Seq) {
		t.Segments++
		t.Bytes += size
	} else if t.moved.add(m.Seq) {
		t.Moved++
	}
	if r.early.take(m.Seq, d.At, r.Datagrams) {
		r.Unsent--
		t.take(r, m.Seq, d.At)
		r.AckedBytes += size
		r.untimed(m.Seq)
		return
	}
	r.put(&shot{seq: m.Seq, sent: d.At, bytes: size})
	t.count(r, d.At, slot{sent: size, flight: int64(len(r.open))})
}

// put keeps a segment that is out. Where there are too many the oldest is forgotten: its
// ack counts then, and has no delay.
func (r *Receiver) put(s *shot) {
	if len(r.open) >= maxOpen {
		for len(r.queue) > 0 && r.open[r.queue[0]] == nil {
			r.queue = r.queue[1:]
		}
		delete(r.open, r.queue[0])
	}
	r.open[s.seq] = s
	r.queue = append(r.queue, s.seq)
	// Acknowledged ones stay in the queue until there are more of them than of others.
	if len(r.queue) > 64 && len(r.queue) > 2*len(r.open) {
		left := r.queue[:0]
		for _, seq := range r.queue {
			if r.open[seq] != nil {
				left = append(left, seq)
			}
		}
		r.queue = left
	}
}

// ack takes an acknowledgement, and the ranges that a newer receiver tells with it.
func (t *Transaction) ack(d *pcapng.Datagram, m *wire.Message) {
	r := t.met(d.Src)
	if r == nil {
		return
	}
	switch {
	case !r.sent.has(m.Seq):
		r.Unsent++
		r.early.put(m.Seq, d.At, r.Datagrams)
	case r.acked.has(m.Seq):
		r.Duplicate++
	default:
		t.acknowledged(r, m.Seq, d.At)
	}
	ranges, err := wire.ParseRanges(m.Data)
	if err != nil {
		return
	}
	for _, x := range ranges {
		// Whichever is shorter is walked: a range is a stranger's word and may span 2^63 numbers,
		// which the test for seq >= 0 ends where adding 1 wraps round.
		if x.Last-x.First < int64(len(r.open)) {
			for seq := x.First; seq <= x.Last && seq >= 0; seq++ {
				if r.open[seq] != nil {
					t.acknowledged(r, seq, d.At)
				}
			}
			continue
		}
		for _, seq := range r.queue {
			if x.First <= seq && seq <= x.Last && r.open[seq] != nil {
				t.acknowledged(r, seq, d.At)
			}
		}
	}
}

// take notes that a segment is acknowledged.
func (t *Transaction) take(r *Receiver, seq int64, at time.Time) {
	r.acked.add(seq)
	r.Acked++
	r.Last, t.End = later(r.Last, at), later(t.End, at)
	if t.acked.add(seq) {
		t.Acked++
	}
}

// acknowledged takes the ack of a segment that was sent, and works out its delay, unless it was
// sent more than once.
func (t *Transaction) acknowledged(r *Receiver, seq int64, at time.Time) {
	t.take(r, seq, at)
	s := r.open[seq]
	if s == nil {
		return
	}
	delete(r.open, seq)
	s.acked = at
	r.AckedBytes += s.bytes
	t.count(r, at, slot{acked: s.bytes})
	switch {
	case len(s.again) > 0 && len(r.doubtful) < maxDoubtful:
		r.doubtful = append(r.doubtful, s)
	case len(s.again) > 0:
		r.attribute(s)
	default:
		if took, ok := between(s.sent, at); ok {
			if r.floor < 0 || took < r.floor {
				r.floor = took
			}
			r.delay(Delay{Seq: seq, Sent: s.sent, Took: took, Try: 1})
		} else {
			r.untimed(seq)
		}
	}
}

// attribute finds which transmission of a segment its ack belongs to: the last before
// the ack, unless that would have been answered in less than half of the least delay
// that is beyond doubt: then the ack was under way already, and belongs to the one
// before.
func (r *Receiver) attribute(s *shot) {
	sent, try := s.sent, 1
	for i, at := range s.again {
		// A transmission behind the ack cannot have caused it, nor can any after that one. Where
		// there are no times, those that are in the capture before it can.
		if took, ok := between(at, s.acked); !ok && !at.IsZero() && !s.acked.IsZero() ||
			ok && took < max(0, r.floor)/2 {
			break
		}
		sent, try = at, i+2
	}
	if try > 1 {
		r.Lost++
	}
	if took, ok := between(sent, s.acked); ok {
		r.delay(Delay{Seq: s.seq, Sent: sent, Took: took, Try: try})
	} else {
		r.untimed(s.seq)
	}
}

// delay takes a delay into the sums, and into the list as far as there is room.
func (r *Receiver) delay(d Delay) {
	r.spread.add(d.Took)
	r.thin.add(&r.Delays, d)
}

// untimed notes a segment that was acknowledged without a delay.
func (r *Receiver) untimed(seq int64) {
	if len(r.Untimed) < maxListed {
		r.Untimed = append(r.Untimed, seq)
	}
}

// later gives the later instant; one that is not known is the earliest.
func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
