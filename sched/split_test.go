package sched_test

import (
	"fmt"
	"math/big"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"mdalp/sched"
)

// splits are computed by a transcription of the original client's split_by_ratio,
// run with Python 3.11. lost is what the original would not have sent; in want it
// is with the fastest. Where the name says that the original leaves the fastest
// less than its minimum, want is by hand.
var splits = []struct {
	name string
	size int64
	us   []int64 // latencies in microseconds, as ping prints them
	lost int64
	want []int64
}{
	{"the capture", 5000, []int64{335148, 162844, 156857}, 0,
		[]int64{963, 1981, 2056}},
	{"the capture, other order", 5000, []int64{156857, 335148, 162844}, 0,
		[]int64{2056, 963, 1981}},
	{"one receiver", 5000, []int64{20500}, 0,
		[]int64{5000}},
	{"one byte, one receiver", 1, []int64{20500}, 0,
		[]int64{1}},
	{"one byte, three receivers", 1, []int64{335148, 162844, 156857}, 0,
		[]int64{1, 0, 0}},
	{"two bytes", 2, []int64{335148, 162844, 156857}, 0,
		[]int64{1, 1, 0}},
	{"three bytes", 3, []int64{335148, 162844, 156857}, 0,
		[]int64{1, 1, 1}},
	{"equal latencies lose a byte", 100, []int64{50000, 50000, 50000}, 1,
		[]int64{33, 33, 34}},
	{"equal latencies, whole", 99, []int64{50000, 50000, 50000}, 0,
		[]int64{33, 33, 33}},
	{"half to even, down", 5, []int64{10000, 10000}, 1,
		[]int64{2, 3}},
	{"half to even, up", 7, []int64{10000, 10000}, 0,
		[]int64{4, 3}},
	{"half to even, four", 10, []int64{10000, 10000, 10000, 10000}, 2,
		[]int64{2, 2, 2, 4}},
	{"minimum share", 1000, []int64{1000000, 1000, 1000}, 0,
		[]int64{100, 500, 400}},
	{"minimum share rounded up", 1001, []int64{1000000, 1000, 1000}, 0,
		[]int64{101, 500, 400}},
	{"minimum shares of two", 1000, []int64{900000, 800000, 500}, 0,
		[]int64{100, 100, 800}},
	{"five", 4999, []int64{12345, 67890, 101112, 13141, 5161}, 0,
		[]int64{1078, 500, 500, 1013, 1908}},
	{"five, two slow", 1000, []int64{10000, 500000, 10000, 500000, 10000}, 0,
		[]int64{329, 100, 329, 100, 142}},
	{"six, three slow: the original leaves the fastest 102", 3000, []int64{1000, 1000, 1000, 900000, 900000, 900000}, 0,
		[]int64{700, 700, 700, 300, 300, 300}},
	{"seven, two slow: the original leaves the fastest 4", 7000, []int64{1000, 1000, 900000, 1000, 1000, 900000, 1000}, 0,
		[]int64{1120, 1120, 700, 1120, 1120, 700, 1120}},
	{"ten equal", 5000, []int64{7000, 7000, 7000, 7000, 7000, 7000, 7000, 7000, 7000, 7000}, 0,
		[]int64{500, 500, 500, 500, 500, 500, 500, 500, 500, 500}},
	{"ten, rising: the original leaves the fastest 77", 5000, []int64{1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000, 9000, 10000}, 0,
		[]int64{500, 500, 500, 500, 500, 500, 500, 500, 500, 500}},
	{"ten, one slow: the original leaves the fastest 12", 1000, []int64{10000, 10000, 10000, 10000, 10000, 10000, 10000, 10000, 10000, 1000000}, 0,
		[]int64{100, 100, 100, 100, 100, 100, 100, 100, 100, 100}},
	{"a megabyte", 1048576, []int64{41, 39, 44, 38}, 0,
		[]int64{258140, 271378, 240539, 278519}},
	{"a microsecond and a day", 123456789, []int64{1, 86400000000}, 0,
		[]int64{111111110, 12345679}},
	{"a terabyte", 1000000000007, []int64{81250, 40125, 333333, 99999}, 0,
		[]int64{245027144264, 455886310162, 100000000001, 199086545580}},
}

func latencies(us []int64) []time.Duration {
	l := make([]time.Duration, len(us))
	for i, u := range us {
		l[i] = time.Duration(u) * time.Microsecond
	}
	return l
}

func sum(shares []int64) (s int64) {
	for _, v := range shares {
		s += v
	}
	return s
}

func TestSplit(t *testing.T) {
	for _, tt := range splits {
		t.Run(tt.name, func(t *testing.T) {
			got := sched.Split(tt.size, latencies(tt.us))
			if !slices.Equal(got, tt.want) {
				t.Errorf("Split(%d, %d) = %d, want %d", tt.size, tt.us, got, tt.want)
			}
			if least := sched.MinShare(tt.size, len(tt.us)); slices.Min(got) < least {
				t.Errorf("smallest share %d, MinShare %d", slices.Min(got), least)
			}
		})
	}
}

// Each mode of failure of the original has its place in the table, so that the
// table goes on testing the mending.
func TestSplitTableMends(t *testing.T) {
	var lost, whole int
	for _, tt := range splits {
		if sum(tt.want) != tt.size {
			t.Errorf("%s: the table adds up to %d", tt.name, sum(tt.want))
		}
		if tt.lost > 0 {
			lost++
		} else {
			whole++
		}
	}
	if lost < 3 || whole < 10 {
		t.Errorf("%d splits lose bytes, %d are whole", lost, whole)
	}
}

