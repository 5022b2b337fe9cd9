package sched

import "time"

// A Span is a run of consecutive segments and the bytes that they carry.
// Segments Seq to End-1 carry bytes Off to Lim-1 of the payload; every segment
// but the last is full. The segments of a transfer are cut per receiver, so a
// span can be cut in two but two spans can not always be joined.
type Span struct {
	Seq, End int64 // first segment, and one past the last
	Off, Lim int64 // first byte, and one past the last
}

// Len is the number of segments.
func (s Span) Len() int64 { return s.End - s.Seq }

// head is the first segment's number of bytes.
func (s Span) head(segment int64) int64 { return min(segment, s.Lim-s.Off) }

// drop is the span without its first n segments; n is at most s.Len().
func (s Span) drop(n, segment int64) Span {
	s.Seq += n
	s.Off = min(s.Off+n*segment, s.Lim)
	return s
}

// take is the first n segments of the span; n is at most s.Len().
func (s Span) take(n, segment int64) Span {
	s.End = s.Seq + n
	s.Lim = min(s.Off+n*segment, s.Lim)
	return s
}

// SenderStats is what one receiver was sent and what it acknowledged.
type SenderStats struct {
	Assigned  int64 // segments it was to carry at the start
	Bytes     int64 // payload bytes it acknowledged
	Acked     int64 // segments it acknowledged
	Sent      int64 // datagrams sent, repetitions too
	Resent    int64 // repetitions
	Timeouts  int64 // retransmission timeouts
	Duplicate int64 // acks of a segment that it had acknowledged, or that was taken from it
	Took      int64 // segments taken over from other receivers
	Gave      int64 // segments given to other receivers

	// Of an extended transfer. Its Timeouts are probe timeouts, its Resent are all
	// segments that were sent before, to whomever, and its Duplicate are acks.
	Lost     int64 // transmissions that were said to be lost
	Spurious int64 // of these, acknowledged after all

	// Samples counts the acks that measured a round trip: those of segments sent
	// once (Karn's rule). AckMin, AckMax and AckSum are over these.
	Samples                int64
	AckMin, AckMax, AckSum time.Duration

	First, Last time.Time // first transmission, last new ack; zero if none
	Err         error     // why it is dead; nil while it lives
}

// AckMean is the mean round trip of the acknowledgements, 0 if none was measured.
func (s *SenderStats) AckMean() time.Duration {
	if s.Samples == 0 {
		return 0
	}
	return s.AckSum / time.Duration(s.Samples)
}

// A sender is the stop-and-wait of one receiver: at most one segment, the first
// of span, is out and not acknowledged.
type sender struct {
	span   Span          // what is to be acknowledged next; Len 0: idle
	out    bool          // span's first segment is out
	queued bool          // in the ready ring
	pardon bool          // it was brought back from the dead since its last new ack
	tries  int           // transmissions of span's first segment
	lost   int           // those known to be lost; it counts before the first ack, and so of one segment
	judged int64         // the last that Hint or Lost has spoken of, as stats.Sent counts them
	again  bool          // it was sent to this receiver earlier, before it was taken away
	began  time.Duration // its first transmission, since the epoch
	sent   time.Duration // its last transmission, since the epoch
	busy   time.Duration // time during which a segment was out, up to the last ack
	rtt    RTT
	rest   []Span // what comes after span
	past   []Span // what was acknowledged or taken away, apart from this span's own start
	first  int64  // the first segment of span before any was acknowledged
	stats  SenderStats

	refusal refusal
}

func (s *sender) dead() bool { return s.stats.Err != nil }

// backlog is the number of segments not acknowledged.
func (s *sender) backlog() int64 {
	n := s.span.Len()
	for _, r := range s.rest {
		n += r.Len()
	}
	return n
}

// did reports whether seq was acknowledged by this receiver, or was out at it
// when it was taken away: an ack of it is late, not foreign.
func (s *sender) did(seq int64) bool {
	if seq >= s.first && seq < s.span.Seq {
		return true
	}
	for _, p := range s.past {
		if seq >= p.Seq && seq < p.End {
			return true
		}
	}
	return false
}

// remember puts segments seq to end-1 into past. Runs that touch are joined: a
// receiver that dies and comes back again and again costs no memory.
func (s *sender) remember(seq, end int64) {
	if seq == end {
		return
	}
	for k := range s.past {
		if p := &s.past[k]; seq <= p.End && end >= p.Seq {
			p.Seq, p.End = min(p.Seq, seq), max(p.End, end)
			return
		}
	}
	s.past = append(s.past, Span{Seq: seq, End: end})
}

// next makes the next run current when the current one is used up.
func (s *sender) next() {
	if s.span.Len() > 0 || len(s.rest) == 0 {
		return
	}
	s.remember(s.first, s.span.Seq)
	s.span, s.rest = s.rest[0], s.rest[1:]
	s.first = s.span.Seq
}

// give appends a run to what this receiver has to carry.
func (s *sender) give(r Span) {
	s.rest = append(s.rest, r)
	s.stats.Took += r.Len()
	s.next()
}

// strip takes everything away that is not acknowledged.
func (s *sender) strip() []Span {
	all := append([]Span{s.span}, s.rest...)
	end := s.span.Seq
	if s.tries > 0 {
		end++ // it was out: its ack may still come
	}
	s.remember(s.first, end)
	s.stats.Gave += s.backlog()
	s.span.Seq, s.span.Off = s.span.End, s.span.Lim
	s.first = s.span.Seq
	s.rest, s.tries, s.out = nil, 0, false
	s.lost = 0
	return all
}

// cut takes the last n segments away, from the last run backwards. What is out
// stays.
func (s *sender) cut(n, segment int64) []Span {
	var got []Span
	s.stats.Gave += n
	for n > 0 && len(s.rest) > 0 {
		l := &s.rest[len(s.rest)-1]
		k := min(n, l.Len())
		got = append(got, l.drop(l.Len()-k, segment))
		*l = l.take(l.Len()-k, segment)
		if l.Len() == 0 {
			s.rest = s.rest[:len(s.rest)-1]
		}
		n -= k
	}
	if n > 0 {
		got = append(got, s.span.drop(s.span.Len()-n, segment))
		s.span = s.span.take(s.span.Len()-n, segment)
	}
	return got
}

// perSegment is the time that this receiver takes for a segment, losses included: the
// mean of what it took so far. A segment that has been out for longer than that
// says that it has become slower. Without any acknowledgement it is the first
// timeout.
func (s *sender) perSegment(now time.Duration) time.Duration {
	d := FirstRTO
	if s.stats.Acked > 0 {
		d = s.busy / time.Duration(s.stats.Acked)
	}
	if s.tries > 0 {
		d = max(d, now-s.began)
	}
	return max(d, 1)
}
