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
			r.settle()
		}
		t.Unseen, t.Missing = t.sent.gaps(), t.sent.without(&t.acked)
	}
	tr.SetBack, tr.Back = a.clock.steps, a.clock.by
	a.echoes.assign(tr.Transactions)
	slices.SortStableFunc(tr.Transactions, func(x, y *Transaction) int { return cmp.Compare(x.first, y.first) })
	return tr
}

// settle finds which transmission each doubtful ack belongs to, now that the least delay
// is known.
func (r *Receiver) settle() {
	for _, s := range r.doubtful {
		r.attribute(s)
	}
	r.doubtful = nil
	slices.SortStableFunc(r.Delays, func(x, y Delay) int { return cmp.Compare(x.Seq, y.Seq) })
}
