package trace

import (
	"slices"

	"mdalp/wire"
)

// maxRanges bounds a set: what is told of a transfer must not take memory that grows with
// it. Numbers mostly come in their order, so that a set has few ranges; where every other
// one is missing, no list of them would help anybody.
const maxRanges = 1 << 14

// A set holds numbers as ranges, rising, with gaps between. Beyond its bound it takes no
// more ranges, and what lies apart from those it has counts as there already; unless it is
// rough: then the gaps between its lowest ranges close, where nothing is to come.
type set struct {
	r     []wire.Range
	rough bool
}

// find gives the place of the first range that ends at n or behind it.
func (s *set) find(n int64) int {
	// Mostly the last one: numbers rise.
	if k := len(s.r); k == 0 || s.r[k-1].Last < n {
		return k
	}
	i, _ := slices.BinarySearchFunc(s.r, n, func(r wire.Range, n int64) int {
		if r.Last < n {
			return -1
		}
		return 1
	})
	return i
}

// has reports whether n is in it.
func (s *set) has(n int64) bool {
	i := s.find(n)
	return i < len(s.r) && s.r[i].First <= n
}

// add puts n in, and reports whether it is new.
func (s *set) add(n int64) bool {
	if s.rough && len(s.r) >= maxRanges {
		s.r[maxRanges/2].First = s.r[0].First
		s.r = slices.Delete(s.r, 0, maxRanges/2)
	}
	i := s.find(n)
	if i < len(s.r) && s.r[i].First <= n {
		return false
	}
	before := i > 0 && s.r[i-1].Last == n-1
	behind := i < len(s.r) && s.r[i].First == n+1
	switch {
	case before && behind:
		s.r[i-1].Last = s.r[i].Last
		s.r = slices.Delete(s.r, i, i+1)
	case before:
		s.r[i-1].Last = n
	case behind:
		s.r[i].First = n
	case len(s.r) < maxRanges:
		s.r = slices.Insert(s.r, i, wire.Range{First: n, Last: n})
	default:
		return false
	}
	return true
}

// include puts all of a range in.
func (s *set) include(x wire.Range) {
	from := s.find(x.First)
	if from > 0 && s.r[from-1].Last == x.First-1 {
		from--
	}
	to := from
	for to < len(s.r) && (s.r[to].First <= x.Last || s.r[to].First == x.Last+1) {
		x.First, x.Last = min(x.First, s.r[to].First), max(x.Last, s.r[to].Last)
		to++
	}
	if to > from || len(s.r) < maxRanges {
		s.r = slices.Replace(s.r, from, to, x)
	}
}

// gaps gives what is missing from 0 to the greatest number, and up to last if that is
// greater.
func (s *set) gaps(last int64) (all []wire.Range) {
	next := int64(0)
	for _, r := range s.r {
		if r.First > next {
			all = append(all, wire.Range{First: next, Last: r.First - 1})
		}
		next = r.Last + 1
	}
	if next >= 0 && next <= last {
		all = append(all, wire.Range{First: next, Last: last})
	}
	return all
}

// without gives what s has and o lacks.
func (s *set) without(o *set) (all []wire.Range) {
	i := 0
	for _, r := range s.r {
		from := r.First
		for i < len(o.r) && o.r[i].Last < from {
			i++
		}
		for k := i; k < len(o.r) && o.r[k].First <= r.Last; k++ {
			if o.r[k].First > from {
				all = append(all, wire.Range{First: from, Last: o.r[k].First - 1})
			}
			if from = o.r[k].Last + 1; from <= 0 { // it wrapped round
				break
			}
		}
		if from > 0 && from <= r.Last || from == 0 && r.First == 0 {
			all = append(all, wire.Range{First: from, Last: r.Last})
		}
	}
	return all
}
