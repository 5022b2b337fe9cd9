package campaign

import (
	"bytes"
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"mdalp/fleet/internal/rooms"
)

var (
	rounds  = flag.Int("rounds", 3, "how many `times` TestCampaign breaks something")
	clients = flag.Int("clients", 20, "how many `clients` send meanwhile")
	span    = flag.Duration("span", time.Hour, "`how long` TestCampaign breaks things at most")
	astray  = flag.Bool("apart", false, "the clocks of TestCampaign are minutes apart, and one is set now and then")
	seed    = flag.Uint64("campaignseed", 0, "what is drawn comes from it; 0 draws one")
)

// A sent is what one client has sent.
type sent struct {
	size int
	sum  [sha256.Size]byte
	base bool
	key  bool
	all  []byte // of the base protocol, where what is incomplete may be the beginning of it
	report
}

// senders keep clients running until they are told to stop.
type senders struct {
	f    *fleet
	dir  string
	key  string // sends a third sealed; empty is none
	stop chan struct{}
	wg   sync.WaitGroup

	mu  sync.Mutex
	all []*sent
}

// work sends one payload after the other.
func (s *senders) work(k int) {
	r := rand.New(rand.NewPCG(uint64(k), *seed))
	source := rand.NewChaCha8([32]byte{byte(k), byte(*seed), byte(*seed >> 8)})
	for n := 0; ; n++ {
		select {
		case <-s.stop:
			return
		default:
		}
		p := &sent{base: n%3 == 2}
		most := 22 // bits of its size
		if p.base {
			most = 15
		}
		payload := make([]byte, 16+r.IntN(1<<r.IntN(most)))
		source.Read(payload)
		p.size, p.sum = len(payload), sha256.Sum256(payload)
		if p.base {
			p.all = payload
		}
		file := filepath.Join(s.dir, fmt.Sprintf("%d-%d", k, n))
		if err := os.WriteFile(file, payload, 0o600); err != nil {
			p.report = report{code: -1, said: err.Error()}
		} else {
			args := []string{"--balance", "equal", "--intent-retry", "0.5", "--deadline", "90s"}
			if p.base {
				args = append(args, "--base")
			} else if s.key != "" && n%3 == 1 {
				p.key, args = true, append(args, "--key", s.key)
			}
			p.report = s.f.send(context.Background(), file, args...)
			os.Remove(file)
		}
		s.mu.Lock()
		s.all = append(s.all, p)
		s.mu.Unlock()
	}
}

// note adds what another has sent.
func (s *senders) note(b []byte, r report) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, &sent{size: len(b), sum: sha256.Sum256(b), report: r})
}

// A victim is what a round breaks.
type victim struct {
	name  string
	room  *rooms.Room
	kill  func()
	start func() error
}

// victims are all that there are.
func (f *fleet) victims() (all []victim) {
	for _, e := range f.engines.Servers {
		all = append(all, victim{e.Name, e.Room(), e.Kill, e.Start})
	}
	for _, p := range append(f.orchestrators[:len(f.orchestrators):len(f.orchestrators)], f.receivers...) {
		all = append(all, victim{p.room.Name, p.room, p.kill, p.start})
	}
	return all
}

// Whatever part is killed or cut off, at any instant of transfers, by the end every payload is
// there whose client was told so, as it was sent, and nothing that nobody has sent.
func TestCampaign(t *testing.T) {
	t.Parallel()
	if *astray {
		apartPrograms.in(t)
	}
	inside(t, func(t *testing.T) {
		if *seed == 0 {
			*seed = rand.Uint64N(1 << 32)
		}
		t.Logf("-campaignseed=%d", *seed)
		o := whole
		o.each = []string{"--drain", "10s"} // what a client has given up is open for longer
		if *astray {
			o.apart = minutes
		}
		f := open(t, o)
		s := &senders{f: f, dir: t.TempDir(), stop: make(chan struct{})}
		for k := range *clients {
			s.wg.Go(func() { s.work(k) })
		}
		broke := make(chan struct{})
		var watching sync.WaitGroup
		watching.Go(func() { f.watch(t, broke) })
		r := rand.New(rand.NewPCG(*seed, 0))
		between := func(least, most time.Duration) {
			<-time.After(least + time.Duration(r.Int64N(int64(most-least))))
		}
		all := f.victims()
		began, broken := time.Now(), 0
		for n := range *rounds {
			if time.Since(began) > *span {
				break
			}
			broken++
			v := all[r.IntN(len(all))]
			if *astray {
				f.set(t, all[r.IntN(len(all))].name, time.Duration(r.IntN(1200)-600)*time.Second)
			}
			between(100*time.Millisecond, 2*time.Second)
			kill := r.IntN(2) == 0
			t.Logf("round %d at %s: %s (killed %v, else cut off)", n+1, time.Now().Format(time.TimeOnly), v.name, kill)
			if kill {
				v.kill()
				between(100*time.Millisecond, 3*time.Second)
				if err := v.start(); err != nil {
					t.Fatalf("round %d: %s: %v", n, v.name, err)
				}
			} else {
				if err := v.room.Cut(); err != nil {
					t.Fatalf("round %d: %v", n, err)
				}
				between(500*time.Millisecond, 8*time.Second)
				if err := v.room.Mend(); err != nil {
					t.Fatalf("round %d: %v", n, err)
				}
			}
		}
		s.finish()
		close(broke)
		watching.Wait()
		t.Logf("%d rounds", broken)
		s.audit(t)
		var ending sync.WaitGroup
		for _, p := range append(f.orchestrators, f.receivers...) {
			ending.Go(func() {
				if code := p.term(); code != 0 {
					t.Errorf("%s ends with %d", p.room.Name, code)
				}
			})
		}
		ending.Wait()
	})
}

