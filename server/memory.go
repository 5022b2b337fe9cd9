package server

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"sync"

	"mdalp/wire"
)

// DefaultMemory is the bound of a [Memory] whose Limit is 0, in bytes.
const DefaultMemory = 256 << 20

// Memory is a Store in memory. The zero value is ready.
//
// It never holds more than Limit bytes, counted are segments, their places, room to
// put them together, and the payloads that are kept, the unfinished ones of the extended
// protocol too. A segment beyond that is refused with [ErrFull]; the oldest payload makes
// room first.
type Memory struct {
	// Limit is the bound in bytes; 0 is DefaultMemory.
	Limit int64

	// Payloads are put together beside the server's goroutine.
	mu       sync.Mutex
	used     int64
	payloads map[int64][]byte
	// unfinished are the extended payloads that were given up, to be resumed.
	unfinished map[int64]*memoryPlace
	keys       map[int64][16]byte // prints of those of sealed ones
	kept       int64              // bytes of both
	order      []int64            // of both, oldest first
}

// Recover implements [Store]: of a former process there is nothing.
func (m *Memory) Recover() ([]Recovered, error) { return nil, nil }

// Create implements [Store]. A number whose payload is kept is taken.
func (m *Memory) Create(tid int64, segment int) (Spool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.payloads[tid] != nil || m.unfinished[tid] != nil {
		return nil, errTaken(fmt.Sprintf("payload %d", tid))
	}
	return &memorySpool{m: m, tid: tid}, nil
}

// Room implements [Store]: half of what can be had, as a payload is put together in a
// second copy.
func (m *Memory) Room() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return max(0, m.limit()-m.used+m.kept) / 2
}

// Payload returns the whole payload of transaction tid; false when there is none
// or when it had to make room.
func (m *Memory) Payload(tid int64) ([]byte, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.payloads[tid]
	return b, ok
}

// Used is how many bytes are held.
func (m *Memory) Used() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.used
}

func (m *Memory) limit() int64 {
	if m.Limit == 0 {
		return DefaultMemory
	}
	return m.Limit
}

// take accounts for n more bytes, if need be at the cost of the oldest payloads.
func (m *Memory) take(n int64) error {
	for m.used+n > m.limit() && len(m.order) > 0 {
		m.drop(m.order[0])
	}
	if m.used+n > m.limit() {
		return fmt.Errorf("memory: %w (%d bytes)", ErrFull, m.limit())
	}
	m.used += n
	return nil
}

// spans is a page of places: where the segment's bytes are in the log.
const (
	spansPage    = 256
	extentsBytes = spansPage * 8
)

type extent struct{ off, n uint32 }

// memorySpool appends segments to chunks as they come and finds them by places.
type memorySpool struct {
	m       *Memory
	tid     int64
	chunks  [][]byte
	places  []*[spansPage]extent
	used    int64 // with what the payload will take
	payload []byte
}

// Chunks double from the first size to the last, for most transactions are small. A
// place's 32 bits point into them: 16 bits of chunk, 16 bits of offset.
const (
	chunkFirst = 8 << 10
	chunkBytes = 64 << 10
)

// Begin implements [Spool]. Nothing here outlives the process.
func (s *memorySpool) Begin(Meta) {}

// Note implements [Spool]. There is no next process.
func (s *memorySpool) Note(int64) {}

// Put implements [Spool]. Whatever it has taken when it fails serves the next one.
func (s *memorySpool) Put(seq int64, receiver int, data []byte, sum uint32) error {
	s.m.mu.Lock()
	err := s.put(seq, data)
	s.m.mu.Unlock()
	return err
}

func (s *memorySpool) put(seq int64, data []byte) error {
	p := seq / spansPage
	if p >= int64(len(s.places)) {
		grow := p + 1 - int64(len(s.places))
		if err := s.take(8 * grow); err != nil {
			return err
		}
		s.places = append(s.places, make([]*[spansPage]extent, grow)...)
	}
	if s.places[p] == nil {
		if err := s.take(extentsBytes); err != nil {
			return err
		}
		s.places[p] = new([spansPage]extent)
	}
	last := len(s.chunks) - 1
	if last < 0 || cap(s.chunks[last])-len(s.chunks[last]) < len(data) {
		size := max(min(chunkFirst<<min(last+1, 3), chunkBytes), len(data))
		if last+1 == 1<<16 {
			return fmt.Errorf("memory: %w (4 GiB a transaction)", ErrFull)
		}
		if err := s.take(int64(size)); err != nil {
			return err
		}
		s.chunks = append(s.chunks, make([]byte, 0, size))
		last++
	}
	// What is acknowledged must be possible to put together.
	if err := s.take(int64(len(data))); err != nil {
		return err
	}
	c := s.chunks[last]
	s.places[p][seq%spansPage] = extent{uint32(last)<<16 | uint32(len(c)), uint32(len(data))}
	s.chunks[last] = append(c, data...)
	return nil
}

// Assemble implements [Spool]. It holds no lock while it copies: segments that come
// meanwhile go elsewhere, only the slices must be its own.
func (s *memorySpool) Assemble(have []wire.Range) (sum [sha256.Size]byte, err error) {
	s.m.mu.Lock()
	chunks, places := slices.Clone(s.chunks), slices.Clone(s.places)
	s.m.mu.Unlock()
	b := make([]byte, 0, s.length(places, have))
	for seq := range each(have) {
		at := places[seq/spansPage][seq%spansPage]
		b = append(b, chunks[at.off>>16][at.off&0xffff:][:at.n]...)
	}
	if len(b) == 0 {
		return sum, ErrEmpty
	}
	s.payload = b
	return sha256.Sum256(b), nil
}

// length is how many bytes segments have hold.
func (s *memorySpool) length(places []*[spansPage]extent, have []wire.Range) (n int) {
	for seq := range each(have) {
		n += int(places[seq/spansPage][seq%spansPage].n)
	}
	return n
}

// each gives the numbers in ranges.
func each(have []wire.Range) func(yield func(int64) bool) {
	return func(yield func(int64) bool) {
		for _, r := range have {
			for seq := r.First; seq <= r.Last; seq++ {
				if !yield(seq) {
					return
				}
			}
		}
	}
}

// Publish implements [Spool]. It keeps a whole payload for [Memory.Payload]; a
// partial one has no place to be found at.
func (s *memorySpool) Publish(partial bool) (string, error) {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	b := s.payload
	if len(b) == 0 {
		return "", ErrEmpty
	}
	s.free()
	if partial {
		return "", nil
	}
	s.m.used += int64(len(b)) // it was counted until now
	s.m.keep(s.tid, b)
	return "", nil
}

// Discard implements [Spool].
func (s *memorySpool) Discard() {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	s.free()
}

// Keep implements [Spool]: there is nobody to keep anything for.
func (s *memorySpool) Keep() string {
	s.Discard()
	return ""
}

func (s *memorySpool) free() {
	s.m.used -= s.used
	s.used, s.chunks, s.places, s.payload = 0, nil, nil, nil
}

// take accounts for n more bytes of this transaction.
func (s *memorySpool) take(n int64) error {
	if err := s.m.take(n); err != nil {
		return err
	}
	s.used += n
	return nil
}
