package mdalp

import (
	"encoding/binary"
	"net/netip"
	"strconv"

	"mdalp/internal/pcapng"
	"mdalp/loop"
)

// request makes an echo that goes out what it will be on the wire.
func (t *tap) request(e *loop.Envelope) {
	t.icmp(e.Peer.Addr())
	id := t.d.Src.Port()
	t.d.Src = netip.AddrPortFrom(t.d.Src.Addr(), 0)
	if b := t.d.Data; id != 0 && len(b) >= 8 {
		// On a datagram socket the kernel writes its own identifier, and sums again.
		t.echo = append(t.echo[:0], b...)
		t.d.Data = t.echo
		binary.BigEndian.PutUint16(t.echo[4:], id)
		if t.d.Proto == pcapng.ICMP {
			binary.BigEndian.PutUint16(t.echo[2:], 0)
			binary.BigEndian.PutUint16(t.echo[2:], pcapng.Checksum(t.echo))
		}
	}
	t.describe("echo ", e.Peer.Addr(), t.d.Data)
}

// answer takes off the header that a raw IPv4 socket gives with a message.
func (t *tap) answer(e *loop.Envelope) {
	t.icmp(e.Peer.Addr())
	if b := t.d.Data; t.d.Proto == pcapng.ICMP && len(b) >= 20 && b[0]>>4 == 4 {
		head := min(max(20, int(b[0]&0xf)*4), len(b))
		t.d.Data = b[head:]
		t.d.Dst = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[16:20])), 0)
	} else {
		t.d.Dst = netip.AddrPortFrom(t.here(e.Sock, e.Peer).Addr(), 0)
	}
	t.describe("answer to echo ", e.Peer.Addr(), t.d.Data)
}

// icmp sets the protocol of an echo.
func (t *tap) icmp(peer netip.Addr) {
	if t.d.Proto = pcapng.ICMP; peer.Is6() {
		t.d.Proto = pcapng.ICMPv6
	}
}

// describe notes which echo b is, or answers. Receivers that share a host share its
// echoes: the first is named.
func (t *tap) describe(what string, host netip.Addr, b []byte) {
	t.note = t.note[:0]
	if n := len(t.s.peers); t.hosts == nil || t.named != n {
		t.named = n
		t.hosts = make(map[netip.Addr]int, len(t.s.peers))
		for i := len(t.s.peers) - 1; i >= 0; i-- {
			t.hosts[t.s.peers[i].addr.Addr()] = i
		}
	}
	i, ok := t.hosts[host]
	if !ok || len(b) < 8 {
		return
	}
	t.note = append(t.receiver(t.note, i), what...)
	t.note = strconv.AppendInt(t.note, int64(binary.BigEndian.Uint16(b[6:]))+1, 10)
	t.note = append(t.note, " of "...)
	t.note = strconv.AppendInt(t.note, int64(t.s.cfg.Echoes), 10)
}
