package campaign

import (
	"bytes"
	"flag"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"mdalp/fleet/engine"
	"mdalp/wire"
)

// Figures are held against goals on request alone: another program's turn is no fault of ours.
var measure = flag.Bool("measure", false, "hold the figures against the goals")

var perOffer = flag.Int("per-offer", 0, "receivers of an offer where the rate is measured; 0 is all")

// goal tells a figure, and what was wanted.
func goal(t *testing.T, what string, got, most time.Duration) {
	t.Helper()
	t.Logf("%s: %v, at most %v wanted", what, got.Round(time.Millisecond), most)
	if *measure && got > most {
		t.Errorf("%s: %v, at most %v wanted", what, got, most)
	}
}

// offered asks an orchestrator for an offer, and gives the receivers of it; none without one.
func offered(t *testing.T, addr string, patience time.Duration) (hosts []string) {
	t.Helper()
	c, err := net.Dial("udp", addr+":4650")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(wire.AppendIntent(nil)); err != nil {
		return nil
	}
	c.SetReadDeadline(time.Now().Add(patience))
	b := make([]byte, 4096)
	n, err := c.Read(b)
	if err != nil {
		return nil
	}
	m, err := wire.Parse(b[:n])
	if err != nil {
		return nil
	}
	all, err := wire.ParseReceivers(m.Data)
	if err != nil {
		t.Errorf("%q: %v", b[:n], err)
	}
	for _, r := range all {
		hosts = append(hosts, r.Host)
	}
	return hosts
}

// When an orchestrator of two dies, a client with both addresses has an offer in a moment, and
// what the dead one had begun goes on. A receiver that dies is offered no more after its time.
// One that is asked to end is offered no more at once, and ends with 0.
func TestDying(t *testing.T) {
	t.Parallel()
	inside(t, func(t *testing.T) {
		f := open(t, whole)
		file, b := payload(t, 100_000)
		f.orchestrators[0].kill()
		start := time.Now()
		if r := f.deliver(t.Context(), file); r.code != 0 || !f.stored(b) {
			t.Errorf("%+v, stored %v", r, f.stored(b))
		}
		goal(t, "a whole send after one orchestrator of two died", time.Since(start), 3*time.Second)

		other := f.orchestrators[1].room.Addr
		dead := f.receivers[0]
		dead.kill()
		start = time.Now()
		for all := []string{dead.room.Addr}; contains(all, dead.room.Addr) || len(all) == 0; {
			if time.Since(start) > patience {
				t.Fatalf("%v are offered", all)
			}
			all = offered(t, other, time.Second)
			<-time.After(50 * time.Millisecond)
		}
		goal(t, "a dead receiver is offered no more", time.Since(start), 12*time.Second)

		leaving := f.receivers[1]
		start = time.Now()
		if code := leaving.term(); code != 0 {
			t.Errorf("a receiver that is asked to end ends with %d", code)
		}
		t.Logf("a receiver that nobody uses ends %v after it was asked to", time.Since(start))
		// An orchestrator asks who is there once a second.
		start = time.Now()
		for all := []string{leaving.room.Addr}; contains(all, leaving.room.Addr) || len(all) != 2; {
			if time.Since(start) > patience {
				t.Fatalf("%v are offered", all)
			}
			all = offered(t, other, patience)
			<-time.After(50 * time.Millisecond)
		}
	})
}

func contains(all []string, host string) bool {
	for _, h := range all {
		if h == host {
			return true
		}
	}
	return false
}

// written counts what is written of a transaction, from now on, once it has ended there.
func (f *fleet) written(t *testing.T) (records func(tid int64) int, settled func() int) {
	t.Helper()
	js := f.jetstream(t)
	var mu sync.Mutex
	n, ended := make(map[int64]int), make(map[int64]bool)
	kv, err := js.KeyValue(t.Context(), "mdalp_ledger")
	if err != nil {
		t.Fatal(err)
	}
	w, err := kv.Watch(t.Context(), "t.*", jetstream.UpdatesOnly())
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for u := range w.Updates() {
			if u == nil {
				continue
			}
			r, err := engine.ParseRecord(u.Value())
			if err != nil {
				t.Errorf("%s: %v", u.Key(), err)
				continue
			}
			mu.Lock()
			n[r.TID]++
			ended[r.TID] = ended[r.TID] || r.State.Ended()
			mu.Unlock()
		}
	}()
	return func(tid int64) (is int) {
			has := func() bool {
				mu.Lock()
				defer mu.Unlock()
				is = n[tid]
				return ended[tid]
			}
			if !eventually(has) {
				t.Errorf("transaction %d has %d records, and no end", tid, is)
			}
			return is
		}, func() int {
			s, err := js.Stream(t.Context(), "mdalp_settled")
			if err != nil {
				t.Fatal(err)
			}
			return int(s.CachedInfo().State.LastSeq)
		}
}

// However large a payload is, the engine has a few records of it.
func TestWrites(t *testing.T) {
	t.Parallel()
	inside(t, func(t *testing.T) {
		f := open(t, whole)
		records, settled := f.written(t)
		for _, size := range []int{1, 5000, 1 << 20, 64 << 20} {
			// On a busy machine one may be taken over, which is written, too. More bytes are no reason.
			for try := 1; ; try++ {
				file, b := payload(t, size)
				had := settled()
				r := f.deliver(t.Context(), file)
				if r.code != 0 || !f.stored(b) {
					t.Fatalf("%d bytes: %+v, stored %v", size, r, f.stored(b))
				}
				n := records(r.Transaction) + settled() - had
				t.Logf("%d bytes: %d writes", size, n)
				if n >= 3 && n <= 6 {
					break
				}
				if try == 5 {
					t.Fatalf("%d bytes: %d writes; 6 are the most", size, n)
				}
			}
		}
	})
}

// cpu is how much a process has computed.
func cpu(pid int) time.Duration {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := bytes.Cut(b, []byte(") "))
	fields := strings.Fields(string(rest))
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}
