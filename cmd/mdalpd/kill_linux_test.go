package main

import (
	"bytes"
	"crypto/sha256"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var kills = flag.Int("kills", 4, "how many `times` TestKilledServer kills its server")

// A sent is what one client has sent.
type sent struct {
	payload []byte
	base    bool
	err     error  // how it ended
	said    []byte // by the client
}

// senders keep clients running until they are told to stop.
type senders struct {
	program string
	folder  string
	stop    chan struct{}
	wg      sync.WaitGroup

	mu  sync.Mutex
	all []*sent
}

// work sends one payload after the other.
func (s *senders) work(k int) {
	r := rand.New(rand.NewPCG(uint64(k), 1))
	source := rand.NewChaCha8([32]byte{byte(k)})
	for n := 0; ; n++ {
		select {
		case <-s.stop:
			return
		default:
		}
		p := &sent{payload: make([]byte, 16+r.IntN(1<<r.IntN(21))), base: n%2 == 0}
		source.Read(p.payload)
		file := filepath.Join(s.folder, fmt.Sprintf("%d-%d", k, n))
		if p.err = os.WriteFile(file, p.payload, 0o600); p.err == nil {
			args := []string{"-a", "127.0.0.1", "-p", "4650", "-f", file, "--balance", "equal", "--ping", "off", "--intent-retry", "0.1", "--deadline", "15s", "-q"}
			if p.base {
				args = append(args, "--base")
			}
			p.said, p.err = exec.Command(s.program, args...).CombinedOutput()
			os.Remove(file)
		}
		s.mu.Lock()
		s.all = append(s.all, p)
		s.mu.Unlock()
	}
}

// Killed at any instant of any transfers, and started again, a server has every payload
// whose client ended well, whole, and no other. Without -kills it is killed a few times.
func TestKilledServer(t *testing.T) {
	t.Parallel()
	isolated(t, func(t *testing.T) {
		program, err := exec.LookPath("mdalp")
		if err != nil {
			t.Fatal(err)
		}
		store := t.TempDir()
		// What is whole must not be silent for so long while its client waits for its timer.
		start := func() *running {
			return launch(t, command(t, "--listen", "127.0.0.1", "--receivers", "127.0.0.1,127.0.0.2", "--store", store,
				"--intent-rate", "-1", "--source-concurrent", "64", "--idle", "8s"), false, "msg=listening ")
		}
		s := &senders{program: program, folder: t.TempDir(), stop: make(chan struct{})}
		d := start()
		for k := range 4 {
			s.wg.Go(func() { s.work(k) })
		}
		for range *kills {
			// It is killed at a random instant, wherever its clients and its store are then:
			// there is no event to wait for.
			time.Sleep(time.Duration(rand.Int64N(int64(300 * time.Millisecond))))
			d.end(unix.SIGKILL)
			d = start()
		}
		close(s.stop)
		s.wg.Wait()
		// What is whole may be silent first, as long as is usual. Where the machine had something
		// else to do, that was no silence, and the next server goes on.
		for range 5 {
			if code, said := d.end(unix.SIGTERM); code != 0 {
				t.Errorf("the server ends with %d: %s", code, said)
			}
			if s.there(kept(t, store)) {
				break
			}
			d = start()
		}
		d.end(unix.SIGKILL)
		s.audit(t, store)
	})
}

// kept is what is in the store, by its digest.
func kept(t *testing.T, store string) map[[sha256.Size]byte]string {
	t.Helper()
	stored := make(map[[sha256.Size]byte]string)
	files, err := filepath.Glob(filepath.Join(store, "*.bin"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		stored[sha256.Sum256(b)] = f
	}
	return stored
}

// there reports whether all is stored whose client ended well.
func (s *senders) there(stored map[[sha256.Size]byte]string) bool {
	return !slices.ContainsFunc(s.all, func(p *sent) bool {
		return p.err == nil && stored[sha256.Sum256(p.payload)] == ""
	})
}

// audit holds what is in the store against what was sent.
func (s *senders) audit(t *testing.T, store string) {
	t.Helper()
	stored := kept(t, store)
	files, well := len(stored), 0
	for _, p := range s.all {
		sum := sha256.Sum256(p.payload)
		_, there := stored[sum]
		delete(stored, sum)
		if p.err != nil {
			t.Logf("a client of %d bytes ended with %v, there %v: %s", len(p.payload), p.err, there, p.said)
			continue
		}
		if well++; !there {
			t.Errorf("a payload of %d bytes is not in the store (base: %v); its client ended well", len(p.payload), p.base)
		}
	}
	for _, f := range stored {
		b, _ := os.ReadFile(f)
		if !s.silent(b) {
			t.Errorf("%s, of %d bytes, is no payload", f, len(b))
		}
	}
	if well == 0 { // how many is a matter of how fast the machine is
		t.Errorf("none of %d clients ended well", len(s.all))
	}
	t.Logf("%d clients, of which %d ended well; %d files", len(s.all), well, files)
}

// silent reports whether b is the beginning of a base payload whose client gave up: to a
// server that knows no length, silence is the end.
func (s *senders) silent(b []byte) bool {
	for _, p := range s.all {
		if p.base && p.err != nil && len(b)%100 == 0 && bytes.HasPrefix(p.payload, b) {
			return true
		}
	}
	return false
}
