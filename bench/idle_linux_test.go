package bench

import (
	"bytes"
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

// A client that waits must cost nothing: neither one whose orchestrator makes it
// wait, nor one whose receivers are a continent away. What is looked at is the time
// for which the kernel let its threads run, in nanoseconds, so a neighbour's load does
// not show.
func TestIdle(t *testing.T) {
	const span = 2 * time.Second
	for _, c := range []struct {
		name   string
		delay  time.Duration
		silent bool
		most   time.Duration // of CPU in span
	}{
		// The runtime of Go looks about now and then; the loop itself sleeps.
		{"offer", 0, true, span / 1000},
		// Between 6 and 7 turns a second, with 10 segments each. They have to be sent, and
		// Go's sysmon looks about for some milliseconds whenever something has happened.
		{"wan", 150 * time.Millisecond, false, span / 100},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // both only wait
			r := receivers(t, 10, c.delay, c.silent)
			cmd := exec.Command(command(t), sending(r, sparse(t, 1<<20))...)
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			exited := make(chan error, 1)
			go func() { exited <- cmd.Wait() }()
			defer func() {
				cmd.Process.Kill()
				<-exited
			}()
			during := func(d time.Duration) {
				t.Helper()
				select {
				case err := <-exited:
					t.Fatalf("mdalp ended: %v\n%s", err, &out)
				case <-time.After(d):
				}
			}
			during(500 * time.Millisecond) // its start is over by then
			// A machine that others keep busy may put the start off, or run a thread more slowly:
			// one span of several is enough. Who looks about needs as much in each.
			for try := 1; ; try++ {
				before := ran(t, cmd.Process.Pid)
				during(span)
				used := ran(t, cmd.Process.Pid) - before
				t.Logf("%v of CPU in %v: %.4f %% of a core", used, span, 100*float64(used)/float64(span))
				if before > 0 && used <= c.most {
					return
				}
				if try == 5 {
					t.Fatalf("%v of CPU in %v of waiting (%v before it), at most %v", used, span, before, c.most)
				}
			}
		})
	}
}

// ran is how long the threads of a process have run: the first number of schedstat
// (Documentation/scheduler/sched-stats.rst of the kernel).
func ran(t *testing.T, pid int) (sum time.Duration) {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // this thread has ended
		}
		if err != nil {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(string(text), " ")
		ns, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		sum += time.Duration(ns)
	}
	return sum
}
