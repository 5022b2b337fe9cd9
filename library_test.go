package mdalp_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestLibrary does what docs/library.md says, in a folder of its own: a module that requires
// this one, with the program of that page, built and run. It works without a network: what
// this module needs was downloaded to build this test. With a network Go finds out by itself
// which modules the program needs; here it is told, as the go.mod files of others that it
// would read to find out may not be there.
func TestLibrary(t *testing.T) {
	page, err := os.ReadFile("docs/library.md")
	if err != nil {
		t.Fatal(err)
	}
	var program, edit string
	for _, block := range strings.Split(string(page), "\n```")[1:] {
		if text, ok := strings.CutPrefix(block, "go\n"); ok && strings.HasPrefix(text, "package main\n") {
			program = text + "\n"
		}
		for _, line := range strings.Split(block, "\n") {
			if args, ok := strings.CutPrefix(line, "go mod edit "); ok {
				edit = args
			}
		}
	}
	if program == "" || edit == "" {
		t.Fatal("docs/library.md has no program, or no line `go mod edit`")
	}
	root, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	sums, err := os.ReadFile("go.sum")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"main.go": program, "go.sum": string(sums)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	run := func(args ...string) string {
		var out, bad bytes.Buffer
		c := exec.CommandContext(ctx, "go", args...)
		c.Dir, c.Stdout, c.Stderr = dir, &out, &bad
		c.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOSUMDB=off", "GOWORK=off")
		if err := c.Run(); err != nil {
			t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, bad.String())
		}
		return out.String()
	}
	run("mod", "init", "hello")
	run(append([]string{"mod", "edit"}, strings.Fields(strings.Replace(edit, "=../mdalp", "="+root, 1))...)...)
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range required(t) {
		run("mod", "edit", "-require="+m)
	}
	want := "100000 of 100000 bytes acknowledged, 100000 stored\n"
	if got := run("run", "."); got != want {
		t.Errorf("it says %q, want %q", got, want)
	}
	if !strings.Contains(string(page), "`"+strings.TrimSuffix(want, "\n")+"`") {
		t.Errorf("docs/library.md does not say that the program prints %q", want)
	}
	for _, line := range []string{"require mdalp v0.0.0\n", "replace mdalp => "} {
		if !strings.Contains(string(mod), line) || !strings.Contains(string(page), line) {
			t.Errorf("%q is not in go.mod, or not in docs/library.md:\n%s", line, mod)
		}
	}
}

// required is what this module requires, as path@version.
func required(t *testing.T) (all []string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "mod", "edit", "-json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var mod struct {
		Require []struct{ Path, Version string }
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatal(err)
	}
	for _, r := range mod.Require {
		all = append(all, r.Path+"@"+r.Version)
	}
	return all
}
