package sched

import "time"

// MaxFlight is the most segments that are ever in flight at one receiver, whatever
// it and the configuration allow: with 1,200 bytes each, 10 Gbit/s over 60 ms. It
// bounds the memory of a flight, which grows only to what its window needs: at most
// 2·MaxFlight records of 24 bytes, 3 MiB.
const MaxFlight = 1 << 16

const leastRing = 64 // records of a flight at its start

// What a flight knows of a transmission.
const (
	isOut    uint8 = 1 << iota // in flight: neither acknowledged nor given up
	isAcked                    // acknowledged
	isLost                     // given up; its ack may come late
	isShared                   // its SEQ may be out elsewhere too: see ledger
	isTold                     // the controller was told of its loss
	isVoid                     // its ack delivers nothing: its SEQ was delivered, or was taken back since
)

// A shot is one transmission. Its NUM is its place in the flight.
type shot struct {
	seq int64
	// at is when it was sent. Once it is acknowledged, it is the lowest NUM of a
	// run of acknowledged ones that ends here.
	at      time.Duration
	size    int32
	flags   uint8
	episode uint8 // which congestion event its loss belonged to
}

// A flight is what was sent to one receiver and may still be acknowledged, by NUM:
// a ring that has a place for every NUM from head to next-1. Acks come as ranges
// that mostly say again what was said before. Runs of acknowledged NUMs are
// therefore skipped in one step each, so that an ack costs what is new in it and a
// few steps for each of its ranges.
type flight struct {
	ring    []shot // its length is a power of two
	head    int64  // the lowest NUM that is remembered
	oldest  int64  // no NUM below it is out
	next    int64  // the NUM of the next transmission
	largest int64  // the largest NUM acknowledged, -1 before the first
	out     int    // segments in flight
	bytes   int64  // payload bytes in flight
}

func newFlight() flight { return flight{ring: make([]shot, leastRing), largest: -1} }

// at is the transmission with that NUM, from head to next-1.
func (f *flight) at(num int64) *shot { return &f.ring[num&int64(len(f.ring)-1)] }

// push puts a transmission in flight and gives its NUM.
func (f *flight) push(now time.Duration, seq int64, size int, flags uint8) int64 {
	if f.next-f.head == int64(len(f.ring)) {
		f.grow()
	}
	num := f.next
	*f.at(num) = shot{seq: seq, at: now, size: int32(size), flags: flags | isOut}
	f.next++
	f.out++
	f.bytes += int64(size)
	return num
}

// grow makes place for one more: by forgetting the oldest losses, or by doubling.
func (f *flight) grow() {
	if len(f.ring) >= 2*MaxFlight {
		// What is out takes less than half of the places, so the first is not.
		f.head++
		return
	}
	ring := make([]shot, 2*len(f.ring))
	for num := f.head; num < f.next; num++ {
		ring[num&int64(len(ring)-1)] = *f.at(num)
	}
	f.ring = ring
}

// full reports that nothing more can be put in flight.
func (f *flight) full() bool { return f.out >= MaxFlight || f.next-f.oldest >= 2*MaxFlight }

// leave takes a transmission out of the flight, for the reason given.
func (f *flight) leave(s *shot, why uint8) {
	s.flags = s.flags&^isOut | why
	f.out--
	f.bytes -= int64(s.size)
}

// abandon takes all that is out out of the flight.
func (f *flight) abandon() {
	for ; f.oldest < f.next; f.oldest++ {
		if s := f.at(f.oldest); s.flags&isOut != 0 {
			f.leave(s, isLost)
		}
	}
}

// unacked is the largest NUM from first to num that is not acknowledged, or -1.
func (f *flight) unacked(num, first int64) int64 {
	first = max(first, f.head)
	for num >= first {
		s := f.at(num)
		if s.flags&isAcked == 0 {
			return num
		}
		num = int64(s.at) - 1
	}
	return -1
}

// bridge notes that all from first to last are acknowledged now, so that they are
// one step the next time.
func (f *flight) bridge(first, last int64) {
	if first = max(first, f.head); last < first {
		return
	}
	if first > f.head {
		if s := f.at(first - 1); s.flags&isAcked != 0 {
			first = int64(s.at)
		}
	}
	s := f.at(last)
	s.at = min(s.at, time.Duration(first))
}

// acked marks a transmission as acknowledged.
func (f *flight) acked(num int64) {
	s := f.at(num)
	if s.flags&isOut != 0 {
		f.leave(s, isAcked)
	}
	s.flags = s.flags&^isLost | isAcked
	s.at = time.Duration(num)
}

// retire forgets what lies below all that is out: what is acknowledged, and what was
// lost and sent before an instant.
func (f *flight) retire(before time.Duration) {
	for f.head < f.oldest {
		if s := f.at(f.head); s.flags&isLost != 0 && s.at >= before {
			return
		}
		f.head++
	}
}
