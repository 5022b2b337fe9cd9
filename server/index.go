package server

import (
	"math/bits"

	"mdalp/wire"
)

// A page of an Index covers 4096 sequence numbers, one bit each, in 512 bytes.
const (
	pageShift = 12
	pageWords = 1 << (pageShift - 6)
)

type page [pageWords]uint64

// An Index is the set of the segments that are stored, with the sums that a
// verdict needs. The zero value is empty.
//
// It takes one bit per sequence number, in pages that are made when first
// written, and 8 bytes for each 4096 numbers below the highest. Its user bounds
// the sequence numbers and thereby the memory: the 10.7 million segments of a
// gigabyte take at most 1.4 MB.
type Index struct {
	pages    []*page
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

// Add puts segment seq of n bytes into the set; false when it was there already.
func (x *Index) Add(seq int64, n int) bool {
	if x.Has(seq) {
		return false
	}
	p := seq >> pageShift
	for int64(len(x.pages)) <= p {
		x.pages = append(x.pages, nil)
	}
	if x.pages[p] == nil {
		x.pages[p] = new(page)
	}
	x.pages[p][seq>>6&(pageWords-1)] |= 1 << (seq & 63)
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

// next is the first number from seq on that is stored, or is not; High when
// there is none below.
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
	return x.pages[p][seq>>6&(pageWords-1)]
}

// compact forgets the pages of a set without gaps: Prefix says it all. Nothing may
// be added any more.
func (x *Index) compact() {
	if x.prefix == x.segments {
		x.pages = nil
	}
}
