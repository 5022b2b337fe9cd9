package pcapng

import "encoding/binary"

// A parser takes one frame apart into d.
type parser struct {
	d *Datagram
	// How many bytes of the frame were not captured, as the capture itself says.
	lost int
	// What it is, where the verdict is other or strange.
	skip Skip
	// Where fragments wait for the rest of their datagram.
	joined *fragments
}

// The link types that are read, as files have them: LINKTYPE_ values, and not the DLT_
// values of an operating system.
const (
	linkNull     = 0
	linkEthernet = 1
	linkPPP      = 9
	linkRawBSD   = 12 // DLT_RAW of some systems, which stand in files of theirs all the same
	linkRawOpen  = 14
	linkPPPHDLC  = 50
	linkPPPoE    = 51
	linkRaw      = 101 // packets that begin with an IP header
	linkLoop     = 108
	linkSLL      = 113 // Linux cooked, as "any" gives it
	linkPPPDir   = 204 // a byte that tells the direction before it
	linkIPv4     = 228
	linkIPv6     = 229
	linkSLL2     = 276
)

// link goes by the link type. Only cooked captures tell the direction here; for the rest
// it is what the block said.
func (p *parser) link(link uint32, b []byte) verdict {
	switch link {
	case linkEthernet:
		return p.ethernet(b)
	case linkSLL:
		if len(b) < 16 {
			return malformed
		}
		// It does not say which of the host's interfaces it was.
		p.d.Dir, p.d.Origin.Iface = cooked(binary.BigEndian.Uint16(b)), 0
		return p.etherType(binary.BigEndian.Uint16(b[14:]), b[16:])
	case linkSLL2:
		if len(b) < 20 {
			return malformed
		}
		p.d.Dir = cooked(uint16(b[10]))
		p.d.Origin.Iface, p.d.Origin.Own = p.d.Origin.Iface|uint64(binary.BigEndian.Uint32(b[4:])), true
		return p.etherType(binary.BigEndian.Uint16(b), b[20:])
	case linkRawBSD, linkRawOpen, linkRaw, linkIPv4, linkIPv6:
		return p.ip(b)
	case linkNull, linkLoop: // the address family, in some host's byte order
		return p.family(b)
	case linkPPP, linkPPPHDLC:
		return p.ppp(b)
	case linkPPPDir:
		if len(b) < 1 {
			return malformed
		}
		return p.ppp(b[1:])
	case linkPPPoE:
		return p.pppoe(b)
	}
	p.skip = Skip{Layer: "link type", Number: link}
	return strange
}

// family goes by the address family of loopback interfaces.
func (p *parser) family(b []byte) verdict {
	if len(b) < 4 {
		return malformed
	}
	family := binary.LittleEndian.Uint32(b)
	// No family has such a number, so it was written in the other order.
	if family > 0xffff {
		family = binary.BigEndian.Uint32(b)
	}
	switch family {
	case 2, 10, 24, 28, 30: // IPv4, and IPv6 on Linux, NetBSD, FreeBSD and macOS
		return p.ip(b[4:])
	case typeIPv4, typeIPv6: // some drivers write the EtherType
		return p.ip(b[4:])
	}
	p.skip = Skip{Layer: "address family", Number: family}
	return other
}

// cooked gives the direction of Linux's packet types (packet(7)): 4 is PACKET_OUTGOING.
func cooked(typ uint16) Dir {
	if typ == 4 {
		return Out
	}
	return In
}

// The EtherTypes that are looked into (IANA's and IEEE's registries).
const (
	typeIPv4  = 0x0800
	typeIPv6  = 0x86dd
	typeMPLS  = 0x8847 // and 0x8848, for multicast
	typePPPoE = 0x8864 // its session stage; discovery carries nothing
)

// ethernet reads a frame of IEEE 802.3.
func (p *parser) ethernet(b []byte) verdict {
	if len(b) < 14 {
		return malformed
	}
	typ := binary.BigEndian.Uint16(b[12:])
	// Below 1,536 it is a length, and SNAP may follow, with an EtherType at its end (RFC 1042).
	if typ < 0x0600 && len(b) >= 22 && string(b[14:20]) == "\xaa\xaa\x03\x00\x00\x00" {
		return p.etherType(binary.BigEndian.Uint16(b[20:]), b[22:])
	}
	return p.etherType(typ, b[14:])
}

// etherType goes by the EtherType, behind VLAN tags (IEEE 802.1Q, and what switches used
// for two tags before it).
func (p *parser) etherType(typ uint16, b []byte) verdict {
	for range maxTags {
		if typ != 0x8100 && typ != 0x88a8 && typ != 0x9100 && typ != 0x9200 && typ != 0x9300 {
			break
		}
		if len(b) < 4 {
			return malformed
		}
		typ, b = binary.BigEndian.Uint16(b[2:]), b[4:]
	}
	switch typ {
	case typeIPv4, typeIPv6:
		return p.ip(b)
	case typeMPLS, typeMPLS + 1:
		return p.mpls(b)
	case typePPPoE:
		return p.pppoe(b)
	}
	p.skip = Skip{Layer: "EtherType", Number: uint32(typ)}
	return other
}

// mpls looks below the labels (RFC 3032). They do not say what is there, so its first
// bits decide, as they do for routers (RFC 4928): 4 and 6 are IP, and 0 is a word of
// control before an Ethernet frame (RFC 4385).
func (p *parser) mpls(b []byte) verdict {
	p.skip = Skip{Layer: "EtherType", Number: typeMPLS}
	for range maxLabels {
		if len(b) < 5 {
			return malformed
		}
		bottom := b[2]&1 != 0
		b = b[4:]
		switch {
		case !bottom:
		case b[0]>>4 == 4, b[0]>>4 == 6:
			return p.ip(b)
		case b[0]>>4 == 0 && len(b) >= 4:
			return p.ethernet(b[4:])
		default:
			return other
		}
	}
	return other
}

// pppoe reads the session stage of PPP over Ethernet (RFC 2516): six bytes, and PPP
// without framing.
func (p *parser) pppoe(b []byte) verdict {
	if len(b) < 6 {
		return malformed
	}
	if b[1] != 0 { // a discovery packet
		p.skip = Skip{Layer: "EtherType", Number: typePPPoE - 1}
		return other
	}
	return p.ppp(b[6:])
}

// ppp reads PPP (RFC 1661), with or without the two bytes of HDLC-like framing (RFC
// 1662). A protocol's number may be cut to one byte, which is odd then.
func (p *parser) ppp(b []byte) verdict {
	if len(b) >= 2 && b[0] == 0xff && b[1] == 0x03 {
		b = b[2:]
	}
	if len(b) < 2 {
		return malformed
	}
	proto := uint32(b[0])
	if b = b[1:]; proto&1 == 0 {
		proto, b = proto<<8|uint32(b[0]), b[1:]
	}
	switch proto {
	case 0x0021, 0x0057: // IPv4 and IPv6
		return p.ip(b)
	case 0x0281, 0x0283: // MPLS
		return p.mpls(b)
	}
	p.skip = Skip{Layer: "PPP protocol", Number: proto}
	return other
}
