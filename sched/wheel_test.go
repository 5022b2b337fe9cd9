package sched_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"mdalp/sched"
)

// epoch is any instant: a wheel must not care.
var epoch = time.Date(2020, 2, 29, 23, 59, 59, 999_999_999, time.UTC)

// tickAt returns the instant at which a tick begins.
func tickAt(tick int64) time.Time { return epoch.Add(time.Duration(tick * sched.Tick)) }

// tickOf returns the tick that an instant is rounded up to.
func tickOf(at time.Time) int64 {
	d := int64(at.Sub(epoch))
	if d <= 0 {
		return 0
	}
	return (d + sched.Tick - 1) / sched.Tick
}

func TestWheelRoundsUp(t *testing.T) {
	for _, tt := range []struct {
		name   string
		at     time.Duration // from the epoch
		before time.Duration // the last instant it must not fire at
		due    time.Duration // the first it must fire at
	}{
		{"one ns", 1, sched.Tick - 1, sched.Tick},
		{"just under a tick", sched.Tick - 1, sched.Tick - 1, sched.Tick},
		{"a tick", sched.Tick, sched.Tick - 1, sched.Tick},
		{"just over a tick", sched.Tick + 1, 2*sched.Tick - 1, 2 * sched.Tick},
		{"last of level 0", 255 * sched.Tick, 255*sched.Tick - 1, 255 * sched.Tick},
		{"first of level 1", 256 * sched.Tick, 256*sched.Tick - 1, 256 * sched.Tick},
		{"last of level 1", 65535 * sched.Tick, 65535*sched.Tick - 1, 65535 * sched.Tick},
		{"first of level 2", 65536 * sched.Tick, 65536*sched.Tick - 1, 65536 * sched.Tick},
		{"last of level 2", (1<<24 - 1) * sched.Tick, (1<<24-1)*sched.Tick - 1, (1<<24 - 1) * sched.Tick},
		{"first of level 3", 1 << 24 * sched.Tick, 1<<24*sched.Tick - 1, 1 << 24 * sched.Tick},
		{"last of level 3", (1<<32 - 1) * sched.Tick, (1<<32-1)*sched.Tick - 1, (1<<32 - 1) * sched.Tick},
		{"beyond the span", 1 << 32 * sched.Tick, 1<<32*sched.Tick - 1, 1 << 32 * sched.Tick},
		{"ten spans", 10 << 32 * sched.Tick, 10<<32*sched.Tick - 1, 10 << 32 * sched.Tick},
		{"the end of time", math.MaxInt64, (1<<43-1)*sched.Tick - 1, (1<<43 - 1) * sched.Tick},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := sched.NewWheel(epoch, 1)
			w.Arm(0, epoch.Add(tt.at))
			if _, ok := w.Pop(epoch.Add(tt.before)); ok {
				t.Fatalf("fired at %v, armed for %v", tt.before, tt.at)
			}
			if at, ok := w.Next(); !ok || at.After(epoch.Add(tt.due)) {
				t.Fatalf("Next() = %v, %v; want at most %v", at.Sub(epoch), ok, tt.due)
			}
			if id, ok := w.Pop(epoch.Add(tt.due)); !ok || id != 0 {
				t.Fatalf("Pop at %v = %d, %v", tt.due, id, ok)
			}
			if w.Len() != 0 || w.Armed(0) {
				t.Fatal("still armed after Pop")
			}
		})
	}
}

func TestWheelPast(t *testing.T) {
	w := sched.NewWheel(epoch, 4)
	if _, ok := w.Pop(tickAt(1000)); ok {
		t.Fatal("an empty wheel popped")
	}
	w.Arm(0, time.Time{})         // long before the epoch
	w.Arm(1, epoch)               // before the clock
	w.Arm(2, tickAt(1000))        // the clock's own tick
	w.Arm(3, tickAt(1000).Add(1)) // the next tick
	if at, ok := w.Next(); !ok || at.After(tickAt(1000)) {
		t.Fatalf("Next() = %v, %v; want an instant not after now", at, ok)
	}
	var got []int
	for id, ok := w.Pop(tickAt(1000)); ok; id, ok = w.Pop(tickAt(1000)) {
		got = append(got, id)
	}
	slices.Sort(got)
	if !slices.Equal(got, []int{0, 1, 2}) {
		t.Fatalf("due = %v, want 0 1 2", got)
	}
}

// The clock of a wheel never goes back, whatever Pop is told.
func TestWheelBackwards(t *testing.T) {
	w := sched.NewWheel(epoch, 2)
	late := tickAt(100).Add(sched.Tick / 2)
	w.Pop(late)
	w.Pop(tickAt(50))
	w.Arm(0, tickAt(100).Add(1)) // past, though its tick is not
	w.Arm(1, late.Add(1))        // not past
	if id, ok := w.Pop(tickAt(50)); !ok || id != 0 {
		t.Fatalf("Pop = %d, %v; want timer 0", id, ok)
	}
	if id, ok := w.Pop(late); ok {
		t.Fatalf("timer %d fired early", id)
	}
}

