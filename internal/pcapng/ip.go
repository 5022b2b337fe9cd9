package pcapng

import (
	"encoding/binary"
	"net/netip"
)

// A verdict says what became of a frame.
type verdict uint8

const (
	taken     verdict = iota
	other             // not IP, or neither UDP nor ICMP
	fragment          // a part of a datagram whose other parts have not come
	malformed         // headers that contradict themselves, or less than they need
	strange           // of a link type that is not known
)

// ip takes an IP packet apart. The link may have said which version it is; only the
// packet's own word counts, because loopback captures and raw IP have nothing else.
// Checksums are not looked at: with offloading, a host captures what it sends before the
// network card has filled them in.
func (p *parser) ip(b []byte) verdict {
	if len(b) == 0 {
		return malformed
	}
	switch b[0] >> 4 {
	case 4:
		return p.ipv4(b)
	case 6:
		return p.ipv6(b)
	}
	return malformed
}

// ipv4 goes by RFC 791. Options are passed over.
func (p *parser) ipv4(b []byte) verdict {
	if len(b) < lenIPv4 {
		return malformed
	}
	head, total := int(b[0]&0xf)*4, int(binary.BigEndian.Uint16(b[2:]))
	if total == 0 {
		total = len(b) + p.lost // the network card was to cut it into packets
	}
	if head < lenIPv4 || total < head || len(b) < head {
		return malformed
	}
	// What follows the packet is the link's padding.
	if total < len(b) {
		b = b[:total]
	}
	src := netip.AddrFrom4([4]byte(b[12:16]))
	dst := netip.AddrFrom4([4]byte(b[16:20]))
	p.d.Origin.ID, p.d.Origin.TTL = uint32(binary.BigEndian.Uint16(b[4:])), b[8]
	proto, n := b[9], total-head
	offset := binary.BigEndian.Uint16(b[6:])
	b = b[head:]
	if offset&0x3fff != 0 { // more fragments, or an offset
		part := piece{at: int(offset&0x1fff) * 8, last: offset&0x2000 == 0, data: b, n: n}
		var ok bool
		if b, n, ok = p.join(flow{src, dst, p.d.Origin.ID, proto, p.d.Origin.Iface, p.d.Dir}, part); !ok {
			return fragment
		}
	}
	return p.transport(proto, src, dst, b, n)
}

// ipv6 walks the extension headers of RFC 8200 until one is a transport.
func (p *parser) ipv6(b []byte) verdict {
	if len(b) < lenIPv6 {
		return malformed
	}
	n := int(binary.BigEndian.Uint16(b[4:]))
	if n == 0 {
		n = len(b) + p.lost - lenIPv6 // a jumbogram, or as above
	}
	src := netip.AddrFrom16([16]byte(b[8:24]))
	dst := netip.AddrFrom16([16]byte(b[24:40]))
	next := b[6]
	p.d.Origin.TTL = b[7]
	if b = b[lenIPv6:]; n < len(b) {
		b = b[:n]
	}
	for range maxExtensions {
		length := 0
		switch next {
		// Hop-by-hop, routing, destination options, mobility, HIP and shim6 (IANA's registry
		// of IPv6 extension header types).
		case 0, 43, 60, 135, 139, 140: // in units of 8 bytes, the first not counted
			if len(b) >= 2 {
				length = 8 * (int(b[1]) + 1)
			}
		case 44: // fragment
			if length = 8; len(b) < 8 {
				break
			}
			offset := binary.BigEndian.Uint16(b[2:])
			// An atomic fragment, without offset and with nothing to follow, is a whole datagram
			// (RFC 6946).
			if offset&0xfff9 == 0 {
				break
			}
			p.d.Origin.ID = binary.BigEndian.Uint32(b[4:])
			part := piece{at: int(offset &^ 7), last: offset&1 == 0, data: b[8:], n: n - 8}
			key := flow{src, dst, p.d.Origin.ID, b[0], p.d.Origin.Iface, p.d.Dir}
			whole, size, ok := p.join(key, part)
			if !ok {
				return fragment
			}
			next, b, n = key.proto, whole, size
			continue
		case 51: // authentication: in units of 4 bytes, two not counted (RFC 4302)
			if len(b) >= 2 {
				length = 4 * (int(b[1]) + 2)
			}
		default:
			return p.transport(next, src, dst, b, n)
		}
		if length == 0 || len(b) < length {
			return malformed
		}
		next = b[0]
		b, n = b[length:], n-length
	}
	return malformed
}

// transport takes a UDP datagram or an ICMP message. n is its length as IP has it; b may
// be less, where less was captured.
func (p *parser) transport(proto byte, src, dst netip.Addr, b []byte, n int) verdict {
	d := p.d
	d.Proto = Proto(proto)
	d.Src, d.Dst = netip.AddrPortFrom(src, 0), netip.AddrPortFrom(dst, 0)
	switch {
	case d.Proto == UDP:
		if len(b) < lenUDP {
			return malformed
		}
		d.Src = netip.AddrPortFrom(src, binary.BigEndian.Uint16(b))
		d.Dst = netip.AddrPortFrom(dst, binary.BigEndian.Uint16(b[2:]))
		// A length of 0 is that of a datagram longer than 65,535 bytes (RFC 2675). A length beyond
		// the IP packet contradicts it; one below it leaves bytes that belong to nobody.
		if l := int(binary.BigEndian.Uint16(b[4:])); l != 0 {
			if l < lenUDP || l > n {
				return malformed
			}
			n = l
		}
		n, b = n-lenUDP, b[lenUDP:]
	case d.Proto == ICMP && src.Is4(), d.Proto == ICMPv6 && src.Is6():
		if len(b) < lenICMP {
			return malformed
		}
	default:
		p.skip = Skip{Layer: "IP protocol", Number: uint32(proto)}
		return other
	}
	if n < len(b) {
		b = b[:n]
	}
	d.Data, d.Cut, d.Missing = b, len(b) < n, n-len(b)
	return taken
}
