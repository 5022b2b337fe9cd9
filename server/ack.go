package server

import "mdalp/loop"

const (
	// maxAcks is how many acknowledgements may wait to be sent.
	maxAcks = 4096
	// leastAcks of them one transaction may have in any case. A client of the base
	// protocol has one segment out at each receiver, so twice the receivers are enough.
	leastAcks = 64
	// offerEvery is how many acknowledgements may go before an offer that waits.
	offerEvery = 16
)

// An ack is an acknowledgement that waits to be sent.
type ack struct {
	seq  int64
	path intent // where the segment came from and to
	next int32  // of the same transaction, or the next free place
}

// acks are the acknowledgements that wait: a list for each transaction, and the
// transactions take turns. So one that draws very many does not hold up the others. All
// lists share one array, which grows up to maxAcks and then stays.
type acks struct {
	all   []ack
	free  int32 // the first free place, or none
	waits int
	share int // most of one transaction
	turns fifo[*flow]
}

// ackList is the part of one transaction.
type ackList struct {
	first, last int32
	n           int
}

// put queues an acknowledgement of f; false when there is no place for it. One that came
// again (dup) and waits already is not queued twice.
func (q *acks) put(f *flow, seq int64, e *loop.Envelope, dup bool) bool {
	l := &f.acks
	if dup {
		for i, k := l.first, 0; k < l.n; i, k = q.all[i].next, k+1 {
			if a := &q.all[i]; a.seq == seq && a.path.is(e) {
				return true
			}
		}
	}
	if l.n >= q.share || q.waits >= maxAcks {
		return false
	}
	i := q.free
	if i != none {
		q.free = q.all[i].next
	} else {
		i = int32(len(q.all))
		q.all = append(q.all, ack{})
	}
	a := &q.all[i]
	a.seq, a.next = seq, none
	a.path.from(e)
	if l.n == 0 {
		l.first = i
		q.turns.push(f)
	} else {
		q.all[l.last].next = i
	}
	l.last = i
	l.n++
	q.waits++
	return true
}

// get takes the next one in turn; there must be one. Its place is free again: a is valid
// until the next put.
func (q *acks) get() (f *flow, a *ack) {
	f = q.turns.pop()
	l := &f.acks
	i := l.first
	a = &q.all[i]
	l.first = a.next
	a.next, q.free = q.free, i
	q.waits--
	if l.n--; l.n > 0 {
		q.turns.push(f)
	}
	return f, a
}
