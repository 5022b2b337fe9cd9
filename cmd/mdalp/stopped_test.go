package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// openTerminal gives both ends of a new terminal (pts(4)).
func openTerminal(t *testing.T) (keyboard, screen *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { keyboard.Close() })
	n, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		screen, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { screen.Close() })
	return keyboard, screen
}

// A terminal that its user has stopped (Ctrl-S) takes neither bars nor lines. The transfer
// goes on, and its end does not wait beyond the deadline, or a signal.
func TestStoppedTerminal(t *testing.T) {
	t.Parallel()
	for _, options := range []string{"", "-vv", "-vv --progress off"} {
		t.Run(options, func(t *testing.T) {
			t.Parallel()
			_, screen := openTerminal(t)
			if err := unix.IoctlSetInt(int(screen.Fd()), unix.TCXONC, unix.TCOOFF); err != nil {
				t.Fatal(err)
			}
			p := newReceivers(t, 2)
			args := []string{"-a", "127.0.0.1", "-p", p.port, "-f", payloadFile(t, t.TempDir(), "f", 20000), "--balance", "equal", "--deadline", "5s"}
			c := exec.Command("mdalp", append(args, strings.Fields(options)...)...)
			var out bytes.Buffer
			c.Stdout, c.Stderr = &out, screen
			c.Env = append(os.Environ(), "TERM=xterm", "GORACE=atexit_sleep_ms=0")
			if err := c.Run(); err != nil || !strings.Contains(out.String(), "complete, 20000 of 20000") {
				t.Errorf("%v: %s", err, &out)
			}
		})
	}
}
