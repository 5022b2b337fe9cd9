package campaign

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mdalp/fleet/internal/engines"
	"mdalp/internal/need"
)

// script takes the commands out of a page: all that is in blocks of sh.
func script(t *testing.T, page string) string {
	t.Helper()
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	in := false
	for l := range strings.Lines(string(b)) {
		switch {
		case strings.HasPrefix(l, "```"):
			in = strings.HasPrefix(l, "```sh")
		case in:
			lines = append(lines, l)
		}
	}
	if len(lines) < 20 {
		t.Fatalf("%s has %d lines of commands", page, len(lines))
	}
	return strings.Join(lines, "")
}

// The walk of docs/fleet.md, as it stands there, leads from three machines with nothing on
// them to a stored file. It has a network, mounts and processes of its own, and leaves none.
func TestWalk(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		need.Skip(t, "network namespaces need root")
	}
	for _, p := range []string{"unshare", "ip", "bash", "openssl"} {
		if _, err := exec.LookPath(p); err != nil {
			need.Skip(t, err)
		}
	}
	dir := t.TempDir()
	// Namespaces have names below a folder that others must not see.
	text := "mount -t tmpfs none /run\nset -euo pipefail\n" + script(t, "../../docs/fleet.md") + "echo walked\n"
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := exec.CommandContext(ctx, "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child",
		"--mount-proc", "bash", "-c", text)
	c.Dir = dir
	path := filepath.Dir(program(t, "mdalp")) + ":" + filepath.Dir(engines.Program(t))
	c.Env = append(os.Environ(), "PATH="+path+":"+os.Getenv("PATH"))
	// What runs on has a descriptor of a pipe, so a file it is.
	said, err := os.Create(filepath.Join(dir, "said"))
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	c.Stdout, c.Stderr = said, said
	err = c.Run()
	b, _ := os.ReadFile(said.Name())
	if err != nil || !bytes.HasSuffix(b, []byte("walked\n")) {
		t.Errorf("%v: %s", err, b)
		logs, _ := filepath.Glob(filepath.Join(dir, "*.log"))
		for _, l := range logs {
			b, _ := os.ReadFile(l)
			t.Logf("%s: %s", filepath.Base(l), b[max(0, len(b)-3000):])
		}
	}
	t.Logf("%s", b)
}
