package sim

import "encoding/binary"

// EchoReply turns an ICMP echo request into its reply in place: RFC 792 for IPv4,
// RFC 4443, section 4 for IPv6. It is nil for any other message. b has no IP
// header. It fits [Host.Echo].
//
// Only the type changes, so the checksum is updated, not computed (RFC 1624,
// equation 3). For IPv6 that holds as well: the pseudo-header of the way back has
// the same sum.
func EchoReply(b []byte) []byte {
	if len(b) < 8 || b[1] != 0 {
		return nil
	}
	old := binary.BigEndian.Uint16(b)
	switch b[0] {
	case 8:
		b[0] = 0
	case 128:
		b[0] = 129
	default:
		return nil
	}
	sum := uint32(^binary.BigEndian.Uint16(b[2:])) + uint32(^old) + uint32(binary.BigEndian.Uint16(b))
	sum = sum&0xffff + sum>>16
	sum = sum&0xffff + sum>>16
	binary.BigEndian.PutUint16(b[2:], ^uint16(sum))
	return b
}
