// Package manager tells the service manager that has started a program how it goes, as systemd
// wants to hear it (sd_notify(3)).
package manager

import (
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
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
	// lastWords is how long the end waits until all is told.
	lastWords = 2 * time.Second
)

// A Manager is the service manager. nil is none, and is told nothing. What it is told had better
// come from the program's loop, so that it hears nothing of a loop that is stuck; a goroutine
// beside it only hands that on, as a write may block.
type Manager struct {
	// Every is how often the loop has a word for it.
	Every time.Duration

	mu     sync.Mutex
	untold []string      // what is not handed on yet, in order
	ends   bool          // nothing comes behind that
	more   chan struct{} // there is something new in these
	done   chan struct{} // closed when the last word is handed on
}

// New finds the service manager in the environment; nil where there is none. With a watchdog it
// wants to hear twice in the time after which it would take the program for stuck
// (sd_watchdog_enabled(3)).
func New(log *slog.Logger) *Manager {
	if os.Getenv("NOTIFY_SOCKET") == "" {
		return nil
	}
	m := &Manager{more: make(chan struct{}, 1), done: make(chan struct{}), Every: newsEvery}
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
	for {
		words, ends := m.next()
		if words == "" && ends {
			return
		}
		if words == "" {
			<-m.more
			continue
		}
		_, err := sd.SdNotify(false, words)
		if err != nil && !failed {
			log.Warn("the service manager cannot be told how it goes",
				"NOTIFY_SOCKET", os.Getenv("NOTIFY_SOCKET"), "err", err)
		}
		failed = err != nil
	}
}

// next takes what is to be handed on next; "" is nothing yet, or nothing any more.
func (m *Manager) next() (words string, ends bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.untold) > 0 {
		words, m.untold = m.untold[0], m.untold[1:]
	}
	return words, m.ends
}

// Tell has something told, and never waits. What begins with Turns takes the place of what did so
// before and was not handed on yet, as it is old. All else is told, however long the service manager
// takes nothing: one that never heard of Ready would take the program for one that cannot start.
func (m *Manager) Tell(words string) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	turns := func(s string) bool { return strings.HasPrefix(s, Turns) }
	if turns(words) {
		m.untold = slices.DeleteFunc(m.untold, turns)
	}
	m.untold = append(m.untold, words)
	m.wake()
}

// wake has hand look again; m.mu is held.
func (m *Manager) wake() {
	select {
	case m.more <- struct{}{}:
	default:
	}
}

// End waits until all is told, but not for long.
func (m *Manager) End() {
	if m == nil {
		return
	}
	m.mu.Lock()
	m.ends = true
	m.wake()
	m.mu.Unlock()
	select {
	case <-m.done:
	case <-time.After(lastWords):
	}
}
