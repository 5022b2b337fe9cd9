package icmp

import (
	"encoding/binary"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

const (
	headerLen  = 8  // type, code, checksum, identifier, sequence number (RFC 792)
	payloadLen = 16 // host, echo, cookie
	echoLen    = headerLen + payloadLen

	ipHeaderLen = 20 // of an IPv4 header without options (RFC 791 section 3.1)
)

// A payload is what our echoes carry and bring back.
type payload struct {
	host   uint32 // index of the host
	echo   uint32 // which echo to it, from 0
	cookie uint64
}

// A template is an echo request with everything in place that does not change
// from one to the next.
type template [echoLen]byte

// newTemplate has x/net/icmp write a request. Doing so for every echo would
// cost three allocations each, and there may be 30,000.
func newTemplate(typ icmp.Type, id uint16) (t template) {
	m := icmp.Message{Type: typ, Body: &icmp.Echo{ID: int(id), Data: make([]byte, payloadLen)}}
	b, err := m.Marshal(nil) // no pseudo header: the kernel sums ICMPv6
	if err != nil || len(b) != echoLen {
		panic("icmp: an echo request cannot be written")
	}
	copy(t[:], b)
	return t
}

// append appends the request that carries pl. Its sequence number is the low
// half of pl.echo.
func (t *template) append(b []byte, pl payload) []byte {
	b = append(b, t[:]...)
	m := b[len(b)-echoLen:]
	binary.BigEndian.PutUint16(m[6:], uint16(pl.echo))
	binary.BigEndian.PutUint32(m[8:], pl.host)
	binary.BigEndian.PutUint32(m[12:], pl.echo)
	binary.BigEndian.PutUint64(m[16:], pl.cookie)
	if m[0] == byte(ipv4.ICMPTypeEcho) {
		// An ICMPv6 message is summed together with the source address, which the
		// kernel chooses. So it sums those itself (RFC 3542 section 3.1).
		m[2], m[3] = 0, 0
		binary.BigEndian.PutUint16(m[2:], checksum(m))
	}
	return b
}

// parseReply takes an echo reply apart, as a socket gives it: with or without
// IPv4 header. The outcome is Counted when pl is one that could be ours.
func parseReply(v4 bool, b []byte) (pl payload, o Outcome) {
	reply := byte(ipv6.ICMPTypeEchoReply)
	if v4 {
		reply = byte(ipv4.ICMPTypeEchoReply)
		// An IPv4 header starts with its version, 4, an echo reply with a 0. The
		// types that start with a 4 too, 64 to 79, are not assigned.
		if len(b) > 0 && b[0]>>4 == 4 {
			if b = stripIPv4(b); b == nil {
				return pl, Malformed
			}
		}
	}
	switch {
	case len(b) < headerLen:
		return pl, Malformed
	case b[0] != reply:
		return pl, Foreign
	case b[1] != 0:
		return pl, Malformed
	case v4 && checksum(b) != 0:
		// A raw IPv4 socket gets messages before the kernel sums them; the others
		// get them after. The sum over a right message with its checksum is 0.
		return pl, Malformed
	case len(b) != echoLen:
		return pl, Foreign
	}
	pl.host = binary.BigEndian.Uint32(b[8:])
	pl.echo = binary.BigEndian.Uint32(b[12:])
	pl.cookie = binary.BigEndian.Uint64(b[16:])
	if binary.BigEndian.Uint16(b[6:]) != uint16(pl.echo) {
		return pl, Foreign // no host makes up the sequence number of what it sends back
	}
	return pl, Counted
}

// stripIPv4 gives what an IPv4 datagram carries, or nil when the lengths in its
// header do not fit. x/net/ipv4.ParseHeader would allocate for every reply.
func stripIPv4(b []byte) []byte {
	if len(b) < ipHeaderLen {
		return nil
	}
	head, total := int(b[0]&0xf)*4, int(binary.BigEndian.Uint16(b[2:]))
	if head < ipHeaderLen || total < head || len(b) < total {
		return nil
	}
	return b[head:total]
}

// checksum is the Internet checksum (RFC 1071): the complement of the sum of
// all 16-bit words in ones' complement.
func checksum(b []byte) uint16 {
	var sum uint32
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	// 32,768 words of 16 bits fit into 32 bits; two folds take in every carry.
	sum = sum>>16 + sum&0xffff
	sum += sum >> 16
	return ^uint16(sum)
}
