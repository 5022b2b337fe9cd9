package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestStatusLive opens as many live pages as there may be, and one more. They end with the
// server.
func TestStatusLive(t *testing.T) {
	x := watch(t)
	var open []*http.Response
	for range 32 {
		r, err := http.Get("http://" + x.http + "/v1/live")
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		open = append(open, r)
		line, err := bufio.NewReader(r.Body).ReadString('\n')
		if err != nil || !strings.HasPrefix(line, `data: {"parts":{"counters":"`) {
			t.Fatalf("%v: %.100s", err, line)
		}
	}
	if code, body, _ := x.request(t, http.DefaultClient, http.MethodGet, "/v1/live", ""); code != http.StatusServiceUnavailable {
		t.Errorf("one more: %d %s", code, body)
	}
	if code, said := x.end(unix.SIGTERM); code != 0 {
		t.Errorf("it ends with %d: %s", code, said)
	}
	for _, r := range open {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			t.Errorf("a live page does not end well: %v", err)
		}
	}
}

// TestStatusUnix has the page at a Unix socket: nobody but user and group may use it, what a
// process left that was killed is no hindrance, one that runs is, and nothing is left.
func TestStatusUnix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "http.sock")
	x := watch(t, "--http", "unix:"+path)
	c := &http.Client{
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "unix", path)
			},
		},
	}
	healthy := func() {
		t.Helper()
		if code, body, _ := x.request(t, c, http.MethodGet, "/healthz", "localhost"); code != http.StatusOK {
			t.Errorf("%d %s", code, body)
		}
	}
	healthy()
	if is, err := os.Stat(path); err != nil || is.Mode().Perm() != 0o660 {
		t.Errorf("%v, %v", is.Mode(), err)
	}
	second := exec.Command("mdalpd", "--listen", x.spare.String(), "--http", "unix:"+path)
	out, err := second.CombinedOutput()
	if want := "mdalpd: --http unix:" + path + ": another program serves that socket, choose another one\n"; string(
		out,
	) != want ||
		second.ProcessState.ExitCode() != 4 {
		t.Errorf("%v: %s", err, out)
	}
	x.end(unix.SIGKILL)
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
	x = watch(t, "--http", "unix:"+path)
	healthy()
	if code, said := x.end(unix.SIGTERM); code != 0 {
		t.Errorf("it ends with %d: %s", code, said)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the socket is left: %v", err)
	}
}

// TestClientStaysLean sees that the client links nothing of the page.
func TestClientStaysLean(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "mdalp/cmd/mdalp").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"net/http", "html/template", "github.com/prometheus/"} {
		if strings.Contains(string(out), "\n"+p) {
			t.Errorf("the client links %s", p)
		}
	}
}
