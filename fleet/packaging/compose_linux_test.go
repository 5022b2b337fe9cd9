//go:build compose

// Package packaging tries the files for containers by the programs that read them. Not every machine
// starts containers, so that it is asked for: go test -tags compose ./packaging.
package packaging

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mdalp/fleet/internal/engines"
	"mdalp/fleet/internal/rooms"
	"mdalp/internal/need"
)

// patience bounds every wait. It is far more than anything takes.
const patience = 5 * time.Minute

// programsDir is the variable that tells the test inside of a network of its own where the
// programs are, which are built outside.
const programsDir = "MDALP_FLEET_COMPOSE_PROGRAMS"

// The images that compose.yaml names, and the addresses of its orchestrators.
const (
	engineImage   = "docker.io/library/nats:2.14"
	partImage     = "localhost/mdalp-fleet"
	orchestrators = "10.89.77.21,10.89.77.22"
)

// A host is podman, with everything that it stores in a folder of the test's.
type host struct {
	t   *testing.T
	dir string
	env []string
}

// run runs a program, and gives what it says. It does so when the test is about to end, too.
func (h *host) run(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c := exec.CommandContext(ctx, name, args...)
	c.Env = append(os.Environ(), h.env...)
	c.WaitDelay = time.Second
	out, err := c.CombinedOutput()
	return string(out), err
}

// must is run for what has to go well.
func (h *host) must(name string, args ...string) string {
	h.t.Helper()
	out, err := h.run(name, args...)
	if err != nil {
		h.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

// compose is docker-compose with the file.
func (h *host) compose(args ...string) string {
	h.t.Helper()
	return h.must("docker-compose", append([]string{"-p", "tried", "-f", "compose.yaml"}, args...)...)
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// open starts podman's service, which docker-compose speaks to.
func open(t *testing.T) *host {
	h := &host{t: t, dir: t.TempDir()}
	in := func(name string) string { return filepath.Join(h.dir, name) }
	// What podman shares with all others on a machine, whatever its configuration says.
	for _, dir := range []string{"/run", "/dev/shm"} {
		if err := unix.Mount("none", dir, "tmpfs", 0, "mode=755"); err != nil {
			t.Fatal(os.NewSyscallError("mount", err))
		}
	}
	// Podman's own bounds may be more than this process may give.
	var files, processes unix.Rlimit
	if err := errors.Join(unix.Getrlimit(unix.RLIMIT_NOFILE, &files), unix.Getrlimit(unix.RLIMIT_NPROC, &processes)); err != nil {
		t.Fatal(os.NewSyscallError("getrlimit", err))
	}
	// crun, which podman prefers, wants the second kind of control groups.
	runtime := ""
	if _, err := exec.LookPath("runc"); err == nil {
		runtime = "runtime = \"runc\"\n"
	}
	write(t, in("storage.conf"), fmt.Sprintf("[storage]\ndriver = \"vfs\"\ngraphroot = %q\nrunroot = %q\n", in("root"), in("run")))
	write(t, in("containers.conf"), fmt.Sprintf("[containers]\ndefault_ulimits = [\"nofile=%d:%d\", \"nproc=%d:%d\"]\n"+
		"[network]\nnetwork_backend = \"netavark\"\nnetwork_config_dir = %q\n[engine]\ncgroup_manager = \"cgroupfs\"\n"+
		"events_logger = \"file\"\n%s", files.Max, files.Max, processes.Max, processes.Max, in("networks"), runtime))
	socket := in("podman.sock")
	h.env = []string{"CONTAINERS_CONF=" + in("containers.conf"), "CONTAINERS_STORAGE_CONF=" + in("storage.conf"),
		"DOCKER_HOST=unix://" + socket}
	var said bytes.Buffer
	c := exec.Command("podman", "system", "service", "--time=0", "unix://"+socket)
	c.Env, c.Stdout, c.Stderr = append(os.Environ(), h.env...), &said, &said
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
		if t.Failed() {
			t.Logf("podman: %s", &said)
		}
	})
	for end := time.Now().Add(patience); ; <-time.After(50 * time.Millisecond) {
		if conn, err := net.Dial("unix", socket); err == nil {
			conn.Close()
			return h
		}
		if time.Now().After(end) {
			t.Fatal("podman's service does not answer")
		}
	}
}

// images makes both. No registry is asked: the engine's is the server alone, as the official one
// is, and the first stage of the other, which compiles, is what it would have left.
func (h *host) images(programs string) {
	h.t.Helper()
	dir := h.t.TempDir()
	b, err := os.ReadFile("Containerfile")
	if err != nil {
		h.t.Fatal(err)
	}
	_, last, ok := strings.Cut(string(b), "\nFROM scratch\n")
	if !ok || !strings.Contains(string(b), "RUN mkdir -m 0750 /out/payloads && chown 65534:65534 /out/payloads\n") {
		h.t.Fatal("the Containerfile has other stages, or another folder of payloads")
	}
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	add := func(header tar.Header, b []byte) {
		header.Size = int64(len(b))
		if err := w.WriteHeader(&header); err != nil {
			h.t.Fatal(err)
		}
		if _, err := w.Write(b); err != nil {
			h.t.Fatal(err)
		}
	}
	program := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(programs, name))
		if err != nil {
			h.t.Fatal(err)
		}
		return b
	}
	add(tar.Header{Name: "out/", Typeflag: tar.TypeDir, Mode: 0o755}, nil)
	add(tar.Header{Name: "out/payloads/", Typeflag: tar.TypeDir, Mode: 0o750, Uid: 65534, Gid: 65534}, nil)
	add(tar.Header{Name: "out/mdalp-fleet", Mode: 0o755}, program("mdalp-fleet"))
	add(tar.Header{Name: "nats-server", Mode: 0o755}, program("nats-server"))
	if err := w.Close(); err != nil {
		h.t.Fatal(err)
	}
	write(h.t, filepath.Join(dir, "all.tar"), out.String())
	write(h.t, filepath.Join(dir, "part"), "FROM scratch AS build\nADD all.tar /\nFROM scratch\n"+last)
	write(h.t, filepath.Join(dir, "engine"),
		"FROM scratch AS build\nADD all.tar /\nFROM scratch\nCOPY --from=build /nats-server /\nENTRYPOINT [\"/nats-server\"]\n")
	h.must("podman", "build", "-q", "-t", partImage, "-f", filepath.Join(dir, "part"), dir)
	h.must("podman", "build", "-q", "-t", engineImage, "-f", filepath.Join(dir, "engine"), dir)
}

