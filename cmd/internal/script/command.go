package script

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// Command runs a program and gives what it wrote, and its exit code. Of the environment
// it gets all but what would be options of mdalp. It is for tables in Go, whose names of
// files no script could hold.
func Command(t *testing.T, name string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := exec.CommandContext(ctx, name, args...)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	// The race detector would wait a second at the end of each program built with it.
	c.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "MDALP_") || strings.HasPrefix(v, "MDALPD_")
	}), "GORACE=atexit_sleep_ms=0")
	if err := c.Run(); err != nil && c.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), c.ProcessState.ExitCode()
}
