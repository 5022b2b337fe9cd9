package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"mdalp/cmd/internal/usage"
)

// toStdout writes a result. That nobody reads it any more is no error, as after
// head(1); that it is lost, as on a full disk, is one. Every command gives its result
// in one call, so that a pipe gets all or nothing of it.
func toStdout(text []byte) error {
	if _, err := os.Stdout.Write(text); err != nil && !errors.Is(err, syscall.EPIPE) {
		return fmt.Errorf("standard output: %w", usage.File(err))
	}
	return nil
}
