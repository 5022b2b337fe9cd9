package main

import (
	"fmt"
	"syscall"

	"mdalp/server"
)

// spare is how many descriptors are needed beside sockets and spool files: the standard
// three, those of the loop, of Go itself, and of payloads that are put together.
const spare = 32

// descriptors holds --concurrent against the limit of open files (RLIMIT_NOFILE,
// getrlimit(2)), since each open transaction has one: beyond it, segments could not be
// stored. Go has raised the soft limit to the hard one already. What was asked for is
// refused; the default is lowered.
func (o *options) descriptors(cfg *server.Config, socks int, asked bool) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("getrlimit: %w", err)
	}
	room := int(min(limit.Cur, 1<<30)) - spare - socks
	switch {
	case room >= cfg.Concurrent:
		return nil
	case asked || room < 1:
		return fmt.Errorf("--concurrent %d: %d open files are allowed here (ulimit -n), but %d are needed: raise that limit or ask for at most %d",
			cfg.Concurrent, limit.Cur, cfg.Concurrent+spare+socks, max(room, 0))
	}
	cfg.Log.Warn("fewer transactions at the same time: the limit of open files is low", "concurrent", room, "instead_of", cfg.Concurrent, "open_files", limit.Cur)
	cfg.Concurrent = room
	return nil
}
