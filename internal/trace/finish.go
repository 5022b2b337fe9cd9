package trace

import (
	"cmp"
	"slices"
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
			for i := range r.flight {
				t.leave(r, &r.flight[i])
			}
			r.decide()
			for _, x := range r.nums.gaps(-1) {
				r.Unseen += x.Last - x.First + 1
			}
		}
		t.Missing = t.sent.without(&t.acked)
		// What was stored before, as of a transaction that is resumed, need not be sent.
		all := set{r: slices.Clone(t.sent.r)}
		for _, x := range t.held.r {
			all.include(x)
		}
		t.Unseen = all.gaps(t.Expected() - 1)
	}
	tr.SetBack, tr.Back = a.clock.steps, a.clock.by
	a.echoes.assign(tr.Transactions)
	slices.SortStableFunc(tr.Transactions, func(x, y *Transaction) int {
		return cmp.Compare(x.first, y.first)
	})
	return tr
}

// decide finds which transmission each doubtful ack belongs to, now that the least delay
// is known.
func (r *Receiver) decide() {
	for _, s := range r.doubtful {
		r.attribute(s)
	}
	r.doubtful = nil
	slices.SortStableFunc(r.Delays, func(x, y Delay) int { return cmp.Compare(x.Seq, y.Seq) })
}
