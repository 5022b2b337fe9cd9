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
	var most int64
	for i := range t.to {
		most = max(most, t.to[i].stats.Assigned)
	}
	var vs []vessel
	for i := range t.to {
		s := &t.to[i]
		if s.dead() {
			continue
		}
		p := float64(s.perSegment(at))
		if s.stats.Acked == 0 {
			// Nothing is known of it but the split, which gave the near ones more.
			p *= float64(most) / float64(max(1, s.stats.Assigned))
		}
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

// steal gives receiver i, which has nothing left, the tails of those that would
// finish last, and of each no more than what it would not get done itself before
// all is done. Of a slower one it takes all of that, even if it is too much: for a
// slow receiver must not begin a segment that would end after all others, and
// whoever runs dry next can take it over in small parts. Of a faster one it takes
// what it can carry. A receiver that is slower than all that is left gets nothing.
func (t *Transfer) steal(at time.Duration, i int) {
	if t.left <= int64(t.out) {
		return // all that is left is out
	}
	own := t.to[i].perSegment(at)
	end := t.horizon(at, i)
	k := int64(end / own)
	if k == 0 {
		return
	}
	for c := 1; c < t.near(); c++ {
		j := (i + c) % len(t.to)
		if s := &t.to[j]; !s.dead() && s.perSegment(at) > own {
			if n, _ := s.spare(at, end); n > 0 {
				k -= n
				t.move(j, i, n)
			}
		}
	}
	// The one that finishes last changes with every cut. A few cuts are enough: who
	// runs dry again asks again.
	for range mostCuts {
		victim, last, most := -1, end, int64(0)
		for c := 1; c < t.near(); c++ {
			j := (i + c) % len(t.to)
			s := &t.to[j]
			if s.dead() {
				continue
			}
			n, free := s.spare(at, end)
			if ends := free + time.Duration(s.unsent())*s.perSegment(at); n > 0 && ends > last {
				victim, last, most = j, ends, n
			}
		}
		n := min(k, most)
		if n <= 0 {
			return
		}
		k -= n
		t.move(victim, i, n)
	}
}

// What bounds the cost of one call of steal: how often it cuts from the one that
// finishes last, and how many receivers it looks at, the one that runs dry and
// those after it. Of more than that, each group overlaps the next.
const (
	mostCuts = 8
	mostNear = 1024
)

// near is how many receivers steal looks at.
func (t *Transfer) near() int { return min(len(t.to), mostNear) }

// move takes the last n segments of one receiver for another.
func (t *Transfer) move(from, to int, n int64) {
	for _, r := range t.to[from].cut(n, t.segment) {
		t.to[to].give(r)
	}
}

// horizon is the shortest time in which the living near receiver i, itself among
// them, can carry all that waits there, in whole segments, each at its own pace and
// each after what it has out. It is searched for to a small part of i's pace, as i
// could carry it all alone.
func (t *Transfer) horizon(at time.Duration, i int) time.Duration {
	var left int64
	for c := range t.near() {
		if s := &t.to[(i+c)%len(t.to)]; !s.dead() {
			left += s.unsent()
		}
	}
	own := t.to[i].perSegment(at)
	lo, hi := time.Duration(0), time.Duration(min(float64(own)*float64(left), 1<<62))
	for hi-lo > own/256 {
		mid := lo + (hi-lo)/2
		can := int64(0)
		for c := range t.near() {
			if s := &t.to[(i+c)%len(t.to)]; !s.dead() {
				can += s.can(at, mid)
			}
		}
		if can >= left {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return hi
}

// unsent is the number of segments that are neither acknowledged nor out.
func (s *sender) unsent() int64 {
	n := s.backlog()
	if s.tries > 0 {
		n--
	}
	return n
}

// can is how many segments more the receiver gets done within d, after the one
// that is out.
func (s *sender) can(at, d time.Duration) int64 {
	p := s.perSegment(at)
	if s.tries > 0 {
		d -= max(0, p-(at-s.began))
	}
	return max(0, int64(d/p))
}

// spare is how many of the waiting segments the receiver does not get done within
// d, and when it is free for the first of them.
func (s *sender) spare(at, d time.Duration) (n int64, free time.Duration) {
	if s.tries > 0 {
		free = max(0, s.perSegment(at)-(at-s.began))
	}
	return s.unsent() - s.can(at, d), free
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
		if idle < 0 || s.perSegment(at) < t.to[idle].perSegment(at) {
			idle = i
		}
	}
	if idle >= 0 {
		t.proceed(at, idle)
	}
}
