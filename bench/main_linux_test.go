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

var dir string // of the commands; empty before they are built

// build makes the commands as they are shipped, once, and gives their folder.
var build = sync.OnceValues(func() (string, error) {
	var err error
	if dir, err = os.MkdirTemp("", "mdalp-bench-"); err != nil {
		return "", err
	}
	os.Setenv("XDG_STATE_HOME", dir) // else records of transfers stay in the user's home
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", dir, "mdalp/cmd/mdalp", "mdalp/cmd/mdalpd")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return dir, nil
})

var (
	program = flag.String("mdalp", "", "the `command` to look at, instead of one that is built from this tree")
	served  = flag.String("mdalpd", "", "the same of the server's `command`")
)

// command gives the path of mdalp.
func command(tb testing.TB) string {
	tb.Helper()
	return built(tb, *program, "mdalp")
}

// serving gives the path of mdalpd.
func serving(tb testing.TB) string {
	tb.Helper()
	return built(tb, *served, "mdalpd")
}

func built(tb testing.TB, given, name string) string {
	tb.Helper()
	if given != "" {
		return given
	}
	folder, err := build()
	if err != nil {
		tb.Fatal(err)
	}
	return filepath.Join(folder, name)
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
