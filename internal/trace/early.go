package trace

import "time"

// soon is how long an answer may be in a capture before what it answers: packets of two
// queues of a network card, or of two interfaces, are not always written in their order.
const soon = 50 * time.Millisecond

// maxEarly bounds the answers that wait, and is how many others may come in between
// where there are no times.
const maxEarly = 64

// moment reports whether what came at a moment before what comes at b is near enough, with
// gap others in between.
func moment(a, b time.Time, gap int64) bool {
	if a.IsZero() || b.IsZero() {
		return gap <= maxEarly
	}
	return b.Sub(a).Abs() <= soon
}

// early are the latest acks that acknowledge what has not been sent yet, in a ring.
type early struct {
	all  []earlyAck
	next int
}

type earlyAck struct {
	seq   int64
	at    time.Time
	count int64 // segments that came before it
}

// put keeps an ack.
func (e *early) put(seq int64, at time.Time, count int64) {
	x := earlyAck{seq, at, count}
	if len(e.all) < maxEarly {
		e.all = append(e.all, x)
		return
	}
	e.all[e.next] = x
	e.next = (e.next + 1) % maxEarly
}

// take reports whether a segment was acknowledged a moment before it came, and forgets
// that.
func (e *early) take(seq int64, at time.Time, count int64) bool {
	for i := range e.all {
		if x := &e.all[i]; x.seq == seq && moment(x.at, at, count-x.count) {
			x.seq = -1
			return true
		}
	}
	return false
}
