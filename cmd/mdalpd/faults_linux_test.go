package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"mdalp/internal/need"
)

// A disk that fails at one step of an extended payload, by a tracer that has system calls of
// the real server fail: its client is told why and ends with 5, nothing half has a final
// name, and on a disk that is well again the same command ends well. faults.txtar has the
// steps at which a whole disk fails.
func TestDiskFails(t *testing.T) {
	t.Parallel() // it mostly waits
	strace, err := exec.LookPath("strace")
	if err != nil {
		need.Skip(t, err)
	}
	isolated(t, func(t *testing.T) {
		const broken, full = "the store failed", "no room"
		const journal, part, folder = "1.journal", "1.part", ""
		for i, tt := range []struct {
			name   string
			file   string // that the call is about
			call   string
			inject string
			slow   bool // it takes long enough for what is done once a second
			says   string
		}{
			{"the journal cannot be made", journal, "openat", "error=EIO", false, broken},
			{"no room for the journal", journal, "fallocate", "error=ENOSPC", false, full},
			{"the journal has no head", journal, "pwrite64", "error=EIO:when=1", false, broken},
			{"the file cannot be made", part, "openat", "error=EIO", false, broken},
			{"no room for the payload", part, "fallocate", "error=ENOSPC", false, full},
			{"no room, told late", part, "pwrite64", "error=ENOSPC", false, full},
			{"something cannot be written", part, "pwrite64", "error=EIO:when=3+", true, broken},
			{"the journal cannot tell what is taken", journal, "pwrite64", "error=EIO:when=2+", false, broken},
			{"the journal is full", journal, "pwrite64", "error=ENOSPC:when=4+", true, full},
			{"the bytes are not flushed", part, "fdatasync", "error=EIO", true, broken},
			{"the journal is not flushed", journal, "fdatasync", "error=EIO", true, broken},
			{"the names are not flushed", folder, "fsync", "error=EIO", true, broken},
			{"it cannot be read again", part, "pread64", "error=EIO", false, broken},
			{"the whole is not flushed", part, "fsync", "error=EIO", false, broken},
			{"its name is not flushed", folder, "fsync", "error=EIO", false, broken},
		} {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				store, file, payload := filepath.Join(dir, "s"), filepath.Join(dir, "f"), make([]byte, 1_100_000)
				rand.NewChaCha8([32]byte{byte(i)}).Read(payload)
				if err := os.WriteFile(file, payload, 0o600); err != nil {
					t.Fatal(err)
				}
				at := fmt.Sprintf("127.0.0.%d", 10+i)
				server := []string{"--listen", at, "--store", store, "--first-tid"}
				// By its path, and as openat(2) has it in the directory.
				about := []string{"-P", filepath.Join(store, tt.file)}
				if tt.file != folder {
					about = append(about, "-P", tt.file)
				}
				c := command(t, append(server, "1")...)
				c.Args = slices.Concat([]string{"strace", "-D", "-f", "-qq", "-o", filepath.Join(dir, "trace")}, about,
					[]string{"-e", "trace=" + tt.call, "-e", "inject=" + tt.call + ":" + tt.inject, c.Path}, c.Args[1:])
				c.Path = strace
				d := launch(t, c, false, "msg=listening ")
				send := func(more ...string) (int, string) {
					c := exec.Command("mdalp", append([]string{"-a", at, "-p", "4650", "-f", file, "-q"}, more...)...)
					c.Env = append(os.Environ(), "XDG_STATE_HOME="+dir)
					out, _ := c.CombinedOutput()
					return c.ProcessState.ExitCode(), string(out)
				}
				var code int
				var said string
				if tt.slow {
					code, said = send("--rate", "5M")
				} else {
					code, said = send()
				}
				if line := "payload to " + at + ":4650: the server refuses it: " + tt.says + "\n"; code != 5 || !strings.HasSuffix(said, line) || strings.Count(said, "\n") != 1 {
					t.Errorf("it ends with %d and says %q", code, said)
				}
				if cause := map[string]string{broken: "input/output error", full: "no space left on device"}[tt.says]; !d.says(cause) {
					t.Errorf("the server does not say %q", cause)
				}
				_, log := d.end(unix.SIGKILL)
				half(t, store, payload)
				e := launch(t, command(t, append(server, "2")...), false, "msg=listening ")
				if code, said := send(); code != 0 {
					t.Errorf("on a disk that is well it ends with %d: %s", code, said)
				}
				half(t, store, payload)
				if n, _ := filepath.Glob(filepath.Join(store, "*.bin")); len(n) == 0 {
					t.Error("nothing is there")
				}
				e.end(unix.SIGTERM)
				if t.Failed() {
					t.Log(log)
				}
			})
		}
	})
}

// half fails if anything with a final name is not the payload.
func half(t *testing.T, store string, payload []byte) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(store, "*.bin"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if b, err := os.ReadFile(f); err != nil || string(b) != string(payload) {
			t.Errorf("%s is not the payload: %v, %d bytes", f, err, len(b))
		}
	}
}
