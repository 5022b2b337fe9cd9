package progress

import (
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// Paintable reports whether f is a terminal that can be painted on. A dumb one knows no
// escape sequences, and one without a name may not.
func Paintable(f *os.File) bool {
	term := os.Getenv("TERM")
	return term != "" && term != "dumb" && IsTerminal(f)
}

// IsTerminal reports whether f is a terminal. Only a terminal has the attributes of one
// (TCGETS, ioctl_tty(2)).
func IsTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// size gives the columns and rows of a terminal, as they are now: asked for each time,
// nothing has to follow SIGWINCH. What is no terminal has 80 by 24. A terminal may say
// 0, as some serial lines do, which is "not known" (TIOCGWINSZ, ioctl_tty(2)).
func size(f *os.File) (cols, rows int) {
	w, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil || w.Col == 0 || w.Row == 0 {
		return 80, 24
	}
	return int(w.Col), int(w.Row)
}

// Width gives the columns of f. What is no terminal has no end: lines are broken for those
// who read them, and not for grep.
func Width(f *os.File) int {
	if !IsTerminal(f) {
		return math.MaxInt
	}
	cols, _ := size(f)
	return cols
}

// Writable reports whether f takes bytes without blocking (poll(2)).
func Writable(f *os.File) bool {
	p := []unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLOUT}}
	n, err := unix.Poll(p, 0)
	return err == nil && n == 1
}

// Foreground reports whether this process may use the terminal now. Else a write may
// stop it by SIGTTOU (stty tostop). What is no terminal of ours has no foreground to
// ask for.
func Foreground(f *os.File) bool {
	group, err := unix.IoctlGetInt(int(f.Fd()), unix.TIOCGPGRP)
	return err != nil || group == unix.Getpgrp()
}
