package server

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"mdalp/internal/disk"
	"mdalp/internal/need"
)

// again runs the test again in a process of its own, as a role, after set has prepared
// it; the process itself is told by false. Where set asks for what is not allowed, the
// test is skipped.
func again(t *testing.T, role string, set func(*exec.Cmd)) bool {
	t.Helper()
	if os.Getenv(roleVariable) == role {
		return false
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), roleVariable+"="+role, "GOCOVERDIR="+t.TempDir())
	set(cmd)
	out, err := cmd.CombinedOutput()
	if errors.Is(err, fs.ErrPermission) || strings.Contains(string(out), "is refused") {
		need.Skip(t, role, ": ", err, "\n", string(out))
	}
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatalf("as %s: %v\n%s", role, err, out)
	}
	return true
}

// mount gives a new file system of its own. The first call runs the test again in
// new namespaces, where that is allowed, and gives "" to the outer one.
func mount(t *testing.T, fstype string, flags uintptr, data string) string {
	t.Helper()
	if again(t, "mount", func(cmd *exec.Cmd) {
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		}
	}) {
		return ""
	}
	path := t.TempDir()
	if err := syscall.Mount("none", path, fstype, flags|syscall.MS_NOSUID|syscall.MS_NODEV, data); err != nil {
		t.Fatalf("mount is refused: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(path, syscall.MNT_DETACH) })
	return path
}

// A refusal makes a system call fail, for one descriptor or, if that is below 0, all.
type refusal struct {
	call  uintptr
	fd    int
	errno syscall.Errno
}

// refuse has the kernel itself refuse system calls of this process from here on
// (seccomp(2)). There is no way back, so it is for a process of its own.
func refuse(t *testing.T, rs ...refusal) {
	t.Helper()
	const load, equal, ret = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	var filter []unix.SockFilter
	for _, r := range rs {
		verdict := unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_ERRNO | uint32(r.errno)}
		filter = append(filter, unix.SockFilter{Code: load, K: 0}) // the number
		if r.fd < 0 {
			filter = append(filter, unix.SockFilter{Code: equal, K: uint32(r.call), Jf: 1}, verdict)
			continue
		}
		filter = append(filter, unix.SockFilter{Code: equal, K: uint32(r.call), Jf: 3},
			unix.SockFilter{Code: load, K: 16}, // the first argument, as little endian has it
			unix.SockFilter{Code: equal, K: uint32(r.fd), Jf: 1}, verdict)
	}
	filter = append(filter, unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_ALLOW})
	program := &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		t.Fatalf("no new privileges is refused: %v", err)
	}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, reflect.ValueOf(program).Pointer())
	if errno != 0 {
		t.Fatalf("seccomp is refused: %v", errno)
	}
}

// A directory that cannot be written is an error at the start; tried on a read-only
// file system, for root may write everywhere else.
func TestNewDirErrors(t *testing.T) {
	ro := mount(t, "tmpfs", syscall.MS_RDONLY, "size=64k")
	if ro == "" {
		return
	}
	for _, path := range []string{ro, filepath.Join(ro, "x")} {
		if _, err := NewDir(path, DirOptions{}); !errors.Is(err, syscall.EROFS) || !strings.Contains(err.Error(), path) {
			t.Errorf("read-only directory: %v", err)
		}
	}
	if _, err := NewDir(t.TempDir(), DirOptions{MaxBytes: -1}); err == nil {
		t.Error("a bound below 0")
	}
}

