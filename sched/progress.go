package sched

import "slices"

// How far a transfer has come.

// Done reports whether nothing more will happen: all is acknowledged, or no
// receiver lives that may carry the rest.
func (t *Transfer) Done() bool {
	if t.ext != nil {
		return t.ext.done()
	}
	if t.left == 0 || t.living == 0 {
		return true
	}
	return t.cfg.NoFailover && t.out == 0 && t.waiting == 0
}

// Left is the number of segments that are not acknowledged.
func (t *Transfer) Left() int64 {
	if t.ext != nil {
		return t.ext.left
	}
	return t.left
}

// Total is the number of segments.
func (t *Transfer) Total() int64 { return t.total }

// Living is the number of receivers that are not dead.
func (t *Transfer) Living() int {
	if t.ext != nil {
		return t.ext.living
	}
	return t.living
}

// Stats tells about receiver i. It is valid until the next call that changes
// the transfer.
func (t *Transfer) Stats(i int) *SenderStats {
	if t.ext != nil {
		return &t.ext.to[i].stats
	}
	return &t.to[i].stats
}

// Missing lists the segments that are not acknowledged, in order, as spans that
// do not touch.
func (t *Transfer) Missing() []Span {
	if t.ext != nil {
		return t.ext.missing()
	}
	var all []Span
	for i := range t.to {
		s := &t.to[i]
		for _, r := range append([]Span{s.span}, s.rest...) {
			if r.Len() > 0 {
				all = append(all, r)
			}
		}
	}
	slices.SortFunc(all, func(a, b Span) int { return int(min(1, max(-1, a.Seq-b.Seq))) })
	join := all[:0]
	for _, r := range all {
		if n := len(join); n > 0 && join[n-1].End == r.Seq {
			join[n-1].End, join[n-1].Lim = r.End, r.Lim
			continue
		}
		join = append(join, r)
	}
	return join
}
