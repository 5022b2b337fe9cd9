package server

import (
	"crypto/sha256"
	"hash"
	"slices"

	"mdalp/wire"
)

// Place implements [Placer]. The payload is kept as [Memory.Payload] has it.
func (m *Memory) Place(meta Meta, size int64) (Place, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.take(size); err != nil {
		return nil, err
	}
	return &memoryPlace{m: m, tid: meta.TID, b: make([]byte, size), hash: sha256.New()}, nil
}

// A memoryPlace is the bytes of one payload, each at its place.
type memoryPlace struct {
	m      *Memory
	tid    int64
	b      []byte
	hash   hash.Hash
	hashed int64
}

// Write implements [Place].
func (p *memoryPlace) Write(b []byte, off int64) error {
	copy(p.b[off:], b)
	return nil
}

// Taken implements [Place]. Nothing here outlives the process.
func (p *memoryPlace) Taken([]wire.Range) error { return nil }

// Hash implements [Place].
func (p *memoryPlace) Hash(prefix int64) error {
	if prefix > p.hashed {
		p.hash.Write(p.b[p.hashed:prefix])
		p.hashed = prefix
	}
	return nil
}

// Publish implements [Place].
func (p *memoryPlace) Publish(want *[sha256.Size]byte) (sum [sha256.Size]byte, path string, err error) {
	p.Hash(int64(len(p.b)))
	p.hash.Sum(sum[:0])
	if want != nil && *want != sum {
		p.Discard()
		return sum, "", ErrDamaged
	}
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	p.m.keep(p.tid, p.b)
	return sum, "", nil
}

// Keep implements [Place]: there is nobody to keep anything for.
func (p *memoryPlace) Keep([]wire.Range) string {
	p.Discard()
	return ""
}

// Discard implements [Place].
func (p *memoryPlace) Discard() {
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	p.m.used -= int64(len(p.b))
	p.b = nil
}

// keep keeps a whole payload, whose bytes are counted already. One of the same number makes
// room for it.
func (m *Memory) keep(tid int64, b []byte) {
	if old, ok := m.payloads[tid]; ok {
		m.used -= int64(len(old))
		m.kept -= int64(len(old))
		m.order = slices.DeleteFunc(m.order, func(k int64) bool { return k == tid })
	}
	if m.payloads == nil {
		m.payloads = make(map[int64][]byte)
	}
	m.kept += int64(len(b))
	m.payloads[tid] = b
	m.order = append(m.order, tid)
}
