// Package manager tells the service manager that has started a program how it goes, as systemd
// wants to hear it (sd_notify(3)).
package manager

import (
	"log/slog"
	"os"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
)

// What it is told: that the program serves, that it is about to end, that its loop turns.
const (
	Ready    = sd.SdNotifyReady
	Stopping = sd.SdNotifyStopping
	Turns    = sd.SdNotifyWatchdog
)

const (
	// newsEvery is how often the service manager hears how it goes.
	newsEvery = 5 * time.Second
	// untold is how many messages may wait for a service manager that takes none. The first is
	// that all is ready; what finds no room is old by the time there is some.
	untold = 8
	// lastWords is how long the end waits until all is told.
	lastWords = 2 * time.Second
)

// A Manager is the service manager. nil is none, and is told nothing. What it is told had better
// come from the program's loop, so that it hears nothing of a loop that is stuck; a goroutine
// beside it only hands that on, as a write may block.
type Manager struct {
	// Every is how often the loop has a word for it.
	Every time.Duration

	words chan string
	done  chan struct{} // closed when the last of them is handed on
}

// New finds the service manager in the environment; nil where there is none. With a watchdog it
// wants to hear twice in the time after which it would take the program for stuck
// (sd_watchdog_enabled(3)).
func New(log *slog.Logger) *Manager {
	if os.Getenv("NOTIFY_SOCKET") == "" {
		return nil
	}
	m := &Manager{words: make(chan string, untold), done: make(chan struct{}), Every: newsEvery}
	watchdog, err := sd.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("there is no watchdog: its time cannot be read", "WATCHDOG_USEC", os.Getenv("WATCHDOG_USEC"))
	} else if watchdog > 0 {
		m.Every = min(m.Every, watchdog/2)
	}
	go m.hand(log)
	return m
}

// hand hands on what there is to tell.
func (m *Manager) hand(log *slog.Logger) {
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
}

// Tell has something told, and never waits.
func (m *Manager) Tell(words string) {
	if m == nil {
		return
	}
	select {
	case m.words <- words:
	default:
	}
}

// End waits until all is told, but not for long.
func (m *Manager) End() {
	if m == nil {
		return
	}
	m.Tell("")
	select {
	case <-m.done:
	case <-time.After(lastWords):
	}
}
