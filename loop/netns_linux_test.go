package loop

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/mdlayher/socket"
	"golang.org/x/sys/unix"

	"mdalp/internal/need"
)

// isolated runs f in a network namespace of its own, without as much as a loopback
// interface that is up: the test runs again, alone, in a child process. An ordinary
// user is root in a user namespace there.
func isolated(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	const mark = "LOOP_ISOLATED_TEST"
	if os.Getenv(mark) == t.Name() {
		f(t)
		return
	}
	cmd := exec.Command("/proc/self/exe", "-test.v", "-test.count=1", "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), mark+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET, Pdeathsig: unix.SIGKILL}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		t.Errorf("in the namespace: %v\n%s", err, out)
	case err != nil:
		need.Skip(t, err)
	case bytes.Contains(out, []byte("--- SKIP")):
		need.Skip(t, errors.New(string(out)))
	}
}

func TestUnreachable(t *testing.T) {
	isolated(t, func(t *testing.T) {
		for _, addr := range []string{"0.0.0.0:0", "[::]:0"} {
			s := listen(t, addr, Options{Errors: true})
			p := &program{t: t}
			want := []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:9")}
			if addr == "[::]:0" {
				want = append(want, netip.MustParseAddrPort("[2001:db8::1]:9"))
			}
			for _, to := range want {
				p.say(0, to, "x")
			}
			p.fail = func(e *Envelope, err error) {
				// Without any IPv6 address the kernel fails on the source first.
				if e.Peer != want[0] || err != unix.ENETUNREACH && (err != unix.EADDRNOTAVAIL || e.Peer.Addr().Is4()) {
					t.Errorf("%v of %v, want ENETUNREACH of %v", err, e.Peer, want[0])
				}
				want = want[1:]
				p.end = len(want) == 0
			}
			run(t, p, s)
		}
	})
}

// loopback brings lo up with an MTU.
func loopback(t *testing.T, mtu uint32) {
	t.Helper()
	c, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(c)
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	ifr.SetUint32(mtu)
	if err := unix.IoctlIfreq(c, unix.SIOCSIFMTU, ifr); err != nil {
		t.Fatal(err)
	}
	ifr.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(c, unix.SIOCSIFFLAGS, ifr); err != nil {
		t.Fatal(err)
	}
}

