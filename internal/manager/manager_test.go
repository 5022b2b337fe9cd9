package manager

import (
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Without a service manager, or with one that cannot be reached, all goes on.
func TestNoManager(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	if m := New(slog.Default()); m != nil {
		t.Error("there is a manager")
	}
	var none *Manager
	none.Tell(Ready)
	none.End()
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "missing"))
	t.Setenv("WATCHDOG_USEC", "soon")
	said := make(lines, 8)
	m := New(slog.New(slog.NewTextHandler(said, nil)))
	if got := <-said; !regexp.MustCompile(`level=WARN msg="there is no watchdog: its time cannot be read" WATCHDOG_USEC=soon\n`).MatchString(got) {
		t.Errorf("said %q", got)
	}
	m.Tell(Ready)
	if got := <-said; !strings.Contains(got, `level=WARN msg="the service manager cannot be told how it goes" NOTIFY_SOCKET=`) {
		t.Errorf("said %q", got)
	}
	if m.Every != newsEvery {
		t.Errorf("every %v", m.Every)
	}
}

// lines are the lines of a log.
type lines chan string

func (l lines) Write(b []byte) (int, error) {
	l <- string(b)
	return len(b), nil
}

// A service manager that takes nothing for long, as on a busy machine, hears all the same that the
// program is ready, and that it ends, and of what is between the newest.
func TestSlowManager(t *testing.T) {
	name := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	t.Setenv("NOTIFY_SOCKET", name)
	m := New(slog.New(slog.DiscardHandler))
	const turns = 10_000 // more than any socket holds
	turn := func(k int) string { return fmt.Sprint(Turns, "\nSTATUS=", k) }
	for k := range turns {
		m.Tell(turn(k))
		if k == turns/2 {
			m.Tell(Ready)
		}
	}
	m.Tell(Stopping)
	heard := make(map[string]bool)
	for b := make([]byte, 100); !heard[Stopping]; {
		n, err := c.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		heard[string(b[:n])] = true
	}
	if !heard[Ready] || !heard[turn(turns-1)] {
		t.Errorf("ready is heard: %v; and of %d turns:\n%v", heard[Ready], turns, heard)
	}
	m.End()
	<-m.done // soon, as all is told
}
