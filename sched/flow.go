package sched

import "time"

// The methods of a Transfer that only an extended one has.

// TransmitNum is Transmit of an extended transfer. Each transmission to a receiver has a
// NUM of its own, 0 for the first. Try is 1 for a segment that goes out for the first
// time, and 2 for any other. Segments to one receiver come in a row, up to 64 KiB.
func (t *Transfer) TransmitNum(now time.Time) (receiver int, seg Segment, num int64, ok bool) {
	return t.ext.transmit(t.since(now))
}

// AckRanges takes receiver i's acknowledgement, whatever is in it: ranges of NUM, the
// largest first and with gaps between. newly is how many transmissions it acknowledges
// that were not before. An ack of a NUM that was never sent changes nothing at all and
// is Unsent; one that says nothing new is Duplicate. ranges is not kept.
func (t *Transfer) AckRanges(now time.Time, i int, ranges []Range) (newly int64, o Outcome) {
	return t.ext.ack(t.since(now), i, ranges)
}

// Have takes SEQs that are stored at the other end already, as rising ranges that do
// not overlap: they are delivered, and not sent. It returns how many of them were not
// known to be.
func (t *Transfer) Have(ranges []Range) (told int64) { return t.ext.have(ranges) }

// Reopen lets those of SEQs from to upto-1 be sent again that were acknowledged, but
// are not among the stored, which are rising ranges. What is not delivered anyway is
// left as it is. It returns how many these are. Only what was acknowledged before the
// stored were listed may be within from and upto.
func (t *Transfer) Reopen(from, upto int64, stored []Range) (again int64) {
	return t.ext.reopen(from, upto, stored)
}

// Reopened is how many bytes Reopen has taken back in all: they count as often in the Stats
// as they were acknowledged.
func (t *Transfer) Reopened() int64 { return t.ext.back }

// Astray says that one transmission to a receiver is known not to have arrived: it does not
// count among the few that a silent one gets.
func (t *Transfer) Astray(receiver int) {
	if l := &t.ext.to[receiver]; l.astray < l.stats.Sent {
		l.astray++
	}
}

// A Flow is what is known of the way to a receiver of an extended transfer.
type Flow struct {
	Out      int   // segments in flight
	InFlight int64 // their payload bytes
	Window   int64 // most payload bytes in flight: the congestion window, and what the receiver takes

	RTT      time.Duration // smoothed round trip; guessed before the first sample
	LeastRTT time.Duration // least round trip, 0 before the first sample
	Rate     float64       // bytes a second that it delivers, 0 if that is not known
	Pace     float64       // bytes a second that it is sent at most, 0 if it is not paced

	Silent    int   // probe timeouts since the last ack
	SlowStart bool  // the window has met no limit yet
	Queued    int64 // segments that wait for it alone
}

// Flow tells about receiver i.
func (t *Transfer) Flow(i int) Flow {
	l := &t.ext.to[i]
	f := Flow{
		Out: l.flight.out, InFlight: l.flight.bytes,
		Window: min(l.control.window(), int64(l.window)*t.segment),
		RTT:    l.recovery.smoothed, LeastRTT: l.recovery.least, Rate: l.rate * 1e9,
		Silent: l.recovery.backoff, SlowStart: l.control.fixed == 0 && l.control.cubic.slowStart(),
		Queued: l.unsent(),
	}
	if l.pacer.price > 0 {
		f.Pace = 1e9 / l.pacer.price
	}
	return f
}
