package main

import (
	"fmt"
	"log/slog"
	"os"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
)

const (
	// newsEvery is how often the service manager hears how it goes.
	newsEvery = 5 * time.Second
	// untold is how many messages may wait for a service manager that takes none. The first is
	// that all is ready; what finds no room is old by the time there is some.
	untold = 8
)

// A manager is the service manager that has started the program and wants to hear how it
// goes, as systemd does (sd_notify(3)). nil is none. What it is told comes from the loop, so
// that it hears nothing of a loop that is stuck; a goroutine beside it only hands that on, as
// a write may block.
type manager struct {
	words chan string
	done  chan struct{} // closed when the last of them is handed on
	every time.Duration // how often the loop has a word
	at    time.Time     // of the last one,
	bytes uint64        // and what was stored by then
}

// newManager finds the service manager in the environment. With a watchdog it hears from the
// loop twice in the time after which it would take it for stuck (sd_watchdog_enabled(3)).
func newManager(log *slog.Logger) *manager {
	if os.Getenv("NOTIFY_SOCKET") == "" {
		return nil
	}
	m := &manager{words: make(chan string, untold), done: make(chan struct{}), every: newsEvery}
	watchdog, err := sd.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("there is no watchdog: its time cannot be read", "WATCHDOG_USEC", os.Getenv("WATCHDOG_USEC"))
	} else if watchdog > 0 {
		m.every = min(m.every, watchdog/2)
	}
	go func() {
		failed := false
		defer close(m.done)
		for w := range m.words {
			if w == "" {
				return
			}
			_, err := sd.SdNotify(false, w)
			if err != nil && !failed {
				log.Warn("the service manager cannot be told how it goes",
					"NOTIFY_SOCKET", os.Getenv("NOTIFY_SOCKET"), "err", err)
			}
			failed = err != nil
		}
	}()
	return m
}

// tell has something told, and never waits.
func (m *manager) tell(words string) {
	if m == nil {
		return
	}
	select {
	case m.words <- words:
	default:
	}
}

// end waits until all is told, but not for long.
func (m *manager) end() {
	if m == nil {
		return
	}
	m.tell("")
	select {
	case <-m.done:
	case <-time.After(lastWords):
	}
}

// ready tells that the loop runs, with ports and store, and begins to tell how it goes.
func (d *daemon) ready(now time.Time) {
	if d.manager == nil {
		return
	}
	d.manager.tell(sd.SdNotifyReady)
	d.manager.at, d.manager.bytes = now, d.Stats().Bytes
	d.news(now)
}

// news tells how it goes, and comes again through the loop: when that does not turn, nothing is
// told, and the watchdog bites. It is called in the loop's goroutine.
func (d *daemon) news(now time.Time) {
	m, st := d.manager, d.Stats()
	rate := 0.0
	if passed := now.Sub(m.at); passed > 0 {
		rate = float64(st.Bytes-m.bytes) / passed.Seconds()
	}
	m.at, m.bytes = now, st.Bytes
	m.tell(fmt.Sprintf("%s\nSTATUS=%d open, %d stored, %s",
		sd.SdNotifyWatchdog, d.Open(), st.Completed, speed(rate)))
	time.AfterFunc(m.every, func() { d.waker.Post(d.news) })
}

// speed is a rate in bytes a second as people read it, in units of 1,000.
func speed(rate float64) string {
	units := []string{"B/s", "kB/s", "MB/s", "GB/s", "TB/s"}
	for rate >= 999.5 && len(units) > 1 {
		rate, units = rate/1000, units[1:]
	}
	return fmt.Sprintf("%.3g %s", rate, units[0])
}
