package sched

import (
	"cmp"
	"slices"
)

// A Range is a run of whole numbers, First to Last, both in it: NUMs in an ack, or
// SEQs in a state.
type Range struct{ First, Last int64 }

// A run is SEQs first to end-1.
type run struct{ first, end int64 }

// runs is a queue of SEQs, kept as runs. Neighbours that are put in one after the
// other are one run, so that what is long costs little.
type runs struct {
	q    []run
	head int
	n    int64 // SEQs in it
}

// push puts SEQs first to end-1 at the end.
func (r *runs) push(first, end int64) {
	if first >= end {
		return
	}
	r.n += end - first
	if k := len(r.q); k > r.head && r.q[k-1].end == first {
		r.q[k-1].end = end
		return
	}
	if r.head > len(r.q)/2 && len(r.q) == cap(r.q) {
		r.q = r.q[:copy(r.q, r.q[r.head:])]
		r.head = 0
	}
	r.q = append(r.q, run{first, end})
}

// pop takes the first SEQ; there is one.
func (r *runs) pop() int64 {
	first := &r.q[r.head]
	seq := first.first
	first.first++
	r.n--
	if first.first == first.end {
		if r.head++; r.head == len(r.q) {
			r.q, r.head = r.q[:0], 0
		}
	}
	return seq
}

// take moves the first n SEQs to the end of another queue; n is at most r.n.
func (r *runs) take(n int64, to *runs) {
	r.n -= n
	for n > 0 {
		first := &r.q[r.head]
		k := min(n, first.end-first.first)
		to.push(first.first, first.first+k)
		first.first += k
		n -= k
		if first.first == first.end {
			r.head++
		}
	}
	if r.head == len(r.q) {
		r.q, r.head = r.q[:0], 0
	}
}

// cut moves the last n SEQs to the end of another queue, in order where they are
// neighbours; n is at most r.n.
func (r *runs) cut(n int64, to *runs) {
	r.n -= n
	at := len(r.q)
	for left := n; left > 0; {
		at--
		if k := r.q[at].end - r.q[at].first; k <= left {
			left -= k
			continue
		}
		split := r.q[at].end - left
		to.push(split, r.q[at].end)
		r.q[at].end = split
		at++
		break
	}
	for _, x := range r.q[at:] {
		to.push(x.first, x.end)
	}
	if r.q = r.q[:at]; r.head == at {
		r.q, r.head = r.q[:0], 0
	}
}

// without takes out what is in ranges, which rise, and says how many SEQs that were.
func (r *runs) without(ranges []Range) (gone int64) {
	old, had := r.q[r.head:], r.n
	*r = runs{}
	for _, x := range old {
		// The runs of a queue are in no order.
		k, _ := slices.BinarySearchFunc(ranges, x.first,
			func(h Range, seq int64) int {
				return cmp.Compare(h.Last, seq)
			})
		for _, h := range ranges[k:] {
			if h.First >= x.end {
				break
			}
			r.push(x.first, h.First)
			x.first = h.Last + 1
		}
		r.push(x.first, x.end)
	}
	return had - r.n
}

// A holding is a SEQ that is not delivered and was sent more than once, or is to be.
type holding struct {
	out    int32 // transmissions of it in flight
	queued bool  // it waits in a queue to be sent again
}

// A ledger knows the SEQs that are not delivered and are held in more than one place,
// or were. All others need no entry: what was never sent is in a queue of what is
// new, what was sent once is in the flight that it went to, and the rest is
// delivered. So what a transfer remembers of its SEQs is at most what is in flight
// and in queues, however large the payload is.
type ledger struct {
	held   map[int64]holding
	queued int64 // how many of these wait in a queue
}

// queue notes that a SEQ waits to be sent again. It says false where it does already.
func (l *ledger) queue(seq int64, h holding) bool {
	if h.queued {
		return false
	}
	h.queued = true
	l.held[seq] = h
	l.queued++
	return true
}

// lost takes a transmission out of the flight that was lost, and reports whether its
// SEQ must be sent again.
func (l *ledger) lost(s *shot) bool {
	if s.flags&isShared == 0 {
		s.flags |= isShared // its ack may come, and another copy's
		return l.queue(s.seq, holding{})
	}
	h, open := l.held[s.seq]
	if !open || s.flags&isVoid != 0 {
		return false // delivered by another transmission
	}
	h.out--
	l.held[s.seq] = h
	return h.out == 0 && l.queue(s.seq, h)
}

// share notes that a SEQ that is out is sent once more. It says false where it is
// delivered already.
func (l *ledger) share(s *shot) bool {
	h, open := l.held[s.seq]
	switch {
	case s.flags&isShared == 0:
		h = holding{out: 1}
		s.flags |= isShared
	case !open || s.flags&isVoid != 0:
		return false
	}
	h.out++
	l.held[s.seq] = h
	return true
}

// resend takes a SEQ from a queue. It says false where it was delivered meanwhile.
func (l *ledger) resend(seq int64) bool {
	h, open := l.held[seq]
	if !open || !h.queued {
		return false
	}
	l.queued--
	h.out++
	h.queued = false
	l.held[seq] = h
	return true
}

// deliver notes that a transmission was acknowledged, and reports whether its SEQ is
// delivered by that: a byte counts once.
func (l *ledger) deliver(s *shot) bool {
	if s.flags&isShared == 0 {
		return true
	}
	h, open := l.held[s.seq]
	if !open || s.flags&isVoid != 0 {
		return false
	}
	if h.queued {
		l.queued--
	}
	delete(l.held, s.seq)
	return true
}