func TestWheelEmpty(t *testing.T) {
	w := sched.NewWheel(epoch, 2)
	if at, ok := w.Next(); ok {
		t.Fatalf("Next() = %v on an empty wheel", at)
	}
	w.Stop(1)
	w.Arm(1, tickAt(9))
	w.Arm(1, tickAt(70_000))
	if w.Len() != 1 || !w.Armed(1) || w.Armed(0) {
		t.Fatalf("Len() = %d, Armed = %v %v", w.Len(), w.Armed(0), w.Armed(1))
	}
	w.Stop(1)
	w.Stop(1)
	if at, ok := w.Next(); ok || w.Len() != 0 {
		t.Fatalf("Next() = %v, %v after Stop, Len() = %d", at, ok, w.Len())
	}
	if id, ok := w.Pop(tickAt(1 << 40)); ok {
		t.Fatalf("a stopped timer %d fired", id)
	}
}

func TestWheelBadID(t *testing.T) {
	for _, id := range []int{-1, -1024, 3, math.MaxInt, math.MinInt} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("Arm(%d) of 3 timers did not panic", id)
				}
			}()
			sched.NewWheel(epoch, 3).Arm(id, epoch)
		}()
	}
}

// Timers around every boundary of every level, seen from clocks around every
// boundary too, fire at their own tick when Pop follows Next.
func TestWheelBoundaries(t *testing.T) {
	var edges []int64
	for _, e := range []int64{0, 1 << 8, 1 << 16, 1 << 24, 1 << 32, 1 << 33} {
		for d := int64(-2); d <= 2; d++ {
			if e+d >= 0 {
				edges = append(edges, e+d)
			}
		}
	}
	for _, start := range edges {
		w := sched.NewWheel(epoch, len(edges))
		w.Pop(tickAt(start))
		for id, d := range edges {
			w.Arm(id, tickAt(start+d))
		}
		last := int64(-1)
		for w.Len() > 0 {
			at, _ := w.Next()
			tick := at.Sub(epoch).Nanoseconds() / sched.Tick
			if tick < start || tick < last {
				t.Fatalf("start %d: Next went back to %d", start, tick)
			}
			for id, ok := w.Pop(at); ok; id, ok = w.Pop(at) {
				if due := start + edges[id]; due != tick {
					t.Fatalf("start %d: timer of tick %d fired at %d", start, due, tick)
				}
				last = tick
			}
		}
		if want := start + edges[len(edges)-1]; last != want {
			t.Fatalf("start %d: the last fired at %d, want %d", start, last, want)
		}
	}
}

// A wheel model is a plain list, searched from end to end.
type armed struct {
	id   int
	tick int64
}

func TestWheelModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const timers = 24
		w := sched.NewWheel(epoch, timers)
		now, popped := epoch, epoch // popped is the latest instant given to Pop
		cur := int64(0)             // the tick of the latest timer, or of popped when none is left
		var model []armed
		find := func(id int) int {
			return slices.IndexFunc(model, func(a armed) bool { return a.id == id })
		}
		// Distances are drawn by magnitude, so that every level, and jumps from
		// nanoseconds to months, come up alike.
		ahead := func(label string) time.Duration {
			bits := rapid.IntRange(0, 55).Draw(t, label+" bits")
			return time.Duration(rapid.Int64Range(0, 1<<bits).Draw(t, label))
		}
		id := rapid.IntRange(0, timers-1)

		t.Repeat(map[string]func(*rapid.T){
			"arm": func(t *rapid.T) {
				k, at := id.Draw(t, "id"), now.Add(ahead("ahead"))
				w.Arm(k, at)
				if i := find(k); i >= 0 {
					model = slices.Delete(model, i, i+1)
				}
				if !at.After(popped) {
					model = append(model, armed{k, cur})
				} else {
					model = append(model, armed{k, tickOf(at)})
				}
			},
			"arm past": func(t *rapid.T) {
				k, at := id.Draw(t, "id"), popped.Add(-ahead("back"))
				w.Arm(k, at)
				if i := find(k); i >= 0 {
					model = slices.Delete(model, i, i+1)
				}
				// Due at once, so it goes with what is due at the clock's tick.
				model = append(model, armed{k, cur})
			},
			"stop": func(t *rapid.T) {
				k := id.Draw(t, "id")
				w.Stop(k)
				if i := find(k); i >= 0 {
					model = slices.Delete(model, i, i+1)
				}
			},
			"pass": func(t *rapid.T) {
				now = now.Add(ahead("step"))
				// Some of what is due may be left for later Pops.
				most := rapid.IntRange(0, timers+1).Draw(t, "most")
				last := int64(-1)
				for range most {
					k, ok := w.Pop(now)
					popped = now
					i := find(k)
					first := slices.MinFunc(append(model, armed{-1, math.MaxInt64}), func(a, b armed) int {
						return int(min(max(a.tick-b.tick, -1), 1))
					})
					due := first.tick <= int64(now.Sub(epoch))/sched.Tick
					if ok != due {
						t.Fatalf("Pop ok = %v, want %v; first of the model %+v", ok, due, first)
					}
					if !ok {
						cur = int64(now.Sub(epoch)) / sched.Tick
						break
					}
					if i < 0 {
						t.Fatalf("timer %d fired and was not armed", k)
					}
					if model[i].tick < last {
						t.Fatalf("tick %d after %d", model[i].tick, last)
					}
					last = model[i].tick
					cur = last
					model = slices.Delete(model, i, i+1)
				}
			},
			"": func(t *rapid.T) {
				if w.Len() != len(model) {
					t.Fatalf("Len() = %d, want %d", w.Len(), len(model))
				}
				for k := range timers {
					if w.Armed(k) != (find(k) >= 0) {
						t.Fatalf("Armed(%d) = %v", k, w.Armed(k))
					}
				}
				at, ok := w.Next()
				if ok != (len(model) > 0) {
					t.Fatalf("Next() ok = %v with %d armed", ok, len(model))
				}
				for _, a := range model {
					if at.After(tickAt(a.tick)) && at.After(now) {
						t.Fatalf("Next() = %v is later than timer %+v", at.Sub(epoch), a)
					}
				}
			},
		})
	})
}

