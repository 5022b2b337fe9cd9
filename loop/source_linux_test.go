package loop

import (
	"bytes"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/mdlayher/socket"
	"golang.org/x/sys/unix"
)

// What came to a socket before it was asked for the addresses, as to one that systemd had
// opened, is answered from the address that was addressed all the same.
func TestPacketInfoQueued(t *testing.T) {
	for _, tt := range []struct {
		name   string
		family int
		bind   unix.Sockaddr
		to     string
	}{
		{"IPv4", unix.AF_INET, &unix.SockaddrInet4{}, "127.0.0.9"},
		{"IPv4 on dual stack", unix.AF_INET6, &unix.SockaddrInet6{}, "127.1.2.3"},
		{"IPv6", unix.AF_INET6, &unix.SockaddrInet6{}, "::1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := socket.Socket(tt.family, unix.SOCK_DGRAM, unix.IPPROTO_UDP, "udp", nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Bind(tt.bind); err != nil {
				t.Fatal(err)
			}
			sa, err := c.Getsockname()
			if err != nil {
				t.Fatal(err)
			}
			to := netip.AddrPortFrom(netip.MustParseAddr(tt.to), bound(sa))
			a := listen(t, "[::]:0", Options{})
			p := &program{t: t}
			p.say(0, to, "before")
			p.sent = func(time.Time) { p.end = true }
			run(t, p, a)

			b, err := New(c, Options{PacketInfo: true})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { b.Close() })
			p = &program{t: t}
			p.receive = func(_ time.Time, e *Envelope, m []byte) {
				if e.Sock == 1 {
					p.queue = append(p.queue, message{Envelope{Sock: 1, Peer: e.Peer, Local: e.Local}, bytes.Clone(m)})
					return
				}
				if p.end = true; e.Peer != to || string(m) != "before" {
					t.Errorf("%q came from %v, want %v", m, e.Peer, to)
				}
			}
			run(t, p, a, b)
		})
	}
}

func bound(sa unix.Sockaddr) uint16 {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return uint16(sa.Port)
	case *unix.SockaddrInet6:
		return uint16(sa.Port)
	}
	return 0
}

// No address is made up that nothing could be sent from.
func TestAnswered(t *testing.T) {
	for _, tt := range []struct{ spec, to, want string }{
		{"192.0.2.1", "192.0.2.1", "192.0.2.1"},
		{"192.0.2.1", "192.0.2.255", "192.0.2.1"}, // broadcast
		{"0.0.0.0", "192.0.2.1", "192.0.2.1"},
		{"0.0.0.0", "224.0.0.1", "0.0.0.0"},
		{"0.0.0.0", "255.255.255.255", "0.0.0.0"},
	} {
		p := unix.Inet4Pktinfo{Spec_dst: netip.MustParseAddr(tt.spec).As4(), Addr: netip.MustParseAddr(tt.to).As4()}
		if got := answered(&p).String(); got != tt.want {
			t.Errorf("%s to %s: %s, want %s", tt.spec, tt.to, got, tt.want)
		}
	}
}

// A socket has its options before it is bound, as from then on datagrams come.
func TestOptionsFirst(t *testing.T) {
	c, err := socket.Socket(unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_UDP, "udp", nil)
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	s, err := prepare(c, Options{PacketInfo: true, Errors: true, Stamp: true}, func() error {
		calls++
		for _, o := range [][2]int{
			{unix.SOL_IP, unix.IP_PKTINFO}, {unix.SOL_IP, unix.IP_RECVERR},
			{unix.SOL_SOCKET, unix.SO_TIMESTAMPNS},
		} {
			if v, err := c.GetsockoptInt(o[0], o[1]); err != nil || v != 1 {
				t.Errorf("option %v is %d before bind: %v", o, v, err)
			}
		}
		return os.NewSyscallError("bind", unix.EADDRINUSE)
	})
	if s != nil || calls != 1 || err == nil {
		t.Errorf("%v, %v after %d calls", s, err, calls)
	}
}
