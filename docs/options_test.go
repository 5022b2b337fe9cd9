package docs_test

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// foreign are options of other programs, which pages may name, each with whose it is.
var foreign = map[string]string{
	"--cap-add":             "docker and podman",
	"--cache-sim":           "valgrind",
	"--cachegrind-out-file": "valgrind",
	"--foreground":          "timeout",
	"--now":                 "systemctl",
	"--datagram":            "systemd-socket-activate",
	"--preserve-status":     "timeout",
	"--sysctl":              "docker and podman",
	"--tool":                "valgrind",
	"--help":                "every program",
}

var (
	long     = regexp.MustCompile("(?:^|[\\s`(|\"\\[])(--[a-z][a-z0-9-]*)")
	commands = regexp.MustCompile(`(?m)^  ([a-z]+) +[A-Z]`)
)

// TestOptions sees that every option which a page names is one of some command's help.
func TestOptions(t *testing.T) {
	known := make(map[string]bool)
	for _, p := range []string{"mdalp", "mdalpd", "mdalplot"} {
		helps(t, known, p)
	}
	if len(known) < 50 {
		t.Fatalf("only %d options in all helps", len(known))
	}
	for _, page := range pages(t) {
		for i, l := range read(t, page) {
			for _, m := range long.FindAllStringSubmatch(l, -1) {
				if !known[m[1]] && foreign[m[1]] == "" {
					t.Errorf("%s:%d: no command's help has %s; if it is another program's, add it to the table of this test", page, i+1, m[1])
				}
			}
		}
	}
}

// helps collects the options in the help of a command and of those below it.
func helps(t *testing.T, known map[string]bool, line ...string) {
	t.Helper()
	c := exec.Command(filepath.Join(bin, line[0]), append(slices.Clone(line[1:]), "--help")...)
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%s --help: %v: %s", strings.Join(line, " "), err, out)
	}
	for _, m := range long.FindAllStringSubmatch(string(out), -1) {
		known[m[1]] = true
	}
	_, below, ok := strings.Cut(string(out), "Available Commands:\n")
	if !ok || len(line) > 2 {
		return
	}
	below, _, _ = strings.Cut(below, "\n\n")
	for _, m := range commands.FindAllStringSubmatch(below, -1) {
		if m[1] != "help" {
			helps(t, known, append(slices.Clone(line), m[1])...)
		}
	}
}
