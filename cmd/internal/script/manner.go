package script

import (
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
)

// A manner is how a program is to be started.
type manner struct {
	attr                       syscall.SysProcAttr
	in                         string // the file on its standard input
	tty                        string // the file for what its terminal gets
	broken, stuckOut, stuckErr bool
}

// options reads a manner from the arguments, and gives the program's.
func options(ts *testscript.TestScript, args []string) (m manner, program []string) {
	for len(args) > 1 && args[0][0] == '-' {
		switch args[0] {
		case "-nobody":
			// Supplementary groups and capabilities go with it (execve(2)).
			m.attr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
			args = args[1:]
		case "-broken":
			m.broken, args = true, args[1:]
		case "-stuckout":
			m.stuckOut, args = true, args[1:]
		case "-stuckerr":
			m.stuckErr, args = true, args[1:]
		case "-in":
			m.in, args = ts.MkAbs(args[1]), args[2:]
		case "-tty":
			m.tty, args = ts.MkAbs(args[1]), args[2:]
		default:
			ts.Fatalf("unknown option %s", args[0])
		}
	}
	if len(args) == 0 {
		ts.Fatalf("which program?")
	}
	return m, args
}
