package bench

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/ipv4"
)

var attack = flag.Int("attack", 0, "datagrams a `second` that TestAttack floods a server with; 0 is not to")

// Addresses of loopback that a flood comes from.
var attackSources = flag.Int("sources", 64, "how many `addresses` the flood of TestAttack comes from, at most 65536")

// attackSends is how many sends a figure comes from.
const attackSends = 15

// TestAttack measures what a send takes while others flood its server, against the same
// send when nobody does. Nothing leaves loopback. Flood and server share the CPUs.
func TestAttack(t *testing.T) {
	if *attack <= 0 {
		t.Log("it takes a minute and is not run: -attack 100000")
		return
	}
	for _, protocol := range []string{"base", "extended"} {
		t.Run(protocol, func(t *testing.T) {
			size := int64(100_000)
			if protocol == "extended" {
				size = 10_000_000
			}
			file := random(t, size)
			s := attacked(t, protocol == "base")
			alone, slowest := s.times(t, file)
			t.Logf("alone: %v, at worst %v", alone, slowest)
			for _, kind := range s.floods(t) {
				t.Run(kind.name, func(t *testing.T) {
					sent, stop := s.flood(t, kind.next)
					began := time.Now()
					under, slowest := s.times(t, file)
					rate := float64(sent.Load()) / time.Since(began).Seconds()
					stop()
					t.Logf("%.1f times as long at %.0f a second: %v, at worst %v", under.Seconds()/alone.Seconds(), rate, under, slowest)
				})
			}
		})
	}
}

// random makes a file of random bytes.
func random(t *testing.T, size int64) string {
	t.Helper()
	b := make([]byte, size)
	rand.Read(b)
	path := filepath.Join(t.TempDir(), "payload")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A target is an mdalpd under attack.
type target struct {
	program string
	addr    netip.AddrPort
}

// attacked starts a server on loopback.
func attacked(t *testing.T, base bool) *target {
	t.Helper()
	s := &target{program: command(t), addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0)}
	c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(s.addr))
	if err != nil {
		t.Fatal(err)
	}
	s.addr = c.LocalAddr().(*net.UDPAddr).AddrPort()
	c.Close()
	args := []string{"--listen", s.addr.String(), "--receivers", fmt.Sprintf("%v,127.0.0.2:%d", s.addr, s.addr.Port()),
		"--store", t.TempDir(), "--intent-rate", strconv.Itoa(attackSends), "-v"}
	if base {
		args = append(args, "--base")
	}
	cmd := exec.Command(serving(t), args...)
	var log bytes.Buffer
	cmd.Stderr = &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
		if t.Failed() || testing.Verbose() {
			out := log.Bytes()
			t.Logf("the server said, at last: %s", out[max(0, len(out)-3000):])
		}
	})
	s.send(t, random(t, 10)) // it listens
	return s
}

// send runs the client.
func (s *target) send(t *testing.T, file string) time.Duration {
	t.Helper()
	began := time.Now()
	cmd := exec.Command(s.program, "-a", s.addr.Addr().String(), "-p", strconv.Itoa(int(s.addr.Port())), "-f", file,
		"--balance", "equal", "--ping", "off", "--intent-retry", "0.5", "--deadline", "60s", "-q")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("the client: %v\n%s", err, out)
	}
	return time.Since(began)
}

// times are the median and the longest of several sends.
func (s *target) times(t *testing.T, file string) (median, most time.Duration) {
	t.Helper()
	var ds []time.Duration
	for range attackSends {
		ds = append(ds, s.send(t, file))
	}
	slices.Sort(ds)
	return ds[len(ds)/2], ds[len(ds)-1]
}

// A flooding is a kind of datagrams that a server is flooded with.
type flooding struct {
	name string
	next func(i int, b []byte) []byte
}

