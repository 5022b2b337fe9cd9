package bench

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	Serve()
	code := m.Run()
	if dir != "" {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

var dir string // of the command; empty before it is built

// build is the command as it is shipped, built once.
var build = sync.OnceValues(func() (string, error) {
	var err error
	if dir, err = os.MkdirTemp("", "mdalp-bench-"); err != nil {
		return "", err
	}
	path := filepath.Join(dir, "mdalp")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "mdalp/cmd/mdalp")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

var program = flag.String("mdalp", "", "the `command` to look at, instead of one that is built from this tree")

// command gives the path of mdalp.
func command(tb testing.TB) string {
	tb.Helper()
	if *program != "" {
		return *program
	}
	path, err := build()
	if err != nil {
		tb.Fatal(err)
	}
	return path
}

// sending is the command line that sends a file in equal shares.
func sending(r *Receivers, file string) []string {
	return []string{"-a", r.Addr.Addr().String(), "-p", strconv.Itoa(int(r.Addr.Port())), "-f", file, "--balance", "equal", "--ping", "off"}
}

// receivers starts n receivers for as long as the test lasts.
func receivers(tb testing.TB, n int, delay time.Duration, silent bool) *Receivers {
	tb.Helper()
	r, err := StartReceivers(n, delay, silent)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := r.Close(); err != nil {
			tb.Error(err)
		}
	})
	return r
}

// sparse makes a file of size bytes that takes no room.
func sparse(tb testing.TB, size int64) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "payload")
	f, err := os.Create(path)
	if err == nil {
		err = f.Truncate(size)
		f.Close()
	}
	if err != nil {
		tb.Fatal(err)
	}
	return path
}

// missing skips a test for want of a tool or a privilege. Where everything has to be
// tested, it fails.
func missing(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}