// Above ten receivers the original has no answer to compare with.
func TestSplitMany(t *testing.T) {
	slow := func(n int) []time.Duration { // the first is the slowest
		l := make([]time.Duration, n)
		for i := range l {
			l[i] = time.Duration(n-i) * time.Millisecond
		}
		return l
	}
	for _, tt := range []struct {
		size  int64
		n     int
		first []int64 // shares of the slowest
		last  []int64 // shares of the fastest
	}{
		{1100, 11, []int64{100, 100}, []int64{100, 100}},
		{1110, 11, []int64{100, 100}, []int64{103, 104}},
		{5000, 40, []int64{125, 125}, []int64{125, 125}},
		{39, 40, []int64{0, 0}, []int64{5, 13}},
		{0, 40, []int64{0, 0}, []int64{0, 0}},
	} {
		got := sched.Split(tt.size, slow(tt.n))
		if !slices.IsSorted(got) || sum(got) != tt.size ||
			!slices.Equal(got[:2], tt.first) || !slices.Equal(got[tt.n-2:], tt.last) {
			t.Errorf("Split(%d, %d receivers) = %d", tt.size, tt.n, got)
		}
	}
}

func TestSplitNone(t *testing.T) {
	if got := sched.Split(100, nil); len(got) != 0 {
		t.Errorf("Split over nobody = %d", got)
	}
	if got := sched.SplitEqual(100, 0); len(got) != 0 {
		t.Errorf("SplitEqual over nobody = %d", got)
	}
	for _, size := range []int64{-1, 1<<62 + 1} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("Split(%d) did not panic", size)
				}
			}()
			sched.Split(size, []time.Duration{1})
		}()
	}
}

// drawSplit draws sizes and latencies that make ties, minimum shares and starved
// receivers common.
func drawSplit(t *rapid.T, most int) (int64, []time.Duration) {
	size := rapid.OneOf(
		rapid.Int64Range(0, 100),
		rapid.Int64Range(0, 1_000_000),
		rapid.Int64Range(0, 1<<62),
	).Draw(t, "size")
	l := rapid.SliceOfN(rapid.OneOf(
		rapid.SampledFrom([]time.Duration{1, time.Millisecond, time.Second, time.Hour}),
		rapid.Custom(func(t *rapid.T) time.Duration {
			return time.Duration(rapid.Int64Range(-1, int64(time.Second)).Draw(t, "ns"))
		}),
	), 1, most).Draw(t, "latencies")
	return size, l
}

func TestSplitProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size, l := drawSplit(t, 30)
		got := sched.Split(size, l)
		if len(got) != len(l) || sum(got) != size {
			t.Fatalf("%d shares of %d receivers add up to %d of %d", len(got), len(l), sum(got), size)
		}
		least := sched.MinShare(size, len(l))
		for i, v := range got {
			if v < least {
				t.Fatalf("share %d of receiver %d is below MinShare %d: %d", v, i, least, got)
			}
			// Up to ten receivers the original's rounding may favour the slower.
			for k := range got {
				if len(l) > 10 && max(l[i], 1) < max(l[k], 1) && v < got[k] {
					t.Fatalf("the faster %d gets %d, the slower %d gets %d", i, v, k, got[k])
				}
			}
		}
	})
}

func TestMinShare(t *testing.T) {
	for _, tt := range []struct {
		size int64
		n    int
		want int64
	}{
		{0, 1, 0}, {0, 3, 0}, {0, 10, 0}, {0, 11, 0},
		{1, 1, 1}, {1, 2, 0}, {2, 2, 1}, {3, 3, 1}, {5, 3, 1},
		{100, 3, 10}, {101, 3, 11},
		{5000, 1, 500}, {5000, 2, 500}, {5000, 3, 500}, {5000, 4, 500}, {5000, 5, 500},
		{5000, 6, 500}, {5000, 10, 500}, {5001, 10, 500}, {11, 10, 1},
		{5000, 11, 454}, {5000, 40, 125}, {39, 40, 0},
		{1 << 62, 3, (1<<62 + 9) / 10}, {1 << 62, 10, (1 << 62) / 10}, {1 << 62, 11, (1 << 62) / 11},
	} {
		if got := sched.MinShare(tt.size, tt.n); got != tt.want {
			t.Errorf("MinShare(%d, %d) = %d, want %d", tt.size, tt.n, got, tt.want)
		}
	}
}

func TestSplitEqual(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Min(0).Draw(t, "size")
		n := rapid.IntRange(1, 100).Draw(t, "n")
		got := sched.SplitEqual(size, n)
		// The definition, in numbers without end.
		at := func(i int) int64 {
			x := new(big.Int).Mul(big.NewInt(size), big.NewInt(int64(i)))
			return x.Quo(x, big.NewInt(int64(n))).Int64()
		}
		for i, v := range got {
			if want := at(i+1) - at(i); v != want {
				t.Fatalf("share %d = %d, want %d", i, v, want)
			}
		}
		if sum(got) != size || slices.Max(got)-slices.Min(got) > 1 {
			t.Fatalf("SplitEqual(%d, %d) = %d", size, n, got)
		}
	})
}

func BenchmarkSplit(b *testing.B) {
	for _, n := range []int{3, 10, 1000} {
		b.Run(fmt.Sprint("receivers=", n), func(b *testing.B) {
			l := make([]time.Duration, n)
			for i := range l {
				l[i] = time.Duration(1+i*7919%1000) * time.Millisecond
			}
			b.ReportAllocs()
			for b.Loop() {
				if got := sched.Split(5000, l); len(got) != n {
					b.Fatal(got)
				}
			}
		})
	}
}
