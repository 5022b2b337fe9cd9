package server

import (
	"crypto/sha256"
	"fmt"
)

// DefaultMemory is the bound of a [Memory] whose Limit is 0, in bytes.
const DefaultMemory = 256 << 20

// Memory is a Store in memory. The zero value is ready.
//
// It never holds more than Limit bytes, counted are segments, their places and the
// payloads that are kept. A segment beyond that is refused with [ErrFull]; the
// oldest payload makes room first.
type Memory struct {
	// Limit is the bound in bytes; 0 is DefaultMemory.
	Limit int64

	used     int64
	payloads map[int64][]byte
	order    []int64 // of payloads, oldest first
}

// Create implements [Store]. A number whose payload is kept is taken.
func (m *Memory) Create(tid int64, segment int) (Spool, error) {
	if _, ok := m.payloads[tid]; ok {
		return nil, errTaken(fmt.Sprintf("payload %d", tid))
	}
	return &memorySpool{m: m, tid: tid}, nil
}

// Payload returns the whole payload of transaction tid; false when there is none
// or when it had to make room.
func (m *Memory) Payload(tid int64) ([]byte, bool) {
	b, ok := m.payloads[tid]
	return b, ok
}

// Used is how many bytes are held.
func (m *Memory) Used() int64 { return m.used }

// take accounts for n more bytes, if need be at the cost of the oldest payloads.
func (m *Memory) take(n int64) error {
	limit := m.Limit
	if limit == 0 {
		limit = DefaultMemory
	}
	for m.used+n > limit && len(m.order) > 0 {
		oldest := m.order[0]
		m.order = m.order[1:]
		m.used -= int64(len(m.payloads[oldest]))
		delete(m.payloads, oldest)
	}
	if m.used+n > limit {
		return fmt.Errorf("memory: %w (%d bytes)", ErrFull, limit)
	}
	m.used += n
	return nil
}

// spans is a page of places: where the segment's bytes are in the log.
const (
	spansPage  = 256
	spansBytes = spansPage * 8
)

type span struct{ off, n uint32 }

// memorySpool appends segments to chunks as they come and finds them by places.
type memorySpool struct {
	m       *Memory
	tid     int64
	x       Index
	chunks  [][]byte
	places  []*[spansPage]span
	used    int64
	payload []byte
}

// Chunks double from the first size to the last, for most transactions are small. A
// place's 32 bits point into them: 16 bits of chunk, 16 bits of offset.
const (
	chunkFirst = 8 << 10
	chunkBytes = 64 << 10
)

func (s *memorySpool) Index() *Index { return &s.x }

func (s *memorySpool) Put(seq int64, data []byte) (bool, error) {
	if s.x.Has(seq) {
		return false, nil
	}
	p := seq / spansPage
	if p >= int64(len(s.places)) {
		grow := p + 1 - int64(len(s.places))
		if err := s.take(8 * grow); err != nil {
			return false, err
		}
		s.places = append(s.places, make([]*[spansPage]span, grow)...)
	}
	if s.places[p] == nil {
		if err := s.take(spansBytes); err != nil {
			return false, err
		}
		s.places[p] = new([spansPage]span)
	}
	last := len(s.chunks) - 1
	if last < 0 || cap(s.chunks[last])-len(s.chunks[last]) < len(data) {
		size := max(min(chunkFirst<<min(last+1, 3), chunkBytes), len(data))
		if last+1 == 1<<16 {
			return false, fmt.Errorf("memory: %w (4 GiB a transaction)", ErrFull)
		}
		if err := s.take(int64(size)); err != nil {
			return false, err
		}
		s.chunks = append(s.chunks, make([]byte, 0, size))
		last++
	}
	c := s.chunks[last]
	s.places[p][seq%spansPage] = span{uint32(last)<<16 | uint32(len(c)), uint32(len(data))}
	s.chunks[last] = append(c, data...)
	return s.x.Add(seq, len(data)), nil
}

func (s *memorySpool) Assemble() (sum [sha256.Size]byte, err error) {
	s.m.used -= int64(len(s.payload))
	s.used -= int64(len(s.payload))
	s.payload = nil
	if err := s.take(s.x.bytes); err != nil {
		return sum, err
	}
	b := make([]byte, 0, s.x.bytes)
	for seq := s.x.next(0, true); seq < s.x.high; seq = s.x.next(seq+1, true) {
		at := s.places[seq/spansPage][seq%spansPage]
		b = append(b, s.chunks[at.off>>16][at.off&0xffff:][:at.n]...)
	}
	s.payload = b
	return sha256.Sum256(b), nil
}

// Publish keeps a whole payload for [Memory.Payload]; a partial one has no place
// to be found at.
func (s *memorySpool) Publish(partial bool) (string, error) {
	b := s.payload
	s.Discard()
	if partial {
		return "", nil
	}
	s.m.used += int64(len(b)) // it was counted until Discard
	if s.m.payloads == nil {
		s.m.payloads = make(map[int64][]byte)
	}
	s.m.payloads[s.tid] = b
	s.m.order = append(s.m.order, s.tid)
	return "", nil
}

func (s *memorySpool) Discard() {
	s.m.used -= s.used
	s.used, s.chunks, s.places, s.payload = 0, nil, nil, nil
	s.x.compact()
}

// take accounts for n more bytes of this transaction.
func (s *memorySpool) take(n int64) error {
	if err := s.m.take(n); err != nil {
		return err
	}
	s.used += n
	return nil
}
