package sched

import (
	"errors"
	"time"
)

// ErrTries says that a receiver is dead because it acknowledged a segment not
// once in as many transmissions as were allowed.
var ErrTries = errors.New("no acknowledgement")

// Defaults of [TransferConfig].
const (
	DefaultSegment = 100 // bytes: what a receiver takes in one datagram
	DefaultTries   = 8   // transmissions of one segment
)

// TransferConfig says how a transfer behaves. Its zero value works.
type TransferConfig struct {
	// Segment is the largest number of payload bytes in one datagram. 0 means
	// DefaultSegment.
	Segment int
	// Tries is how often one segment is sent before its receiver is dead. 0 means
	// DefaultTries.
	Tries int
	// First bounds how often a segment is sent to a receiver that has not acknowledged
	// anything yet; those known to be lost do not count. It is dead no sooner for that:
	// after the last of them all the timeouts of Tries are waited for. 0 means no bound, and
	// 1 is taken for 2.
	First int
	// Fixed, if not 0, is the timeout of every transmission, instead of RFC 6298's.
	Fixed time.Duration
	// Outstanding bounds the segments that are out at all receivers together, so
	// that their acks fit into the socket's receive buffer. 0 means no bound.
	Outstanding int
	// NoFailover leaves the segments of a dead receiver undelivered.
	NoFailover bool
	// Adaptive lets a receiver that has nothing left take the tail of the one that
	// would finish last.
	Adaptive bool
}

// A Segment is one transmission that a transfer asks for. The compiler keeps up to
// four fields in registers; a fifth would cost 28 instructions a segment.
type Segment struct {
	Seq int64 // its sequence number
	Off int64 // its first byte in the payload
	Len int   // its number of bytes, 1 or more
	Try int   // 1 for the first transmission at this receiver
}

// An Outcome says what an acknowledgement did.
type Outcome uint8

// The outcomes of [Transfer.Ack].
const (
	Fresh     Outcome = iota // it acknowledged the segment that was out
	Duplicate                // that segment was acknowledged, or taken away, before: nothing changed
	Unsent                   // that segment was never sent to this receiver: nothing changed
)

// A Transfer carries one payload to its receivers, which are numbers from 0. It
// does no I/O and reads no clock: [Transfer.Transmit] says what to send,
// [Transfer.Ack] takes what came back, [Transfer.Expire] lets time pass.
//
// Each receiver is sent one segment at a time, all receivers side by side. A
// segment that is not acknowledged in time is sent again (RFC 6298); no segment is
// ever given up while a receiver lives that may take it.
type Transfer struct {
	cfg     TransferConfig
	segment int64
	epoch   time.Time
	now     time.Time     // the latest instant that since was asked for,
	passed  time.Duration // and the time from the epoch to it
	wheel   *Wheel
	to      []sender
	ready   []int32 // ring of the receivers that may send
	head    int     // first of the ring
	waiting int     // length of the ring
	out     int     // receivers with a segment out
	living  int
	left    int64 // segments not acknowledged
	total   int64

	ext *extended // nil in the base protocol
}

// NewTransfer lays out a payload of the sum of shares bytes: receiver i carries
// shares[i] bytes, and sequence numbers run on over the receivers in their
// order. All receivers may send at once.
func NewTransfer(epoch time.Time, shares []int64, cfg TransferConfig) *Transfer {
	if cfg.Segment <= 0 {
		cfg.Segment = DefaultSegment
	}
	if cfg.Tries <= 0 {
		cfg.Tries = DefaultTries
	}
	if cfg.First == 1 {
		cfg.First = 2 // so that no first transmission needs to look
	}
	n := len(shares)
	t := &Transfer{
		cfg: cfg, segment: int64(cfg.Segment), epoch: epoch, wheel: NewWheel(epoch, n),
		to: make([]sender, n), ready: make([]int32, n), living: n,
	}
	var off int64
	for i, share := range shares {
		s := &t.to[i]
		k := (share + t.segment - 1) / t.segment
		s.span = Span{Seq: t.total, End: t.total + k, Off: off, Lim: off + share}
		s.first = t.total
		s.rtt.Fixed = cfg.Fixed
		s.stats.Assigned = k
		off += share
		t.total += k
		if k > 0 {
			t.enqueue(i)
		}
	}
	t.left = t.total
	return t
}

// since is the time from the epoch to now. The calls of one batch have one instant, and a
// comparison costs a third of what the difference does.
func (t *Transfer) since(now time.Time) time.Duration {
	if now != t.now {
		t.now, t.passed = now, now.Sub(t.epoch)
	}
	return t.passed
}

