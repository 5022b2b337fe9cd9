package trace

import (
	"math"
	"slices"
	"time"

	"mdalp/wire"
)

// Finish works out what can be told only at the end. The Analyzer must not be used
// after it.
func (a *Analyzer) Finish() *Trace {
	tr := &a.trace
	for _, k := range a.asked {
		if i := a.intents[k]; i != nil {
			tr.Unanswered = append(tr.Unanswered, *i)
			delete(a.intents, k)
		}
	}
	tr.Transactions = a.open
	for _, t := range a.open {
		for _, r := range t.Receivers {
			r.settle()
		}
		t.gaps()
	}
	a.echoes.assign(tr.Transactions)
	slices.SortStableFunc(tr.Transactions, func(x, y *Transaction) int { return x.start().Compare(y.start()) })
	return tr
}

// start is the first instant that is known of a transaction.
func (t *Transaction) start() time.Time {
	for _, at := range []time.Time{t.Intent, t.Offer, t.Begin} {
		if !at.IsZero() {
			return at
		}
	}
	return t.End
}

// settle finds which transmission each ack belongs to.
//
// Of a segment that was sent once there is no doubt. Of others it is the last
// transmission before the ack, unless that would have been answered in less than half
// of the least delay that is beyond doubt: then the ack was under way already, and
// belongs to the one before.
func (r *Receiver) settle() {
	floor := time.Duration(math.MaxInt64)
	for _, seq := range r.order {
		if s := r.shots[seq]; !s.acked.IsZero() && len(s.again) == 0 {
			floor = min(floor, s.acked.Sub(s.sent))
		}
	}
	if floor == math.MaxInt64 {
		floor = 0
	}
	slices.Sort(r.order)
	for _, seq := range r.order {
		s := r.shots[seq]
		if s.acked.IsZero() {
			continue
		}
		sent, try := s.sent, 1
		for i, at := range s.again {
			// A transmission behind the ack cannot have caused it, nor can any after that one.
			if s.acked.Sub(at) < floor/2 || at.After(s.acked) {
				break
			}
			sent, try = at, i+2
		}
		if try > 1 {
			r.Lost++
		}
		r.Delays = append(r.Delays, Delay{Seq: seq, Sent: sent, Took: s.acked.Sub(sent), Try: try})
	}
}

// maxRanges bounds the lists of what is missing. Every other number may be missing, and
// a list of them all would tell nobody anything.
const maxRanges = 4096

// gaps lists what was not acknowledged, and what was not seen.
func (t *Transaction) gaps() {
	all := make([]int64, 0, len(t.segments))
	for seq := range t.segments { // order does not show
		all = append(all, seq)
	}
	slices.Sort(all)
	next := int64(0)
	for _, seq := range all {
		if seq > next && len(t.Unseen) < maxRanges {
			t.Unseen = append(t.Unseen, wire.Range{First: next, Last: seq - 1})
		}
		next = seq + 1
		if t.segments[seq].acked {
			continue
		}
		if n := len(t.Missing); n > 0 && t.Missing[n-1].Last == seq-1 {
			t.Missing[n-1].Last = seq
		} else if n < maxRanges {
			t.Missing = append(t.Missing, wire.Range{First: seq, Last: seq})
		}
	}
}

// A Spread is the distribution of some durations.
type Spread struct{ Min, Median, Mean, Max time.Duration }

// SpreadOf gives the distribution of all; zeroes if there are none.
func SpreadOf(all []time.Duration) (s Spread) {
	n := len(all)
	if n == 0 {
		return s
	}
	sorted := slices.Sorted(slices.Values(all))
	var sum float64 // centuries may be in a hostile capture
	for _, d := range sorted {
		sum += float64(d)
	}
	s.Min, s.Max = sorted[0], sorted[n-1]
	s.Median = sorted[(n-1)/2]/2 + sorted[n/2]/2 + (sorted[(n-1)/2]%2+sorted[n/2]%2)/2
	s.Mean = time.Duration(sum / float64(n))
	return s
}

// AckDelays gives the distribution of a receiver's ack delays.
func (r *Receiver) AckDelays() Spread {
	all := make([]time.Duration, len(r.Delays))
	for i := range r.Delays {
		all[i] = r.Delays[i].Took
	}
	return SpreadOf(all)
}
