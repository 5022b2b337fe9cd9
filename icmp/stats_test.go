package icmp

import (
	"math"
	"testing"
	"time"
)

func TestSummarize(t *testing.T) {
	const big = time.Duration(math.MaxInt64)
	tests := []struct {
		name string
		rtts []time.Duration
		want Stats
	}{
		{"none", nil, Stats{}},
		{"one", []time.Duration{7}, Stats{Received: 1, Min: 7, Median: 7, Mean: 7, Max: 7}},
		{"two", []time.Duration{8, 3}, Stats{Received: 2, Min: 3, Median: 5, Mean: 5, Max: 8}},
		{"three, one of them late", []time.Duration{44, 5, 4}, Stats{Received: 3, Min: 4, Median: 5, Mean: 17, Max: 44}},
		{"four", []time.Duration{1, 2, 10, 4}, Stats{Received: 4, Min: 1, Median: 3, Mean: 4, Max: 10}},
		{"the largest", []time.Duration{big, big, big}, Stats{Received: 3, Min: big, Median: big, Mean: big, Max: big}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got Stats
			got.summarize(tt.rtts)
			if got != tt.want {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}
