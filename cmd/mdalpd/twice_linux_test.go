package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var (
	cuts    = flag.Int("cuts", 3, "how many `transfers` TestSentTwice cuts off")
	cutSeed = flag.Uint64("cutseed", uint64(time.Now().UnixNano()), "where and when it does")
)

// most is how much of a payload may be sent twice because an end was killed.
const most = 1 << 20

// came is how many bytes came over the link to the server's host, with all headers.
func (p *pair) came(t *testing.T) int64 {
	t.Helper()
	out, err := exec.Command("ip", "-s", "-j", "link", "show", "dev", p.link).Output()
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`"rx":\{"bytes":(\d+),`).FindSubmatch(out)
	if m == nil {
		t.Fatalf("ip tells no bytes: %s", out)
	}
	n, err := strconv.ParseInt(string(m[1]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Whichever end is killed, at any instant of a transfer, and started again, at most 1 MiB of
// the payload is sent twice. What is sent the kernel counts, whatever became of it.
func TestSentTwice(t *testing.T) {
	t.Parallel() // it mostly waits
	isolated(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(*cutSeed, 0))
		p := hosts(t)
		p.ip(t, "addr add 10.7.0.1/24 dev c0")
		var worst int64
		for k := range *cuts {
			kind := []string{"client", "server", "both"}[k%3]
			store, file, payload := t.TempDir(), filepath.Join(t.TempDir(), "f"), make([]byte, 4_000_000)
			rand.NewChaCha8([32]byte{byte(k), byte(k >> 8)}).Read(payload)
			if err := os.WriteFile(file, payload, 0o600); err != nil {
				t.Fatal(err)
			}
			serve := func() *running {
				return launch(t, command(t, "--listen", "10.7.0.9", "--store", store), false, "msg=listening ")
			}
			send := func(until string) *running {
				return launch(t, p.there(p.program, "-a", "10.7.0.9", "-p", "4650", "-f", file, "--rate", "40M", "--json-stream"), true, until)
			}
			before := p.came(t)
			d, c := serve(), send(`"acknowledged_bytes":[1-9]`)
			// It is the random instant that is tested: there is no event to wait for.
			after := time.Duration(r.Int64N(int64(700 * time.Millisecond)))
			time.Sleep(after)
			// One that was done before, on a busy machine, ends well all the same.
			code := 0
			if kind != "server" {
				code, _ = c.end(unix.SIGKILL)
			}
			if kind != "client" {
				d.end(unix.SIGKILL)
				d = serve()
			}
			if code != 0 {
				c = send(`"event":"finished"`)
			}
			code, said := c.end(0)
			d.end(unix.SIGTERM)
			at := fmt.Sprintf("-cutseed %d, transfer %d: %s killed after %v", *cutSeed, k, kind, after)
			if code != 0 {
				t.Errorf("%s: the client ends with %d: %s", at, code, said)
			}
			// A client that was killed when all was there and it had not heard so sends again. That
			// is another transaction of the same bytes, and who takes payloads may have the first.
			if n := copies(t, store, payload); n > 1 && (kind == "server" || n > 2) {
				t.Errorf("%s: the payload is in the store %d times", at, n)
			}
			twice := p.came(t) - before - int64(len(payload))
			if twice > most {
				t.Errorf("%s: %d bytes came beyond the payload", at, twice)
			}
			// Headers alone are some: less would mean that the count is of something else.
			if twice <= 0 {
				t.Errorf("%s: less than the payload came: %d", at, twice)
			}
			t.Logf("%s: %d bytes came beyond the payload", at, twice)
			worst = max(worst, twice)
		}
		t.Logf("at most %d bytes came beyond a payload, headers included", worst)
	})
}
