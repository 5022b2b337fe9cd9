package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// These tests guard the speed without a clock: they count what does not depend on how
// busy the machine is. All figures are slopes between a small and a big payload, so
// that the start of the program is in none.

// The most system calls a segment may take, by number of receivers. A turn of the loop
// takes epoll_pwait2, recvmmsg and sendmmsg, and a batch is 64 datagrams: that makes 0.30
// with 10 receivers. With 64 every batch is full, most turns do without the poller, and it
// is 0.031. The margin is a third and the double: for turns that find only some of the
// answers there.
var mostCalls = map[int]float64{10: 0.40, 64: 0.06}

// The most instructions of our own process that a segment may take, kernel not
// included. They were 2,075 and 1,925 when this was written, and differ by less than 1 %
// from run to run; the margin, a sixth, is for other compilers.
var mostInstructions = map[int]float64{10: 2050, 64: 1900}

// sizes are the two payloads of a slope, in segments.
var sizes = [2]int64{1000, 9000}

// perSegment runs the command on one CPU, under a tool whose command line is given, and
// gives the slope of what count makes of its output. On one CPU the loop does not spin: a
// spin polls as often as the machine lets it.
func perSegment(t *testing.T, n int, tool []string, count func(stderr string) float64) float64 {
	t.Helper()
	r := receivers(t, n, 0, false)
	var total [2]float64
	for i, segments := range sizes {
		line := append(append(tool[:len(tool):len(tool)], command(t)), sending(r, sparse(t, segments*segment))...)
		cmd := exec.Command(line[0], line[1:]...)
		// No preemption by signal: it comes by the clock.
		cmd.Env = append(os.Environ(), "GODEBUG=asyncpreemptoff=1")
		var out, text bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &text
		if err := OnOneCPU(cmd.Start); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Fatalf("%v: %v\n%s%s", cmd, err, &out, &text)
		}
		total[i] = count(text.String())
	}
	return (total[1] - total[0]) / float64(sizes[1]-sizes[0])
}

// race tells that this is a build with the race detector.
var race bool

func TestSystemCalls(t *testing.T) {
	if race {
		t.Skip("with the race detector the receivers are too slow to fill a batch")
	}
	strace, err := exec.LookPath("strace")
	if err != nil {
		missing(t, "strace is not installed")
	}
	if out, err := exec.Command(strace, "-c", command(t), "--version").CombinedOutput(); err != nil {
		missing(t, fmt.Sprintf("processes may not be traced here: %v\n%s", err, out))
	}
	table := filepath.Join(t.TempDir(), "calls")
	for _, n := range []int{10, 64} {
		var calls map[string]int
		var slope float64
		// The least of three: how many answers a turn finds is a matter of the kernel's
		// scheduler too.
		for try := range 3 {
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
		if slope < 1.8/float64(min(n, 64)) {
			t.Errorf("%d receivers: %.4f system calls per segment are too few: was all traced? %v", n, slope, calls)
		}
		if slope > mostCalls[n] {
			t.Errorf("%d receivers: %.4f system calls per segment, at most %v; of %d segments: %v", n, slope, mostCalls[n], sizes[1], calls)
		}
	}
}

// The tool is cachegrind: callgrind, of the same valgrind, stops at the signals by
// which Go drops capabilities in all threads (syscall.AllThreadsSyscall).
func TestInstructions(t *testing.T) {
	valgrind, err := exec.LookPath("valgrind")
	if err != nil {
		missing(t, "valgrind is not installed")
	}
	if out, err := exec.Command(valgrind, "--tool=none", command(t), "--version").CombinedOutput(); err != nil {
		missing(t, fmt.Sprintf("valgrind cannot run the command here: %v\n%s", err, out))
	}
	tool := []string{valgrind, "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=" + filepath.Join(t.TempDir(), "instructions")}
	for _, n := range []int{10, 64} {
		slope := perSegment(t, n, tool, func(text string) float64 {
			_, rest, _ := strings.Cut(text, "I   refs:")
			number, _, _ := strings.Cut(strings.TrimSpace(rest), "\n")
			k, err := strconv.ParseFloat(strings.ReplaceAll(number, ",", ""), 64)
			if err != nil {
				t.Fatalf("no count of instructions: %v\n%s", err, text)
			}
			return k
		})
		t.Logf("%d receivers: %.0f instructions per segment, at most %.0f", n, slope, mostInstructions[n])
		if slope < 100 {
			t.Errorf("%d receivers: %.0f instructions per segment cannot be all", n, slope)
		}
		if slope > mostInstructions[n] {
			t.Errorf("%d receivers: %.0f instructions per segment, at most %.0f", n, slope, mostInstructions[n])
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

// A segment must not allocate: what it leaves behind would have to be collected while
// others wait.
func TestAllocations(t *testing.T) {
	// Both are longer than the windows that a big payload is read in.
	const small, big = 25_000, 50_000
	for _, n := range []int{10, 64} {
		r := receivers(t, n, 0, false)
		var allocs [2]uint64
		for i, segments := range []int{small, big} {
			data := make([]byte, segments*segment)
			// The least of two: the runtime's own threads and timers allocate now and then.
			for try := range 2 {
				var before, after runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&before)
				if err := whole(r, n, data); err != nil {
					t.Fatal(err)
				}
				runtime.ReadMemStats(&after)
				if k := after.Mallocs - before.Mallocs; try == 0 || k < allocs[i] {
					allocs[i] = k
				}
				if after.NumGC != before.NumGC {
					t.Errorf("%d receivers, %d segments: %d collections of garbage in a transfer", n, segments, after.NumGC-before.NumGC)
				}
			}
		}
		more := float64(allocs[1]) - float64(allocs[0])
		t.Logf("%d receivers: %d allocations for %d segments, %d for %d", n, allocs[0], small, allocs[1], big)
		// Not one in a thousand: not one allocation goes with a segment, nor with a
		// batch of them.
		if more > (big-small)/1000 {
			t.Errorf("%d receivers: %v allocations more for %d segments more; a segment must not allocate", n, more, big-small)
		}
	}
}

// The command as shipped collects no garbage while it sends. Before it sends it may: the
// list of 1000 receivers is long.
func TestCollections(t *testing.T) {
	for _, n := range []int{1, 64, 1000} {
		r := receivers(t, n, 0, false)
		var cycles [2]int
		for i, segments := range []int64{1, 30_000} {
			cmd := exec.Command(command(t), sending(r, sparse(t, segments*segment))...)
			var out, trace bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &trace
			cmd.Env = append(os.Environ(), "GODEBUG=gctrace=1")
			if err := cmd.Run(); err != nil {
				t.Fatalf("%v: %v\n%s%s", cmd, err, &out, &trace)
			}
			// "gc 1 @0.013s 2%: ..." for each collection; nobody here forces one.
			cycles[i] = strings.Count("\n"+trace.String(), "\ngc ")
			t.Logf("%d receivers, %d segments: %d collections", n, segments, cycles[i])
			if n <= 64 && cycles[i] != 0 {
				t.Errorf("%d receivers, %d segments: %d collections:\n%s", n, segments, cycles[i], &trace)
			}
		}
		if cycles[1] > cycles[0]+1 {
			t.Errorf("%d receivers: collections grow with the payload: %v", n, cycles)
		}
	}
}
