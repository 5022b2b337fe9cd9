package script

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// onTerminal gives a program a controlling terminal, /dev/tty to it, and gives what has to be called
// once it has ended: that puts what the terminal got into a file. It is not ttyin's, which closes
// the terminal before all of it was read.
func onTerminal(ts *testscript.TestScript, cmd *exec.Cmd, file string) (ended func()) {
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	ts.Check(err)
	n, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	ts.Check(err)
	ts.Check(unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0))
	screen, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	ts.Check(err)
	cmd.ExtraFiles = []*os.File{screen}
	cmd.SysProcAttr.Setsid, cmd.SysProcAttr.Setctty, cmd.SysProcAttr.Ctty = true, true, 3
	var text bytes.Buffer
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.Copy(&text, keyboard) // to EIO, which comes when nobody has it open and all was read (pty(7))
	}()
	return func() {
		screen.Close()
		<-done
		keyboard.Close()
		if err := os.WriteFile(file, text.Bytes(), 0o644); err != nil {
			ts.Logf("%v", err)
		}
	}
}
