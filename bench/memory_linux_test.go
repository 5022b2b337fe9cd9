package bench

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

var gigabyte = flag.Bool("gigabyte", false, "let TestMemory send 1 GiB, which takes minutes")

// The most resident memory, in bytes: at the peak, and by how much the peak may grow from
// a payload that is just read in windows to any other. The peak is a loose bound, for
// it holds the program's own pages too, which depend on the page cache.
const (
	mostMemory = 14 << 20
	mostGrowth = 2 << 20
)

// TestMemory sends big files over few and many receivers.
func TestMemory(t *testing.T) {
	size := int64(8 << 20)
	if *gigabyte {
		size = 1 << 30
	}
	for _, n := range []int{3, 1000} {
		r := receivers(t, n, 0, false)
		var first int64
		for i, s := range []int64{4 << 20, size} {
			began := time.Now()
			peak := peakOf(t, exec.Command(command(t), sending(r, sparse(t, s))...))
			t.Logf("%d receivers, %d MiB: %.2f MB at the peak, %v", n, s>>20, float64(peak)/1e6, time.Since(began).Round(time.Millisecond))
			if i == 0 {
				first = peak
			}
			if peak > mostMemory || peak > first+mostGrowth {
				t.Errorf("%d receivers, %d MiB: %d bytes at the peak, at most %d and %d", n, s>>20, peak, mostMemory, first+mostGrowth)
			}
		}
	}
}

// peakOf runs a command and gives its peak of resident memory in bytes. Its rusage
// would not do: a process inherits the peak of the one that executed it.
func peakOf(t *testing.T, cmd *exec.Cmd) (peak int64) {
	t.Helper()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	for tick := time.NewTicker(5 * time.Millisecond); ; {
		select {
		case <-tick.C:
			peak = max(peak, highWater(cmd.Process.Pid))
		case err := <-exited:
			if err != nil {
				t.Fatalf("%v: %v\n%s", cmd, err, &out)
			}
			if peak == 0 {
				t.Fatal("the peak was never seen")
			}
			return peak
		}
	}
}

// highWater is VmHWM of a process (proc_pid_status(5)), 0 when it is gone.
func highWater(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), "\nVmHWM:")
	kb, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	k, _ := strconv.ParseInt(kb, 10, 64)
	return k << 10
}
