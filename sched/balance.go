package sched

import (
	"cmp"
	"slices"
	"time"
)

// share hands spans to the living receivers so that they would all end at the
// same time: in proportion to the rate at which each acknowledges, less what it
// has still to do.
func (t *Transfer) share(at time.Duration, spans []Span) {
	var n int64
	for _, r := range spans {
		n += r.Len()
	}
	if n == 0 {
		return
	}
	quota := t.level(at, n)
	for _, r := range spans {
		for i := range quota {
			k := min(quota[i], r.Len())
			if k == 0 {
				continue
			}
			quota[i] -= k
			t.to[i].give(r.take(k, t.segment))
			r = r.drop(k, t.segment)
			t.enqueue(i)
		}
	}
}

// level fills n segments into the living receivers as water fills a vessel: the
// receiver that would end first gets the first, until all would end together.
// The result has one quota for every receiver; their sum is n.
func (t *Transfer) level(at time.Duration, n int64) []int64 {
	type vessel struct {
		i    int
		pace float64 // ns a segment
		ends float64 // ns from now until it has nothing left
	}
	var vs []vessel
	for i := range t.to {
		s := &t.to[i]
		if s.dead() {
			continue
		}
		p := float64(s.pace(at))
		vs = append(vs, vessel{i, p, p * float64(s.backlog())})
	}
	slices.SortStableFunc(vs, func(a, b vessel) int { return cmp.Compare(a.ends, b.ends) })

	// The k receivers that end first hold everything if the level they reach does
	// not drown the next one.
	var rate, sum float64 // segments/ns, and segments already held, of the first k
	var top float64
	for k, v := range vs {
		rate += 1 / v.pace
		sum += v.ends / v.pace
		top = (float64(n) + sum) / rate
		if k+1 == len(vs) || top <= vs[k+1].ends {
			vs = vs[:k+1]
			break
		}
	}
	quota := make([]int64, len(t.to))
	rest := n
	for _, v := range vs {
		q := min(rest, max(0, int64((top-v.ends)/v.pace)))
		quota[v.i] = q
		rest -= q
	}
	for k := 0; rest > 0; k = (k + 1) % len(vs) { // what rounding down left over, one each
		quota[vs[k].i]++
		rest--
	}
	return quota
}

// steal gives receiver i, which has nothing left, the tail of the receiver that
// would finish last: as much as lets both end together, and nothing if i would
// take longer for one segment than the other for all of its own.
func (t *Transfer) steal(at time.Duration, i int) {
	own := t.to[i].pace(at)
	victim, last, spare := -1, time.Duration(0), int64(0)
	for j := range t.to {
		s := &t.to[j]
		k := s.backlog()
		if s.tries > 0 {
			k-- // what is out stays
		}
		if j == i || k <= 0 || s.dead() && t.cfg.NoFailover {
			continue
		}
		if ends := s.ends(at); ends > last {
			victim, last, spare = j, ends, k
		}
	}
	if victim < 0 {
		return
	}
	v := &t.to[victim]
	k := min(spare, int64(last/(own+v.pace(at))))
	if k <= 0 {
		return
	}
	for _, r := range v.cut(k, t.segment) {
		t.to[i].give(r)
	}
}

// help wakes the quickest receiver that has nothing to do: somebody has become
// slower, so what was not worth taking over before may be now.
func (t *Transfer) help(at time.Duration) {
	idle := -1
	for i := range t.to {
		s := &t.to[i]
		if s.dead() || s.span.Len() > 0 {
			continue
		}
		if idle < 0 || s.pace(at) < t.to[idle].pace(at) {
			idle = i
		}
	}
	if idle >= 0 {
		t.proceed(at, idle)
	}
}

// ends is the time from now until the receiver would have nothing left.
func (s *sender) ends(at time.Duration) time.Duration {
	p := s.pace(at)
	d := p * time.Duration(s.backlog())
	if s.tries > 0 {
		d -= min(p, at-s.began) // the segment that is out has been under way
	}
	return d
}
