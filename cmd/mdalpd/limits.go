package main

import (
	"fmt"
	"syscall"

	"mdalp/server"
)

// spare is how many descriptors are needed beside sockets and spool files: the standard
// three, those of the loop, of Go itself, and of payloads that are put together.
const spare = 32

// descriptors holds --concurrent, and how many payloads may be under way in all, against
// the limit of open files (RLIMIT_NOFILE, getrlimit(2)), since each has one, or two in the
// extended protocol: beyond it, segments could not be stored. Go has raised the soft limit
// to the hard one already. What was asked for is refused, defaults are lowered.
func (o *options) descriptors(cfg *server.Config, socks int) error {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return nil // a filter of system calls forbids to ask
	}
	each := 2
	if cfg.Base {
		each = 1
	}
	others := spare + socks + o.http.Descriptors()
	room := (int(min(limit.Cur, 1<<30)) - others) / each
	switch {
	case room >= cfg.MaxOpen:
		return nil
	case room < 1 || o.asked && room < cfg.Concurrent:
		advice := "raise that limit"
		if room > 0 {
			advice += fmt.Sprintf(" or ask for at most %d", room)
		}
		return fmt.Errorf("--concurrent %d: %d open files are allowed here (ulimit -n), "+
			"but %d are needed: %s", cfg.Concurrent, limit.Cur, cfg.Concurrent*each+others, advice)
	}
	cfg.MaxOpen, cfg.Concurrent = room, min(room, cfg.Concurrent)
	cfg.Log.Warn("fewer payloads than usual may be under way: few open files are allowed (ulimit -n)",
		"open_files", limit.Cur, "payloads", cfg.MaxOpen, "concurrent", cfg.Concurrent)
	return nil
}
