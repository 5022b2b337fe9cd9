package icmp

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mdlayher/socket"
	"golang.org/x/sys/unix"

	"mdalp/internal/need"
)

// These tests use real sockets, see need.Skip.

// mustOpen opens a socket and closes it with the test.
func mustOpen(t *testing.T, family int, mode Mode, id uint16) *socket.Conn {
	t.Helper()
	c, got, err := Open(family, mode, id, netip.Addr{})
	if errors.Is(err, os.ErrPermission) {
		need.Skip(t, "open", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if got != mode {
		t.Fatalf("mode %v, want %v", got, mode)
	}
	return c.(*socket.Conn)
}

// send sends a message to a host.
func send(t *testing.T, c *socket.Conn, to netip.Addr, b []byte) {
	t.Helper()
	family := 4
	if to.Is6() {
		family = 6
	}
	sa, err := sockaddr(family, to)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Sendto(context.Background(), b, 0, sa); err != nil {
		t.Fatalf("send to %v: %v", to, err)
	}
}

// receive waits for a message until an instant and gives it with its source and
// the kernel's stamp; ok is false when none came.
func receive(t *testing.T, c *socket.Conn, until time.Time) (b []byte, from netip.Addr, at time.Time, ok bool) {
	t.Helper()
	if err := c.SetReadDeadline(until); err != nil {
		t.Fatal(err)
	}
	b, oob := make([]byte, 256), make([]byte, 256)
	n, oobn, _, sa, err := c.Recvmsg(context.Background(), b, oob, 0)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		// A deadline that has passed is no look into the socket: what came while this process
		// stood still is there.
		raw, e := c.SyscallConn()
		if e == nil {
			e = raw.Control(func(fd uintptr) { n, oobn, _, sa, err = unix.Recvmsg(int(fd), b, oob, unix.MSG_DONTWAIT) })
		}
		if e != nil {
			t.Fatal(e)
		}
		if err == unix.EAGAIN {
			return nil, from, at, false
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		from = netip.AddrFrom4(sa.Addr)
	case *unix.SockaddrInet6:
		from = netip.AddrFrom16(sa.Addr)
	}
	return b[:n], from, stamp(t, oob[:oobn]), true
}

// stamp gives the kernel's receive stamp (SCM_TIMESTAMPNS, a struct timespec).
func stamp(t *testing.T, oob []byte) time.Time {
	t.Helper()
	ms, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range ms {
		if m.Header.Level != unix.SOL_SOCKET || m.Header.Type != unix.SCM_TIMESTAMPNS {
			continue
		}
		if len(m.Data) == 8 { // 32-bit
			return time.Unix(int64(binary.NativeEndian.Uint32(m.Data)), int64(binary.NativeEndian.Uint32(m.Data[4:])))
		}
		return time.Unix(int64(binary.NativeEndian.Uint64(m.Data)), int64(binary.NativeEndian.Uint64(m.Data[8:])))
	}
	t.Fatal("a message without a receive stamp")
	return time.Time{}
}

// ping drives a Prober over a socket until it is done, and checks that every
// host was measured in full.
func ping(t *testing.T, c *socket.Conn, hosts []netip.Addr, id uint16) {
	t.Helper()
	p := NewProber(time.Now(), Config{ID: id, Timeout: time.Minute, Key: [32]byte{1}}, hosts)
	buf := make([]byte, 0, 64)
	counts := map[Outcome]int{}
	for {
		at, ok := p.Next()
		if !ok {
			break
		}
		for {
			b, to, ok := p.Transmit(time.Now(), buf)
			if !ok {
				break
			}
			send(t, c, to, b)
		}
		if !p.allSent() {
			at, _ = p.Next()
		}
		for !p.Done() {
			b, from, stamp, ok := receive(t, c, at)
			if !ok {
				break
			}
			counts[p.Receive(stamp, from, b)]++
		}
		p.Expire(time.Now())
	}
	if want := len(hosts) * DefaultCount; counts[Counted] != want || len(counts) != 1 {
		t.Errorf("outcomes %v, want %d counted", counts, want)
	}
	for i, h := range hosts {
		s := p.Stats(i)
		if s.Sent != DefaultCount || s.Received != DefaultCount {
			t.Errorf("%v: %+v", h, s)
		}
		if s.Min <= 0 || s.Min > s.Median || s.Median > s.Max || s.Mean < s.Min || s.Mean > s.Max || s.Max > time.Minute {
			t.Errorf("%v: no order in %+v", h, s)
		}
	}
	if len(hosts) > 0 {
		t.Logf("%d hosts, the first: %+v", len(hosts), p.Stats(0))
	}
}

// loopback gives n addresses that this host answers pings to.
func loopback(n int) []netip.Addr {
	hosts := make([]netip.Addr, n)
	for i := range hosts {
		hosts[i] = netip.AddrFrom4([4]byte{127, 1, byte(i >> 8), byte(i)})
	}
	return hosts
}

var loopback6 = netip.IPv6Loopback()

func TestRaw(t *testing.T) {
	t.Run("IPv4", func(t *testing.T) { ping(t, mustOpen(t, 4, Raw, 0x4d44), loopback(1000), 0x4d44) })
	t.Run("IPv6", func(t *testing.T) {
		needIPv6(t)
		ping(t, mustOpen(t, 6, Raw, 0x4d44), []netip.Addr{loopback6}, 0x4d44)
	})
}

// needIPv6 skips the test on a host without ::1. TestNamespace has its own.
func needIPv6(t *testing.T) {
	t.Helper()
	c, err := net.ListenUDP("udp6", net.UDPAddrFromAddrPort(netip.AddrPortFrom(loopback6, 0)))
	if err != nil {
		need.Skip(t, "IPv6", err)
	}
	c.Close()
}

// TestFilter sends echoes with a foreign identifier, then some with ours, and looks at
// what arrives first. On loopback the requests come by as well, and without the filter so
// does what other programs ping: only what has the bytes that were sent here counts.
func TestFilter(t *testing.T) {
	const ours, theirs = 0x4d45, 0x4d46
	for _, host := range []netip.Addr{loopback(1)[0], loopback6} {
		family, reply, head := 4, byte(0), ipHeaderLen
		if host.Is6() {
			family, reply, head = 6, 129, 0
		}
		t.Run(host.String(), func(t *testing.T) {
			if host.Is6() {
				needIPv6(t)
			}
			c := mustOpen(t, family, Raw, ours)
			var key [32]byte
			rand.Read(key[:])
			sent := make(map[string]bool)
			echoes := func() {
				for _, id := range []uint16{theirs, ours} {
					p := NewProber(time.Now(), Config{Count: 5, Gap: -1, ID: id, Key: key}, []netip.Addr{host})
					for _, e := range drain(p, time.Now()) {
						sent[string(e.b[4:])] = true // without type and checksum, which differ in the reply
						send(t, c, e.to, e.b)
					}
				}
			}
			// next gives the identifier of the next reply to one of them.
			next := func() uint16 {
				for {
					b, _, _, ok := receive(t, c, time.Now().Add(10*time.Second))
					if !ok {
						t.Fatal("nothing arrives")
					}
					if b = b[head:]; !sent[string(b[4:])] {
						continue
					}
					if b[0] != reply {
						t.Fatalf("a message of type %d arrives", b[0])
					}
					return binary.BigEndian.Uint16(b[4:])
				}
			}
			// Loopback is synchronous: what passes arrives in the order in which it was sent.
			echoes()
			for range 5 {
				if id := next(); id != ours {
					t.Fatalf("with the filter the identifier %#x arrives", id)
				}
			}
			// Without the program the foreign replies are there: it was what dropped
			// them. The filter for types is still on, so the requests are not.
			if err := c.RemoveBPF(); err != nil {
				t.Fatal(err)
			}
			echoes()
			if id := next(); id != theirs {
				t.Fatalf("without the filter the identifier %#x arrives first", id)
			}
		})
	}
}

func TestOpenConfigures(t *testing.T) {
	for _, family := range []int{4, 6} {
		c := mustOpen(t, family, Raw, 1)
		n, err := c.ReadBuffer()
		if err != nil {
			t.Fatal(err)
		}
		// Root gets what it asks for, doubled by the kernel (socket(7)); others what
		// net.core.rmem_max allows.
		if os.Geteuid() == 0 && n < receiveBuffer {
			t.Errorf("IPv%d: a receive buffer of %d bytes, want %d", family, n, receiveBuffer)
		}
		if on, err := c.GetsockoptInt(unix.SOL_SOCKET, unix.SO_TIMESTAMPNS); on != 1 || err != nil {
			t.Errorf("IPv%d: SO_TIMESTAMPNS %d, %v", family, on, err)
		}
	}
}

func TestOpenBind(t *testing.T) {
	src := netip.MustParseAddr("127.0.0.9")
	c, _, err := Open(4, Raw, 9, src)
	if errors.Is(err, os.ErrPermission) {
		need.Skip(t, "open", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	host := loopback(1)[0]
	es := drain(NewProber(time.Now(), Config{ID: 9}, []netip.Addr{host}), time.Now())
	send(t, c.(*socket.Conn), host, es[0].b)
	b, _, _, ok := receive(t, c.(*socket.Conn), time.Now().Add(10*time.Second))
	if !ok {
		t.Fatal("no answer")
	}
	if dst := netip.AddrFrom4([4]byte(b[16:20])); dst != src {
		t.Errorf("the reply goes to %v, want %v", dst, src)
	}

	tests := []struct {
		family int
		bind   string
		want   error
	}{
		{4, "192.0.2.1", unix.EADDRNOTAVAIL}, // TEST-NET-1, nobody's address
		{4, "::1", unix.EAFNOSUPPORT},
		{6, "127.0.0.1", unix.EAFNOSUPPORT},
		{6, "fe80::1%none0", unix.ENODEV},
	}
	for _, tt := range tests {
		_, _, err := Open(tt.family, Raw, 9, netip.MustParseAddr(tt.bind))
		var se *os.SyscallError
		if !errors.Is(err, tt.want) || !errors.As(err, &se) || se.Syscall != "bind" {
			t.Errorf("IPv%d bound to %s: %v, want %v", tt.family, tt.bind, err, tt.want)
		}
	}
}

func TestOpenOff(t *testing.T) {
	if c, m, err := Open(4, Off, 1, netip.Addr{}); c != nil || m != Off || err != nil {
		t.Errorf("Open of Off: %v, %v, %v", c, m, err)
	}
	if _, _, err := Open(4, Mode(9), 1, netip.Addr{}); !errors.Is(err, unix.EINVAL) {
		t.Errorf("Open of an unknown mode: %v", err)
	}
	if _, _, err := Open(5, Auto, 1, netip.Addr{}); !errors.Is(err, unix.EAFNOSUPPORT) {
		t.Errorf("Open of IPv5: %v", err)
	}
}

// stageEnv tells a re-executed test binary how far the test has come.
const stageEnv = "MDALP_ICMP_TEST_STAGE"

// reexec runs the test of the caller once more in a process of its own, at a
// stage and with attributes. The binary is named by /proc/self/exe because the
// directory it lies in may be closed to another user.
func reexec(t *testing.T, stage string, attr *syscall.SysProcAttr) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v", "-test.count=1")
	cmd.Env = append(os.Environ(), stageEnv+"="+stage, "GOCOVERDIR=")
	cmd.Dir = "/"
	cmd.SysProcAttr = attr
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err != nil && !errors.As(err, &exit):
		need.Skip(t, "re-execution for "+stage, err)
	case err != nil:
		t.Fatalf("at stage %s: %v\n%s", stage, err, out)
	case strings.Contains(string(out), "--- SKIP: "+t.Name()):
		need.Skip(t, "stage "+stage, errors.New(string(out)))
	case !strings.Contains(string(out), "--- PASS: "+t.Name()):
		t.Fatalf("at stage %s the test did not run:\n%s", stage, out)
	}
}

// asNobody makes a child run as an ordinary user without any capability.
func asNobody(t *testing.T, flags uintptr) *syscall.SysProcAttr {
	t.Helper()
	if os.Geteuid() != 0 {
		need.Skip(t, "become nobody", os.ErrPermission)
	}
	return &syscall.SysProcAttr{Cloneflags: flags, Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
}

// wantPermission checks that Open refuses, and how.
func wantPermission(t *testing.T, mode Mode) {
	t.Helper()
	for _, family := range []int{4, 6} {
		c, m, err := Open(family, mode, 1, netip.Addr{})
		var se *os.SyscallError
		if c != nil || m != Off || !errors.Is(err, os.ErrPermission) || !errors.As(err, &se) {
			t.Errorf("IPv%d %v: %v, %v, %v; want %v", family, mode, c, m, err, os.ErrPermission)
		}
	}
}

func TestNobody(t *testing.T) {
	if os.Getenv(stageEnv) == "" {
		reexec(t, "nobody", asNobody(t, 0))
		return
	}
	wantPermission(t, Raw)
	// Whether the other ways are open is for the administrator of this host.
	groups, err := os.ReadFile("/proc/sys/net/ipv4/ping_group_range")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(strings.Fields(string(groups)), " ") == "1 0" { // nobody
		wantPermission(t, Datagram)
		wantPermission(t, Auto)
	}
}

// TestNobodyClosed is TestNobody in a network namespace of its own, whose
// ping_group_range is the kernel's default: closed to all.
func TestNobodyClosed(t *testing.T) {
	if os.Getenv(stageEnv) == "" {
		reexec(t, "nobody", asNobody(t, syscall.CLONE_NEWNET))
		return
	}
	wantPermission(t, Raw)
	wantPermission(t, Datagram)
	wantPermission(t, Auto)
}

// TestNamespace goes through all the modes as an ordinary user who made a user
// and a network namespace for himself.
func TestNamespace(t *testing.T) {
	switch os.Getenv(stageEnv) {
	case "":
		if os.Geteuid() == 0 {
			reexec(t, "nobody", asNobody(t, 0))
			return
		}
		fallthrough
	case "nobody":
		reexec(t, "namespace", &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
		})
		return
	}
	raiseLoopback(t)
	ping(t, mustOpen(t, 4, Raw, 77), loopback(10), 77)
	ping(t, mustOpen(t, 6, Raw, 77), []netip.Addr{loopback6}, 77)
	wantAuto(t, Raw)

	wantPermission(t, Datagram) // the group range is closed in a new namespace
	if err := os.WriteFile("/proc/sys/net/ipv4/ping_group_range", []byte("0 0"), 0); err != nil {
		t.Fatal(err)
	}
	ping(t, mustOpen(t, 4, Datagram, 77), loopback(10), 77)
	ping(t, mustOpen(t, 6, Datagram, 77), []netip.Addr{loopback6}, 77)
	wantAuto(t, Raw)

	dropCapabilities(t)
	wantPermission(t, Raw)
	wantAuto(t, Datagram)
	// Where both ways fail, for different reasons, both are told.
	_, _, err := Open(4, Auto, 1, netip.MustParseAddr("192.0.2.1"))
	if !errors.Is(err, os.ErrPermission) || !errors.Is(err, unix.EADDRNOTAVAIL) {
		t.Errorf("Open of Auto with a foreign address: %v", err)
	}
}

// wantAuto checks what Auto comes to, and that it works.
func wantAuto(t *testing.T, want Mode) {
	t.Helper()
	for _, host := range []netip.Addr{loopback(1)[0], loopback6} {
		family := 4
		if host.Is6() {
			family = 6
		}
		c, m, err := Open(family, Auto, 78, netip.Addr{})
		if err != nil || m != want {
			t.Fatalf("IPv%d: Auto comes to %v, %v; want %v", family, m, err, want)
		}
		ping(t, c.(*socket.Conn), []netip.Addr{host}, 78)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

// raiseLoopback brings lo up, which is down in a new network namespace.
func raiseLoopback(t *testing.T) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(os.NewSyscallError("socket", err))
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	ifr.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr); err != nil {
		t.Fatal(os.NewSyscallError("ioctl", err))
	}
}

// dropCapabilities takes all capabilities from the thread of the test, and the
// thread from all else: capabilities are a thread's own (capabilities(7)).
func dropCapabilities(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&hdr, &none[0]); err != nil {
		t.Fatal(os.NewSyscallError("capset", err))
	}
}
