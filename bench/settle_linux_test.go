package bench

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var settling = flag.String("settle", "", "the `folder` in which TestSettling and TestSmall make their stores, on the disk that is looked at")

// settled starts a server with a store, and gives where it takes intents.
func settled(t *testing.T) netip.AddrPort {
	t.Helper()
	at := netip.AddrPortFrom(Address(0), freePort(t))
	rs := make([]string, 3)
	for i := range rs {
		rs[i] = netip.AddrPortFrom(Address(i), at.Port()).String()
	}
	store, err := os.MkdirTemp(*settling, "store-")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(serving(t), "--listen", at.String(), "--receivers", strings.Join(rs, ","), "--store", store,
		"--intent-rate", "-1", "--concurrent", "2000", "--source-concurrent", "2000", "--queue", "4000")
	out := &said{word: "msg=listening", seen: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		os.RemoveAll(store)
	})
	select {
	case <-out.seen:
	case <-time.After(serveFor):
		t.Fatalf("it does not listen: %s", out)
	}
	return at
}

// A talker is a client made by hand, which says one thing at a time.
type talker struct {
	c   *net.UDPConn
	b   []byte
	tid []byte
}

// talk begins a transaction.
func talk(at netip.AddrPort) (*talker, error) {
	c, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(at))
	if err != nil {
		return nil, err
	}
	x := &talker{c: c, b: make([]byte, 2000)}
	offer, err := x.ask("Type:0;", "Type:1;")
	_, rest, _ := bytes.Cut(offer, []byte("TID:"))
	x.tid, _, _ = bytes.Cut(bytes.Clone(rest), []byte(";"))
	return x, err
}

// ask says something until an answer begins as told, for a minute at most.
func (x *talker) ask(text, answer string) ([]byte, error) {
	var last error
	for began := time.Now(); time.Since(began) < time.Minute; {
		if _, err := x.c.Write([]byte(text)); err != nil {
			return nil, err
		}
		x.c.SetReadDeadline(time.Now().Add(time.Second))
		for {
			n, err := x.c.Read(x.b)
			if last = err; err != nil {
				break
			}
			if bytes.HasPrefix(x.b[:n], []byte(answer)) {
				return x.b[:n], nil
			}
		}
	}
	return nil, fmt.Errorf("no answer to %.60q: %w", text, last)
}

// TestSettling measures how long acknowledgements take, one segment of 100 bytes after the
// other, while nothing else goes on and while 1 GiB settles: hashed, flushed, named.
func TestSettling(t *testing.T) {
	if *settling == "" {
		t.Log("it takes seconds, a quiet machine and 1 GiB, and is not run: -settle FOLDER")
		return
	}
	at := settled(t)
	file := sparse(t, 1<<30)
	x, err := talk(at)
	if err != nil {
		t.Fatal(err)
	}
	defer x.c.Close()
	seq := 0
	acks := func(done <-chan struct{}) (took []time.Duration) {
		for ; ; seq++ {
			select {
			case <-done:
				return took
			default:
			}
			began := time.Now()
			if _, err := x.ask(fmt.Sprintf("Type:2;TID:%s;SEQ:%d;DATA:%0100d", x.tid, seq, seq), fmt.Sprintf("Type:3;TID:%s;SEQ:%d;", x.tid, seq)); err != nil {
				t.Fatal(err)
			}
			took = append(took, time.Since(began))
		}
	}
	second, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	idle := acks(second.Done())
	cmd := exec.Command(command(t), "-a", at.Addr().String(), "-p", strconv.Itoa(int(at.Port())), "-f", file, "--json-stream", "-q")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines, finishing, done := bufio.NewScanner(out), make(chan struct{}), make(chan struct{})
	var began, ended time.Time
	go func() {
		defer close(done)
		for lines.Scan() {
			if strings.Contains(lines.Text(), `"event":"finishing"`) {
				began = time.Now()
				close(finishing)
			}
		}
		ended = time.Now()
	}()
	select {
	case <-finishing:
	case <-done:
	}
	busy := acks(done)
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, v := range []*[]time.Duration{&idle, &busy} {
		slices.Sort(*v)
	}
	p := func(v []time.Duration, q float64) time.Duration { return v[int(q*float64(len(v)-1))] }
	if len(busy) == 0 {
		t.Fatal("the verdict came at once: nothing was measured")
	}
	t.Logf("verdict %v after the last acknowledgement", ended.Sub(began).Round(time.Millisecond))
	for _, q := range []float64{.5, .9, .99, 1} {
		t.Logf("%3.0f %%: idle %v of %d, while 1 GiB settles %v of %d: %.2f times as long", 100*q, p(idle, q), len(idle), p(busy, q), len(busy),
			float64(p(busy, q))/float64(p(idle, q)))
	}
}

// small sends the payloads and gives how long it took.
func small(t *testing.T, at netip.AddrPort) time.Duration {
	t.Helper()
	const n = 1000
	payload := bytes.Repeat([]byte("x"), 1000)
	say := fmt.Sprintf("{'bytes': %d, 'seg': %d", len(payload), len(payload))
	sum := fmt.Sprintf("%x", sha256.Sum256(payload))
	var wg sync.WaitGroup
	failed := make(chan error, n)
	began := time.Now()
	for range n {
		wg.Go(func() {
			x, err := talk(at)
			if err != nil {
				failed <- err
				return
			}
			defer x.c.Close()
			state := fmt.Sprintf("Type:5;TID:%s;", x.tid)
			_, err = x.ask(fmt.Sprintf("Type:4;TID:%s;SEQ:0;DATA:%s};", x.tid, say), state)
			if err == nil {
				_, err = x.ask(fmt.Sprintf("Type:2;TID:%s;SEQ:0;NUM:0;DATA:%s", x.tid, payload), fmt.Sprintf("Type:3;TID:%s;", x.tid))
			}
			for k := 1; err == nil; k++ {
				var b []byte
				b, err = x.ask(fmt.Sprintf("Type:4;TID:%s;SEQ:%d;DATA:%s, 'sha256': '%s'};", x.tid, k, say, sum), state+"SEQ:"+strconv.Itoa(k)+";")
				if bytes.Contains(b, []byte("'complete'")) {
					return
				}
				// It is told how long to wait, and asks again.
				_, rest, _ := bytes.Cut(b, []byte("'wait': "))
				digits, _, _ := bytes.Cut(rest, []byte("}"))
				wait, _ := strconv.Atoi(string(digits))
				<-time.After(time.Duration(wait) * time.Millisecond)
			}
			failed <- err
		})
	}
	wg.Wait()
	took := time.Since(began)
	close(failed)
	for err := range failed {
		t.Error(err)
	}
	return took
}