// On a full disk nothing is taken in that could not be put together: what ten clients
// were told is stored is published whole, when the last byte is in.
func TestDiskFull(t *testing.T) {
	path := mount(t, "tmpfs", 0, "size=4m")
	if path == "" {
		return
	}
	for _, spread := range []int64{1, 1001} {
		d := newDir(t, path)
		var spools []Spool
		for tid := range int64(10) {
			spools = append(spools, newSpool(t, d, tid, 1000))
		}
		stored := make([][]int64, 10)
		bytes, room := int64(0), d.Room()
		for seq := int64(0); ; seq++ {
			refused := 0
			for tid := range int64(10) {
				b := piece(tid, seq*spread, 1000)
				switch err := spools[tid].Put(seq*spread, 0, b, Sum(b)); {
				case err == nil:
					stored[tid] = append(stored[tid], seq*spread)
					bytes += int64(len(b))
				case errors.Is(err, ErrFull) && strings.Contains(err.Error(), path):
					refused++
				default:
					t.Fatal(err)
				}
			}
			if refused == 10 {
				break
			}
		}
		if d.Room() != 0 || room < 1<<20 || bytes < 64<<10 {
			t.Errorf("room %d at first, %d in the end, %d bytes stored", room, d.Room(), bytes)
		}
		for tid := range int64(10) {
			var have []Record
			var want []byte
			for _, seq := range stored[tid] {
				have = append(have, Record{Seq: seq})
				want = append(want, piece(tid, seq, 1000)...)
			}
			holds(t, publish(t, spools[tid], ranges(have), false, want), want)
		}
		if d.Room() < 256<<10 {
			t.Errorf("room for %d bytes when the spools are gone", d.Room())
		}
		d.Close()
		for tid := range 10 {
			if err := os.Remove(filepath.Join(path, fmt.Sprint(tid, ".bin"))); err != nil {
				t.Error(err)
			}
		}
	}
}

// Others fill the disk: what is stored stays, and is published when there is room.
func TestDiskFullOfOthers(t *testing.T) {
	path := mount(t, "tmpfs", 0, "size=1m")
	if path == "" {
		return
	}
	d := newDir(t, path)
	sp := newSpool(t, d, 7, 1000)
	put(t, sp, 7, 1000, upTo(400)...)
	other := filepath.Join(path, "other")
	if err := os.WriteFile(other, make([]byte, 2<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := sp.Assemble(all(400)); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "7.new.spool") {
			t.Errorf("assembled on a full disk: %v", err)
		}
		if got := names(t, path); got != "7.spool other" {
			t.Errorf("there is %q", got)
		}
	}
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	publish(t, sp, all(400), false, pieces(7, 400, 1000))
	if got := names(t, path); got != "7.bin" {
		t.Errorf("left %q", got)
	}
}

