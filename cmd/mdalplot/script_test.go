package main

import (
	"testing"

	"mdalp/cmd/internal/script"
)

func TestMain(m *testing.M) { script.Main(m, "mdalplot", main, "mdalp/cmd/mdalp") }

func TestScript(t *testing.T) { script.Run(t) }