// A program that sleeps until Next and pops is woken at most three times for
// nothing per timer, and ends: no instant is given twice without a timer.
func TestWheelNextGoesOn(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	const timers = 500
	w := sched.NewWheel(epoch, timers)
	due := make([]int64, timers)
	for id := range timers {
		due[id] = rng.Int64N(1 << (1 + rng.IntN(31)))
		w.Arm(id, tickAt(due[id]))
	}
	wakes := 0
	for w.Len() > 0 {
		at, _ := w.Next()
		if wakes++; wakes > 4*timers {
			t.Fatalf("%d wake-ups for %d timers", wakes, timers)
		}
		for id, ok := w.Pop(at); ok; id, ok = w.Pop(at) {
			if !tickAt(due[id]).Equal(at) {
				t.Fatalf("timer %d of tick %d fired at %v", id, due[id], at.Sub(epoch))
			}
		}
	}
}

func TestWheelNoAllocs(t *testing.T) {
	const timers = 1000
	w := sched.NewWheel(epoch, timers)
	now := epoch
	fired := 0
	n := testing.AllocsPerRun(1000, func() {
		for id := range 8 {
			w.Arm(id, now.Add(time.Duration(id)*time.Second))
		}
		w.Stop(3)
		now, _ = w.Next()
		now = now.Add(time.Minute)
		for _, ok := w.Pop(now); ok; _, ok = w.Pop(now) {
			fired++
		}
	})
	if n != 0 || fired < 7000 {
		t.Fatalf("%v allocations a run, %d fired", n, fired)
	}
}

// A benchmark arms for 1 ms to 60 s ahead, the same in every run. The instants
// stand ready, so that the time to make them is not counted. They have no
// monotonic reading, for which time.Time.Sub takes about 6 ns more than for the
// instants of a real loop.
const spread = 1 << 12

var delays, instants = func() (d [spread]time.Duration, at [spread]time.Time) {
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range d {
		d[i] = time.Duration(1+rng.IntN(60_000)) * time.Millisecond
		at[i] = epoch.Add(d[i])
	}
	return d, at
}()

func benchWheel(b *testing.B, f func(b *testing.B, w *sched.Wheel, live int)) {
	for _, live := range []int{1, 10_000, 1_000_000} {
		b.Run(fmt.Sprint("live=", live), func(b *testing.B) {
			w := sched.NewWheel(epoch, live+1)
			for id := range live {
				w.Arm(id, instants[id%spread])
			}
			b.ReportAllocs()
			f(b, w, live)
		})
	}
}

// Re-arming is what every acknowledgement does to its receiver's timer.
func BenchmarkWheelRearm(b *testing.B) {
	benchWheel(b, func(b *testing.B, w *sched.Wheel, live int) {
		i, id := uint(0), 0
		for b.Loop() {
			if id += 7919; id >= live {
				id %= live
			}
			w.Arm(id, instants[i%spread])
			i++
		}
	})
}

func BenchmarkWheelArmStop(b *testing.B) {
	benchWheel(b, func(b *testing.B, w *sched.Wheel, live int) {
		i := uint(0)
		for b.Loop() {
			w.Arm(live, instants[i%spread])
			w.Stop(live)
			i++
		}
	})
}

// Every expired timer is armed again, so the number of live ones stays.
func BenchmarkWheelExpire(b *testing.B) {
	benchWheel(b, func(b *testing.B, w *sched.Wheel, live int) {
		i, now := uint(0), epoch
		for b.Loop() {
			id, ok := w.Pop(now)
			for !ok {
				now, _ = w.Next()
				id, ok = w.Pop(now)
			}
			w.Arm(id, now.Add(delays[i%spread]))
			i++
		}
	})
}

func BenchmarkWheelNext(b *testing.B) {
	benchWheel(b, func(b *testing.B, w *sched.Wheel, live int) {
		for b.Loop() {
			if _, ok := w.Next(); !ok {
				b.Fatal("nothing armed")
			}
		}
	})
}
