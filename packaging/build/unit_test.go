package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mdalp/internal/need"
)

// mostExposed is how open the service may be by the scale of systemd-analyze, in tenths of its
// ten points: what is left to it is the network, and AF_NETLINK.
const mostExposed = "20"

// TestUnits has systemd read the units, which says every setting that it does not know, and
// rate how much the service may do. No service is started.
func TestUnits(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		need.Skip(t, err)
	}
	analyze := func(args ...string) (string, error) {
		c := exec.Command("systemd-analyze", args...)
		// It looks up the user's folders, and asks no running systemd.
		c.Env = append(os.Environ(), "SYSTEMD_LOG_TARGET=console", "LC_ALL=C")
		out, err := c.CombinedOutput()
		return string(out), err
	}
	units := func(more string) (service, socket string) {
		dir := t.TempDir()
		for _, name := range []string{"mdalpd.service", "mdalpd.socket"} {
			b, err := os.ReadFile(filepath.Join("..", name))
			if err != nil {
				t.Fatal(err)
			}
			// Where mdalpd is not installed, any program stands for it.
			text := strings.Replace(string(b), "ExecStart=/usr/bin/mdalpd", "ExecStart=/bin/true", 1)
			if name == "mdalpd.service" {
				text = strings.Replace(text, "[Service]\n", "[Service]\n"+more, 1)
			}
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		return filepath.Join(dir, "mdalpd.service"), filepath.Join(dir, "mdalpd.socket")
	}
	service, socket := units("")
	out, err := analyze("verify", "--man=no", service, socket)
	if err != nil || strings.Contains(out, "mdalpd") {
		t.Errorf("verify: %v\n%s", err, out)
	}
	if out, err := analyze("security", "--offline=true", "--threshold="+mostExposed, service); err != nil {
		t.Errorf("security: %v\n%s", err, out)
	}
	// It would say so.
	service, socket = units("WatchDogSecs=30s\nTimeoutStopSec=soon\n")
	out, _ = analyze("verify", "--man=no", service, socket)
	for _, want := range []string{"WatchDogSecs", "soon"} {
		if !strings.Contains(out, want) {
			t.Errorf("nothing is said of %s:\n%s", want, out)
		}
	}
}
