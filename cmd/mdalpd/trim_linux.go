package main

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// trim lets go of the pages of the program's own file that the start has touched: what
// packages do there once, those for the metrics above all, is more than half of what the
// process then has in memory. The kernel reads again what is needed, from its cache (madvise(2):
// nothing is lost of a mapping of a file to which nothing is written). With a gigabyte under
// way the process has 13.6 MB at most, and 18.1 MB without.
func trim() {
	self, err := os.Executable()
	if err != nil {
		return
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return
	}
	for line := range strings.Lines(string(maps)) {
		// address perms offset dev inode pathname (proc_pid_maps(5))
		f := strings.Fields(line)
		if len(f) != 6 || f[5] != self || strings.Contains(f[1], "w") {
			continue
		}
		from, to, _ := strings.Cut(f[0], "-")
		start, e1 := strconv.ParseUint(from, 16, 64)
		end, e2 := strconv.ParseUint(to, 16, 64)
		if e1 == nil && e2 == nil {
			// Where it fails the pages stay, and nothing else.
			_, _, _ = unix.Syscall(unix.SYS_MADVISE, uintptr(start), uintptr(end-start), unix.MADV_DONTNEED)
		}
	}
}
