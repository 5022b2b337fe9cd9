// With the race detector the receivers are too slow to fill a batch, and the figures are
// those of the detector.

//go:build !race

package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"mdalp/internal/need"
)

// The most system calls a segment may take, by number of receivers. A turn of the loop
// takes epoll_pwait2, recvmmsg and sendmmsg, and a batch is 64 datagrams: that makes 0.30
// with 10 receivers. With 64 every batch is full, most turns do without the poller, and it
// is 0.031. The margin is for turns that find only some of the answers there: on a machine
// with more to do than it has processors these are most.
var mostCalls = map[int]float64{10: 0.50, 64: 0.12}

func TestSystemCalls(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		need.Skip(t, "strace is not installed")
	}
	if out, err := exec.Command(strace, "-c", command(t), "--version").CombinedOutput(); err != nil {
		need.Skip(t, fmt.Sprintf("processes may not be traced here: %v\n%s", err, out))
	}
	table := filepath.Join(t.TempDir(), "calls")
	for _, n := range []int{10, 64} {
		var calls map[string]int
		var slope float64
		// The least of ten: how many answers a turn finds is a matter of the kernel's
		// scheduler too, and of who else wants the CPU.
		for try := range 10 {
			s := perSegment(t, n, []string{strace, "-f", "-c", "-o", table}, func(string) (sum float64) {
				calls = countCalls(t, table)
				for _, k := range calls {
					sum += float64(k)
				}
				return sum
			})
			if try == 0 || s < slope {
				slope = s
			}
			if slope <= mostCalls[n] {
				break
			}
		}
		t.Logf("%d receivers: %.4f system calls per segment, at most %v", n, slope, mostCalls[n])
		// A call takes 64 datagrams at most. Of the whole and not of the slope, which a busy machine
		// makes anything.
		if least := int(sizes[1] / 64); calls["sendmmsg"] < least || calls["recvmmsg"] < least {
			t.Errorf("%d receivers: too few calls for %d segments: was all traced? %v", n, sizes[1], calls)
		}
		if slope > mostCalls[n] {
			t.Errorf("%d receivers: %.4f system calls per segment, at most %v; of %d segments: %v", n, slope, mostCalls[n], sizes[1], calls)
		}
	}
}

// countCalls reads the table of strace -c.
func countCalls(t *testing.T, path string) map[string]int {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	calls := make(map[string]int)
	for s := bufio.NewScanner(bytes.NewReader(text)); s.Scan(); {
		// % time, seconds, usecs/call, calls, errors or nothing, name
		f := strings.Fields(s.Text())
		if len(f) < 5 || f[len(f)-1] == "total" {
			continue
		}
		if k, err := strconv.Atoi(f[3]); err == nil {
			calls[f[len(f)-1]] = k
		}
	}
	if len(calls) == 0 {
		t.Fatalf("no table of strace:\n%s", text)
	}
	return calls
}
