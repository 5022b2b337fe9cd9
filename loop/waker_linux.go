package loop

import (
	"encoding/binary"
	"os"

	"golang.org/x/sys/unix"
)

// An event is an eventfd(2), the descriptor by which a goroutine wakes a loop that
// sleeps in its poller. It is set until it is cleared, however often it was set.
type event int

func newEvent() (event, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	return event(fd), os.NewSyscallError("eventfd2", err)
}

// set fails only when the counter is full, and then it is set.
func (e event) set() {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	_, _ = unix.Write(int(e), one[:])
}

func (e event) clear() {
	var n [8]byte
	_, _ = unix.Read(int(e), n[:])
}

func (e event) close() error { return os.NewSyscallError("close", unix.Close(int(e))) }
