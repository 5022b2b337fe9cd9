package mdalp

import (
	"os"
	"reflect"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// dropCapabilities gives up every capability of the process for good
// (capabilities(7)). Capabilities belong to threads, so every thread of the
// runtime must do it; where the runtime cannot make them (a binary with cgo), the
// calling thread alone does, and stays bound to its goroutine: the one that will
// read what comes from the network.
func dropCapabilities() error {
	head := &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	none := &[2]unix.CapUserData{}
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET,
		reflect.ValueOf(head).Pointer(), reflect.ValueOf(none).Pointer(), 0)
	runtime.KeepAlive(head)
	runtime.KeepAlive(none)
	if errno == syscall.ENOTSUP {
		runtime.LockOSThread()
		return os.NewSyscallError("capset", unix.Capset(head, &none[0]))
	}
	if errno != 0 {
		return os.NewSyscallError("capset", errno)
	}
	return nil
}
