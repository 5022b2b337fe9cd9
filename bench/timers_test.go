package bench

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"mdalp/sched"
)

// The wheel and what the standard library offers, at the three things that timers are
// used for. The wheel and the heap go by instants that they are given; time.Timer
// goes by the clock and cannot be had without, so it is absent where timers expire.

// lives are the numbers of other timers that are armed all the while.
var lives = []int{1, 10_000, 1_000_000}

// A timeout is 1 ms to 60 s ahead, the same in every run. The instants stand ready and
// the timers are taken in strides, so that neither is part of what is measured.
const (
	timeouts = 1 << 12
	stride   = 7919
)

// start has a monotonic reading, as the instants of the loop have; without one the
// wheel's arithmetic takes some 6 ns more.
var start = time.Now()

var ahead, instants = func() (d [timeouts]time.Duration, at [timeouts]time.Time) {
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range d {
		d[i] = time.Duration(1+rng.IntN(60_000)) * time.Millisecond
		at[i] = start.Add(d[i])
	}
	return d, at
}()

// far keeps the timers of the standard library from expiring while they are measured.
const far = time.Hour

// eachLive runs a benchmark for each number of live timers. The loops are written out in
// each, since a call through a function value costs as much as the wheel does.
func eachLive(b *testing.B, name string, f func(b *testing.B, live int)) {
	for _, live := range lives {
		b.Run(fmt.Sprintf("timer=%s/live=%d", name, live), func(b *testing.B) {
			b.ReportAllocs()
			f(b, live)
		})
	}
}

func nothing() {}

func wheel(live int) *sched.Wheel {
	w := sched.NewWheel(start, live+1)
	for id := range live {
		w.Arm(id, instants[id%timeouts])
	}
	return w
}

func timers(live int) (ts []*time.Timer, stop func()) {
	ts = make([]*time.Timer, live)
	for i := range ts {
		ts[i] = time.AfterFunc(far+ahead[i%timeouts], nothing)
	}
	return ts, func() {
		for _, t := range ts {
			t.Stop()
		}
	}
}

// An item is a timer in a heap, which knows its place to be found again.
type item struct {
	at    time.Time
	place int
}

type items []*item

func (h items) Len() int           { return len(h) }
func (h items) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h items) Swap(i, j int)      { h[i], h[j] = h[j], h[i]; h[i].place, h[j].place = i, j }
func (h *items) Push(x any)        { x.(*item).place = len(*h); *h = append(*h, x.(*item)) }
func (h *items) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}

func heapOf(live int) (*items, []*item) {
	h, all := make(items, 0, live+1), make([]*item, live)
	for i := range all {
		all[i] = &item{at: instants[i%timeouts]}
		heap.Push(&h, all[i])
	}
	return &h, all
}

// BenchmarkRearm moves an armed timer: what every acknowledgement does to its
// receiver's.
func BenchmarkRearm(b *testing.B) {
	eachLive(b, "wheel", func(b *testing.B, live int) {
		w, i, id := wheel(live), uint(0), 0
		for b.Loop() {
			if id += stride; id >= live {
				id %= live
			}
			w.Arm(id, instants[i%timeouts])
			i++
		}
	})
	eachLive(b, "heap", func(b *testing.B, live int) {
		h, all := heapOf(live)
		i, id := uint(0), 0
		for b.Loop() {
			if id += stride; id >= live {
				id %= live
			}
			all[id].at = instants[i%timeouts]
			heap.Fix(h, all[id].place)
			i++
		}
	})
	eachLive(b, "time.Timer", func(b *testing.B, live int) {
		ts, stop := timers(live)
		defer stop()
		i, id := uint(0), 0
		for b.Loop() {
			if id += stride; id >= live {
				id %= live
			}
			ts[id].Reset(far + ahead[i%timeouts])
			i++
		}
	})
}

// BenchmarkArmStop arms one more and stops it.
func BenchmarkArmStop(b *testing.B) {
	eachLive(b, "wheel", func(b *testing.B, live int) {
		w, i := wheel(live), uint(0)
		for b.Loop() {
			w.Arm(live, instants[i%timeouts])
			w.Stop(live)
			i++
		}
	})
	eachLive(b, "heap", func(b *testing.B, live int) {
		h, _ := heapOf(live)
		i := uint(0)
		for b.Loop() {
			x := &item{at: instants[i%timeouts]}
			heap.Push(h, x)
			heap.Remove(h, x.place)
			i++
		}
	})
	eachLive(b, "time.AfterFunc", func(b *testing.B, live int) {
		_, stop := timers(live)
		defer stop()
		i := uint(0)
		for b.Loop() {
			time.AfterFunc(far+ahead[i%timeouts], nothing).Stop()
			i++
		}
	})
}

// BenchmarkExpire takes the next timer that is due, letting the time pass until one is,
// and arms it again.
func BenchmarkExpire(b *testing.B) {
	eachLive(b, "wheel", func(b *testing.B, live int) {
		w, now, i := wheel(live), start, uint(0)
		for b.Loop() {
			id, ok := w.Pop(now)
			for !ok {
				now, _ = w.Next()
				id, ok = w.Pop(now)
			}
			w.Arm(id, now.Add(ahead[i%timeouts]))
			i++
		}
	})
	eachLive(b, "heap", func(b *testing.B, live int) {
		h, _ := heapOf(live)
		i := uint(0)
		for b.Loop() {
			x := heap.Pop(h).(*item)
			x.at = x.at.Add(ahead[i%timeouts])
			heap.Push(h, x)
			i++
		}
	})
}
