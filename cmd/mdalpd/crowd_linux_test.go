package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mdalp/wire"
)

// A watched is a server with a status page, on addresses of the loopback network that no
// other program has.
type watched struct {
	*running
	intents string
	rcv     [3]netip.AddrPort
	spare   netip.AddrPort // for another one
	http    string         // ADDR:PORT
	store   string
	payload []byte // that every transaction must bring: three segments of the base protocol
}

// watches counts the servers, for their ports.
var watches atomic.Int32

// watch starts a server that expects the payload, with a store and the page.
func watch(t *testing.T, more ...string) *watched {
	t.Helper()
	x := &watched{
		payload: []byte(strings.Repeat("a", 100) + strings.Repeat("b", 100) + strings.Repeat("c", 100)),
		store:   t.TempDir(),
	}
	// In memory, if there is such a folder: what is tested here is no disk.
	if dir, err := os.MkdirTemp("/dev/shm", "mdalpd-test"); err == nil {
		x.store = dir
		t.Cleanup(func() { os.RemoveAll(dir) })
	}
	expected := filepath.Join(t.TempDir(), "expected")
	if err := os.WriteFile(expected, x.payload, 0o600); err != nil {
		t.Fatal(err)
	}
	// An address for each process that tests, and ports that neither the kernel nor scripts give out.
	pid, n := os.Getpid(), uint16(watches.Add(1))
	host := netip.AddrFrom4([4]byte{127, byte(64 + pid>>16&63), byte(pid >> 8), byte(pid)})
	for i := range x.rcv {
		x.rcv[i] = netip.AddrPortFrom(host, 9400+4*n+uint16(i))
	}
	x.spare = netip.AddrPortFrom(host, 9400+4*n+3)
	x.intents, x.http = x.rcv[0].String(), x.rcv[0].String()
	args := append([]string{
		"--listen", x.intents, "--receivers", fmt.Sprintf("%v,%v,%v", x.rcv[0], x.rcv[1], x.rcv[2]),
		"--names", "Frankfurt,Sydney", "--store", x.store, "--expect", expected,
		"--intent-rate", "-1", "--concurrent", "100",
		"--source-concurrent", "100", "--http", x.http,
		// What is open stays so, however busy the machine is.
		"--limit", "1h", "--silence", "1h",
	}, more...)
	x.running = launch(t, exec.Command("mdalpd", args...), false, `msg="status page"`)
	return x
}

var number = regexp.MustCompile(`^Type:1;TID:(\d+);`)

// begin begins a transaction as a client of its own.
func (x *watched) begin(t *testing.T) (c *net.UDPConn, tid int64) {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	answer, _ := ask(t, c, x.intents, "Type:0;")
	m := number.FindStringSubmatch(answer)
	if m == nil {
		t.Fatalf("no offer: %s", answer)
	}
	tid, err = strconv.ParseInt(m[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return c, tid
}

// send sends segment seq to receiver i and waits for its acknowledgement.
func (x *watched) send(t *testing.T, c *net.UDPConn, tid int64, i, seq int) {
	t.Helper()
	want := string(wire.AppendAck(nil, tid, int64(seq)))
	m := string(wire.AppendData(nil, tid, int64(seq), x.payload[100*seq:100*seq+100]))
	if got, _ := ask(t, c, x.rcv[i].String(), m); got != want {
		t.Fatalf("%q instead of %q", got, want)
	}
}

// transfer is a whole transaction; an unfair one sends all to one receiver.
func (x *watched) transfer(t *testing.T, fair bool) (tid int64) {
	t.Helper()
	c, tid := x.begin(t)
	defer c.Close()
	for seq := range 3 {
		i := 0
		if fair {
			i = seq
		}
		x.send(t, c, tid, i, seq)
	}
	return tid
}

// evil is a name that would be seen if it were not escaped.
const evil = `<img src=x onerror="document.title='owned'"><b>a-long-name-without-a-blank-anywhere-in-it-for-a-narrow-screen.tar.gz`

// announce begins a transaction of the extended protocol, and sends a segment to each of two
// receivers.
func (x *watched) announce(t *testing.T, name string) (tid int64) {
	t.Helper()
	c, tid := x.begin(t)
	t.Cleanup(func() { c.Close() })
	m := wire.AppendManifest(nil, tid, 0, &wire.Manifest{Bytes: 300, Seg: 100, Name: name, Resume: wire.Absent})
	if got, _ := ask(t, c, x.intents, string(m)); !strings.Contains(got, "'state': 'open'") {
		t.Fatalf("the payload is not taken: %q", got)
	}
	for i := range 2 {
		// The first NUM of the second one is lost.
		b := append(wire.AppendSegmentHeader(nil, tid, int64(i), int64(i), 1, 1), x.payload[100*i:100*i+100]...)
		if got, _ := ask(t, c, x.rcv[i].String(), string(b)); !strings.HasPrefix(got, "Type:3;") {
			t.Fatalf("%q is no acknowledgement", got)
		}
	}
	return tid
}

// crowd has so many transactions end, and others stay open.
func (x *watched) crowd(t *testing.T, ended, open int) {
	t.Helper()
	for k := range ended {
		x.transfer(t, k%7 != 3)
	}
	for k := range open {
		switch {
		case k == 0:
			x.announce(t, evil)
		case k%3 == 0:
			x.announce(t, fmt.Sprintf("measurements-%d.tar", k))
		default:
			c, tid := x.begin(t)
			t.Cleanup(func() { c.Close() })
			x.send(t, c, tid, k%3, 0)
			x.send(t, c, tid, k%3, 0) // again, as if its acknowledgement were lost
		}
	}
}

// settled waits until so many verdicts are there.
func (x *watched) settled(t *testing.T, n int) {
	t.Helper()
	late := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		v := x.status(t, "")
		sum := 0
		for _, k := range v.Verdicts.Outcomes { // order does not show
			sum += int(k)
		}
		if sum >= n {
			return
		}
		select {
		case <-late:
			t.Fatalf("%d verdicts instead of %d", sum, n)
		case <-tick.C:
		}
	}
}
