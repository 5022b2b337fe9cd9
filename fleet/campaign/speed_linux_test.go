package campaign

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mdalp"
	"mdalp/icmp"
	"mdalp/seal"
)

// Payloads of 5,000 bytes, one after the other by many clients: how many a second, and what
// each part computes for one.
func TestRate(t *testing.T) {
	t.Parallel()
	inside(t, func(t *testing.T) { rate(t, offering(whole), nil, 200) })
}

// The same with a key.
func TestRateSealed(t *testing.T) {
	t.Parallel()
	inside(t, func(t *testing.T) {
		o, file := keyed(t, whole)
		key, err := seal.ReadKeyFile(file)
		if err != nil {
			t.Fatal(err)
		}
		rate(t, offering(o), &key, 0)
	})
}

// offering has an offer as many receivers as was asked for.
func offering(o options) options {
	if *perOffer > 0 {
		o.extra = append(o.extra, "--receivers-per-offer", strconv.Itoa(*perOffer))
	}
	return o
}

// keyed is a fleet that takes nothing but what is sealed with a key.
func keyed(t *testing.T, o options) (_ options, key string) {
	key = keyFile(t, "office.key")
	o.extra, o.each = []string{"--key", key, "--require-key"}, []string{"--fleet-key", keyFile(t, "fleet.key")}
	return o, key
}

// rate measures a fleet, of which at least so many payloads a second are wanted.
func rate(t *testing.T, o options, key *seal.Key, least float64) {
	f := open(t, o)
	to := func(p *part) netip.AddrPort { return netip.MustParseAddrPort(p.room.Addr + ":4650") }
	took := func() (all [4]time.Duration) {
		for _, s := range f.engines.Servers {
			all[0] += cpu(s.Pid())
		}
		for _, p := range f.orchestrators {
			all[1] += cpu(p.cmd.Process.Pid)
		}
		for _, p := range f.receivers {
			all[2] += cpu(p.cmd.Process.Pid)
		}
		all[3] = cpu(os.Getpid())
		return all
	}
	span, senders := 2*time.Second, 32
	if *measure {
		span = 15 * time.Second
	}
	var done, failed atomic.Int64
	var wg sync.WaitGroup
	before, start := took(), time.Now()
	for k := range senders {
		wg.Go(func() {
			b := make([]byte, 5000)
			for time.Since(start) < span {
				rand.Read(b)
				_, err := mdalp.Send(t.Context(), bytes.NewReader(b), int64(len(b)), &mdalp.Config{
					Orchestrator: to(f.orchestrators[k%2]), Ping: icmp.Off, Deadline: patience, Key: key,
				})
				switch {
				case errors.Is(err, mdalp.ErrAllDead):
					t.Log(err) // a busy machine has kept it from its receivers
					continue
				case err != nil:
					failed.Add(1)
					t.Log(err)
					continue
				}
				done.Add(1)
			}
		})
	}
	wg.Wait()
	n, all := done.Load(), time.Since(start)
	rate := float64(n) / all.Seconds()
	t.Logf("%d transactions of 5,000 bytes in %v: %.0f a second; %d failed", n, all, rate, failed.Load())
	for i, after := range took() {
		used := after - before[i]
		t.Logf("%s: %.2f ms of CPU a transaction, %.0f %% of one", []string{"engines", "orchestrators",
			"receivers", "clients"}[i], float64(used)/float64(max(1, n))/1e6, 100*used.Seconds()/all.Seconds())
	}
	if n == 0 || failed.Load() > 0 {
		t.Errorf("%d done, %d failed", n, failed.Load())
	}
	if *measure && rate < least {
		t.Errorf("%.0f a second, %.0f are wanted", rate, least)
	}
}

// A large payload through a fleet and through one mdalpd, each with its directory in memory: how long
// until its client is told complete, and how long of that it waited after the last acknowledgement.
func TestLarge(t *testing.T) {
	t.Parallel()
	inside(t, func(t *testing.T) { large(t, whole) })
}

// The same with a key.
func TestLargeSealed(t *testing.T) {
	t.Parallel()
	inside(t, func(t *testing.T) {
		o, key := keyed(t, whole)
		large(t, o, "--key", key)
	})
}

func large(t *testing.T, o options, args ...string) {
	size := 32 << 20
	if *measure {
		size = 1 << 30
	}
	o = offering(o)
	o.room = "6G"
	f := open(t, o)
	file := filepath.Join(f.dir, "payload")
	sum := random(t, file, size)
	tell := func(where string, r report, dir string) {
		t.Logf("%s: %.2f s, of these %.2f s behind the last acknowledgement", where, r.Elapsed, r.Verdict)
		if r.code != 0 {
			t.Fatalf("%+v", r)
		}
		if stored := filepath.Join(dir, fmt.Sprint(r.Transaction, ".bin")); digest(t, stored) != sum {
			t.Errorf("%s holds something else", stored)
		}
	}
	tell("a fleet", f.deliver(t.Context(), file, args...), f.dir)
	f.end()
	r, dir := f.alone(file, args...)
	tell("mdalpd", r, dir)
}

// alone sends a file to one mdalpd, which stores in the same file system. The fleet has ended.
func (f *fleet) alone(file string, args ...string) (r report, dir string) {
	f.t.Helper()
	dir = filepath.Join(f.dir, "store")
	room := f.orchestrators[0].room
	d := &part{room: room, path: program(f.t, "mdalpd"), log: filepath.Join(f.t.TempDir(), "mdalpd")}
	d.args = append([]string{"--listen", room.Addr + ":4650", "--receivers", room.Addr, "--store", dir}, args...)
	if err := d.start(); err != nil {
		f.t.Fatal(err)
	}
	defer d.kill()
	for end := time.Now().Add(patience); len(offered(f.t, room.Addr, time.Second)) == 0; <-time.After(20 * time.Millisecond) {
		if time.Now().After(end) {
			b, _ := os.ReadFile(d.log)
			f.t.Fatalf("mdalpd offers nothing: %s", b)
		}
	}
	return f.deliver(f.t.Context(), file, args...), dir
}

// end ends all parts and engines at once.
func (f *fleet) end() {
	for _, p := range append(f.orchestrators[:len(f.orchestrators):len(f.orchestrators)], f.receivers...) {
		p.kill()
	}
	for _, s := range f.engines.Servers {
		s.Kill()
	}
}

// random makes a file of random bytes, and gives their digest.
func random(t *testing.T, file string, size int) (sum [sha256.Size]byte) {
	t.Helper()
	out, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	h := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(out, h), rand.Reader, int64(size)); err != nil {
		t.Fatal(err)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

func digest(t *testing.T, file string) (sum [sha256.Size]byte) {
	t.Helper()
	in, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	h := sha256.New()
	if _, err := io.Copy(h, in); err != nil {
		t.Fatal(err)
	}
	return [sha256.Size]byte(h.Sum(nil))
}
