package server

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A directory that cannot be written is an error at the start; tried on a read-only
// file system, for root may write everywhere else.
func TestNewDirErrors(t *testing.T) {
	ro := mount(t, "tmpfs", syscall.MS_RDONLY, "size=64k")
	if ro == "" {
		return
	}
	if _, err := NewDir(ro); !errors.Is(err, syscall.EROFS) || !strings.Contains(err.Error(), ro) {
		t.Errorf("read-only directory: %v", err)
	}
	if _, err := NewDir(filepath.Join(ro, "x")); !errors.Is(err, syscall.EROFS) {
		t.Errorf("in a read-only directory: %v", err)
	}
}

// A full disk is seen before the acknowledgement: what is acknowledged can be read,
// and what is not is not.
func TestDiskFull(t *testing.T) {
	path := mount(t, "tmpfs", 0, "size=64k")
	if path == "" {
		return
	}
	for _, expect := range []bool{false, true} {
		payload := random(100000)
		cfg := Config{FirstTID: 7, Receivers: one, KeepPartial: true}
		if expect {
			cfg.Expect = &Payload{100000, sha256.Sum256(payload)}
		}
		d := newDir(t, path)
		cfg.Store = d
		r := newRig(t, cfg)
		r.to(orch, client, "Type:0;")
		acked := 0
		for i, g := range cut(payload, 100000) {
			if out := r.to(sao, client, g.message(7)); len(out) == 1 {
				acked = i + 1
			} else if len(out) > 1 {
				t.Fatalf("%q", out)
			}
		}
		if acked == 0 || acked == 1000 {
			t.Fatalf("%d segments fit into 64 KiB", acked)
		}
		if st := r.s.Stats(); int(st.Acks) != acked || int(st.StoreErrors) != 1000-acked {
			t.Errorf("%+v", st)
		}
		// Every acknowledged byte is there.
		sp := r.s.byTID[7].spool.(*dirSpool)
		var got strings.Builder
		if err := sp.copy(&got); err != nil || got.String() != string(payload[:100*acked]) {
			t.Errorf("%d bytes on the disk, %v", got.Len(), err)
		}
		r.pass(DefaultLimit + time.Second)
		res := r.result()
		if res.Complete || !errors.Is(res.Err, syscall.ENOSPC) || res.Missing[0].First != int64(acked) {
			t.Errorf("%+v", res)
		}
		// There was no room to put it together either, and nothing is left.
		if got := names(t, path); got != "" {
			t.Errorf("left %q", got)
		}
	}

	// The spool fits, the payload beside it does not: not complete, nothing left.
	payload := random(40000)
	r := newRig(t, Config{FirstTID: 7, Receivers: one, Store: newDir(t, path), Expect: &Payload{40000, sha256.Sum256(payload)}})
	r.to(orch, client, "Type:0;")
	for _, g := range cut(payload, 40000) {
		r.want(r.to(sao, client, g.message(7)), fmt.Sprintf("Type:3;TID:7;SEQ:%d;", g.seq))
	}
	if len(r.results) != 0 || names(t, path) != "7.spool" {
		t.Fatalf("%+v, %q", r.results, names(t, path))
	}
	r.pass(DefaultLimit + time.Second)
	if res := r.result(); res.Complete || !errors.Is(res.Err, syscall.ENOSPC) || names(t, path) != "" {
		t.Errorf("%+v, %q", res, names(t, path))
	}
}

// mount gives a new file system of its own. The first call runs the test again in
// new namespaces, where that is allowed, and gives "" to the outer one.
func mount(t *testing.T, fstype string, flags uintptr, data string) string {
	t.Helper()
	if os.Getenv(roleVariable) != "mount" {
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		cmd.Env = append(os.Environ(), roleVariable+"=mount", "GOCOVERDIR="+t.TempDir())
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		}
		out, err := cmd.CombinedOutput()
		if errors.Is(err, fs.ErrPermission) || strings.Contains(string(out), "mount refused") {
			if os.Getenv("CI") == "true" {
				t.Fatalf("no namespaces: %v\n%s", err, out)
			}
			t.Skipf("no namespaces: %v", err)
		}
		if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
			t.Fatalf("in new namespaces: %v\n%s", err, out)
		}
		return ""
	}
	path := t.TempDir()
	if err := syscall.Mount("none", path, fstype, flags|syscall.MS_NOSUID|syscall.MS_NODEV, data); err != nil {
		t.Fatalf("mount refused: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(path, syscall.MNT_DETACH) })
	return path
}

// Killed at any moment, a process leaves whole payloads and spool files.
func TestKilled(t *testing.T) {
	path := t.TempDir()
	for round := range 8 {
		cmd := exec.Command(os.Args[0], path)
		cmd.Env = append(os.Environ(), roleVariable+"=publish")
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for range 2 + round {
			lines.Scan()
		}
		// A different moment every time, without a clock: after a bit of work.
		sha256.Sum256(make([]byte, round*400_000))
		cmd.Process.Kill()
		for lines.Scan() {
		}
		if err := cmd.Wait(); err == nil || cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("not killed: %v", err)
		}
		es, err := os.ReadDir(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range es {
			stem, whole := strings.CutSuffix(e.Name(), ".bin")
			if !whole {
				if !strings.HasSuffix(e.Name(), ".spool") {
					t.Errorf("left %q", e.Name())
				}
				continue
			}
			tid, _ := strconv.ParseInt(stem, 10, 64)
			if got, err := os.ReadFile(filepath.Join(path, e.Name())); err != nil || string(got) != string(killed(tid)) {
				t.Errorf("%s is not whole: %d bytes, %v", e.Name(), len(got), err)
			}
		}
	}
	newDir(t, path)
	if got := names(t, path); strings.Contains(got, "spool") || !strings.Contains(got, ".bin") {
		t.Errorf("after the next start: %q", got)
	}
}
