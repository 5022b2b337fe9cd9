package sched

import (
	"cmp"
	"slices"
)

// have takes SEQs that are stored already, as rising ranges.
func (x *extended) have(ranges []Range) (told int64) {
	x.gen++
	for i := range x.to {
		l := &x.to[i]
		gone := l.fresh.without(ranges)
		x.unsent -= gone
		told += gone
		f := &l.flight
		for num := f.oldest; num < f.next; num++ {
			// One that is out alone is made one of several, of a SEQ that is delivered.
			if s := f.at(num); s.flags&(isOut|isShared) == isOut && within(ranges, s.seq) {
				s.flags |= isShared
				told++
			}
		}
	}
	gone := x.unowned.without(ranges)
	x.unsent -= gone
	told += gone
	gone = x.pool.without(ranges)
	x.unsent -= gone
	told += gone
	x.reclaim()
	for seq, h := range x.ledger.held { // order does not show
		if within(ranges, seq) {
			if h.queued {
				x.ledger.queued--
			}
			delete(x.ledger.held, seq)
			told++
		}
	}
	x.left -= told
	x.had += told
	return told
}

// reclaim makes the claims add up to what is left in the pool: each keeps its part.
func (x *extended) reclaim() {
	all := x.open
	for i := range x.to {
		all += x.to[i].claim
	}
	if all == x.pool.n {
		return
	}
	// Rounded are the sums, so that the last gets what is left.
	var sum, given int64
	for i := range x.to {
		l := &x.to[i]
		sum += l.claim
		to := int64(float64(x.pool.n) * (float64(sum) / float64(all)))
		if sum == all {
			to = x.pool.n
		}
		l.claim, given = to-given, to
	}
	x.open = x.pool.n - given
}

// within reports whether rising ranges hold a number.
func within(ranges []Range, k int64) bool {
	at, _ := slices.BinarySearchFunc(ranges, k, func(r Range, k int64) int { return cmp.Compare(r.Last, k) })
	return at < len(ranges) && ranges[at].First <= k
}

// reopen lets SEQs from..upto-1 be sent again that are delivered, but are not in
// ranges, which rise.
func (x *extended) reopen(from, upto int64, ranges []Range) (again int64) {
	var heir *lane
	for i := range x.to {
		if l := &x.to[i]; !l.dead() && (heir == nil || l.speed() > heir.speed()) {
			heir = l
		}
	}
	to := &x.unowned
	if heir != nil {
		to = &heir.fresh
	}
	var gaps runs
	gaps.push(max(0, from), min(upto, x.total))
	gaps.without(ranges)
	open := x.missing()
	pending := make([]Range, len(open))
	for k, s := range open {
		pending[k] = Range{s.Seq, s.End - 1}
	}
	gaps.without(pending)
	again = gaps.n
	for _, r := range gaps.q[gaps.head:] {
		x.back += min(r.end*int64(x.segment), x.size) - r.first*int64(x.segment)
	}
	x.void(&gaps)
	gaps.cut(gaps.n, to)
	x.unsent += again
	x.left += again
	x.had -= again
	x.gen++
	for i := range x.to {
		l := &x.to[i]
		l.stuck = false
		// When all was delivered nobody waited for its acknowledgement any more, and it
		// gets no more before it has given one: it would be neither dead nor of any use.
		if x.left > 0 && l.spent() {
			x.kill(i, ErrSilent)
		}
	}
	return again
}

// void lets what was sent of SEQs that are taken back deliver them no more: an ack that
// is under way may be older than the loss.
func (x *extended) void(gaps *runs) {
	for i := range x.to {
		f := &x.to[i].flight
		for num := f.head; num < f.next; num++ {
			s := f.at(num)
			if s.flags&isAcked == 0 && slices.ContainsFunc(gaps.q,
				func(r run) bool { return r.first <= s.seq && s.seq < r.end }) {
				s.flags |= isVoid
			}
		}
	}
}

// missing lists what is not delivered, in order, as spans that do not touch.
func (x *extended) missing() []Span {
	var all []run
	all = append(all, x.unowned.q[x.unowned.head:]...)
	all = append(all, x.pool.q[x.pool.head:]...)
	for i := range x.to {
		l := &x.to[i]
		all = append(all, l.fresh.q[l.fresh.head:]...)
		f := &l.flight
		for num := f.oldest; num < f.next; num++ {
			if s := f.at(num); s.flags&(isOut|isShared) == isOut {
				all = append(all, run{s.seq, s.seq + 1})
			}
		}
	}
	for seq := range x.ledger.held { // order does not show
		all = append(all, run{seq, seq + 1})
	}
	slices.SortFunc(all, func(a, b run) int { return cmp.Compare(a.first, b.first) })
	var spans []Span
	for _, r := range all {
		if n := len(spans); n > 0 && spans[n-1].End == r.first {
			spans[n-1].End = r.end
		} else {
			spans = append(spans, Span{Seq: r.first, End: r.end})
		}
	}
	for k := range spans {
		s := &spans[k]
		s.Off, s.Lim = s.Seq*int64(x.segment), min(s.End*int64(x.segment), x.size)
	}
	return spans
}
