// This file is put into package time of the programs that package apart builds.

package time

import (
	"sync/atomic"
	"syscall"
)

// ahead is how far the wall clock is ahead, in seconds. Now may run where no system call may be
// made, so that a goroutine of its own reads the file.
var ahead atomic.Int64

func init() {
	file, ok := syscall.Getenv("MDALP_APART")
	if !ok {
		return
	}
	readAhead(file)
	go func() {
		for {
			Sleep(20 * Millisecond)
			readAhead(file)
		}
	}()
}

func readAhead(file string) {
	var b [24]byte
	n := 0
	fd, err := open(file)
	if err == nil {
		n, err = read(fd, b[:])
		closefd(fd)
	}
	if err != nil { // its test has ended, or will see in the log that the clock is not apart
		return
	}
	by, sign := int64(0), int64(1)
	for _, c := range b[:n] {
		if c == '-' {
			sign = -1
		} else if '0' <= c && c <= '9' {
			by = 10*by + int64(c-'0')
		}
	}
	ahead.Store(sign * by)
}
