package table

import (
	"slices"
	"testing"
)

func TestPermille(t *testing.T) {
	tests := []struct {
		ratios []float64
		want   []int
	}{
		{nil, []int{}},
		{[]float64{1}, []int{1000}},
		{[]float64{1. / 3, 1. / 3, 1. / 3}, []int{334, 333, 333}},
		// Each rounded on its own: 100.1 %, and 99.9 %.
		{[]float64{0.3336, 0.3336, 0.3328}, []int{334, 333, 333}},
		{[]float64{0.2504, 0.2504, 0.4992}, []int{251, 250, 499}},
		{[]float64{0.0004, 0.0004, 0.9992}, []int{1, 0, 999}},
		{[]float64{0.25, 0.5, 0.25}, []int{250, 500, 250}},
	}
	for _, tt := range tests {
		if got := permille(tt.ratios); !slices.Equal(got, tt.want) {
			t.Errorf("%v: %v instead of %v", tt.ratios, got, tt.want)
		}
	}
}
