//go:build packaging

// This test changes the machine: it installs the Debian packages, uses them, and removes
// them again; where systemd runs, the service too. It needs root, dpkg, setpriv, rpm, and
// the network or a full module cache:
//
//	go test -count=1 -tags packaging ./packaging/...
package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"mdalp/internal/need"
)

// installed is what must be there after an installation.
var installed = []string{
	"/usr/bin/mdalp", "/usr/bin/mdalpd",
	"/usr/share/man/man1/mdalp.1.gz", "/usr/share/man/man1/mdalp-send.1.gz", "/usr/share/man/man8/mdalpd.8.gz",
	"/usr/share/bash-completion/completions/mdalp", "/usr/share/zsh/vendor-completions/_mdalp",
	"/usr/share/fish/vendor_completions.d/mdalp.fish",
	"/usr/share/doc/mdalp/copyright", "/usr/lib/systemd/system/mdalpd.service",
	"/usr/lib/systemd/system/mdalpd.socket", "/etc/default/mdalpd",
}

// Of the service.
const (
	store = "/var/lib/mdalpd"
	unit  = "/usr/lib/systemd/system/mdalpd.service"
)

// must runs a command, and gives what it printed.
func must(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// nobody runs a command as an ordinary user without any privilege.
func nobody(t *testing.T, args ...string) string {
	t.Helper()
	return must(t, "setpriv", append([]string{"--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--"}, args...)...)
}

func TestPackages(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("it must be root to install a package")
	}
	for _, p := range []string{"mdalp", "mdalplot"} {
		if out, err := exec.Command("dpkg-query", "-W", p).CombinedOutput(); err == nil {
			t.Fatalf("the package is installed here already, and would be removed: %s", out)
		}
	}
	if _, err := os.Lstat(store); err == nil {
		t.Fatalf("%s is there already, and would be removed", store)
	}
	dir := t.TempDir()
	if err := build(dir, []string{runtime.GOARCH}, []string{"deb", "rpm", "apk"}); err != nil {
		t.Fatal(err)
	}
	one := func(pattern string) string {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil || len(found) != 1 {
			t.Fatalf("%s: %v, %v", pattern, found, err)
		}
		return found[0]
	}
	t.Run("deb", func(t *testing.T) { installDeb(t, one("mdalp_*.deb")) })
	t.Run("deb of mdalplot", func(t *testing.T) { installPlot(t, one("mdalplot_*.deb")) })
	t.Run("rpm root", func(t *testing.T) { installRPM(t, one("mdalp-*.rpm"), one("mdalplot-*.rpm")) })
	t.Run("rpm", func(t *testing.T) {
		b, err := os.ReadFile(one("mdalp-*.rpm"))
		// The lead of a binary package, of format 3 (rpm.org, the file format).
		if err != nil || !bytes.HasPrefix(b, []byte("\xed\xab\xee\xdb\x03\x00\x00\x00")) {
			t.Errorf("no package: %v, %q", err, b[:min(len(b), 16)])
		}
		for _, s := range []string{"/usr/lib/systemd/system/", "setcap cap_net_raw+ep /usr/bin/mdalp", "/usr/share/zsh/site-functions/"} {
			if !bytes.Contains(b, []byte(s)) {
				t.Errorf("%q is not in its header", s)
			}
		}
	})
	t.Run("apk", func(t *testing.T) {
		names := members(t, one("mdalp_*.apk"))
		for _, n := range []string{".PKGINFO", ".post-install", ".post-upgrade", "usr/bin/mdalp", "usr/share/zsh/site-functions/_mdalp"} {
			if !slices.Contains(names, n) {
				t.Errorf("%s is missing", n)
			}
		}
		if i := slices.IndexFunc(names, func(n string) bool { return strings.Contains(n, "systemd") }); i >= 0 {
			t.Errorf("Alpine has no systemd: %s", names[i])
		}
	})
	t.Run("tarball", func(t *testing.T) {
		names := members(t, one("mdalp_*.tar.gz"))
		for _, n := range []string{"/mdalp", "/mdalpd", "/doc/copyright", "/man/mdalp.1.gz", "/mdalpd.service", "/mdalpd.socket", "/mdalpd.default"} {
			if !slices.ContainsFunc(names, func(s string) bool { return strings.HasSuffix(s, n) }) {
				t.Errorf("%s is missing", n)
			}
		}
		c := exec.Command("sha256sum", "--check", "--strict", "SHA256SUMS")
		c.Dir = dir
		if out, err := c.CombinedOutput(); err != nil || bytes.Count(out, []byte(": OK\n")) != 8 {
			t.Errorf("%v\n%s", err, out)
		}
	})
}

