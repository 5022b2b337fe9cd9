package campaign

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mdalp/internal/need"
)

// slow has the system calls of a part that are of the directory take so much longer, until the
// function that it gives is called.
func (p *part) slow(t *testing.T, calls string, by time.Duration) (again func()) {
	t.Helper()
	c := exec.Command("strace", "-f", "-q", "-o", "/dev/null", "-e", "trace="+calls,
		"-e", "inject="+calls+":delay_enter="+strconv.FormatInt(by.Microseconds(), 10), "-p", strconv.Itoa(p.cmd.Process.Pid))
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var errs strings.Builder
	c.Stderr = &errs
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { c.Wait(); close(done) }()
	for end := time.Now().Add(patience); !p.traced(t); <-time.After(10 * time.Millisecond) {
		select {
		case <-done:
			need.Skip(t, "strace: ", errs.String())
		default:
		}
		if time.Now().After(end) {
			t.Fatal("strace does not begin")
		}
	}
	return func() {
		c.Process.Signal(syscall.SIGINT) // it lets go of the part
		<-done
	}
}

// traced reports whether strace has all threads of a part.
func (p *part) traced(t *testing.T) bool {
	t.Helper()
	all, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", p.cmd.Process.Pid))
	if err != nil || len(all) == 0 {
		t.Fatalf("%s has no threads: %v", p.room.Name, err)
	}
	for _, name := range all {
		b, err := os.ReadFile(name)
		if err == nil && strings.Contains(string(b), "TracerPid:\t0\n") {
			return false
		}
	}
	return true
}

// The directory is slow at one machine, as with a file server that has much to do: at a receiver to
// flush, to write, and at the orchestrators. What is told complete is there, also when the slow one
// is killed in the midst of it, the others go on, and a line says that the directory is slow.
func TestSlowDirectory(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("strace"); err != nil {
		need.Skip(t, err)
	}
	inside(t, func(t *testing.T) {
		f := open(t, options{engines: 1, orchestrators: 2, receivers: 2, each: []string{"--drain", "3s"}})
		const flushes, writes = "fsync,fdatasync,sync_file_range", "pwrite64,pwritev"
		sends := func(what string) {
			t.Helper()
			var all sync.WaitGroup
			for k := range 4 {
				size := k * 500_000
				if k == 0 { // of the base protocol, one segment after the other
					size = 20_000
				}
				file, b := payload(t, size)
				all.Go(func() {
					args := []string{"--deadline", "80s", "--balance", "equal"}
					if k == 0 {
						args = []string{"--base"}
					}
					r := f.deliver(t.Context(), file, args...)
					for end := time.Now().Add(patience); k == 0 && !f.stored(b) && time.Now().Before(end); {
						<-time.After(100 * time.Millisecond)
					}
					if r.code != 0 || !f.stored(b) {
						t.Errorf("%s: %+v, stored %v", what, r, f.stored(b))
					}
				})
			}
			all.Wait()
		}
		f.offered(t, 2)
		slow := f.receivers[0]
		again := slow.slow(t, writes, 100*time.Millisecond)
		sends("one receiver is slow to write")
		again()
		for _, o := range f.orchestrators {
			defer o.slow(t, flushes, 2*time.Second)()
		}
		slow.slow(t, flushes, 4*time.Second)
		sends("one receiver and the orchestrators are slow to flush")
		slow.hears(t, `msg="the directory is slow"`)
		f.orchestrators[0].hears(t, `msg="the directory is slow"`)
		file, b := payload(t, 8<<20)
		ended := make(chan report, 1)
		go func() {
			ended <- f.deliver(t.Context(), file, "--balance", "equal", "--rate", "16M", "--deadline", "80s")
		}()
		f.began(t)
		<-time.After(2 * time.Second) // some of it is being flushed
		slow.kill()
		if r := <-ended; r.code != 0 || !f.stored(b) {
			t.Errorf("the slow one was killed: %+v, stored %v", r, f.stored(b))
		}
	})
}

// offered waits until an offer has so many receivers: orchestrators look once a second who is there.
func (f *fleet) offered(t *testing.T, receivers int, args ...string) {
	t.Helper()
	file, _ := payload(t, 100)
	for end := time.Now().Add(patience); ; {
		r := f.send(t.Context(), file, args...)
		rec, err := f.record(r.Transaction)
		if err == nil && len(rec.Receivers) == receivers {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%+v, %+v, %v", r, rec, err)
		}
	}
}
