package main

import (
	"os"
	"regexp"
	"testing"

	"github.com/spf13/pflag"
)

// Options and variables that pages and files name are there.
func TestNames(t *testing.T) {
	known := make(map[string]bool)
	for _, c := range newCommand().Commands() {
		c.Flags().VisitAll(func(f *pflag.Flag) {
			known["--"+f.Name] = true
			known[variable(f)] = true
		})
	}
	names := regexp.MustCompile(`(?m)(?:^|[\s\x60(|\[,])(--[a-z][a-z-]*)|\b(MDALP_FLEET_[A-Z_]+)\b`)
	others := map[string]bool{"--from": true, "--help": true, "--discard": true} // COPY's, every program's, and nats's
	found := 0
	for _, file := range []string{"../../../docs/fleet.md", "../../packaging/compose.yaml",
		"../../packaging/mdalp-fleet.default", "../../packaging/mdalp-fleet@.service",
		"../../packaging/Containerfile", "../../../docs/scale.md", "main.go"} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range names.FindAllStringSubmatch(string(b), -1) {
			name := m[1] + m[2]
			if found++; !known[name] && !others[name] {
				t.Errorf("%s: there is no %s", file, name)
			}
		}
	}
	if found < 30 {
		t.Errorf("only %d names are found", found)
	}
}