// members lists a tarball; an apk is three, one behind the other.
func members(t *testing.T, name string) (names []string) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return names
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
	}
}

// installDeb installs the package, pings as an ordinary user, upgrades, and removes it.
func installDeb(t *testing.T, deb string) {
	t.Cleanup(func() {
		if err := exec.Command("dpkg-query", "-W", "mdalp").Run(); err == nil {
			exec.Command("dpkg", "--purge", "mdalp").Run()
		}
		os.RemoveAll("/var/lib/private/mdalpd")
		os.Remove(store)
	})
	if fields := must(t, "dpkg-deb", "--field", deb, "Package", "Version", "Depends"); !strings.Contains(fields, "Depends: libcap2-bin\n") {
		t.Errorf("fields:\n%s", fields)
	}
	_, err := os.Stat("/run/systemd/system")
	booted := err == nil // with systemd
	if !booted {
		t.Log("no systemd runs here: the service is not tried")
	}
	var process string
	// Twice: the second is an upgrade, which replaces the file and its capability.
	for _, how := range []string{"installed", "upgraded"} {
		t.Log(must(t, "dpkg", "--install", deb))
		// A machine of containers may be told to leave documents out.
		listed := must(t, "dpkg-query", "--listfiles", "mdalp")
		for _, n := range installed {
			if !strings.Contains(listed, n+"\n") {
				t.Errorf("%s: %s is not of the package", how, n)
			}
			if _, err := os.Stat(n); err != nil && !strings.HasPrefix(n, "/usr/share/") {
				t.Errorf("%s: %v", how, err)
			}
		}
		if caps := must(t, "getcap", "/usr/bin/mdalp", "/usr/bin/mdalpd"); caps != "/usr/bin/mdalp cap_net_raw=ep\n" {
			t.Errorf("%s: %q", how, caps)
		}
		for _, want := range []struct{ args, text string }{
			{"ping --ping raw 127.0.0.1", `127\.0\.0\.1 +3/3 +0 %`},
			{"doctor", `(?m)^ok       file capabilities  cap_net_raw\+ep$`},
			{"doctor", `with pings by raw sockets\n$`},
			{"version", `^mdalp \d`},
		} {
			out := nobody(t, append([]string{"/usr/bin/mdalp"}, strings.Fields(want.args)...)...)
			t.Logf("%s, mdalp %s as user 65534:\n%s", how, want.args, out)
			if !regexp.MustCompile(want.text).MatchString(out) {
				t.Errorf("%s: not %s", how, want.text)
			}
		}
		if booted {
			process = serve(t, process)
		}
	}
	if _, err := exec.LookPath("systemd-analyze"); err == nil {
		if out := must(t, "systemd-analyze", "verify", "--man=no", unit, strings.Replace(unit, "service", "socket", 1)); strings.Contains(out, "mdalpd.") {
			t.Errorf("systemd-analyze verify:\n%s", out)
		}
	}
	if booted {
		must(t, "systemctl", "stop", "mdalpd.socket", "mdalpd.service")
		if got := property(t, "Result"); got != "success" {
			t.Errorf("stopped with %s", got)
		}
		// One by the program before the upgrade, one by that behind it.
		want, err := os.ReadFile(unit)
		found, _ := filepath.Glob(store + "/*.bin")
		if err != nil || len(found) != 2 {
			t.Errorf("stored: %v, %v", found, err)
		}
		for _, f := range found {
			if got, err := os.ReadFile(f); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: %v, %q", f, err, got)
			}
		}
		must(t, "systemctl", "start", "mdalpd.service")
	}
	out := must(t, "dpkg", "--purge", "mdalp")
	t.Log(out)
	if booted && !strings.Contains(out, "the payloads stay in /var/lib/private/mdalpd\n") {
		t.Error("nothing is said of the payloads")
	}
	if booted && property(t, "ActiveState") != "inactive" {
		t.Error("the service still runs")
	}
	for _, n := range installed {
		if _, err := os.Lstat(n); err == nil {
			t.Errorf("%s is still there", n)
		}
	}
}

