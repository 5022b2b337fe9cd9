package mdalp

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"mdalp/internal/bugs"
	"mdalp/internal/need"
)

// rare says from which seed on a bug is hunted that few seeds find. It only saves time: any
// other seed will do, and when the code changes others find it.
var rare = map[string]int{
	"who can be sent no more lives on":                                15700,
	"an acknowledgement does not end a refusal":                       3700,
	"a stall of the loop is a client's silence":                       5300,
	"an old ack delivers what was taken back":                         7400,
	"a limit runs from the answer on":                                 1800,
	"what was in flight at a refusal draws a second one":              800,
	"Karn's rule is forgotten over a takeover":                        800,
	"one refusal ends a receiver that has worked":                     250,
	"a receiver that refuses again and again is kept to its last try": 900,
	"what is cut off at the limit is complete":                        300,
	"what is there already is claimed all the same":                   300,
	"nobody hears that a packet is too long":                          600,
	"the offer of a transaction that was given up is taken again":     200,
	"who begins anew has segments of before":                          200,
	"a probe waits for the trains of the others":                      1300,
	"what a former process said to be flushed is believed":            9700,
}

// TestPlanted plants bugs, one at a time, and lets the swarm find each. A simulation
// that finds nothing is worth nothing.
//
// A copy of the source with all bugs in it, each behind a number, is compiled once
// (go build -overlay); the binary then runs the swarm for each number until a
// check fails. With number 0 there is no bug, and nothing may be found. Each is
// hunted twice: with the audit of the transfer's own state after every event, and
// by what can be seen from outside alone, where anything can.
func TestPlanted(t *testing.T) {
	if os.Getenv(bugs.Env) != "" {
		return // this is the binary with the bugs, which would build one of its own
	}
	if testing.Short() {
		need.Skip(t, "it builds a binary of its own, which is not short")
	}
	all := slices.Concat(plants, plantsExtended, plantsApart, plantsDisk, plantsSink, plantsFleet, plantsSealed)
	for k := range all {
		if p := &all[k]; p.swarm == "" {
			p.swarm = "TestSwarm"
			if k >= len(plants) {
				p.swarm = "TestSwarmExtended"
			}
		}
	}
	bin := buildPlanted(t, all)
	found := make([][2]string, len(all)+1)
	work := make(chan int)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for k := range work {
				swarm, from := "TestSwarm", 1 // all of them
				if k > 0 {
					swarm, from = all[k-1].swarm+"$", max(1, rare[all[k-1].name])
				}
				found[k][0] = hunt(t, bin, swarm, k, from, false)
				// Who checks less finds nothing in seeds before that one.
				fmt.Sscanf(found[k][0], "seed %d:", &from)
				if found[k][1] = found[k][0]; k == 0 || !all[k-1].inner {
					found[k][1] = hunt(t, bin, swarm, k, from, true)
				}
			}
		})
	}
	for k := range found {
		work <- k
	}
	close(work)
	wg.Wait()
	for k, what := range found {
		if k == 0 {
			if what != [2]string{} {
				t.Errorf("without a bug the swarm finds: %q", what)
			}
			continue
		}
		p := &all[k-1]
		t.Logf("%2d %-17s %-54s %.150s", k, p.dir, p.name, what[0])
		if what[1] != what[0] {
			t.Logf("%75s from outside: %.150s", "", what[1])
		}
		if what[0] == "" || what[1] == "" {
			t.Errorf("bug %d is not found: %s: %s", k, p.dir, p.name)
		}
	}
}

// buildPlanted compiles the tests of this package with all the bugs in the source.
func buildPlanted(t *testing.T, all []plant) (bin string) {
	root, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{} // of the files that are touched, by path
	for k, p := range all {
		for _, e := range p.edits {
			file := find(t, root, p, e.old, texts)
			texts[file] = strings.Replace(texts[file], e.old, strings.ReplaceAll(e.new, "PLANTED", fmt.Sprintf("planted(%d)", k+1)), 1)
		}
	}
	return bugs.Build(t, texts, map[string]string{".": "mdalp", "sched": "sched", "seal": "seal", "server": "server"})
}

// find gives the one file of the plant's package, or its own, that holds the text once. A bug
// whose place is gone or no longer unique must be planted anew.
func find(t *testing.T, root string, p plant, old string, texts map[string]string) (file string) {
	t.Helper()
	pattern := filepath.Join(root, p.dir)
	if !strings.HasSuffix(p.dir, ".go") {
		pattern = filepath.Join(pattern, "*.go")
	}
	names, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, ok := texts[name]
		if !ok {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			text = string(b)
		}
		if n := strings.Count(text, old); n > 0 {
			count += n
			file = name
			texts[name] = text
		}
	}
	if count != 1 {
		t.Fatalf("%s: %q: its place is found %d times in the source: %q", p.dir, p.name, count, old)
	}
	return file
}

// first matches what the swarm says of the first seed that fails, and other what another test does.
var (
	first = regexp.MustCompile(`(?m)sim_swarm_test.go:\d+: (seed \d+: .*)$`)
	other = regexp.MustCompile(`(?m)^ +\w+_test.go:\d+: (.*)$`)
)

// hunt runs a swarm with bug k, and gives what it found; "" is nothing.
func hunt(t *testing.T, bin, swarm string, k, from int, blind bool) string {
	seeds := "10000" // it ends at the first that fails
	if k == 0 {
		seeds = "250" // the swarms themselves run more
	}
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Minute) // it hangs
	defer cancel()
	cmd := exec.CommandContext(ctx, bin, "-test.run", swarm, "-from", strconv.Itoa(from), "-seeds", seeds, "-blind="+strconv.FormatBool(blind))
	cmd.Env = append(os.Environ(), bugs.Env+"="+strconv.Itoa(k), "GOMAXPROCS=1")
	out, err := cmd.CombinedOutput()
	if err == nil {
		return ""
	}
	m := first.FindStringSubmatch(string(out))
	if !strings.HasPrefix(swarm, "TestSwarm") {
		m = other.FindStringSubmatch(string(out))
	}
	if m == nil {
		t.Errorf("bug %d: the swarm did not end by itself: %v\n%.2000s", k, err, out)
		return "nothing"
	}
	return m[1]
}