// enqueue puts receiver i at the end of the ready ring.
func (t *Transfer) enqueue(i int) {
	s := &t.to[i]
	if s.queued {
		return
	}
	s.queued = true
	p := t.head + t.waiting
	if p >= len(t.ready) {
		p -= len(t.ready)
	}
	t.ready[p] = int32(i)
	t.waiting++
}

// Transmit gives the next segment to send, and the receiver that gets it. It
// takes the segment for sent at now.
func (t *Transfer) Transmit(now time.Time) (receiver int, seg Segment, ok bool) {
	for t.waiting > 0 {
		if t.cfg.Outstanding > 0 && t.out >= t.cfg.Outstanding {
			return 0, Segment{}, false
		}
		i := int(t.ready[t.head])
		if t.head++; t.head == len(t.ready) {
			t.head = 0
		}
		t.waiting--
		s := &t.to[i]
		s.queued = false
		if s.dead() || s.out || s.span.Len() == 0 {
			continue // what it had to send went elsewhere meanwhile
		}
		s.out = true
		t.out++
		s.sent = t.since(now)
		if s.tries++; s.tries == 1 {
			s.began = s.sent
			s.again = s.did(s.span.Seq)
		} else {
			s.stats.Resent++
		}
		if s.stats.Sent++; s.stats.Sent == 1 {
			s.stats.First = now
		}
		wait := s.rtt.RTO()
		if s.tries > 1 {
			wait = t.patience(s)
		}
		t.wheel.arm(i, s.sent+wait)
		seg.Seq, seg.Off, seg.Len, seg.Try = s.span.Seq, s.span.Off, int(s.span.head(t.segment)), s.tries
		return i, seg, true
	}
	return 0, Segment{}, false
}

// Ack takes receiver i's acknowledgement of segment seq, whatever seq is.
func (t *Transfer) Ack(now time.Time, i int, seq int64) Outcome {
	s := &t.to[i]
	if s.tries == 0 || seq != s.span.Seq || s.span.Len() == 0 {
		if !s.did(seq) {
			return Unsent
		}
		s.stats.Duplicate++
		// Once is enough until it acknowledges something new: a stream of late acks, or
		// of forged ones, must not keep a transfer from its end.
		if !s.pardon {
			t.revive(now, i)
		}
		return Duplicate
	}
	at := t.since(now)
	if s.tries == 1 && !s.again {
		t.sample(s, at-s.sent)
	} else {
		s.rtt.Forgive()
	}
	if s.out {
		t.wheel.Stop(i)
		s.out = false
		t.out--
	}
	s.busy += at - s.began
	s.tries = 0
	s.stats.Acked++
	s.stats.Bytes += s.span.head(t.segment)
	s.stats.Last = now
	s.span.Off += s.span.head(t.segment)
	s.span.Seq++
	t.left--
	t.revive(now, i)
	s.pardon = false
	t.proceed(at, i)
	return Fresh
}

// sample measures a round trip of a segment that was sent once. The ack of one
// that was sent twice may belong to either, so it measures nothing (Karn; RFC 6298,
// section 3).
func (t *Transfer) sample(s *sender, d time.Duration) {
	s.rtt.Sample(d)
	if s.stats.Samples == 0 || d < s.stats.AckMin {
		s.stats.AckMin = d
	}
	s.stats.AckMax = max(s.stats.AckMax, d)
	s.stats.AckSum += d
	s.stats.Samples++
}

// proceed lets receiver i go on: with its next segment, or, when it has none
// left and may help, with some of the slowest receiver's.
func (t *Transfer) proceed(at time.Duration, i int) {
	s := &t.to[i]
	s.next()
	if s.span.Len() == 0 && t.cfg.Adaptive && t.left > 0 {
		t.steal(at, i)
	}
	if s.span.Len() > 0 {
		t.enqueue(i)
	}
}

// Expire takes every timeout that is due: the segment is sent again, or its
// receiver is dead.
func (t *Transfer) Expire(now time.Time) {
	if t.ext != nil {
		t.ext.expire(t.since(now))
		return
	}
	for {
		i, ok := t.wheel.Pop(now)
		if !ok {
			return
		}
		s := &t.to[i]
		s.out = false
		t.out--
		s.stats.Timeouts++
		if s.tries >= t.most(s) {
			t.Kill(now, i, ErrTries)
			continue
		}
		s.rtt.Backoff()
		t.enqueue(i)
		if t.cfg.Adaptive {
			t.help(t.since(now))
		}
	}
}

// Next reports when Expire is due, and of an extended transfer Transmit, too. ok is
// false when no segment is out or waits for its time.
func (t *Transfer) Next() (at time.Time, ok bool) {
	if t.ext != nil {
		d, ok := t.ext.next()
		return t.epoch.Add(d), ok
	}
	return t.wheel.Next()
}
