package server

import (
	"math/bits"

	"mdalp/wire"
)

// A page of an Index covers 4096 sequence numbers: one bit each, in 512 bytes, and a
// pointer for the fingerprints of each 64 of them.
const (
	pageShift = 12
	pageWords = 1 << (pageShift - 6)
)

type page struct {
	bits [pageWords]uint64
	sums [pageWords]*[64]uint32
}

// An Index is the set of the segments that are stored, with the fingerprint of each
// ([Sum]) and the sums that a verdict needs. The zero value is empty.
//
// It takes one bit and 4 bytes per sequence number, in chunks that are made when first
// written: 1.3 kB for the first 64 segments, then 256 bytes for each 64, and 1 kB and 8
// bytes for each 4096 numbers. Its user bounds the sequence numbers and thereby the
// memory: the 10.7 million segments of a gigabyte take at most 46 MB.
type Index struct {
	pages    []*page
	flat     []uint32 // instead of pages, once compact
	segments int64
	bytes    int64
	prefix   int64 // 0..prefix-1 are all stored
	high     int64 // the highest sequence number heard of, plus one
}

// Segments is how many segments are stored.
func (x *Index) Segments() int64 { return x.segments }

// Bytes is how many bytes of payload they hold together.
func (x *Index) Bytes() int64 { return x.bytes }

// Prefix is how many segments are stored without a gap from SEQ 0 on.
func (x *Index) Prefix() int64 { return x.prefix }

// High is the highest sequence number heard of, stored or not, plus one.
func (x *Index) High() int64 { return x.high }

// Whole reports whether something is stored and nothing is missing below High.
func (x *Index) Whole() bool { return x.segments > 0 && x.prefix == x.high }

// Has reports whether segment seq is stored.
func (x *Index) Has(seq int64) bool {
	if seq < x.prefix {
		return seq >= 0
	}
	return x.word(seq)>>(seq&63)&1 != 0
}

// Sum is the fingerprint of segment seq, which must be stored.
func (x *Index) Sum(seq int64) uint32 {
	if x.flat != nil {
		return x.flat[seq]
	}
	return x.pages[seq>>pageShift].sums[seq>>6&(pageWords-1)][seq&63]
}

// Add puts segment seq of n bytes and the fingerprint sum into the set; false when it
// was there already.
func (x *Index) Add(seq int64, n int, sum uint32) bool {
	if x.Has(seq) {
		return false
	}
	p, word := seq>>pageShift, seq>>6&(pageWords-1)
	for int64(len(x.pages)) <= p {
		x.pages = append(x.pages, nil)
	}
	if x.pages[p] == nil {
		x.pages[p] = new(page)
	}
	at := x.pages[p]
	if at.sums[word] == nil {
		at.sums[word] = new([64]uint32)
	}
	at.bits[word] |= 1 << (seq & 63)
	at.sums[word][seq&63] = sum
	x.segments++
	x.bytes += int64(n)
	x.Note(seq)
	// Every number is passed once in a transaction's life.
	for x.word(x.prefix)>>(x.prefix&63)&1 != 0 {
		x.prefix++
	}
	return true
}

// Note records that segment seq exists, although it is not stored. As long as it
// is not, the set is not whole.
func (x *Index) Note(seq int64) { x.high = max(x.high, seq+1) }

// Missing appends the ranges that are not stored below High, at most limit of
// them, in rising order.
func (x *Index) Missing(rs []wire.Range, limit int) []wire.Range {
	for seq := x.prefix; limit > 0; limit-- {
		first := x.next(seq, false)
		if first >= x.high {
			break
		}
		seq = x.next(first, true)
		rs = append(rs, wire.Range{First: first, Last: seq - 1})
	}
	return rs
}

// Stored appends the ranges that are stored, in rising order.
func (x *Index) Stored(rs []wire.Range) []wire.Range {
	if x.prefix > 0 {
		rs = append(rs, wire.Range{First: 0, Last: x.prefix - 1})
	}
	for seq := x.next(x.prefix, true); seq < x.high; {
		end := x.next(seq, false)
		rs = append(rs, wire.Range{First: seq, Last: end - 1})
		seq = x.next(end, true)
	}
	return rs
}

// next is the first number from seq on that is stored, or is not; High when
// there is none below. It must not be below Prefix once the set is compact.
func (x *Index) next(seq int64, stored bool) int64 {
	for seq < x.high {
		w := x.word(seq)
		if !stored {
			w = ^w
		}
		if w >>= seq & 63; w != 0 {
			return min(seq+int64(bits.TrailingZeros64(w)), x.high)
		}
		seq = (seq | 63) + 1
	}
	return x.high
}

// word is the 64 bits that seq is in.
func (x *Index) word(seq int64) uint64 {
	p := seq >> pageShift
	if p >= int64(len(x.pages)) || x.pages[p] == nil {
		return 0
	}
	return x.pages[p].bits[seq>>6&(pageWords-1)]
}

// compactBelow is how many segments are worth being copied: most payloads are small, and
// those that settled are many.
const compactBelow = 4096

// compact makes a small set without gaps as small as can be: Prefix says what is there,
// and only the fingerprints are left. Nothing may be added any more.
func (x *Index) compact() {
	if x.prefix != x.segments || x.segments > compactBelow {
		return
	}
	x.flat = make([]uint32, x.segments)
	for seq := range x.segments {
		x.flat[seq] = x.pages[seq>>pageShift].sums[seq>>6&(pageWords-1)][seq&63]
	}
	x.pages = nil
}
