package doctor

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A status is what proc(5) tells of this process's privileges.
type status struct {
	known                          bool   // without /proc the rest is not
	effective, permitted, bounding uint64 // sets of capabilities
	noNewPrivs                     bool
	seccomp                        int // 0: none, 1: strict, 2: a filter
}

// parseStatus reads the lines of /proc/self/status that matter here.
func parseStatus(b []byte) (s status) {
	for line := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		set, _ := strconv.ParseUint(value, 16, 64)
		switch key {
		case "CapEff":
			s.effective, s.known = set, true
		case "CapPrm":
			s.permitted = set
		case "CapBnd":
			s.bounding = set
		case "NoNewPrivs":
			s.noNewPrivs = value == "1"
		case "Seccomp":
			s.seccomp, _ = strconv.Atoi(value)
		}
	}
	return s
}

// fileCaps are the capabilities of the program's file.
type fileCaps struct {
	permitted uint64
	effective bool // they are in force from the start
	err       error
}

// readFileCaps reads the extended attribute that setcap(8) writes. Any user may read it
// (xattr(7)).
func readFileCaps(path string) fileCaps {
	b := make([]byte, 64)
	n, err := unix.Getxattr(path, "security.capability", b)
	switch {
	case errors.Is(err, unix.ENODATA):
		return fileCaps{}
	case err != nil:
		return fileCaps{err: os.NewSyscallError("getxattr", err)}
	}
	return parseFileCaps(b[:n])
}

// parseFileCaps reads a struct vfs_cap_data (linux/capability.h): a word with the
// revision and the flag "effective", then pairs of words, permitted and inheritable.
func parseFileCaps(b []byte) fileCaps {
	if len(b) < 12 {
		return fileCaps{err: fmt.Errorf("%d bytes are no capabilities", len(b))}
	}
	head := binary.LittleEndian.Uint32(b)
	c := fileCaps{permitted: uint64(binary.LittleEndian.Uint32(b[4:])), effective: head&1 != 0}
	if revision := head >> 24; revision >= 2 && len(b) >= 20 {
		c.permitted |= uint64(binary.LittleEndian.Uint32(b[12:])) << 32
	}
	return c
}

// A groupRange is net.ipv4.ping_group_range: the groups that may open ICMP datagram
// sockets (icmp(7)).
type groupRange struct {
	first, last uint64
	known       bool
}

// parseGroups reads two numbers.
func parseGroups(s string) groupRange {
	f := strings.Fields(s)
	if len(f) != 2 {
		return groupRange{}
	}
	first, err := strconv.ParseUint(f[0], 10, 32)
	last, err2 := strconv.ParseUint(f[1], 10, 32)
	return groupRange{first, last, err == nil && err2 == nil}
}

// String names the groups.
func (g groupRange) String() string {
	switch {
	case !g.known:
		return "unknown: it cannot be read"
	case g.first > g.last:
		return fmt.Sprintf("%d %d: nobody", g.first, g.last)
	}
	return fmt.Sprintf("groups %d to %d", g.first, g.last)
}
