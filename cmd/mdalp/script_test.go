package main

import (
	"testing"

	"mdalp/cmd/internal/script"
)

func TestMain(m *testing.M) { script.Main(m, "mdalp", main, "mdalp/cmd/mdalpd") }

func TestScript(t *testing.T) { script.Run(t) }
