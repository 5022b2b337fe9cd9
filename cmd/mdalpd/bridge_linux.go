package main

import (
	"bytes"

	"golang.org/x/sys/unix"
)

// bridge reports whether an interface is one, as its driver says (netdevice(7),
// SIOCETHTOOL). What /sys says is of the network namespace that it was mounted in.
func bridge(name string) bool {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	info, err := unix.IoctlGetEthtoolDrvinfo(fd, name)
	return err == nil && bytes.HasPrefix(info.Driver[:], []byte("bridge\x00"))
}
