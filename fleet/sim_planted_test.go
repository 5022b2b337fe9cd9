package fleet

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"mdalp/internal/bugs"
	"mdalp/internal/need"
)

var (
	plantedAll = flag.Bool("planted", false, "hunt all planted bugs, and not just some")
	plantedOf  = flag.String("plantedof", "", "hunt those whose names have this in them")
)

// A plant is a bug: text of a file of this module, or of the server's, and what it is replaced by.
// In that PLANTED is whether the bug is on.
type plant struct {
	name  string
	edits []edit
	from  int // the first seed of the hunt, where few seeds find it; 0 is 1
}

type edit struct{ file, old, new string }

// TestPlanted plants bugs, one at a time, and has the simulation find each: all by -planted, else a
// few that are drawn. One binary has them all, each behind a number; without one nothing is found.
func TestPlanted(t *testing.T) {
	if os.Getenv(bugs.Env) != "" {
		return // this is the binary with the bugs
	}
	files := plantedFiles(t)
	if testing.Short() {
		need.Skip(t, "it builds a binary of its own, which is not short")
	}
	bin := bugs.Build(t, files, map[string]string{".": "fleet", "../server": "server"})
	if what := hunt(t, bin, 0, 1, 100); what != "" {
		t.Errorf("without a bug the simulation finds: %s", what)
	}
	hunted := rand.Perm(len(plants))
	if !*plantedAll {
		hunted = hunted[:3]
	}
	if *plantedOf != "" {
		hunted = slices.DeleteFunc(rand.Perm(len(plants)), func(k int) bool { return !strings.Contains(plants[k].name, *plantedOf) })
	}
	for _, k := range hunted {
		p := &plants[k]
		what := hunt(t, bin, k+1, max(1, p.from), 400)
		if what == "" {
			t.Errorf("bug %d is not found: %s", k+1, p.name)
		}
		t.Logf("%2d %-60s %.200s", k+1, p.name, what)
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
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute) // it hangs
	defer cancel()
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
