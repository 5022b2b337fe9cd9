//go:build packaging

// This test changes the machine: it installs the Debian package, uses it, and removes
// it again. It needs root, dpkg, setpriv, and the network or a full module cache:
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
)

// installed is what must be there after an installation.
var installed = []string{
	"/usr/bin/mdalp", "/usr/bin/mdalpd",
	"/usr/share/man/man1/mdalp.1.gz", "/usr/share/man/man1/mdalp-send.1.gz", "/usr/share/man/man8/mdalpd.8.gz",
	"/usr/share/bash-completion/completions/mdalp", "/usr/share/zsh/vendor-completions/_mdalp",
	"/usr/share/fish/vendor_completions.d/mdalp.fish",
	"/usr/share/doc/mdalp/copyright", "/usr/lib/systemd/system/mdalpd.service",
}

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
	if out, err := exec.Command("dpkg-query", "-W", "mdalp").CombinedOutput(); err == nil {
		t.Fatalf("the package is installed here already, and would be removed: %s", out)
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
	t.Run("deb", func(t *testing.T) { installDeb(t, one("*.deb")) })
	t.Run("rpm", func(t *testing.T) {
		b, err := os.ReadFile(one("*.rpm"))
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
		names := members(t, one("*.apk"))
		for _, n := range []string{".PKGINFO", ".post-install", "usr/bin/mdalp", "usr/share/zsh/site-functions/_mdalp"} {
			if !slices.Contains(names, n) {
				t.Errorf("%s is missing", n)
			}
		}
		if i := slices.IndexFunc(names, func(n string) bool { return strings.Contains(n, "systemd") }); i >= 0 {
			t.Errorf("Alpine has no systemd: %s", names[i])
		}
	})
	t.Run("tarball", func(t *testing.T) {
		names := members(t, one("*.tar.gz"))
		for _, n := range []string{"/mdalp", "/mdalpd", "/doc/copyright", "/man/mdalp.1.gz", "/mdalpd.service"} {
			if !slices.ContainsFunc(names, func(s string) bool { return strings.HasSuffix(s, n) }) {
				t.Errorf("%s is missing", n)
			}
		}
		c := exec.Command("sha256sum", "--check", "--strict", "SHA256SUMS")
		c.Dir = dir
		if out, err := c.CombinedOutput(); err != nil || bytes.Count(out, []byte(": OK\n")) != 4 {
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
	})
	if fields := must(t, "dpkg-deb", "--field", deb, "Package", "Version", "Depends"); !strings.Contains(fields, "Depends: libcap2-bin\n") {
		t.Errorf("fields:\n%s", fields)
	}
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
	}
	if _, err := exec.LookPath("systemd-analyze"); err == nil {
		if out := must(t, "systemd-analyze", "verify", "/usr/lib/systemd/system/mdalpd.service"); strings.Contains(out, "mdalpd.service") {
			t.Errorf("systemd-analyze verify:\n%s", out)
		}
	}
	t.Log(must(t, "dpkg", "--purge", "mdalp"))
	for _, n := range installed {
		if _, err := os.Lstat(n); err == nil {
			t.Errorf("%s is still there", n)
		}
	}
}
