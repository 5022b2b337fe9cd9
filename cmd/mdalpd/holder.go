package main

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"mdalp/cmd/internal/usage"
)

// holder tells which process has the UDP port of a, as far as proc(5) shows it to this user;
// "" when it does not. The first one that is found is named.
func holder(a netip.AddrPort) string {
	inodes := make(map[string]bool)
	for _, table := range []string{"/proc/self/net/udp", "/proc/self/net/udp6"} {
		b, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(b)) {
			// sl local_address rem_address st tx:rx tr:tm retrnsmt uid timeout inode
			f := strings.Fields(line)
			if len(f) < 10 {
				continue
			}
			_, port, _ := strings.Cut(f[1], ":")
			if n, err := strconv.ParseUint(port, 16, 16); err == nil && uint16(n) == a.Port() {
				inodes["socket:["+f[9]+"]"] = true
			}
		}
	}
	if len(inodes) == 0 {
		return ""
	}
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err != nil || !inodes[to] {
			continue
		}
		dir := filepath.Dir(filepath.Dir(fd))
		name, _ := os.ReadFile(filepath.Join(dir, "comm"))
		program := usage.Text(strings.TrimSpace(string(name)))
		if program == "systemd" {
			return "systemd has it, for a socket unit: it would pass it to the service"
		}
		return fmt.Sprintf("process %s, %s", filepath.Base(dir), program)
	}
	return ""
}