// What is too long for the path, and must not be cut, goes again in fragments: nobody
// hears of it. A socket that wants to know, because it asks what a path takes, is told.
func TestTooLong(t *testing.T) {
	long := string(bytes.Repeat([]byte("0123456789"), 500))
	isolated(t, func(t *testing.T) {
		loopback(t, 1500)
		for _, tt := range []struct {
			name               string
			family, level, opt int
			sa                 unix.Sockaddr
		}{
			{"IPv4", unix.AF_INET, unix.SOL_IP, unix.IP_MTU_DISCOVER, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}},
			{"IPv6", unix.AF_INET6, unix.SOL_IPV6, unix.IPV6_MTU_DISCOVER, &unix.SockaddrInet6{Addr: [16]byte{15: 1}}},
		} {
			for _, whole := range []bool{false, true} {
				c, err := socket.Socket(tt.family, unix.SOCK_DGRAM, 0, "udp", nil)
				if err != nil {
					t.Fatal(err)
				}
				never := func(set func(level, opt, v int) error) {
					if err := set(tt.level, tt.opt, unix.IP_PMTUDISC_DO); err != nil {
						t.Fatal(err)
					}
				}
				if whole {
					never(c.SetsockoptInt)
				}
				if err := c.Bind(tt.sa); err != nil {
					t.Fatal(err)
				}
				s, err := New(c, Options{Errors: true})
				if err != nil {
					t.Fatal(err)
				}
				if !whole {
					// What nobody asked for: the host's default, or the kernel's own mind.
					never(func(level, opt, v int) error { return unix.SetsockoptInt(s.fd, level, opt, v) })
				}
				p := &program{t: t}
				var got []string
				for _, b := range []string{"a", long, "b", long} {
					p.say(0, s.LocalAddr(), b)
				}
				take := func(what string) {
					got = append(got, what)
					p.end = len(got) == 4
				}
				p.receive = func(_ time.Time, _ *Envelope, b []byte) { take(string(b)) }
				p.fail = func(e *Envelope, err error) {
					if take(err.Error()); e.Remote || e.Peer != s.LocalAddr() {
						t.Errorf("%v of %v, remote %v", err, e.Peer, e.Remote)
					}
				}
				run(t, p, s)
				want := []string{"a", long, "b", long}
				if whole { // it is told at once, and datagrams come later
					want = []string{unix.EMSGSIZE.Error(), unix.EMSGSIZE.Error(), "a", "b"}
				}
				if !slices.Equal(got, want) {
					t.Errorf("%s, whole %v: got %.30q", tt.name, whole, got)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
		}
	})
}

// A full send buffer stops Transmit; when there is room, everything goes, in order.
// What fills the buffer is a neighbour that does not answer ARP: the
// kernel holds its datagrams at the socket's expense until the test plays it.
func TestBlocked(t *testing.T) {
	isolated(t, func(t *testing.T) {
		if st := blocked(t, OffloadOff, false); st.Trains != 0 {
			t.Errorf("stats %+v", st)
		}
	})
}

// The same with trains, and with trains that are refused and go one by one.
func TestBlockedTrains(t *testing.T) {
	isolated(t, func(t *testing.T) {
		if st := blocked(t, OffloadAuto, false); st.Trains == 0 || st.Refusing != 0 {
			t.Errorf("stats %+v", st)
		}
	})
}

func TestBlockedApart(t *testing.T) {
	isolated(t, func(t *testing.T) {
		if st := blocked(t, OffloadAuto, true); st.Trains != 0 || st.Refusing != 1 {
			t.Errorf("stats %+v", st)
		}
	})
}

// blocked gives the statistics of a transfer that is blocked; refuse has the kernel refuse
// trains.
func blocked(t *testing.T, offload Offload, refuse bool) Stats {
	tap, err := openTap()
	if err != nil {
		need.Skip(t, err)
	}
	defer unix.Close(tap)
	s := listen(t, "10.9.0.1:0", Options{Offload: offload})
	if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 1); err != nil {
		t.Fatal(err)
	}
	if refuse { // the kernel cuts no train without checksums
		if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_NO_CHECK, 1); err != nil {
			t.Fatal(err)
		}
	}
	const n = 400 // fewer than the interface holds for its other end
	p := &program{t: t}
	for i := range n {
		p.say(0, netip.MustParseAddrPort("10.9.0.2:9"), string(append([]byte{byte(i)}, make([]byte, 400)...)))
	}
	blocked, told := make(chan struct{}), false
	left := 0
	h := &hooked{program: p, next: func() {
		if !told && s.Stats().Blocked > 0 {
			told, left = true, len(p.queue)
			close(blocked)
		}
	}}
	done := errors.New("all came")
	ctx, cancel := context.WithCancelCause(context.Background())
	go func() { cancel(neighbour(tap, n, blocked, done)) }()
	if err := Run(ctx, h, s); err != done {
		t.Error(err)
	}
	st := s.Stats()
	if st.Sent != n || left == 0 && offload == OffloadOff || s.writing { // else all may be in the outbox
		t.Errorf("%d Transmits were left when it blocked, stats %+v", left, st)
	}
	return st
}

// neighbour answers one ARP request (RFC 826) once blocked is closed and then wants
// n datagrams in order.
func neighbour(tap, n int, blocked <-chan struct{}, done error) error {
	b := make([]byte, 2048)
	for got := 0; got < n; {
		if k, err := unix.Poll([]unix.PollFd{{Fd: int32(tap), Events: unix.POLLIN}}, 10000); k == 0 {
			return errors.New("no frame for 10 s")
		} else if err != nil {
			continue
		}
		k, err := unix.Read(tap, b)
		if err != nil {
			return err
		}
		f := b[:k]
		switch typ := binary.BigEndian.Uint16(f[12:]); {
		case typ == unix.ETH_P_ARP && binary.BigEndian.Uint16(f[20:]) == 1:
			<-blocked
			r := make([]byte, 42)
			mac := [6]byte{2, 0, 0, 0, 0, 2}
			copy(r, f[6:12])
			copy(r[6:], mac[:])
			copy(r[12:], f[12:20]) // Ethernet, IPv4 and their lengths
			r[21] = 2              // reply
			copy(r[22:], mac[:])
			copy(r[28:], f[38:42])
			copy(r[32:], f[22:32])
			if _, err := unix.Write(tap, r); err != nil {
				return err
			}
		case typ == unix.ETH_P_IP && f[23] == unix.IPPROTO_UDP:
			if f[42] != byte(got) {
				return errors.New("out of order")
			}
			got++
		}
	}
	return done
}

// openTap makes an Ethernet interface, 10.9.0.1/8, whose other end is the descriptor.
func openTap() (int, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	ifr, err := unix.NewIfreq("mdalp0")
	if err != nil {
		return -1, err
	}
	ifr.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
		return -1, err
	}
	c, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(c)
	if err := ifr.SetInet4Addr([]byte{10, 9, 0, 1}); err != nil {
		return -1, err
	}
	if err := unix.IoctlIfreq(c, unix.SIOCSIFADDR, ifr); err != nil {
		return -1, err
	}
	ifr.SetUint16(unix.IFF_UP)
	return fd, unix.IoctlIfreq(c, unix.SIOCSIFFLAGS, ifr)
}
