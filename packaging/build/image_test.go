//go:build packaging

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mdalp/internal/need"
)

// TestImages builds the images of the Containerfile and runs them, with nothing but
// loopback between client and server. It needs podman and what the builder's image
// needs: a registry and modules.
func TestImages(t *testing.T) {
	if _, err := exec.LookPath("podman"); err != nil {
		need.Skip(t, err)
	}
	root := filepath.Join("..", "..")
	const client, server = "localhost/mdalp-test", "localhost/mdalpd-test"
	must(t, "podman", "build", "--tag", client, root)
	must(t, "podman", "build", "--tag", server, "--target", "mdalpd", root)
	t.Cleanup(func() { exec.Command("podman", "rmi", "--force", client, server).Run() })

	for _, tt := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"raw", []string{"--cap-add", "NET_RAW"}, 0, "a send works here, with pings by raw sockets\n"},
		{"datagrams", []string{"--cap-drop", "all", "--sysctl", "net.ipv4.ping_group_range=0 2147483647"}, 0,
			"a send works here, with pings by ICMP datagram sockets\n"},
		{"none", []string{"--cap-drop", "all"}, 1, "a send works here, but without pings: all receivers get the same share\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			args := append([]string{"run", "--rm", "--network", "none"}, tt.args...)
			c := exec.Command("podman", append(args, client, "doctor")...)
			var out bytes.Buffer
			c.Stdout, c.Stderr = &out, os.Stderr
			if err := c.Run(); c.ProcessState.ExitCode() != tt.code {
				t.Errorf("exit code %d, %v", c.ProcessState.ExitCode(), err)
			}
			for _, want := range []string{tt.want, "user 65534, in a container"} {
				if !strings.Contains(out.String(), want) {
					t.Errorf("%q is not in\n%s", want, out.String())
				}
			}
		})
	}

	t.Run("send", func(t *testing.T) {
		// No pipe for what goes on to run behind it, as it would keep it open.
		c := exec.Command("podman", "run", "--detach", "--network", "none", server, "--receivers", "127.0.0.1,127.0.0.2")
		c.Stderr = os.Stderr
		out, err := c.Output()
		if err != nil {
			t.Fatal(err)
		}
		id := string(bytes.TrimSpace(out))
		t.Cleanup(func() { exec.Command("podman", "rm", "--force", "--volumes", id).Run() })
		payload := bytes.Repeat([]byte("what is read from a pipe needs a folder to be kept in\n"), 100)
		c = exec.Command("podman", "run", "--rm", "--interactive", "--network", "container:"+id, client,
			"-a", "127.0.0.1", "-p", "4650", "-f", "-", "--intent-retry", "200ms", "--deadline", "60s")
		c.Stdin = bytes.NewReader(payload)
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		must(t, "podman", "stop", id)
		if code := strings.TrimSpace(must(t, "podman", "inspect", "--format", "{{.State.ExitCode}}", id)); code != "0" {
			t.Errorf("the server stopped with %s", code)
		}
		to := t.TempDir()
		must(t, "podman", "cp", id+":/store/.", to)
		found, _ := filepath.Glob(filepath.Join(to, "*.bin"))
		if len(found) != 1 {
			t.Fatalf("stored: %v", found)
		}
		if got, err := os.ReadFile(found[0]); err != nil || !bytes.Equal(got, payload) {
			t.Errorf("%v, %d bytes of %d", err, len(got), len(payload))
		}
	})
}
