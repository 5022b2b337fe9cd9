package mdalp

import (
	"time"

	"golang.org/x/sys/unix"
)

// threadTime is the CPU time of the calling thread (getrusage(2), RUSAGE_THREAD).
func threadTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_THREAD, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
