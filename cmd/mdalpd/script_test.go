package main

import (
	"os"
	"testing"

	"mdalp/cmd/internal/script"
)

// mark names, in the environment of a test that runs again in a namespace of its own, the
// program to test.
const mark = "MDALPD_ISOLATED_TEST"

func TestMain(m *testing.M) {
	if os.Getenv(mark) != "" {
		os.Exit(m.Run())
	}
	script.Main(m, "mdalpd", main, "mdalp/cmd/mdalp")
}

func TestScript(t *testing.T) { script.Run(t) }
