package main

import (
	"encoding/binary"
	"net/netip"
	"time"

	"mdalp/wire"
)

// A segment is the part of a payload that a packet carries. Its zero value is of the other
// packets: those of TCP, pings, acknowledgements and so on.
type segment struct {
	tid, seq int64
	bytes    int
}

// segmentOf looks for a segment in an IPv4 packet, whatever sent it. A datagram in fragments
// does not count whole: the client sends none that this MTU would cut.
func segmentOf(b []byte) segment {
	const udp, header = 17, 8
	at := int(b[0]&15) * 4
	if b[9] != udp || binary.BigEndian.Uint16(b[6:])&0x1fff != 0 || len(b) < at+header {
		return segment{} // no start of a UDP datagram
	}
	m, err := wire.Parse(b[at+header:])
	if err != nil || m.Type != wire.Data || m.Seq < 0 || len(m.Data) == 0 {
		return segment{}
	}
	return segment{m.TID, m.Seq, len(m.Data)}
}

// isIPv4 reports whether a packet of the TUN device is one of IPv4 with a whole header.
func isIPv4(b []byte) bool {
	return len(b) >= 20 && b[0]>>4 == 4 && int(b[0]&15)*4 <= len(b)
}

// source and destination are the addresses of an IPv4 packet.
func source(b []byte) netip.Addr      { return netip.AddrFrom4([4]byte(b[12:16])) }
func destination(b []byte) netip.Addr { return netip.AddrFrom4([4]byte(b[16:20])) }

// A meter counts segments at both ends of the links, so what it says does not rest on what
// client or server say of themselves.
type meter struct {
	sent, arrived seen
	repeated      int64         // segments that had been sent before
	bytes         []int64       // of the payload, that arrived for the first time, by path
	began         time.Duration // the first segment went in then, if it did
	begun         bool
	ended         []time.Duration // the last new one of each path came out then
}

// newMeter makes a meter for so many paths.
func newMeter(paths int) *meter {
	return &meter{sent: make(seen), arrived: make(seen), bytes: make([]int64, paths),
		ended: make([]time.Duration, paths)}
}

// offered counts a segment that goes into a link, also one that the queue then drops.
func (m *meter) offered(now time.Duration, s segment) {
	if s.bytes == 0 {
		return
	}
	if !m.begun {
		m.begun, m.began = true, now
	}
	if !m.sent.add(s) {
		m.repeated++
	}
}

// delivered counts a segment that came out of the link of a path. A repetition brings nothing
// of the payload and so does not make the transfer longer.
func (m *meter) delivered(due time.Duration, path int, s segment) {
	if s.bytes > 0 && m.arrived.add(s) {
		m.bytes[path] += int64(s.bytes)
		m.ended[path] = due
	}
}

// seen is a set of segments, with a bit for each SEQ of a transaction.
type seen map[int64][]uint64

// add reports whether a segment is new. A SEQ that no payload here has is not.
func (s seen) add(x segment) bool {
	const most = 1 << 32
	if x.seq >= most {
		return false
	}
	// SEQ counts from 0 and has no gaps, so a bit for each takes 11 kB for 125 MB of payload.
	bits, word, bit := s[x.tid], int(x.seq/64), uint64(1)<<(x.seq%64)
	for word >= len(bits) {
		bits = append(bits, make([]uint64, word+1)...)
	}
	s[x.tid] = bits
	fresh := bits[word]&bit == 0
	bits[word] |= bit
	return fresh
}
