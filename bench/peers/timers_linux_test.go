package peers

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/RussellLuo/timingwheel"

	"mdalp/bench"
	"mdalp/sched"
)

// The wheel of this module and github.com/RussellLuo/timingwheel, which has the design
// of Kafka's: a hierarchy of wheels that runs in a goroutine and calls functions.

var lives = []int{1, 10_000, 1_000_000}

// Timeouts are 1 ms to 60 s, the same in every run; none expires while it is measured.
const (
	timeouts = 1 << 12
	far      = time.Hour
)

var start = time.Now()

var ahead, instants = func() (d [timeouts]time.Duration, at [timeouts]time.Time) {
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range d {
		d[i] = far + time.Duration(1+rng.IntN(60_000))*time.Millisecond
		at[i] = start.Add(d[i])
	}
	return d, at
}()

func nothing() {}

// running starts a wheel of the other module, with a resolution of 1 ms as ours.
func running(b *testing.B) *timingwheel.TimingWheel {
	w := timingwheel.NewTimingWheel(time.Millisecond, 256)
	w.Start()
	b.Cleanup(w.Stop)
	return w
}

// BenchmarkArmStop arms a timer beside live others and stops it.
func BenchmarkArmStop(b *testing.B) {
	for _, live := range lives {
		b.Run(fmt.Sprintf("timer=wheel/live=%d", live), func(b *testing.B) {
			w, i := sched.NewWheel(start, live+1), uint(0)
			for id := range live {
				w.Arm(id, instants[id%timeouts])
			}
			b.ReportAllocs()
			for b.Loop() {
				w.Arm(live, instants[i%timeouts])
				w.Stop(live)
				i++
			}
		})
	}
	for _, live := range lives {
		b.Run(fmt.Sprintf("timer=timingwheel/live=%d", live), func(b *testing.B) {
			w, i := running(b), uint(0)
			for id := range live {
				w.AfterFunc(ahead[id%timeouts], nothing)
			}
			b.ReportAllocs()
			for b.Loop() {
				w.AfterFunc(ahead[i%timeouts], nothing).Stop()
				i++
			}
		})
	}
}

// BenchmarkExpire arms as many timers as there may be live, 1 to 3 ms ahead, and waits
// for all of them by the clock. ns/op is the wait, shared by the timers; what they cost
// is cpu-ns/op.
func BenchmarkExpire(b *testing.B) {
	due := func(i int) time.Duration { return time.Duration(1000+i%2000) * time.Microsecond }
	each := func(name string, live int, round func(b *testing.B, n int)) {
		b.Run(fmt.Sprintf("timer=%s/live=%d", name, live), func(b *testing.B) {
			b.ReportAllocs()
			cpu := bench.CPU()
			for left := b.N; left > 0; left -= live {
				round(b, min(left, live))
			}
			b.ReportMetric(float64(bench.CPU()-cpu)/float64(b.N), "cpu-ns/op")
		})
	}
	for _, live := range lives[1:] {
		w := sched.NewWheel(time.Now(), live)
		each("wheel", live, func(b *testing.B, n int) {
			now := time.Now()
			for id := range n {
				w.Arm(id, now.Add(due(id)))
			}
			for {
				at, ok := w.Next()
				if !ok {
					return
				}
				time.Sleep(time.Until(at)) // a benchmark of clocks: the peers wait for theirs too
				now := time.Now()
				for ok {
					_, ok = w.Pop(now)
				}
			}
		})
	}
	for _, live := range lives[1:] {
		each("timingwheel", live, func(b *testing.B, n int) {
			w := timingwheel.NewTimingWheel(time.Millisecond, 256)
			w.Start()
			defer w.Stop()
			var expired sync.WaitGroup
			expired.Add(n)
			for i := range n {
				w.AfterFunc(due(i), expired.Done)
			}
			expired.Wait()
		})
	}
}
