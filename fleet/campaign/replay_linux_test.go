package campaign

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// tap is a socket that has all that passes, as somebody on the way does.
func tap(t *testing.T) (fd int) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.ETH_P_ALL<<8)
	if err != nil {
		t.Fatal(os.NewSyscallError("socket", err))
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// record keeps the datagrams that go to a part while enough says so.
func (p *part) record(t *testing.T, fd int, enough func(all [][]byte) bool) (all [][]byte) {
	t.Helper()
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100_000}); err != nil {
		t.Fatal(os.NewSyscallError("setsockopt", err))
	}
	to := netip.MustParseAddr(p.room.Addr).As4()
	b := make([]byte, 1<<16)
	seen := make(map[string]bool)
	for end := time.Now().Add(patience); !enough(all); {
		if time.Now().After(end) {
			t.Fatalf("%d datagrams to %s", len(all), p.room.Name)
		}
		n, _, err := unix.Recvfrom(fd, b, 0)
		if err != nil || n < 28 || b[0] != 0x45 || b[9] != unix.IPPROTO_UDP || !bytes.Equal(b[16:20], to[:]) {
			continue
		}
		d := b[28:n]
		// A train of several is one packet here, of which only the parts would be datagrams.
		if binary.BigEndian.Uint16(b[22:]) != 4650 || len(d) > 1400 || seen[string(d)] {
			continue
		}
		seen[string(d)] = true
		all = append(all, bytes.Clone(d))
	}
	return all
}

// counters asks a part for its counters.
func (p *part) counters(t *testing.T) map[string]int {
	t.Helper()
	before := strings.Count(p.said(t), "msg=counters ")
	p.cmd.Process.Signal(syscall.SIGUSR1)
	for end := time.Now().Add(patience); ; <-time.After(20 * time.Millisecond) {
		said := p.said(t)
		if strings.Count(said, "msg=counters ") > before && strings.HasSuffix(said, "\n") {
			all := make(map[string]int)
			line := said[strings.LastIndex(said, "msg=counters "):]
			for _, m := range regexp.MustCompile(` receiver_(\w+)=(\d+)`).FindAllStringSubmatch(line, -1) {
				all[m[1]], _ = strconv.Atoi(m[2])
			}
			return all
		}
		if time.Now().After(end) {
			t.Fatalf("%s tells no counters: %s", p.room.Name, said)
		}
	}
}

// What somebody on the way has recorded of a sealed transaction is not taken a second time: not at
// the receiver that it was sent to, nor at another, nor at the first one after its next start.
func TestSealedReplayed(t *testing.T) {
	t.Parallel()
	inside(t, func(t *testing.T) {
		key := keyFile(t, "office.key")
		f := open(t, options{engines: 1, orchestrators: 1, receivers: 2, extra: []string{"--key", key, "--require-key"},
			each: []string{"--fleet-key", keyFile(t, "fleet.key")}})
		f.offered(t, 2, "--key", key)
		// Datagrams leave one by one, so that each can be recorded.
		if out, err := f.clients.Command("ip", "link", "set", "eth0", "gso_max_segs", "1").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		file, b := payload(t, 16<<20)
		way := tap(t) // on a busy machine all may have passed before it is looked at
		ended := make(chan report, 1)
		go func() {
			ended <- f.deliver(t.Context(), file, "--key", key, "--rate", "8M", "--segment", "1100", "--balance", "equal")
		}()
		f.began(t)
		one, other := f.receivers[0], f.receivers[1]
		const some = 50
		recorded := one.record(t, way, func(all [][]byte) bool { return len(all) >= some })
		conn, err := net.ListenUDP("udp4", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		// replay sends what was recorded, until so many more were refused. A number that another
		// datagram had is refused before its keys are tried.
		refused := func(p *part) int {
			c := p.counters(t)
			return c["replayed"] + c["unopened"] + c["dropped"]
		}
		replay := func(to *part) {
			t.Helper()
			before := refused(to)
			at := net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(to.room.Addr), 4650))
			for end := time.Now().Add(patience); refused(to) < before+some; <-time.After(50 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("%s refused %d before: %v", to.room.Name, before, to.counters(t))
				}
				for _, d := range recorded {
					if _, err := conn.WriteTo(d, at); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		replay(one)
		replay(other)
		one.kill()
		if err := one.start(); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(patience); strings.Count(one.said(t), "msg=receiver ") < 2; <-time.After(20 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("it does not start again: %s", one.said(t))
			}
		}
		replay(one)
		if c := one.counters(t); c["acks"] != 0 {
			t.Errorf("after its next start it acknowledges: %v", c)
		}
		if err := conn.SetReadDeadline(time.Now().Add(500 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if n, from, err := conn.ReadFrom(make([]byte, 2048)); err == nil {
			t.Errorf("%v answers with %d bytes what is replayed", from, n)
		}
		r := <-ended
		if r.code != 0 || !f.stored(b) {
			t.Errorf("%+v, stored %v", r, f.stored(b))
		}
	})
}
