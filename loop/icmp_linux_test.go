package loop

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mdalp/internal/need"
)

// quoted is an ICMP "destination unreachable" message (RFC 792) about a datagram with data
// from one address of this host to another.
func quoted(code byte, from, to netip.AddrPort, data string) []byte {
	b := make([]byte, 8+20+8, 64)
	b[0], b[1] = 3, code
	ip := b[8:]
	ip[0], ip[8], ip[9] = 0x45, 64, unix.IPPROTO_UDP
	binary.BigEndian.PutUint16(ip[2:], uint16(28+len(data)))
	copy(ip[12:], from.Addr().AsSlice())
	copy(ip[16:], to.Addr().AsSlice())
	binary.BigEndian.PutUint16(ip[20:], from.Port())
	binary.BigEndian.PutUint16(ip[22:], to.Port())
	binary.BigEndian.PutUint16(ip[24:], uint16(8+len(data)))
	b = append(b, data...)
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	sum = sum>>16 + sum&0xffff
	binary.BigEndian.PutUint16(b[2:], ^uint16(sum>>16+sum))
	return b
}

// Whatever an ICMP message says, and anybody may forge one: it is told with what it quotes, it
// stops nothing, and it is not blamed on another.
func TestICMP(t *testing.T) {
	isolated(t, func(t *testing.T) {
		loopback(t, 65536)
		raw, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMP)
		if err != nil {
			need.Skip(t, err)
		}
		defer unix.Close(raw)
		s := listen(t, "127.0.0.1:0", Options{Errors: true})
		about := netip.MustParseAddrPort("127.0.0.5:9")
		p := &program{t: t}
		var got []error
		heard := 0
		want := []error{
			unix.ENETUNREACH, unix.EHOSTUNREACH, unix.ENOPROTOOPT, unix.ECONNREFUSED, unix.EMSGSIZE,
			unix.EOPNOTSUPP, unix.ENETUNREACH, unix.EHOSTDOWN, unix.ENONET, unix.ENETUNREACH,
			unix.EHOSTUNREACH, unix.ENETUNREACH, unix.EHOSTUNREACH, unix.EHOSTUNREACH,
		}
		inject := func(time.Time) {
			// The error is there before the datagram that is just given: its send fails first.
			if code := heard; code < len(want) {
				if err := unix.Sendto(raw, quoted(byte(code), s.LocalAddr(), about, "Type:2;TID:7;SEQ:1;x"), 0, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
					t.Error(err)
				}
			}
		}
		p.sent = inject
		p.say(0, s.LocalAddr(), "x")
		p.receive = func(time.Time, *Envelope, []byte) {
			if heard++; heard < len(want) {
				p.say(0, s.LocalAddr(), "x")
			}
			p.end = heard == len(want)
		}
		p.fail = func(e *Envelope, err error) {
			if e.Peer != about || !e.Remote || string(e.Quote) != "Type:2;TID:7;SEQ:1;x" {
				t.Errorf("%v of %v, remote %v, quotes %q", err, e.Peer, e.Remote, e.Quote)
			}
			got = append(got, err)
		}
		run(t, p, s)
		if !slices.Equal(got, want) {
			t.Errorf("got  %v\nwant %v", got, want)
		}
	})
}
