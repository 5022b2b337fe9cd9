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
// What go test runs by itself is to be over soon; .ci/run has the swarms run four times as many.
//
// usual is how many there are of something, and how many with the race detector, see thin.
func usual(n, thinned int) int {
	if thin {
		return thinned
	}
	return n
}

var (
	seedCount = flag.Int("seeds", usual(1000, 200), "how many seeds TestSwarm runs; the others as many, or a fixed part of it")
	seedFrom  = flag.Uint64("from", 1, "the first of them")
	seedBlind = flag.Bool("blind", false, "check only what can be seen from outside: no audit of the transfer")
	seedShow  = flag.Bool("show", false, "print the events of the first seed, and run no other")
)

// TestSwarm runs whole transfers of the base protocol, client and server, in virtual
// time: each seed draws a network, a payload and faults, of which most are off, and the
// checks of sim_watch_test.go and sim_recorder_test.go hold after every event. A failure prints
// the command that replays its seed alone with all events.
func TestSwarm(t *testing.T) {
	ends := campaign(t, *seedCount, func(seed uint64, trace io.Writer) world { return newScenario(seed, trace) })
	// A swarm in which everything fails, or nothing, tests half of it.
	if *seedCount >= 1000 && !t.Failed() && !*seedShow {
		for _, c := range []error{nil, ErrNoOffer, ErrIncomplete, ErrPayload, ErrConfig} {
			if ends[class(c)] == 0 {
				t.Errorf("no transfer ended with: %s", class(c))
			}
		}
	}
}

// A world is what a seed stands for.
type world interface {
	run() error
	String() string
	ended() []error // how the transfers did
	events() int64
}

func (sc *scenario) events() int64 { return sc.world.Counters().Events }

func (sc *scenario) ended() (errs []error) {
	for _, w := range sc.clients {
		errs = append(errs, w.s.err)
	}
	return errs
}

// campaign runs so many seeds, from where the flags say, on all cores, until one fails. It
// gives how many transfers ended how.
func campaign(t *testing.T, count int, build func(seed uint64, trace io.Writer) world) map[string]int {
	name := t.Name()
	if *seedShow {
		out := bufio.NewWriter(os.Stdout)
		sc, err := runSeed(build, *seedFrom, out)
		out.Flush()
		fmt.Println(sc)
		if err != nil {
			t.Fatal(err)
		}
		return nil
	}
	begin := time.Now()
	var next, events atomic.Int64
	var mu sync.Mutex
	var wg sync.WaitGroup
	ends := map[string]int{}
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for !t.Failed() {
				k := next.Add(1) - 1
				if k >= int64(count) {
					return
				}
				seed := *seedFrom + uint64(k)
				sc, err := runSeed(build, seed, nil)
				events.Add(sc.events())
				mu.Lock()
				for _, e := range sc.ended() {
					ends[class(e)]++
				}
				if err != nil {
					t.Errorf("seed %d: %v\n%v\nreplay: go test . -run '%s$' -v -show -from %d", seed, err, sc, name, seed)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	took := time.Since(begin)
	t.Logf("%d seeds from %d, %d events, %v; the transfers ended: %v", min(next.Load(), int64(count)), *seedFrom, events.Load(), took.Round(time.Millisecond), ends)
	return ends
}

// class names what a caller can tell an error by.
func class(err error) string {
	for _, c := range []error{ErrConfig, ErrNoOffer, ErrBadOffer, ErrIncomplete, ErrPayload, ErrRefused, ErrDamaged} {
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
func runSeed(build func(uint64, io.Writer) world, seed uint64, trace io.Writer) (sc world, err error) {
	sc = build(seed, trace)
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, stack())
		}
	}()
	return sc, sc.run()
}

func stack() []byte {
	b := make([]byte, 4096)
	return b[:runtime.Stack(b, false)]
}
