// Package fewfiles ends a command that may open too few files, with one line.
package fewfiles

import "syscall"

const (
	// least is how many descriptors a command needs beside those that are open: for Go
	// itself, for the loop, for sockets and a file.
	least = 8
	// many is what makes it needless to look closer.
	many = 64
	// exit is the exit code for what the system refuses.
	exit = 4
)

// Check ends a command that may not open the few files that it needs (setrlimit(2),
// RLIMIT_NOFILE): Go would end it with a dump of goroutines when it opens its first. It
// comes before all else, and imports nothing but syscall: package first has it called before
// package os is there.
func Check(name string) {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil || limit.Cur >= many {
		return
	}
	var fds []int
	var err error
	for len(fds) < least && err == nil {
		var fd int
		if fd, err = syscall.Open("/", syscall.O_RDONLY|syscall.O_CLOEXEC, 0); err == nil {
			fds = append(fds, fd)
		}
	}
	for _, fd := range fds {
		syscall.Close(fd)
	}
	if err != syscall.EMFILE {
		return
	}
	line := name + ": only " + digits(len(fds)) +
		" more files can be opened (ulimit -n " + digits(int(limit.Cur)) +
		"), and at least " + digits(least) + " are needed: raise that limit\n"
	syscall.Write(syscall.Stderr, []byte(line))
	syscall.Exit(exit)
}

// digits is a number from 0 on, below many.
func digits(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return digits(n/10) + digits(n%10)
}