// serve sends to the service, which has to run already after an upgrade and not before,
// and gives its process.
func serve(t *testing.T, before string) string {
	t.Helper()
	state := property(t, "ActiveState")
	switch {
	case before == "" && state != "inactive", before != "" && state != "active":
		t.Errorf("the service is %s", state)
	case before == "":
		must(t, "systemctl", "start", "mdalpd.service")
	}
	process := property(t, "MainPID")
	if process == before {
		t.Error("the old program still runs")
	}
	// It may not listen yet. The file is one that is surely there.
	t.Log(nobody(t, "/usr/bin/mdalp", "-a", "127.0.0.1", "-p", "4650", "-f", unit, "--intent-retry", "200ms", "--deadline", "60s"))
	return process
}

// property asks systemd about the service.
func property(t *testing.T, name string) string {
	t.Helper()
	return strings.TrimSpace(must(t, "systemctl", "show", "--property", name, "--value", "mdalpd.service"))
}

// installPlot installs what draws, draws as an ordinary user, and removes it.
func installPlot(t *testing.T, deb string) {
	t.Cleanup(func() {
		if err := exec.Command("dpkg-query", "-W", "mdalplot").Run(); err == nil {
			exec.Command("dpkg", "--purge", "mdalplot").Run()
		}
	})
	t.Log(must(t, "dpkg", "--install", deb))
	listed := must(t, "dpkg-query", "--listfiles", "mdalplot")
	for _, n := range []string{
		"/usr/bin/mdalplot", "/usr/share/man/man1/mdalplot.1.gz", "/usr/share/bash-completion/completions/mdalplot",
		"/usr/share/zsh/vendor-completions/_mdalplot", "/usr/share/fish/vendor_completions.d/mdalplot.fish",
	} {
		if !strings.Contains(listed, n+"\n") {
			t.Errorf("%s is not of the package", n)
		}
	}
	if strings.Contains(listed, "/usr/bin/mdalp\n") {
		t.Error("the client is of the package too")
	}
	if caps := must(t, "getcap", "/usr/bin/mdalplot"); caps != "" {
		t.Errorf("%q", caps)
	}
	bench, err := os.Open(filepath.Join("..", "..", "cmd", "mdalplot", "testdata", "bench.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer bench.Close()
	dir, err := os.MkdirTemp("/tmp", "mdalplot-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chown(dir, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	svg := filepath.Join(dir, "compare.svg")
	c := exec.Command("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--", "/usr/bin/mdalplot", "compare", "-", "-o", svg)
	c.Stdin = bench
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if b, err := os.ReadFile(svg); err != nil || !bytes.Contains(b, []byte("<svg")) {
		t.Errorf("%v, %d bytes", err, len(b))
	}
	must(t, "dpkg", "--purge", "mdalplot")
	if _, err := os.Lstat("/usr/bin/mdalplot"); err == nil {
		t.Error("it is still there")
	}
}

// installRPM installs the packages below an empty folder, where their scripts have no
// shell to run in, and removes them without a trace.
func installRPM(t *testing.T, packages ...string) {
	if _, err := exec.LookPath("rpm"); err != nil {
		need.Skip(t, err)
	}
	root := t.TempDir()
	rpm := func(args ...string) string {
		return must(t, "rpm", append([]string{"--root", root}, args...)...)
	}
	rpm(append([]string{"--install", "--nodeps", "--noscripts"}, packages...)...)
	for _, p := range []string{"mdalp", "mdalpd", "mdalplot"} {
		if st, err := os.Stat(filepath.Join(root, "usr", "bin", p)); err != nil || st.Mode() != 0o755 {
			t.Errorf("%s: %v, %v", p, st, err)
		}
	}
	if out := rpm("--query", "--scripts", "mdalp"); strings.Count(out, "scriptlet (using /bin/sh)") != 3 {
		t.Errorf("scripts:\n%s", out)
	}
	rpm("--erase", "--nodeps", "--noscripts", "mdalp", "mdalplot")
	for _, n := range []string{"usr/bin/mdalp", "usr/share/mdalp", "usr/share/doc/mdalp", "usr/share/doc/mdalplot"} {
		if _, err := os.Lstat(filepath.Join(root, n)); err == nil {
			t.Errorf("/%s is still there", n)
		}
	}
}
