package usage

import (
	"fmt"
	"os"
	"syscall"
)

const (
	// leastFiles is how many descriptors a command needs beside those that are open: for
	// Go itself, for the loop, for sockets and a file.
	leastFiles = 8
	// manyFiles is what makes it needless to look closer.
	manyFiles = 64
	// exitFiles is the exit code for what the system refuses.
	exitFiles = 4
)

// Files ends a command that may not open the few files that it needs (setrlimit(2),
// RLIMIT_NOFILE): Go would end it with a dump of goroutines when it opens its first. It
// comes before all else, and writes without the help of package os for the same reason.
func Files(name string) {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil || limit.Cur >= manyFiles {
		return
	}
	var fds []int
	var err error
	for len(fds) < leastFiles && err == nil {
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
	line := fmt.Sprintf("%s: only %d more files can be opened (ulimit -n %d), and at least %d are needed: raise that limit\n",
		name, len(fds), limit.Cur, leastFiles)
	syscall.Write(syscall.Stderr, []byte(line))
	os.Exit(exitFiles)
}
