package campaign

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// busy is what a line may be of where the machine has much else to do.
var busy = []string{`msg="the directory is slow"`, `msg="the engine `, "context deadline exceeded"}

// Where nothing is wrong nothing is warned of, and what is over leaves nothing behind but payloads.
func TestQuiet(t *testing.T) {
	t.Parallel()
	inside(t, func(t *testing.T) {
		f := open(t, options{engines: 1, orchestrators: 1, receivers: 2})
		sent := 0
		stood := make(map[int64]bool) // whose transfers a busy machine has broken off
		for round := 1; ; round++ {
			sent += f.transfers(t, stood)
			f.left(t, sent, stood)
			loud := f.warned(t)
			if len(loud) == 0 {
				return
			}
			slow := func(l string) bool {
				return slices.ContainsFunc(busy, func(s string) bool { return strings.Contains(l, s) })
			}
			// What is said each time is not of the machine.
			if i := slices.IndexFunc(loud, func(l string) bool { return !slow(l) }); i >= 0 || round == 10 {
				t.Fatalf("it is warned of %q", loud)
			}
		}
	})
}

// transfers sends payloads of each kind, and gives how many. What the parts said before is gone.
func (f *fleet) transfers(t *testing.T, stood map[int64]bool) (n int) {
	t.Helper()
	for _, p := range append(f.orchestrators[:1:1], f.receivers...) {
		if err := os.Truncate(p.log, 0); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		for _, args := range [][]string{{}, {"--base"}, {"--no-verify"}} {
			file, _ := payload(t, 20_000)
			r := f.send(t.Context(), file, args...)
			for r.stood() {
				stood[r.Transaction] = true
				r = f.send(t.Context(), file, args...)
			}
			if r.code != 0 {
				t.Fatalf("%q: %+v", args, r)
			}
			n++
		}
	}
	return n
}

// left waits until the directory has so many payloads, and nothing else but what stood leaves.
func (f *fleet) left(t *testing.T, payloads int, stood map[int64]bool) {
	t.Helper()
	var names []string
	for end := time.Now().Add(patience); ; <-time.After(100 * time.Millisecond) {
		entries, err := os.ReadDir(f.dir)
		if err != nil {
			t.Fatal(err)
		}
		names = names[:0]
		whole := 0
		for _, e := range entries {
			tid := int64(-1)
			if fmt.Sscanf(e.Name(), "%d.", &tid); stood[tid] {
				continue
			}
			if names = append(names, e.Name()); strings.HasSuffix(e.Name(), ".bin") {
				whole++
			}
		}
		if whole == payloads && len(names) == whole+1 { // and .fleet
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%q are there", names)
		}
	}
}

// warned is what the parts have said that is more than news.
func (f *fleet) warned(t *testing.T) (lines []string) {
	t.Helper()
	for _, p := range append(f.orchestrators[:1:1], f.receivers...) {
		for l := range strings.Lines(p.said(t)) {
			if !strings.Contains(l, "level=INFO") {
				lines = append(lines, p.room.Name+": "+l)
			}
		}
	}
	return lines
}