// limited runs f under a limit of the process, which setrlimit(2) describes.
func limited(t *testing.T, what int, n uint64, f func()) {
	t.Helper()
	var was unix.Rlimit
	if err := unix.Getrlimit(what, &was); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(what, &unix.Rlimit{Cur: n, Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(what, &was)
	f()
}

// Without a descriptor, and at the most that a file may be, everything stays.
func TestProcessLimits(t *testing.T) {
	if again(t, "limits", func(*exec.Cmd) {}) {
		return
	}
	signal.Ignore(syscall.SIGXFSZ)
	path := t.TempDir()
	d := newDir(t, path)
	sp := newSpool(t, d, 7, 1000)
	put(t, sp, 7, 1000, upTo(40)...)
	next, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	fd := uint64(next.Fd())
	next.Close()
	late := newSpool(t, d, 8, 1000)
	limited(t, unix.RLIMIT_NOFILE, fd, func() {
		if _, err := sp.Assemble(all(40)); !errors.Is(err, syscall.EMFILE) {
			t.Errorf("assembled without a descriptor: %v", err)
		}
		b := []byte("x")
		if err := late.Put(0, 0, b, Sum(b)); !errors.Is(err, syscall.EMFILE) {
			t.Errorf("stored without a descriptor: %v", err)
		}
	})
	limited(t, unix.RLIMIT_FSIZE, 10000, func() {
		if _, err := sp.Assemble(all(40)); !errors.Is(err, syscall.EFBIG) {
			t.Errorf("assembled more than a file may be: %v", err)
		}
		b := piece(7, 41, 1000)
		if err := sp.Put(41, 0, b, Sum(b)); !errors.Is(err, syscall.EFBIG) {
			t.Errorf("stored more than a file may be: %v", err)
		}
	})
	// Enough for the assembly, and nothing else was needed.
	limited(t, unix.RLIMIT_NOFILE, fd+1, func() {
		put(t, sp, 7, 1000, 40)
		publish(t, sp, all(41), false, pieces(7, 41, 1000))
	})
	put(t, late, 8, 1000, 0)
	if got := names(t, path); got != "7.bin 8.spool" {
		t.Errorf("left %q", got)
	}
}

// Where the file system has no rename that does not replace, or no links either, a
// payload gets its name all the same, and nobody loses one.
func TestRenameFallbacks(t *testing.T) {
	tests := []struct {
		name string
		rs   []refusal
	}{
		{"link", []refusal{{unix.SYS_RENAMEAT2, -1, syscall.EINVAL}}},
		{"old kernel", []refusal{{unix.SYS_RENAMEAT2, -1, syscall.ENOSYS}}},
		{"look first", []refusal{{unix.SYS_RENAMEAT2, -1, syscall.EINVAL}, {unix.SYS_LINKAT, -1, syscall.EPERM}}},
		{"look first, other errno", []refusal{{unix.SYS_RENAMEAT2, -1, syscall.EINVAL}, {unix.SYS_LINKAT, -1, syscall.EOPNOTSUPP}}},
	}
	for _, tt := range tests {
		t.Run(strings.ReplaceAll(tt.name, " ", "_"), func(t *testing.T) {
			if againSub(t, "confined") {
				return
			}
			path := t.TempDir()
			d := newDir(t, path)
			refuse(t, tt.rs...)
			sp := newSpool(t, d, 7, 100)
			put(t, sp, 7, 100, 0, 1)
			if _, err := sp.Assemble(all(2)); err != nil {
				t.Fatal(err)
			}
			other := filepath.Join(path, "7.bin")
			if err := os.WriteFile(other, []byte("another's"), 0o600); err != nil {
				t.Fatal(err)
			}
			if file, err := sp.Publish(false); file != "" || !errors.Is(err, fs.ErrExist) {
				t.Errorf("%q, %v", file, err)
			}
			holds(t, other, []byte("another's"))
			os.Remove(other)
			if file, err := sp.Publish(false); file != other || err != nil {
				t.Errorf("%q, %v", file, err)
			}
			holds(t, other, pieces(7, 2, 100))
			if got := names(t, path); got != "7.bin" {
				t.Errorf("left %q", got)
			}
		})
	}
}

// againSub is again for a test within a test.
func againSub(t *testing.T, role string) bool {
	t.Helper()
	return again(t, role, func(cmd *exec.Cmd) {
		cmd.Args[1] = "-test.run=^" + strings.ReplaceAll(t.Name(), "/", "$/^") + "$"
	})
}

// A directory that cannot be flushed is no error where that is the file system's way;
// else the payload stays in its place, the spool beside it, and it is tried again.
func TestFlushFails(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EINVAL, syscall.EOPNOTSUPP, syscall.EIO} {
		t.Run(unix.ErrnoName(errno), func(t *testing.T) {
			if againSub(t, "confined") {
				return
			}
			path := t.TempDir()
			d := newDir(t, path)
			refuse(t, refusal{unix.SYS_FSYNC, d.f.(*disk.Dir).Fd(), errno})
			sp := newSpool(t, d, 7, 100)
			put(t, sp, 7, 100, 0, 1)
			file := filepath.Join(path, "7.bin")
			if errno != syscall.EIO {
				if got := publish(t, sp, all(2), false, pieces(7, 2, 100)); got != file || names(t, path) != "7.bin" {
					t.Errorf("%q, %q", got, names(t, path))
				}
				return
			}
			for range 2 {
				if _, err := sp.Assemble(all(2)); err != nil {
					t.Error(err)
				}
				if got, err := sp.Publish(false); got != file || !errors.Is(err, errno) {
					t.Errorf("%q, %v", got, err)
				}
			}
			if got := sp.Keep(); got != filepath.Join(path, "7.spool") || names(t, path) != "7.bin 7.spool" {
				t.Errorf("%q, %q", got, names(t, path))
			}
			holds(t, file, pieces(7, 2, 100))
			// The next process has the directory under another descriptor.
			d.Close()
			hold, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer hold.Close()
			next := newDir(t, path)
			if rs, _ := recovered(t, next); next.f.(*disk.Dir).Fd() == d.f.(*disk.Dir).Fd() || len(rs) != 0 || names(t, path) != "7.bin" {
				t.Errorf("%+v, %q", rs, names(t, path))
			}
		})
	}
}

// A link is never followed, and a pipe never waited for, whatever name it takes.
func TestLinks(t *testing.T) {
	path := t.TempDir()
	target := filepath.Join(t.TempDir(), "target")
	if err := os.WriteFile(target, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := func(name string) {
		t.Helper()
		if err := os.Symlink(target, filepath.Join(path, name)); err != nil {
			t.Fatal(err)
		}
	}
	link(disk.LockName)
	if _, err := NewDir(path, DirOptions{}); !errors.Is(err, syscall.ELOOP) || !strings.Contains(err.Error(), disk.LockName) {
		t.Errorf("the lock is a link: %v", err)
	}
	os.Remove(filepath.Join(path, disk.LockName))
	if err := unix.Mkfifo(filepath.Join(path, disk.LockName), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := NewDir(path, DirOptions{}); err == nil || !strings.Contains(err.Error(), disk.LockName+": not a regular file") {
		t.Errorf("the lock is a pipe: %v", err)
	}
	os.Remove(filepath.Join(path, disk.LockName))

	link(probeName)
	d := newDir(t, path)
	x := []byte("x")
	for _, name := range []string{"1.spool", "2.new.spool", "3.bin", "4.partial"} {
		tid := int64(name[0] - '0')
		sp := newSpool(t, d, tid, 100)
		link(name)
		if _, err := d.Create(tid, 100); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s is a link: %v", name, err)
		}
		err := sp.Put(0, 0, x, Sum(x))
		if err == nil {
			_, err = sp.Assemble(all(1))
		}
		if err == nil {
			_, err = sp.Publish(name == "4.partial")
		}
		if !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s is a link: %v", name, err)
		}
		if to, err := os.Readlink(filepath.Join(path, name)); to != target {
			t.Errorf("%s: %q, %v", name, to, err)
		}
		sp.Keep()
	}
	d.Close()
	holds(t, target, []byte("precious"))

	for _, name := range []string{"2.new.spool", "3.bin", "4.partial"} { // they may go
		os.Remove(filepath.Join(path, name))
	}
	if err := unix.Mkfifo(filepath.Join(path, "5.spool"), 0o600); err != nil {
		t.Fatal(err)
	}
	rs, _ := recovered(t, newDir(t, path))
	if len(rs) != 5 || !errors.Is(rs[0].Err, syscall.ELOOP) || rs[1].Err != nil || rs[4].Err == nil {
		t.Errorf("%+v", rs)
	}
	holds(t, target, []byte("precious"))
}

func init() {
	// hold has a directory until it is killed.
	roles["hold"] = func(args []string) {
		d, err := NewDir(args[0], DirOptions{})
		fmt.Println(err)
		io.Copy(io.Discard, os.Stdin)
		d.Close()
		os.Exit(0)
	}
}

// A second process does not get the directory, touches nothing in it, and gets it when
// the first one is gone, however it went.
func TestLocked(t *testing.T) {
	path := t.TempDir()
	cmd := exec.Command(os.Args[0], path)
	cmd.Env = append(os.Environ(), roleVariable+"=hold")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "<nil>\n" {
		t.Fatalf("%q, %v", line, err)
	}
	for _, name := range []string{"1.spool", "1.new.spool", probeName} {
		if err := os.WriteFile(filepath.Join(path, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	before := names(t, path)
	for range 2 {
		_, err := NewDir(path, DirOptions{})
		if want := fmt.Sprintf("%s: another mdalpd uses this directory (process %d)", path, cmd.Process.Pid); !errors.Is(err, ErrLocked) || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if got := names(t, path); got != before {
		t.Errorf("there was %q, there is %q", before, got)
	}
	cmd.Process.Kill()
	cmd.Wait()
	d := newDir(t, path)
	if rs, err := d.Recover(); len(rs) != 0 || err != nil || names(t, path) != "" {
		t.Errorf("%+v, %v, %q", rs, err, names(t, path))
	}
	if got, err := os.ReadFile(filepath.Join(path, disk.LockName)); !bytes.Equal(got, fmt.Appendln(nil, os.Getpid())) {
		t.Errorf("the lock says %q, %v", got, err)
	}
}