// finish has the clients stop, once as many were told complete as audit wants: on a busy machine that
// may take longer than all else.
func (s *senders) finish() {
	eventually(s.enough)
	close(s.stop)
	s.wg.Wait()
}

// enough reports whether clients of each kind were told complete.
func (s *senders) enough() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	var extended, base, sealed int
	for _, p := range s.all {
		switch {
		case p.code != 0:
		case p.base:
			base++
		default:
			if extended++; p.key {
				sealed++
			}
		}
	}
	return extended >= leastTold() && base > 0 && (sealed > 0 || s.key == "")
}

// leastTold is how many extended clients have to be told complete.
func leastTold() int { return 2 * *rounds }

// audit holds what is in the directory against what was sent. A base payload is told complete
// before it is: it is so once it has been silent, which is waited for.
func (s *senders) audit(t *testing.T) {
	t.Helper()
	var lost []*sent
	for end := time.Now().Add(patience); ; <-time.After(500 * time.Millisecond) {
		there := s.stored(t)
		lost = nil
		for _, p := range s.all {
			if p.code == 0 && there[p.sum] == 0 {
				lost = append(lost, p)
			}
		}
		if len(lost) == 0 || time.Now().After(end) {
			break
		}
	}
	for _, p := range lost {
		t.Errorf("a payload of %d bytes is not there (TID %d, base %v); its client was told complete", p.size,
			p.Transaction, p.base)
		s.f.tell(p.Transaction)
	}
	ours := make(map[[sha256.Size]byte]*sent)
	told := map[bool]int{}
	for _, p := range s.all {
		ours[p.sum] = p
		if p.code == 0 {
			told[p.base]++
		} else {
			t.Logf("a client of %d bytes (base %v) ended with %d: %s", p.size, p.base, p.code, p.said)
		}
	}
	files := 0
	for sum, n := range s.stored(t) {
		files += n
		p := ours[sum]
		switch {
		case p == nil:
			if !s.begun(t, sum) {
				t.Errorf("a file with digest %x is what nobody has sent", sum)
				s.f.tell(s.number(t, sum))
			}
		case n > 1 && p.code == 0 && p.Transaction != 0:
			// Where a client had to begin again, what it sent first may have become whole, too.
			t.Logf("a payload of %d bytes is there %d times", p.size, n)
		}
	}
	if told[false] < leastTold() || told[true] < 1 {
		t.Errorf("only %d extended and %d base clients of %d were told complete", told[false], told[true], len(s.all))
	}
	var waits []float64
	for _, p := range s.all {
		if p.Transaction != 0 {
			waits = append(waits, p.Wait)
		}
	}
	slices.Sort(waits)
	if n := len(waits); n > 0 {
		t.Logf("for an offer half waited %.3f s at most, 99 of 100 %.1f s, and one the longest, %.1f s", waits[n/2],
			waits[n*99/100], waits[n-1])
	}
	t.Logf("%d clients; told complete %d extended, %d base; %d files; lost or different %d", len(s.all),
		told[false], told[true], files, len(lost))
}

// stored counts the payloads in the directory, by digest.
func (s *senders) stored(t *testing.T) map[[sha256.Size]byte]int {
	t.Helper()
	all := make(map[[sha256.Size]byte]int)
	for _, name := range s.files(t) {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all[sha256.Sum256(b)]++
	}
	return all
}

// files are the payloads'.
func (s *senders) files(t *testing.T) (all []string) {
	all, err := filepath.Glob(filepath.Join(s.f.dir, "*.bin"))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// begun reports whether a file is the beginning of a base payload whose client gave up: to a
// server that knows no length, silence is the end.
func (s *senders) begun(t *testing.T, sum [sha256.Size]byte) bool {
	for _, name := range s.files(t) {
		b, err := os.ReadFile(name)
		if err != nil || sha256.Sum256(b) != sum {
			continue
		}
		for _, p := range s.all {
			if p.base && p.code != 0 && bytes.HasPrefix(p.all, b) {
				return true
			}
		}
	}
	return false
}

// number is the transaction of a file.
func (s *senders) number(t *testing.T, sum [sha256.Size]byte) (tid int64) {
	for _, name := range s.files(t) {
		if b, err := os.ReadFile(name); err == nil && sha256.Sum256(b) == sum {
			fmt.Sscanf(filepath.Base(name), "%d", &tid)
		}
	}
	return tid
}