// build builds the programs, none of which needs a library.
func build(t *testing.T) {
	t.Helper()
	if os.Getenv(programsDir) != "" {
		return
	}
	for _, p := range []string{"podman", "docker-compose"} {
		if _, err := exec.LookPath(p); err != nil {
			need.Skip(t, err)
		}
	}
	t.Setenv("CGO_ENABLED", "0")
	dir := t.TempDir()
	for _, b := range []struct{ in, path string }{{"../..", "./cmd/mdalp"}, {"..", "./cmd/mdalp-fleet"}} {
		c := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", dir, b.path)
		c.Dir = b.in
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("go build %s: %v: %s", b.path, err, out)
		}
	}
	if err := os.Symlink(engines.Program(t), filepath.Join(dir, "nats-server")); err != nil {
		t.Fatal(err)
	}
	t.Setenv(programsDir, dir)
}

// docker-compose starts all of compose.yaml. What is sent from the host is stored, also after an
// engine was killed; and that one is there again when it is started.
func TestCompose(t *testing.T) {
	build(t)
	rooms.InsideAlone(t, func(t *testing.T) {
		h := open(t)
		programs := os.Getenv(programsDir)
		h.images(programs)
		t.Cleanup(func() {
			if t.Failed() {
				out, _ := h.run("docker-compose", "-p", "tried", "-f", "compose.yaml", "logs", "--no-color")
				t.Log(out)
			}
			h.run("docker-compose", "-p", "tried", "-f", "compose.yaml", "down", "-v", "-t", "1")
		})
		h.compose("up", "-d")
		h.well("up")
		send := func(size int) (file string) {
			file = filepath.Join(t.TempDir(), "file")
			write(t, file, strings.Repeat("payload ", size/8))
			h.must(filepath.Join(programs, "mdalp"), "-a", orchestrators, "-p", "4650", "-f", file, "--ping", "off",
				"--intent-timeout", patience.String())
			return file
		}
		files := []string{send(5_000_000)}
		h.compose("kill", "engine2")
		files = append(files, send(3_000_000))
		h.stored(files)
		h.compose("start", "engine2")
		h.well("start")
	})
}

// well waits until status says that all six parts take what comes, and that the engines are well.
func (h *host) well(what string) {
	h.t.Helper()
	for end := time.Now().Add(patience); ; <-time.After(100 * time.Millisecond) {
		out, err := h.run("docker-compose", "-p", "tried", "-f", "compose.yaml", "exec", "-T", "orchestrator1",
			"/mdalp-fleet", "status", "--engine", "nats://engine1:4222,nats://engine3:4222")
		if err == nil && strings.Count(out, "takes") == 6 {
			return
		}
		if time.Now().After(end) {
			h.t.Fatalf("after %s: %v\n%s", what, err, out)
		}
	}
}

// stored fails unless the volume has just these.
func (h *host) stored(files []string) {
	h.t.Helper()
	dir := strings.TrimSpace(h.must("podman", "volume", "inspect", "--format", "{{.Mountpoint}}", "tried_payloads"))
	all, err := filepath.Glob(filepath.Join(dir, "*.bin"))
	if err != nil || len(all) != len(files) {
		h.t.Errorf("there are %q, %v", all, err)
	}
	for _, name := range files {
		want, err := os.ReadFile(name)
		if err != nil {
			h.t.Fatal(err)
		}
		n := 0
		for _, f := range all {
			if b, err := os.ReadFile(f); err == nil && bytes.Equal(b, want) {
				n++
			}
		}
		if n != 1 {
			h.t.Errorf("what was sent is there %d times", n)
		}
	}
}
