package main

import (
	"testing"

	"mdalp/cmd/internal/script"
)

func TestMain(m *testing.M) { script.Main(m, "mdalpd", main, "mdalp/cmd/mdalp") }

func TestScript(t *testing.T) { script.Run(t) }
