package mdalp

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// The flags of a campaign. They stand after the package: go test . -seeds 1000000
var (
	seedCount = flag.Int("seeds", 2000, "how many seeds TestSwarm runs")
	seedFrom  = flag.Uint64("from", 1, "the first of them")
	seedBlind = flag.Bool("blind", false, "check only what can be seen from outside: no audit of the transfer")
	seedShow  = flag.Bool("show", false, "print the events of the first seed, and run no other")
)

// TestSwarm runs whole transfers, client and server, in virtual time: each seed
// draws a network, a payload and faults, of which most are off, and the checks
// of watch_test.go and recorder_test.go hold after every event. A failure prints
// the command that replays its seed alone with all events.
func TestSwarm(t *testing.T) {
	if *seedShow {
		out := bufio.NewWriter(os.Stdout)
		sc, err := runSeed(*seedFrom, out)
		out.Flush()
		fmt.Println(sc)
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	begin := time.Now()
	var next, events atomic.Int64
	var mu sync.Mutex
	var wg sync.WaitGroup
	failed := map[string]int{}
	ends := map[string]int{}
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for !t.Failed() {
				k := next.Add(1) - 1
				if k >= int64(*seedCount) {
					return
				}
				seed := *seedFrom + uint64(k)
				sc, err := runSeed(seed, nil)
				events.Add(sc.world.Counters().Events)
				mu.Lock()
				for _, w := range sc.clients {
					ends[class(w.s.err)]++
				}
				if err != nil {
					failed[sc.String()]++
					t.Errorf("seed %d: %v\n%v\nreplay: go test . -run 'TestSwarm$' -v -show -from %d", seed, err, sc, seed)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	took := time.Since(begin)
	t.Logf("%d seeds from %d, %d events, %v; the transfers ended: %v", next.Load()-int64(runtime.GOMAXPROCS(0)), *seedFrom, events.Load(), took.Round(time.Millisecond), ends)
	// A swarm in which everything fails, or nothing, tests half of it.
	if *seedCount >= 1000 && !t.Failed() {
		for _, c := range []error{nil, ErrNoOffer, ErrIncomplete, ErrPayload, ErrConfig} {
			if ends[class(c)] == 0 {
				t.Errorf("no transfer ended with: %s", class(c))
			}
		}
	}
}

// class names what a caller can tell an error by.
func class(err error) string {
	for _, c := range []error{ErrConfig, ErrNoOffer, ErrBadOffer, ErrIncomplete, ErrPayload} {
		if errors.Is(err, c) {
			return c.Error()
		}
	}
	if err != nil {
		return err.Error()
	}
	return "whole"
}

// runSeed runs what a seed stands for. A panic is an error too: of a million
// seeds, the one that panics is to be named.
func runSeed(seed uint64, trace io.Writer) (sc *scenario, err error) {
	sc = newScenario(seed, trace)
	defer func() {
		if p := recover(); p != nil {
			b := make([]byte, 4096)
			err = fmt.Errorf("panic: %v\n%s", p, b[:runtime.Stack(b, false)])
		}
	}()
	return sc, sc.run()
}
