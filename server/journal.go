package server

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"mdalp/wire"
)

// A journal tells which segments of an extended payload are at their place. It is a head
// of journalHead bytes and entries, each a range of SEQs. Numbers are big endian.
//
//	head:   magic 8, version 2, segment 2, port 2, family 2, address 16, zone 16, TID 8,
//	        offered 8 (nanoseconds since 1970), size 8, length of the name 2, name 255,
//	        print of the key 16, length of its name 1, its name 64, file 8, nothing, CRC 4
//	entry:  first 8, last 8, CRC 4; the top bit of first says that the range is stable
//
// File is which one it is about, where several have journals beside one payload, and else 0.
//
// A journal with a key is of version 2, so that an older mdalpd, which would let anybody go on
// with it, leaves it alone; without one it is of version 1.
//
// An entry stands for itself: one that is torn, or was never one here, is stepped over.
// There are two kinds. What is taken survives the death of the process and not the loss of
// power, so the CRC of such an entry covers the machine's boot identity too: after another
// start of the machine nobody believes it. What is stable was flushed before its entry was
// written. All entries cover the TID.
const (
	journalHead    = 512
	journalVersion = 1
	sealedVersion  = 2
	journalMagic   = "MDALPjrn"
	entryBytes     = 20
	stableBit      = 1 << 63

	sizeAt = 10 + metaBytes
	nameAt = sizeAt + 8 + 2
	keyAt  = nameAt + wire.MaxName
	fileAt = keyAt + 16 + 1 + mostKeyName
	// mostKeyName is the longest name of a key, in bytes.
	mostKeyName = 64
)

// appendJournalHead appends the head of a journal to b.
func appendJournalHead(b []byte, m *Meta, size int64) []byte {
	start := len(b)
	b = append(b, journalMagic...)
	version := uint16(journalVersion)
	if m.Key.sealed() {
		version = sealedVersion
	}
	b = binary.BigEndian.AppendUint16(b, version)
	b = appendMeta(b, m)
	b = binary.BigEndian.AppendUint64(b, uint64(size))
	name := m.Name[:min(len(m.Name), wire.MaxName)]
	b = binary.BigEndian.AppendUint16(b, uint16(len(name)))
	b = append(b, name...)
	b = append(b, make([]byte, journalHead-4-(len(b)-start))...)
	if m.Key.sealed() {
		key := b[start+keyAt:]
		key = key[copy(key, m.Key.Print[:]):]
		key[0] = byte(copy(key[1:1+mostKeyName], m.Key.Name))
	}
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli()))
}

// tellFile has the head at the beginning of b say which file its journal is about.
func tellFile(b []byte, id uint64) []byte {
	binary.BigEndian.PutUint64(b[fileAt:], id)
	binary.BigEndian.PutUint32(b[journalHead-4:], crc32.Checksum(b[:journalHead-4], castagnoli()))
	return b
}

// parseJournalHead is the opposite of appendJournalHead.
func parseJournalHead(b []byte) (m Meta, size int64, err error) {
	switch {
	case len(b) < journalHead:
		return m, 0, errors.New("too short for a journal")
	case string(b[:8]) != journalMagic:
		return m, 0, errors.New("not a journal")
	case binary.BigEndian.Uint32(b[journalHead-4:]) != crc32.Checksum(b[:journalHead-4], castagnoli()):
		return m, 0, errors.New("its head is damaged")
	}
	version := binary.BigEndian.Uint16(b[8:])
	if version != journalVersion && version != sealedVersion {
		return m, 0, fmt.Errorf("a journal of version %d, which this mdalpd does not know", version)
	}
	m = parseMeta(b[10:])
	size = int64(binary.BigEndian.Uint64(b[sizeAt:]))
	n := int(binary.BigEndian.Uint16(b[nameAt-2:]))
	switch {
	case m.Segment < 1 || m.Segment > wire.MaxSegment:
		return m, 0, fmt.Errorf("segments of %d bytes", m.Segment)
	case size < 1 || size > MostBytes:
		return m, 0, fmt.Errorf("a payload of %d bytes", size)
	case n > wire.MaxName:
		return m, 0, fmt.Errorf("a name of %d bytes", n)
	}
	m.Name = string(b[nameAt:][:n])
	if version == sealedVersion {
		key := b[keyAt:]
		copy(m.Key.Print[:], key)
		m.Key.Name = string(key[17:][:min(int(key[16]), mostKeyName)])
		if !m.Key.sealed() {
			return m, 0, errors.New("a sealed payload without a key")
		}
	}
	return m, size, nil
}

// A sealer makes and checks the CRCs of one journal's entries.
type sealer struct{ taken, stable uint32 }

// newSealer is that of a transaction while the machine has that boot identity.
func newSealer(tid int64, boot string) sealer {
	b := binary.BigEndian.AppendUint64(nil, uint64(tid))
	return sealer{stable: crc32.Checksum(b, castagnoli()),
		taken: crc32.Checksum(append(b, boot...), castagnoli())}
}

// appendTaken appends an entry of what is taken.
func (s sealer) appendTaken(b []byte, r wire.Range) []byte {
	return appendEntry(b, uint64(r.First), r.Last, s.taken)
}

// appendStable appends an entry of what is flushed.
func (s sealer) appendStable(b []byte, r wire.Range) []byte {
	return appendEntry(b, uint64(r.First)|stableBit, r.Last, s.stable)
}

func appendEntry(b []byte, first uint64, last int64, seed uint32) []byte {
	n := len(b)
	b = binary.BigEndian.AppendUint64(b, first)
	b = binary.BigEndian.AppendUint64(b, uint64(last))
	return binary.BigEndian.AppendUint32(b, crc32.Update(seed, castagnoli(), b[n:]))
}

// parseEntry gives the entry that b begins with; false when it is none to be believed.
func (s sealer) parseEntry(b []byte) (r wire.Range, stable, ok bool) {
	first := binary.BigEndian.Uint64(b)
	r = wire.Range{First: int64(first &^ stableBit), Last: int64(binary.BigEndian.Uint64(b[8:]))}
	stable = first&stableBit != 0
	seed := s.taken
	if stable {
		seed = s.stable
	}
	ok = r.Last >= r.First && crc32.Update(seed, castagnoli(), b[:16]) == binary.BigEndian.Uint32(b[16:])
	return r, stable, ok
}

// read puts what the entries in b say into the two sets. Ranges that a payload of total
// segments does not have are no entries. What is taken and stable too is stable alone,
// where that stands before it.
func (s sealer) read(b []byte, total int64, taken, stable *rangeSet) {
	for ; len(b) >= entryBytes; b = b[entryBytes:] {
		switch r, flushed, ok := s.parseEntry(b); {
		case !ok || r.Last >= total:
		case flushed:
			stable.put(r)
		default:
			taken.put(r)
		}
	}
}
