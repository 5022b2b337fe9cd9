package fleet

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"mdalp/internal/bugs"
	"mdalp/internal/need"
)

var plantedOf = flag.String("plantedof", "", "hunt the planted bugs whose names have this in them")

// A plant is a bug: text of a file of this module, or of the server's, and what it is replaced by.
// In that PLANTED is whether the bug is on.
type plant struct {
	name  string
	edits []edit
}

type edit struct{ file, old, new string }

// rare says from which seed on a bug is hunted that few seeds find. It only saves time: any other will
// do, and when the code changes others find it.
var rare = map[string]int{
	"one that was held up offers whom it knew before":  1090,
	"complete is told before a quorum has it":          320,
	"who settles does not wait for a silent receiver":  320,
	"a receiver that is cut off acknowledges for ever": 250,
	"a receiver tells how much room there was":         180,
	"a base segment is taken while it is settled":      100,
	"a resumed copy is not flushed":                    80,
	"those who take payloads on are not told again":    60,
}

// TestPlanted plants bugs, one at a time, and has the simulation find each. One binary has them all,
// each behind a number; without one nothing is found.
func TestPlanted(t *testing.T) {
	if os.Getenv(bugs.Env) != "" {
		return // this is the binary with the bugs
	}
	files := plantedFiles(t)
	if testing.Short() {
		need.Skip(t, "it builds a binary of its own, which is not short")
	}
	bin := bugs.Build(t, files, map[string]string{".": "fleet", "../server": "server"})
	found := make([]string, len(plants)+1)
	work := make(chan int)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for k := range work {
				from, seeds := 1, 100
				if k > 0 {
					from, seeds = max(1, rare[plants[k-1].name]), 3000
				}
				found[k] = hunt(t, bin, k, from, seeds)
			}
		})
	}
	for k := range found {
		if k == 0 || strings.Contains(plants[k-1].name, *plantedOf) {
			work <- k
		}
	}
	close(work)
	wg.Wait()
	if found[0] != "" {
		t.Errorf("without a bug the simulation finds: %s", found[0])
	}
	for k, what := range found[1:] {
		if !strings.Contains(plants[k].name, *plantedOf) {
			continue
		}
		t.Logf("%2d %-60s %.200s", k+1, plants[k].name, what)
		if what == "" {
			t.Errorf("bug %d is not found: %s", k+1, plants[k].name)
		}
	}
}

// plantedFiles gives the files with all bugs, by their paths. A bug whose place is gone or no longer
// unique must be planted anew.
func plantedFiles(t *testing.T) map[string]string {
	files := make(map[string]string)
	for k, p := range plants {
		for _, e := range p.edits {
			path, err := filepath.Abs(e.file)
			if err != nil {
				t.Fatal(err)
			}
			text, ok := files[path]
			if !ok {
				b, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				text = string(b)
			}
			if n := strings.Count(text, e.old); n != 1 {
				t.Fatalf("%s: %q: its place is found %d times in the source: %q", e.file, p.name, n, e.old)
			}
			files[path] = strings.Replace(text, e.old,
				strings.ReplaceAll(e.new, "PLANTED", fmt.Sprintf("planted(%d)", k+1)), 1)
		}
	}
	return files
}

// firstFound matches what the simulation says of the first seed that fails.
var firstFound = regexp.MustCompile(`(?m)sim_test.go:\d+: (seed \d+: .*)$`)

// hunt plays scenarios with bug k, and gives what is found first; "" is nothing.
func hunt(t *testing.T, bin string, k, from, seeds int) string {
	ctx := t.Context()
	if end, ok := t.Deadline(); ok { // then it hangs; how long it takes is a matter of the machine
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, end.Add(-10*time.Second))
		defer cancel()
	}
	cmd := exec.CommandContext(ctx, bin, "-test.run", "TestFleet$", "-seed", strconv.Itoa(from), "-seeds", strconv.Itoa(seeds))
	cmd.Env = append(os.Environ(), bugs.Env+"="+strconv.Itoa(k), "GOMAXPROCS=1")
	out, err := cmd.CombinedOutput()
	if err == nil {
		return ""
	}
	m := firstFound.FindStringSubmatch(string(out))
	if m == nil {
		t.Errorf("bug %d: the simulation did not end by itself: %v\n%.2000s", k, err, out)
		return "nothing"
	}
	return m[1]
}
