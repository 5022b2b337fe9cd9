package bench

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"mdalp/internal/need"
)

// These tests guard the speed without a clock: they count what does not depend on how
// busy the machine is. All figures are slopes between a small and a big payload, so
// that the start of the program is in none.

// The most instructions of our own process that a segment may take, kernel not
// included. They were 1,735 and 1,584 when this was written, and differ by 1 or 2 %
// from run to run; the margin, a seventh, is for other compilers.
//
// With few receivers a busy machine lets fewer answers come together, so that a turn of the
// loop is for fewer segments: 1,800 alone, up to 1,990 beside two busy loops.
var mostInstructions = map[int]float64{10: 2250, 64: 1810}

// counted is what a command runs with whose instructions are counted: no preemption by
// signal, as it comes by the clock, and no RDTSCP, which the runtime uses where two threads
// want one lock, and valgrind does not know on every machine.
const counted = "GODEBUG=asyncpreemptoff=1,cpu.rdtscp=off"

// sizes are the two payloads of a slope, in segments.
var sizes = [2]int64{1000, 9000}

// perSegment runs the command on one CPU, under a tool whose command line is given, and
// gives the slope of what count makes of its output. On one CPU the loop does not spin: a
// spin polls as often as the machine lets it, and a yield is one call at most a turn.
func perSegment(t *testing.T, n int, tool []string, count func(stderr string) float64) float64 {
	t.Helper()
	r := receivers(t, n, 0, false)
	var total [2]float64
	for i, segments := range sizes {
		line := append(append(tool[:len(tool):len(tool)], command(t)), sending(r, sparse(t, segments*segment))...)
		cmd := exec.Command(line[0], line[1:]...)
		cmd.Env = append(os.Environ(), counted)
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

// The tool is cachegrind: callgrind, of the same valgrind, stops at the signals by
// which Go drops capabilities in all threads (syscall.AllThreadsSyscall).
func TestInstructions(t *testing.T) {
	tool := cachegrind(t, command(t))
	for _, n := range []int{10, 64} {
		slope := perSegment(t, n, tool, func(text string) float64 { return instructions(t, text) })
		t.Logf("%d receivers: %.0f instructions per segment, at most %.0f", n, slope, mostInstructions[n])
		if slope < 100 {
			t.Errorf("%d receivers: %.0f instructions per segment cannot be all", n, slope)
		}
		if slope > mostInstructions[n] {
			t.Errorf("%d receivers: %.0f instructions per segment, at most %.0f", n, slope, mostInstructions[n])
		}
	}
}

// cachegrind is the command line that counts the instructions of a command.
func cachegrind(t *testing.T, command string) []string {
	t.Helper()
	valgrind, err := exec.LookPath("valgrind")
	if err != nil {
		need.Skip(t, "valgrind is not installed")
	}
	try := exec.Command(valgrind, "--tool=none", command, "--version")
	try.Env = append(os.Environ(), counted)
	if out, err := try.CombinedOutput(); err != nil {
		need.Skip(t, fmt.Sprintf("valgrind cannot run the command here: %v\n%s", err, out))
	}
	return []string{valgrind, "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=" + filepath.Join(t.TempDir(), "instructions")}
}

// instructions is the count in what cachegrind says at the end.
func instructions(t *testing.T, text string) float64 {
	t.Helper()
	_, rest, _ := strings.Cut(text, "I   refs:")
	number, _, _ := strings.Cut(strings.TrimSpace(rest), "\n")
	k, err := strconv.ParseFloat(strings.ReplaceAll(number, ",", ""), 64)
	if err != nil {
		t.Fatalf("no count of instructions: %v\n%s", err, text)
	}
	return k
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
