package pcapng

import "encoding/binary"

// parseLink takes a frame of a link type apart into d. Only cooked captures tell the
// direction here; for the rest it is what the block said. The numbers are LINKTYPE_
// values, which a file has, and not the DLT_ values of an operating system.
func parseLink(link uint32, b []byte, d *Datagram) verdict {
	switch link {
	case 1: // Ethernet
		if len(b) < 14 {
			return malformed
		}
		return parseType(binary.BigEndian.Uint16(b[12:]), b[14:], d)
	case 113: // Linux cooked, as "any" gives it
		if len(b) < 16 {
			return malformed
		}
		d.Dir = cooked(binary.BigEndian.Uint16(b))
		return parseType(binary.BigEndian.Uint16(b[14:]), b[16:], d)
	case 276: // Linux cooked, second version
		if len(b) < 20 {
			return malformed
		}
		d.Dir = cooked(uint16(b[10]))
		return parseType(binary.BigEndian.Uint16(b), b[20:], d)
	// 12 and 14 are DLT_RAW of some systems, which stand in files of theirs all the same.
	case 12, 14, linkRaw, 228, 229: // IP and nothing before it
		return parseIP(b, d)
	case 0, 108: // loopback: the address family, in some host's byte order
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
			return parseIP(b[4:], d)
		}
		return other
	}
	return strange
}

// cooked gives the direction of Linux's packet types (packet(7)): 4 is PACKET_OUTGOING.
func cooked(typ uint16) Dir {
	if typ == 4 {
		return Out
	}
	return In
}

// parseType goes by the EtherType, behind VLAN tags (IEEE 802.1Q).
func parseType(typ uint16, b []byte, d *Datagram) verdict {
	for range maxTags {
		if typ != 0x8100 && typ != 0x88a8 && typ != 0x9100 {
			break
		}
		if len(b) < 4 {
			return malformed
		}
		typ, b = binary.BigEndian.Uint16(b[2:]), b[4:]
	}
	if typ == 0x0800 || typ == 0x86dd {
		return parseIP(b, d)
	}
	return other
}
