package manager

import (
	"log/slog"
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
