package progress

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A frame is painted over the last one, however late it comes, unless the process was stopped in
// between: then a shell may have written.
func TestLateFrame(t *testing.T) {
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer keyboard.Close()
	n, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := NewScreen(f)
	at := time.Duration(0)
	b := make([]byte, 4096)
	// painted draws a frame some time after the last one, and gives what the terminal got.
	painted := func(after time.Duration) string {
		at += after
		s.draw(at, func(int, int) []string { return []string{"bar"} })
		fmt.Fprint(f, "mark") // so that there is something to read
		said := ""
		for !strings.HasSuffix(said, "mark") {
			n, err := keyboard.Read(b)
			if err != nil {
				t.Fatal(err)
			}
			said += string(b[:n])
		}
		return strings.TrimSuffix(said, "mark")
	}
	const up = "\x1b[1A"
	if got := painted(time.Second); !strings.Contains(got, "bar") || strings.Contains(got, up) {
		t.Errorf("the first: %q", got)
	}
	for _, after := range []time.Duration{PaintEvery, time.Minute} {
		got := painted(after) + painted(PaintEvery)
		if !strings.Contains(got, up) || strings.Count(got, "bar") != strings.Count(got, up) {
			t.Errorf("%v later: %q", after, got)
		}
	}
	if err := unix.Kill(os.Getpid(), unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	// The signal is told beside this.
	for began := time.Now(); ; {
		got := painted(PaintEvery)
		if !strings.Contains(got, "bar") {
			t.Fatalf("stopped: %q", got)
		}
		if !strings.Contains(got, up) {
			break
		}
		if time.Since(began) > time.Minute {
			t.Fatal("it does not matter that it was stopped")
		}
	}
}
