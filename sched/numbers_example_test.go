package sched_test

import (
	"fmt"
	"time"

	"mdalp/sched"
)

// The split of a real capture: 5,000 bytes over three continents.
func ExampleSplit() {
	fmt.Println(sched.Split(5000, []time.Duration{
		335148 * time.Microsecond,
		162844 * time.Microsecond,
		156857 * time.Microsecond,
	}))
	// Output: [963 1981 2056]
}

func ExampleSplitEqual() {
	fmt.Println(sched.SplitEqual(100, 3))
	// Output: [33 33 34]
}

func ExampleRTT() {
	var r sched.RTT
	fmt.Println("at first", r.RTO())
	r.Sample(860 * time.Millisecond)
	r.Sample(850 * time.Millisecond)
	fmt.Println("sampled ", r.RTO().Round(time.Millisecond))
	r.Backoff()
	fmt.Println("expired ", r.RTO().Round(time.Millisecond))
	// Output:
	// at first 3s
	// sampled  2.159s
	// expired  4.318s
}

// A program arms its timers, sleeps until Next and takes what is due.
func ExampleWheel() {
	now := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	w := sched.NewWheel(now, 3)
	w.Arm(0, now.Add(3*time.Second))
	w.Arm(1, now.Add(2*time.Second))
	w.Arm(2, now.Add(time.Second))
	w.Stop(2)                        // acknowledged
	w.Arm(1, now.Add(4*time.Second)) // sent again
	for {
		at, ok := w.Next()
		if !ok {
			break
		}
		for id, ok := w.Pop(at); ok; id, ok = w.Pop(at) {
			fmt.Println(id, at.Sub(now).Round(10*time.Millisecond))
		}
	}
	// Output:
	// 0 3s
	// 1 4s
}
