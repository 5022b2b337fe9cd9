package server

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net/netip"
	"time"
)

// A spool file is a head and records at places that follow from their SEQ: record seq
// is at headBytes + seq * (recordHead + segment). What has not come is a hole, whose
// length reads 0. Numbers are big endian.
//
//	head:    magic 8, version 2, segment 2, port 2, family 2, address 16, zone 16,
//	         TID 8, offered 8 (nanoseconds since 1970), CRC 4; high 8, CRC 4
//	record:  length 2, receiver 2, CRC 4, data
//
// High is the only thing that is written twice: one more than the highest SEQ that came
// and was refused, if there is nothing stored behind it. Its first bit says that the
// transaction had its verdict. A CRC is CRC-32C: the head's
// of all before it; that of high of its 8 bytes; a record's of its data, followed by
// what names the segment: TID, SEQ, length, receiver. So neither a torn record nor one
// from elsewhere is taken for a segment.
const (
	headBytes    = headSealed + highBytes
	headSealed   = 68
	highBytes    = 12
	headVersion  = 1
	recordHead   = 8
	sealBytes    = 20 // what names a segment
	spoolMagic   = "MDALPspl"
	maxZoneBytes = 16
)

// appendHead appends the head of a spool file to b. A zone that is too long is left
// out: no interface has one (IFNAMSIZ).
func appendHead(b []byte, m *Meta) []byte {
	start := len(b)
	b = append(b, spoolMagic...)
	b = binary.BigEndian.AppendUint16(b, headVersion)
	b = appendMeta(b, m)
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli()))
	return appendHigh(b, 0)
}

// metaBytes is what a Meta takes in a head, but for its name.
const metaBytes = 54

// appendMeta appends what a head says of a transaction, from the segment to the offer.
func appendMeta(b []byte, m *Meta) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(m.Segment))
	b = binary.BigEndian.AppendUint16(b, m.Client.Port())
	a := m.Client.Addr()
	b = binary.BigEndian.AppendUint16(b, uint16(a.BitLen()))
	var address, zone [16]byte
	if a.IsValid() {
		address = a.As16()
	}
	if len(a.Zone()) <= maxZoneBytes {
		copy(zone[:], a.Zone())
	}
	b = append(append(b, address[:]...), zone[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(m.TID))
	return binary.BigEndian.AppendUint64(b, uint64(m.Offered.UnixNano()))
}

// appendHigh appends the part of the head that may change.
func appendHigh(b []byte, high int64) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(high))
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[len(b)-8:], castagnoli()))
}

// judgedBit is the first bit of high.
const judgedBit = -1 << 63

// parseHigh is the opposite of appendHigh; 0 is none.
func parseHigh(b []byte) (high int64, judged bool) {
	if binary.BigEndian.Uint32(b[8:]) != crc32.Checksum(b[:8], castagnoli()) {
		return 0, false
	}
	n := int64(binary.BigEndian.Uint64(b))
	return n &^ judgedBit, n < 0
}

// parseHead is the opposite of appendHead.
func parseHead(b []byte) (m Meta, err error) {
	switch {
	case len(b) < headBytes:
		return m, errors.New("too short for a spool")
	case string(b[:8]) != spoolMagic:
		return m, errors.New("not a spool, or one of an older mdalpd")
	case binary.BigEndian.Uint32(b[headSealed-4:]) != crc32.Checksum(b[:headSealed-4], castagnoli()):
		return m, errors.New("its head is damaged")
	}
	if v := binary.BigEndian.Uint16(b[8:]); v != headVersion {
		return m, fmt.Errorf("a spool of version %d, which this mdalpd does not know", v)
	}
	m = parseMeta(b[10:])
	if m.Segment < 1 || m.Segment > maxSegment {
		return m, fmt.Errorf("segments of %d bytes", m.Segment)
	}
	return m, nil
}

// parseMeta is the opposite of appendMeta.
func parseMeta(b []byte) (m Meta) {
	m.Segment = int(binary.BigEndian.Uint16(b))
	a := netip.AddrFrom16([16]byte(b[6:22]))
	switch binary.BigEndian.Uint16(b[4:]) {
	case 32:
		a = a.Unmap()
	case 128:
		zone := b[22:38]
		for len(zone) > 0 && zone[len(zone)-1] == 0 {
			zone = zone[:len(zone)-1]
		}
		a = a.WithZone(string(zone))
	default:
		a = netip.Addr{}
	}
	m.Client = netip.AddrPortFrom(a, binary.BigEndian.Uint16(b[2:]))
	m.TID = int64(binary.BigEndian.Uint64(b[38:]))
	m.Offered = time.Unix(0, int64(binary.BigEndian.Uint64(b[46:])))
	return m
}

// stamp gives the CRC of a record whose data have that sum. It works in b, which has
// room for sealBytes, because what goes to crc32 would else be allocated.
func stamp(b []byte, tid, seq int64, length, receiver uint16, sum uint32) uint32 {
	b = binary.BigEndian.AppendUint64(b[:0], uint64(tid))
	b = binary.BigEndian.AppendUint64(b, uint64(seq))
	b = binary.BigEndian.AppendUint16(b, length)
	b = binary.BigEndian.AppendUint16(b, receiver)
	return crc32.Update(sum, castagnoli(), b)
}

// appendRecord appends a record to b, which has room for it and for sealBytes.
func appendRecord(b []byte, tid, seq int64, receiver int, data []byte, sum uint32) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(data)))
	b = binary.BigEndian.AppendUint16(b, uint16(receiver))
	sum = stamp(b[len(b):], tid, seq, uint16(len(data)), uint16(receiver), sum)
	b = binary.BigEndian.AppendUint32(b, sum)
	return append(b, data...)
}

// parseRecord gives record seq, which b begins with, and its data; false when it is
// not there, or not intact. It works in scratch as stamp does.
func parseRecord(b, scratch []byte, tid, seq int64) (r Record, data []byte, ok bool) {
	if len(b) < recordHead {
		return r, nil, false
	}
	r = Record{Seq: seq, Length: binary.BigEndian.Uint16(b), Receiver: binary.BigEndian.Uint16(b[2:])}
	if r.Length == 0 || int(r.Length) > len(b)-recordHead {
		return r, nil, false
	}
	data = b[recordHead:][:r.Length]
	r.Sum = Sum(data)
	return r, data, stamp(scratch, tid, seq, r.Length, r.Receiver, r.Sum) == binary.BigEndian.Uint32(b[4:])
}
