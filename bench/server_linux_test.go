package bench

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mdalp"
	"mdalp/icmp"
	"mdalp/internal/own"
)

// The most instructions of mdalpd's own process that a segment of the base protocol may
// take, kernel not included, with 64 receivers, without a store and with one. They were 2,690
// and 3,400 when this was written, of which the fingerprint takes 160, and the seal of a stored
// record 200 more; the margin, a seventh, is for other compilers.
var mostServed = map[bool]float64{false: 3080, true: 3890}

// serveFor bounds the wait for a server that runs under a tool.
const serveFor = 2 * time.Minute

// A said collects what a process says, and tells when a word is there.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
	word string
	seen chan struct{} // closed when word was said
}

func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := strings.Contains(s.text.String(), s.word)
	s.text.Write(b)
	if !before && strings.Contains(s.text.String(), s.word) {
		close(s.seen)
	}
	return len(b), nil
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// serve runs mdalpd with n receivers, bound to one CPU and under a tool, calls f with the
// address that takes intents, ends it by a signal and gives what it and the tool said. What f
// sent is not put together by then: it would be silent for 10 s first.
func serve(t *testing.T, n int, tool, flags []string, f func(netip.AddrPort)) string {
	t.Helper()
	// A port that was free a moment ago is perhaps taken by now.
	for range 10 {
		port := freePort(t)
		rs := make([]string, n)
		for i := range rs {
			rs[i] = netip.AddrPortFrom(Address(i), port).String()
		}
		line := append(append(tool[:len(tool):len(tool)], serving(t), "--listen", fmt.Sprintf("0.0.0.0:%d", port),
			"--receivers", strings.Join(rs, ","), "--first-tid", "1000000", "--drain", "1ms"), flags...)
		cmd := exec.Command(line[0], line[1:]...)
		cmd.Env = append(os.Environ(), counted)
		out := &said{word: "msg=listening", seen: make(chan struct{})}
		cmd.Stdout, cmd.Stderr = out, out
		if err := OnOneCPU(cmd.Start); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		select {
		case <-out.seen:
			f(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port))
			cmd.Process.Signal(syscall.SIGTERM)
		case <-ended:
			if strings.Contains(out.String(), "another program has the port") {
				continue
			}
			t.Fatalf("%v ended:\n%s", cmd, out)
		case <-time.After(serveFor):
			cmd.Process.Kill()
			t.Fatalf("%v does not serve:\n%s", cmd, out)
		}
		select {
		case err := <-ended:
			if err != nil {
				t.Fatalf("%v: %v\n%s", cmd, err, out)
			}
		case <-time.After(serveFor):
			cmd.Process.Kill()
			t.Fatalf("%v does not end:\n%s", cmd, out)
		}
		return out.String()
	}
	t.Fatal("no port is free")
	return ""
}

// freePort gives a UDP port that no program has.
func freePort(t *testing.T) uint16 {
	t.Helper()
	port, err := own.Port()
	if err != nil {
		t.Fatal(err)
	}
	return uint16(port)
}

// What a segment of the base protocol costs the server must not depend on whether it speaks the
// extended one as well.
func TestServerInstructions(t *testing.T) {
	const n = 64
	tool := cachegrind(t, serving(t))
	for _, base := range []bool{false, true} {
		for _, stored := range []bool{false, true} {
			var total [2]float64
			for i, segments := range sizes {
				var flags []string
				if base {
					flags = append(flags, "--base")
				}
				if stored {
					flags = append(flags, "--store", filepath.Join(t.TempDir(), "store"))
				}
				text := serve(t, n, tool, flags, func(to netip.AddrPort) {
					data := make([]byte, segments*segment)
					report, err := mdalp.Send(context.Background(), bytes.NewReader(data), int64(len(data)),
						&mdalp.Config{Orchestrator: to, Balance: mdalp.BalanceEqual, Ping: icmp.Off, Base: true})
					if err != nil || len(report.Receivers) != n {
						t.Errorf("%d receivers: %v", len(report.Receivers), err)
					}
				})
				total[i] = instructions(t, text)
			}
			slope := (total[1] - total[0]) / float64(sizes[1]-sizes[0])
			t.Logf("base %v, stored %v: %.0f instructions per segment, at most %.0f", base, stored, slope, mostServed[stored])
			if slope < 100 || slope > mostServed[stored] {
				t.Errorf("base %v, stored %v: %.0f instructions per segment, at most %.0f", base, stored, slope, mostServed[stored])
			}
		}
	}
}
