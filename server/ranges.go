package server

import (
	"slices"

	"mdalp/wire"
)

// A rangeSet is a set of whole numbers as ranges that rise and do not touch. Segments
// of the extended protocol come nearly in order from each receiver, so that there are
// few ranges, whatever the number of segments: a terabyte takes no more memory than a
// megabyte. The zero value is empty. Its user bounds the number of ranges.
type rangeSet struct {
	rs   []wire.Range
	n    int64 // numbers in the set
	near int   // the range that was touched last
}

// len is how many ranges there are.
func (s *rangeSet) len() int { return len(s.rs) }

// find is the first range that ends at or behind k; len(s.rs) when there is none. The
// range touched last and the one behind it are looked at first: with a few receivers,
// each filling its own part, that is nearly always enough.
func (s *rangeSet) find(k int64) int {
	for i := s.near; i < min(s.near+2, len(s.rs)); i++ {
		if k <= s.rs[i].Last && (i == 0 || k > s.rs[i-1].Last) {
			return i
		}
	}
	i, _ := slices.BinarySearchFunc(s.rs, k, func(r wire.Range, k int64) int {
		if r.Last < k {
			return -1
		}
		return 1
	})
	return i
}

// has reports whether k is in the set.
func (s *rangeSet) has(k int64) bool {
	i := s.find(k)
	return i < len(s.rs) && s.rs[i].First <= k
}

// add puts k into the set; false when it was there. grows says whether a new range may
// be begun; when it may not, and one would be needed, nothing changes and full is true.
func (s *rangeSet) add(k int64, grows bool) (added, full bool) {
	// The hot path: k follows what came last.
	if i := s.near; i < len(s.rs) && s.rs[i].Last == k-1 && (i+1 == len(s.rs) || s.rs[i+1].First > k+1) {
		s.rs[i].Last = k
		s.n++
		return true, false
	}
	i := s.find(k)
	if i < len(s.rs) && s.rs[i].First <= k {
		return false, false
	}
	joinsLeft := i > 0 && s.rs[i-1].Last == k-1
	joinsRight := i < len(s.rs) && s.rs[i].First == k+1
	switch {
	case joinsLeft && joinsRight:
		s.rs[i-1].Last = s.rs[i].Last
		s.rs = slices.Delete(s.rs, i, i+1)
		i--
	case joinsLeft:
		i--
		s.rs[i].Last = k
	case joinsRight:
		s.rs[i].First = k
	case !grows:
		return false, true
	default:
		s.rs = slices.Insert(s.rs, i, wire.Range{First: k, Last: k})
	}
	s.near = i
	s.n++
	return true, false
}

// put puts the numbers of r into the set.
func (s *rangeSet) put(r wire.Range) {
	// The hot path: r follows what came last.
	if i := s.near; i < len(s.rs) && s.rs[i].Last == r.First-1 &&
		(i+1 == len(s.rs) || s.rs[i+1].First > r.Last+1) {
		s.rs[i].Last = r.Last
		s.n += r.Last - r.First + 1
		return
	}
	i := s.find(r.First - 1) // the first that r touches, or that lies behind it
	j := i
	for ; j < len(s.rs) && s.rs[j].First <= r.Last+1; j++ {
		r.First, r.Last = min(r.First, s.rs[j].First), max(r.Last, s.rs[j].Last)
		s.n -= s.rs[j].Last - s.rs[j].First + 1
	}
	if i == j {
		s.rs = slices.Insert(s.rs, i, r)
	} else {
		s.rs[i] = r
		s.rs = slices.Delete(s.rs, i+1, j)
	}
	s.n += r.Last - r.First + 1
	s.near = i
}

// covers reports whether all of r is in the set.
func (s *rangeSet) covers(r wire.Range) bool {
	i := s.find(r.First)
	return i < len(s.rs) && s.rs[i].First <= r.First && r.Last <= s.rs[i].Last
}

// clear empties the set, whose memory it keeps.
func (s *rangeSet) clear() { s.rs, s.n, s.near = s.rs[:0], 0, 0 }

// remove takes the numbers of r out.
func (s *rangeSet) remove(r wire.Range) {
	var rest []wire.Range
	s.n = 0
	for _, x := range s.rs {
		if x.First < r.First {
			rest = append(rest, wire.Range{First: x.First, Last: min(x.Last, r.First-1)})
		}
		if x.Last > r.Last {
			rest = append(rest, wire.Range{First: max(x.First, r.Last+1), Last: x.Last})
		}
	}
	for _, x := range rest {
		s.n += x.Last - x.First + 1
	}
	s.rs, s.near = rest, 0
}

// from appends the ranges of the set from k on, at most limit of them, and gives the
// number up to which they tell all, or wire.Absent when they tell everything.
func (s *rangeSet) from(rs []wire.Range, k int64, limit int) ([]wire.Range, int64) {
	for i := s.find(k); i < len(s.rs); i++ {
		r := s.rs[i]
		if len(rs) == limit {
			return rs, r.First
		}
		rs = append(rs, wire.Range{First: max(r.First, k), Last: r.Last})
	}
	return rs, wire.Absent
}

// numbers is which transmissions a receiver has taken in: NUMs, of which it remembers
// some hundred ranges and forgets the lowest.
type numbers struct {
	set   rangeSet
	floor int64 // below it everything is forgotten
}

// mostNumbers is from how many ranges on the lower half is forgotten. At least 256 are
// always remembered.
const mostNumbers = 512

// add notes that NUM k came; false when it had come before, or lies below what is
// remembered.
func (n *numbers) add(k int64) bool {
	if k < n.floor {
		return false
	}
	added, _ := n.set.add(k, true)
	if n.set.len() > mostNumbers {
		for _, r := range n.set.rs[:mostNumbers/2] {
			n.set.n -= r.Last - r.First + 1
			n.floor = r.Last + 1
		}
		n.set.rs = append(n.set.rs[:0], n.set.rs[mostNumbers/2:]...)
		n.set.near = len(n.set.rs) - 1
	}
	return added
}

// newest appends the ranges that an acknowledgement tells, the largest first.
func (n *numbers) newest(rs []wire.Range) []wire.Range {
	for i := len(n.set.rs) - 1; i >= 0 && len(rs) < wire.MaxAckRanges; i-- {
		rs = append(rs, n.set.rs[i])
	}
	return rs
}
