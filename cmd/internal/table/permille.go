package table

import (
	"cmp"
	"math"
	"slices"
)

// permille rounds ratios that sum up to 1 to thousandths that sum up to 1000. All are
// rounded down first; what is left goes to the largest remainders, since each ratio
// rounded on its own would make sums such as 100.1 %.
func permille(ratios []float64) []int {
	out := make([]int, len(ratios))
	order := make([]int, len(ratios))
	remainders := make([]float64, len(ratios))
	// Thousandths that are still to be given out.
	left := 1000
	for i, v := range ratios {
		floor := math.Floor(v * 1000)
		out[i], order[i], remainders[i] = int(floor), i, v*1000-floor
		left -= out[i]
	}
	// Of equal remainders the first one's is rounded up.
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(remainders[b], remainders[a]) })
	// The bounds hold for ratios that do not sum up to 1 too, as where all are 0.
	for i := range min(max(left, 0), len(order)) {
		out[order[i]]++
	}
	return out
}
