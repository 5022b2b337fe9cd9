package sched

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// mostTenths is how many receivers can get a tenth of the payload each.
const mostTenths = 10

// Split apportions size bytes over the receivers by inverse latency and returns
// each receiver's share in the order of the latencies, which is the offer's. The
// shares are never negative and their sum is always size. A latency that is not
// positive counts as 1 ns. Size must be within 0 to 2^62, or Split panics. Without
// receivers there are no shares.
//
// The rule is the original client's, in the same floating point, so that both
// split a payload alike. The weight of a receiver is 1/latency, with the latency
// in milliseconds; its ratio is its weight over the sum of all. From the slowest
// receiver to the fastest, in the offer's order where they are equal, each gets
// ratio·size rounded half to even, but at least a tenth of the payload, rounded
// up, and at most what is left.
//
// Two faults of the original are mended, and where neither shows the shares are
// equal to its own:
//
//   - What rounding leaves over at the end goes to the fastest. The original loses
//     it: of 100 bytes over three equal latencies it sends 99.
//   - The minimum shares of many slow receivers eat the payload before the fastest
//     get theirs: always with more than ten receivers, now and then from six on.
//     Then the walk is taken again with a minimum that all can have, which is
//     [MinShare], and nobody gets more than an even share of what is left, so that
//     a faster receiver never gets less than a slower one. With more than ten
//     receivers such a minimum leaves no room: the shares are even but for the last
//     size%n bytes, which lean to the fast.
func Split(size int64, latencies []time.Duration) []int64 {
	if size < 0 || size > 1<<62 {
		panic("sched: size out of range")
	}
	n := len(latencies)
	shares := make([]int64, n)
	if n == 0 {
		return shares
	}

	ratios := make([]float64, n)
	// The sum is plain and from left to right, as Python's sum was until 3.12.
	var total float64
	for i, d := range latencies {
		// From whole microseconds, which is what ping prints, this is the very
		// float that Python reads from ping's decimal.
		ms := float64(max(d, 1)) / 1e6
		ratios[i] = 1 / ms
		total += ratios[i]
	}
	order := make([]int, n)
	for i := range ratios {
		ratios[i] /= total
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(ratios[a], ratios[b]) })

	least := MinShare(size, n)
	if n <= mostTenths {
		walk(shares, order, ratios, size, ceilDiv(size, mostTenths), false)
		if slices.Min(shares) >= least {
			return shares
		}
	}
	walk(shares, order, ratios, size, least, true)
	return shares
}

// walk fills in the shares in rising order of the ratios. Even bounds each by an
// even share of what is left.
func walk(shares []int64, order []int, ratios []float64, size, least int64, even bool) {
	left := size
	for k, i := range order {
		most := left
		if even {
			most = left / int64(len(order)-k)
		}
		// ratio·size is at most 2^62, so the conversion is safe. Beyond 2^53 it is
		// not exact, but only left is ever taken from, so the sum still is.
		want := int64(math.RoundToEven(ratios[i] * float64(size)))
		shares[i] = min(max(want, least), most)
		left -= shares[i]
	}
	shares[order[len(order)-1]] += left
}

// MinShare returns the least number of bytes that [Split] gives to any of n
// receivers, whatever the latencies, and that a server demands of each: a tenth of
// the payload, rounded up, or an even share, rounded down, where not all can have a
// tenth. Size must be within 0 to 2^62 and n positive.
func MinShare(size int64, n int) int64 {
	return min(ceilDiv(size, mostTenths), size/int64(n))
}

// SplitEqual apportions size bytes over n receivers as evenly as can be: receiver
// i gets the bytes from size·i/n to size·(i+1)/n, each rounded down. Shares differ
// by at most one byte and their sum is size. Size must not be negative.
func SplitEqual(size int64, n int) []int64 {
	shares := make([]int64, n)
	if n == 0 {
		return shares
	}
	// size·i/n = q·i + r·i/n, where r·i stays below n², so nothing overflows.
	q, r := size/int64(n), size%int64(n)
	for i := range shares {
		k := int64(i)
		shares[i] = q + r*(k+1)/int64(n) - r*k/int64(n)
	}
	return shares
}

// ceilDiv returns a/b rounded up, for a >= 0 and b > 0.
func ceilDiv(a, b int64) int64 { return (a + b - 1) / b }
