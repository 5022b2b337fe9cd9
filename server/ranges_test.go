package server

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"mdalp/wire"
)

// TestRangeSet holds the set against a map, whatever order numbers come in.
func TestRangeSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s rangeSet
		model := map[int64]bool{}
		bound := rapid.IntRange(1, 8).Draw(t, "bound")
		for range rapid.IntRange(0, 200).Draw(t, "steps") {
			k := rapid.Int64Range(0, 60).Draw(t, "k")
			if s.has(k) != model[k] {
				t.Fatalf("has(%d) is %v in %v", k, s.has(k), s.rs)
			}
			touches := model[k-1] || model[k+1]
			added, full := s.add(k, s.len() < bound)
			switch {
			case full && (model[k] || touches || s.len() < bound):
				t.Fatalf("no room for %d in %v", k, s.rs)
			case !full && added == model[k]:
				t.Fatalf("add(%d) is %v", k, added)
			case !full:
				model[k] = true
			}
			check(t, &s, model)
			from := rapid.Int64Range(0, 61).Draw(t, "from")
			limit := rapid.IntRange(1, 4).Draw(t, "limit")
			rs, upto := s.from(nil, from, limit)
			told := map[int64]bool{}
			for _, r := range rs {
				for k := r.First; k <= r.Last; k++ {
					told[k] = true
				}
			}
			for k := from; k <= 61 && (upto == wire.Absent || k < upto); k++ {
				if told[k] != model[k] {
					t.Fatalf("from %d limit %d: %v upto %d of %v", from, limit, rs, upto, s.rs)
				}
			}
		}
	})
}

func check(t *rapid.T, s *rangeSet, model map[int64]bool) {
	n := int64(0)
	for i, r := range s.rs {
		if r.Last < r.First || i > 0 && r.First <= s.rs[i-1].Last+1 {
			t.Fatalf("range %d of %v", i, s.rs)
		}
		n += r.Last - r.First + 1
		for k := r.First; k <= r.Last; k++ {
			if !model[k] {
				t.Fatalf("%d is in %v", k, s.rs)
			}
		}
	}
	if n != int64(len(model)) || s.n != n {
		t.Fatalf("%d numbers, counted as %d, of %d", n, s.n, len(model))
	}
}

// A receiver remembers 256 ranges at least, the highest ones, and knows a number that
// came twice.
func TestNumbers(t *testing.T) {
	var n numbers
	for k := int64(0); k < 10_000; k += 2 {
		if !n.add(k) || n.add(k) {
			t.Fatalf("%d is new twice, or never", k)
		}
		if l := n.set.len(); k > 2*mostNumbers && l < 256 || l > mostNumbers {
			t.Fatalf("%d ranges are remembered", l)
		}
	}
	rs := n.newest(nil)
	if len(rs) != wire.MaxAckRanges || rs[0] != (wire.Range{First: 9998, Last: 9998}) || rs[31].First != 9998-62 {
		t.Errorf("newest: %v", rs)
	}
	if n.add(3) {
		t.Error("a forgotten number is new")
	}
	if !slices.IsSortedFunc(rs, func(a, b wire.Range) int { return int(b.First - a.First) }) {
		t.Error("not the largest first")
	}
	if allocs := testing.AllocsPerRun(1000, func() { n.add(n.set.rs[n.set.len()-1].Last + 1) }); allocs != 0 {
		t.Errorf("%v allocations a number", allocs)
	}
}