// floods gives the kinds. Some belong to a transaction that is open.
func (s *target) floods(t *testing.T) []flooding {
	t.Helper()
	c, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(s.addr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	// opened gives the number of a new transaction, which has one segment.
	opened := func() []byte {
		b := make([]byte, 2000)
		c.SetDeadline(time.Now().Add(time.Minute))
		c.Write([]byte("Type:0;"))
		n, err := c.Read(b)
		_, rest, ok := bytes.Cut(b[:n], []byte("TID:"))
		tid, _, _ := bytes.Cut(rest, []byte(";"))
		if err != nil || !ok {
			t.Fatalf("no offer: %v: %q", err, b[:n])
		}
		tid = bytes.Clone(tid)
		fmt.Fprintf(c, "Type:2;TID:%s;SEQ:0;DATA:%0100d", tid, 0)
		if _, err = c.Read(b); err != nil {
			t.Fatal(err)
		}
		return tid
	}
	tid := opened()
	return []flooding{
		{"intents", func(_ int, b []byte) []byte { return append(b, "Type:0;"...) }},
		{"duplicates", func(_ int, b []byte) []byte { return fmt.Appendf(b, "Type:2;TID:%s;SEQ:0;DATA:%0100d", tid, 0) }},
		{"conflicts", func(_ int, b []byte) []byte { return fmt.Appendf(b, "Type:2;TID:%s;SEQ:0;DATA:%0100d", tid, 1) }},
		{"unknown", func(i int, b []byte) []byte { return fmt.Appendf(b, "Type:2;TID:%d;SEQ:0;DATA:%0100d", 1+i, 1) }},
		{"manifests", func(i int, b []byte) []byte {
			return fmt.Appendf(b, "Type:4;TID:%d;SEQ:0;DATA:{'bytes': 5000, 'seg': 1000}", 1+i)
		}},
		{"noise", func(_ int, b []byte) []byte { return append(b, make([]byte, 100)...) }},
	}
}

// flood sends at the rate that was asked for, until stop is called.
func (s *target) flood(t *testing.T, next func(i int, b []byte) []byte) (sent *atomic.Int64, stop func()) {
	t.Helper()
	c, err := net.ListenUDP("udp4", nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	sent = new(atomic.Int64)
	go func() { done <- pour(ctx, ipv4.NewPacketConn(c), s.addr, sent, next) }()
	return sent, func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		c.Close()
	}
}

// pour sends batches, each datagram from the next of the sources.
func pour(ctx context.Context, c *ipv4.PacketConn, to netip.AddrPort, sent *atomic.Int64, next func(i int, b []byte) []byte) error {
	const batch = 64
	ms := make([]ipv4.Message, batch)
	for k := range ms {
		ms[k] = ipv4.Message{Buffers: [][]byte{nil}, Addr: net.UDPAddrFromAddrPort(to)}
	}
	from := make([][]byte, *attackSources)
	for k := range from {
		m := ipv4.ControlMessage{Src: net.IPv4(127, 1, byte(k), byte(k>>8))}
		from[k] = m.Marshal()
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	for ctx.Err() == nil {
		owed := int64(time.Since(began).Seconds()*float64(*attack)) - sent.Load()
		if owed < batch {
			<-tick.C
			continue
		}
		for k := range ms {
			i := int(sent.Load()) + k
			ms[k].Buffers[0] = next(i, ms[k].Buffers[0][:0])
			ms[k].OOB = from[i%len(from)]
		}
		n, err := c.WriteBatch(ms, 0)
		if err != nil && !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.ENOBUFS) {
			return err
		}
		sent.Add(int64(max(n, 1)))
	}
	return nil
}

// TestCrowd measures what a client waits after a burst of intents whose senders are never
// heard of again, and how long many clients of one address take.
func TestCrowd(t *testing.T) {
	if *attack <= 0 {
		t.Log("it takes a minute and is not run: -attack 100000")
		return
	}
	file := random(t, 10_000)
	for _, sources := range []int{1, 66, 1216} {
		t.Run(fmt.Sprintf("burst of 1216 intents from %d", sources), func(t *testing.T) {
			s := attacked(t, true)
			c, err := net.ListenUDP("udp4", nil)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			for k := range 1216 {
				from := ipv4.ControlMessage{Src: net.IPv4(127, 1, byte(k%sources), byte(k%sources>>8))}
				if _, _, err := c.WriteMsgUDPAddrPort([]byte("Type:0;"), from.Marshal(), s.addr); err != nil {
					t.Fatal(err)
				}
			}
			t.Logf("a client then takes %v", s.send(t, file))
		})
	}
	for _, clients := range []int{100, 1000} {
		t.Run(fmt.Sprintf("%d clients of one address", clients), func(t *testing.T) {
			s := attacked(t, true)
			began := time.Now()
			places := make(chan struct{}, 200) // processes at once
			var wg sync.WaitGroup
			for range clients {
				places <- struct{}{}
				wg.Go(func() {
					s.send(t, file)
					<-places
				})
			}
			wg.Wait()
			t.Logf("all are served after %v", time.Since(began))
		})
	}
}
