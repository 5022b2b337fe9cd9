package main

import (
	"fmt"
	"time"

	"mdalp/internal/manager"
)

// lastTold is when the service manager heard last how it goes, and what was stored by then.
type lastTold struct {
	at    time.Time
	bytes uint64
}

// ready tells that the loop runs, with ports and store, and begins to tell how it goes.
func (d *daemon) ready(now time.Time) {
	if d.manager == nil {
		return
	}
	d.manager.Tell(manager.Ready)
	d.lastTold = lastTold{now, d.Stats().Bytes}
	d.news(now)
}

// news tells how it goes, and comes again through the loop: when that does not turn, nothing is
// told, and the watchdog bites. It is called in the loop's goroutine.
func (d *daemon) news(now time.Time) {
	st := d.Stats()
	rate := 0.0
	if passed := now.Sub(d.lastTold.at); passed > 0 {
		rate = float64(st.Bytes-d.lastTold.bytes) / passed.Seconds()
	}
	d.lastTold = lastTold{now, st.Bytes}
	d.manager.Tell(fmt.Sprintf("%s\nSTATUS=%d open, %d stored, %s",
		manager.Turns, d.Open(), st.Completed, speed(rate)))
	time.AfterFunc(d.manager.Every, func() { d.waker.Post(d.news) })
}

// speed is a rate in bytes a second as people read it, in units of 1,000.
func speed(rate float64) string {
	units := []string{"B/s", "kB/s", "MB/s", "GB/s", "TB/s"}
	for rate >= 999.5 && len(units) > 1 {
		rate, units = rate/1000, units[1:]
	}
	return fmt.Sprintf("%.3g %s", rate, units[0])
}
