package pcapng

import (
	"encoding/binary"
	"net/netip"
)

// The lengths of headers without options (RFC 791, RFC 8200, RFC 768, RFC 792).
const (
	lenIPv4 = 20
	lenIPv6 = 40
	lenUDP  = 8
	lenICMP = 8
)

// hops is the time to live in headers that are made up: what Linux starts with.
const hops = 64

// appendPacket appends the IP packet that carries d; ok is false if there is none.
func appendPacket(b []byte, d *Datagram) (packet []byte, ok bool) {
	src, dst := d.Src.Addr().Unmap(), d.Dst.Addr().Unmap()
	n := len(d.Data)
	switch d.Proto {
	case UDP:
		n += lenUDP
	case ICMP, ICMPv6:
		// Less has no checksum field, and ICMP of one family cannot travel in the other's packets.
		if n < 4 || (d.Proto == ICMP) != src.Is4() {
			return b, false
		}
	default:
		return b, false
	}
	switch {
	case src.Is4() && dst.Is4() && lenIPv4+n <= 0xffff:
		b = appendIPv4(b, src, dst, d.Proto, n)
	case src.Is6() && dst.Is6() && n <= 0xffff:
		b = appendIPv6(b, src, dst, d.Proto, n)
	default:
		return b, false
	}
	at := len(b)
	if d.Proto == UDP {
		b = binary.BigEndian.AppendUint16(b, d.Src.Port())
		b = binary.BigEndian.AppendUint16(b, d.Dst.Port())
		b = binary.BigEndian.AppendUint16(b, uint16(n))
		// The checksum is filled in once the data is there.
		b = append(b, 0, 0)
	}
	b = append(b, d.Data...)
	payload := b[at:]
	switch d.Proto {
	case UDP:
		c := ^sum(payload, pseudo(src, dst, d.Proto, n))
		if c == 0 {
			c = 0xffff // 0 would say that there is none (RFC 768)
		}
		binary.BigEndian.PutUint16(payload[6:], c)
	case ICMPv6:
		// The kernel fills in the checksum of what a socket sends (RFC 3542, section 3.1), so the
		// sender's bytes have none, but what was received has one.
		if payload[2]|payload[3] == 0 {
			binary.BigEndian.PutUint16(payload[2:], ^sum(payload, pseudo(src, dst, d.Proto, n)))
		}
	}
	return b, true
}

func appendIPv4(b []byte, src, dst netip.Addr, proto Proto, n int) []byte {
	at := len(b)
	b = append(b, 0x45, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(lenIPv4+n))
	// Identification 0 and DF: an atomic datagram, as Linux sends them (RFC 6864).
	b = append(b, 0, 0, 0x40, 0, hops, byte(proto), 0, 0)
	s, d := src.As4(), dst.As4()
	b = append(append(b, s[:]...), d[:]...)
	binary.BigEndian.PutUint16(b[at+10:], ^sum(b[at:], 0))
	return b
}

func appendIPv6(b []byte, src, dst netip.Addr, proto Proto, n int) []byte {
	b = append(b, 0x60, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(n))
	b = append(b, byte(proto), hops)
	s, d := src.As16(), dst.As16()
	return append(append(b, s[:]...), d[:]...)
}

// pseudo is the sum of the pseudo header that UDP and ICMPv6 checksums include (RFC
// 768; RFC 8200, section 8.1).
func pseudo(src, dst netip.Addr, proto Proto, n int) uint32 {
	s := uint32(proto) + uint32(n)
	if src.Is4() {
		a, b := src.As4(), dst.As4()
		return s + uint32(sum(a[:], 0)) + uint32(sum(b[:], 0))
	}
	a, b := src.As16(), dst.As16()
	return s + uint32(sum(a[:], 0)) + uint32(sum(b[:], 0))
}

// sum is the ones' complement sum of the 16-bit words of b, on top of s (RFC 1071).
func sum(b []byte, s uint32) uint16 {
	for ; len(b) >= 2; b = b[2:] {
		s += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) == 1 {
		s += uint32(b[0]) << 8
	}
	// 65,535 bytes cannot overflow 32 bits; two folds take in every carry.
	s = s>>16 + s&0xffff
	s += s >> 16
	return uint16(s)
}

// Checksum is the Internet checksum of b (RFC 1071), for an ICMP message whose own
// checksum is 0.
func Checksum(b []byte) uint16 { return ^sum(b, 0) }
