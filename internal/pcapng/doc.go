// Package pcapng writes datagrams as a pcapng capture and reads them back, from
// pcapng and from classic pcap files, whatever link they were captured on. It
// knows UDP and ICMP over IPv4 and IPv6, and nothing else of a network.
//
// The format is that of draft-ietf-opsawg-pcapng; classic pcap is
// draft-ietf-opsawg-pcap; the link types are those of
// https://www.tcpdump.org/linktypes.html.
//
// A capture may come from anywhere, so the reader trusts nothing in it: what a length
// field claims is read piece by piece, and every kind of thing that can be many has a
// bound.
package pcapng

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// A Proto is a protocol number of IP (RFC 790 and its successors at IANA).
type Proto uint8

// The protocols that are read and written.
const (
	ICMP   Proto = 1
	UDP    Proto = 17
	ICMPv6 Proto = 58
)

// A Dir says which way a datagram went, as seen by the host that captured it.
type Dir uint8

// The directions. Many captures do not tell.
const (
	Unknown Dir = iota
	In
	Out
)

// A Datagram is a UDP datagram or an ICMP message with its addresses.
type Datagram struct {
	// At is when it was captured, to the nanosecond; the zero Time where the capture
	// does not tell.
	At    time.Time
	Proto Proto
	// Src and Dst are its ends; the ports are 0 for ICMP.
	Src, Dst netip.AddrPort
	// Data is what UDP carries, or the ICMP message from its type on.
	Data    []byte
	Comment string // of the packet; "" if there is none
	Dir     Dir
	// Frame is its number in the capture, from 1, with those that are passed over
	// counted. It is not written.
	Frame int64
	// Cut says that less was captured than was sent, and Missing how many bytes of Data
	// that was. They are not written.
	Cut     bool
	Missing int
	// Origin is for telling copies of one datagram. It is not written.
	Origin Origin
}

// An Origin is where a datagram was captured, and what its IP header has that differs
// between a datagram and the next, or between its copies on several interfaces.
type Origin struct {
	// Iface tells interfaces apart: equal numbers are one interface, and 0 is not known.
	// Own says that the operating system gave the number with each packet, as for the "any"
	// interface of Linux.
	Iface uint64
	Own   bool
	// ID is the identification of the IP packet, 0 where it has none (RFC 6864).
	ID uint32
	// TTL is its time to live or hop limit, one less behind each router.
	TTL uint8
}

// ErrDatagram is what [Writer.Write] says of a datagram that no IP packet can be:
// addresses that are none or of two families, or too much data.
var ErrDatagram = errors.New("pcapng: no IP packet can hold the datagram")

// ErrFormat is what [NewReader] says of a file that is no capture. It is wrapped where it
// is plain what the file is instead.
var ErrFormat = errors.New("neither a pcapng nor a pcap capture")

// A FormatError says where a capture breaks its format. Everything before was good.
type FormatError struct {
	Offset int64  // in bytes from the start: of the block or record
	Reason string // such as "the block of type 6 is longer than 16777216 bytes"
}

// Error gives "byte 1234: reason".
func (e *FormatError) Error() string { return fmt.Sprintf("byte %d: %s", e.Offset, e.Reason) }

// The numbers of both formats.
const (
	// A palindrome, so that it can be told before the byte order is known, and line ends, so
	// that a transfer as text shows.
	blockSection   = 0x0A0D0D0A
	blockInterface = 1
	blockPacket    = 2 // obsolete, but older programs wrote it
	blockSimple    = 3
	blockEnhanced  = 6

	// How the magic numbers come out says in which byte order a file is. The last three begin
	// classic pcap files: by the unit of their times, and as Alexey Kuznetsov's patch of
	// libpcap for Linux 2.2 wrote them, with 8 bytes more in the head of each packet.
	orderMagic   = 0x1A2B3C4D
	pcapMicro    = 0xA1B2C3D4
	pcapNano     = 0xA1B23C4D
	pcapModified = 0xA1B2CD34

	// Options have meanings of their own in each block, but for the first two.
	optEnd        = 0
	optComment    = 1
	optFlags      = 2 // of a packet: its direction in the two lowest bits
	optName       = 2 // of an interface
	optApp        = 4 // of a section: the program that wrote it
	optResolution = 9
	optOffset     = 14
)

// The bounds of what is read. They are far beyond what honest captures hold, and keep a
// hostile one from taking memory or time without end.
const (
	maxBlock      = 16 << 20 // bytes of a block or packet
	maxInterfaces = 1 << 16  // of a section
	maxTags       = 4        // VLAN tags of a frame
	maxLabels     = 8        // MPLS labels of a frame
	maxSkips      = 64       // kinds of packets that are counted apart
	maxExtensions = 16       // extension headers of an IPv6 packet
)
