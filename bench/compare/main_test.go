//go:build linux

package main

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

// TestLoopback sends a small file by both protocols, which need no other program.
func TestLoopback(t *testing.T) {
	var out bytes.Buffer
	args := []string{"-runs", "1", "-size", "100000", "-dir", t.TempDir(), "loopback", "-tools", "mdalp,mdalp-base"}
	if err := command(t.Context(), args, &out); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	for _, row := range []string{"| mdalp | 100000 | ", "| mdalp-base | 100000 | "} {
		if strings.Count(out.String(), row) != 1 {
			t.Errorf("no row %q in:\n%s", row, out.String())
		}
	}
}

// TestUsage sees that a mistake is told before anything is measured.
func TestUsage(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"nowhere", `no network "nowhere"`},
		{"-runs 0 loopback", "above 0"},
		{"-tools ftp loopback", "-tools ftp"},
		{"-speed loopback", "-help tells the options"},
		{"loopback -runs many", "-help tells the options"},
	} {
		err := command(t.Context(), strings.Fields(c.args), io.Discard)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("compare %s: %v, want %q on one line", c.args, err, c.want)
		}
	}
}
