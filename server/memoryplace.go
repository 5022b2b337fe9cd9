package server

import (
	"crypto/sha256"
	"hash"
	"slices"

	"mdalp/wire"
)

// Place implements [Placer]. The payload is kept as [Memory.Payload] has it; one that is
// unfinished is kept for [Memory.Resume], and makes room as payloads do.
func (m *Memory) Place(meta Meta, size int64) (Place, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.take(size); err != nil {
		return nil, err
	}
	return m.place(&meta, make([]byte, size)), nil
}

func (m *Memory) place(meta *Meta, b []byte) *memoryPlace {
	return &memoryPlace{m: m, tid: meta.TID, key: meta.Key.Print, segment: meta.Segment, b: b}
}

// Resume implements [Placer]. Of a complete payload a copy is made; how long its segments
// were is not known.
func (m *Memory) Resume(meta Meta, from, size int64) (Place, []wire.Range, error) {
	m.mu.Lock()
	old, payload := m.unfinished[from], m.payloads[from]
	if m.keys[from] != meta.Key.Print {
		old, payload = nil, nil
	}
	switch {
	case old != nil && (old.segment != meta.Segment || int64(len(old.b)) != size):
		m.mu.Unlock()
		return nil, nil, &SizesError{int64(len(old.b)), int64(old.segment)}
	case old != nil:
		m.drop(from)
		m.used += size // it was counted until now
		m.mu.Unlock()
		return m.place(&meta, old.b), old.have, nil
	case payload != nil && int64(len(payload)) != size:
		m.mu.Unlock()
		return nil, nil, &SizesError{int64(len(payload)), int64(meta.Segment)}
	}
	m.mu.Unlock()
	p, err := m.Place(meta, size)
	if err != nil || payload == nil {
		return p, nil, err
	}
	copy(p.(*memoryPlace).b, payload)
	return p, []wire.Range{{First: 0, Last: segmentsOf(size, meta.Segment) - 1}}, nil
}

// A memoryPlace is the bytes of one payload, each at its place.
type memoryPlace struct {
	m       *Memory
	tid     int64
	key     [16]byte // the print of its key
	segment int
	b       []byte
	have    []wire.Range // when it is kept
	hash    hash.Hash
	hashed  int64
}

// Write implements [Place].
func (p *memoryPlace) Write(b []byte, off int64) error {
	copy(p.b[off:], b)
	return nil
}

// Taken implements [Place]. Nothing here outlives the process.
func (p *memoryPlace) Taken([]wire.Range) error { return nil }

// Sync implements [Place].
func (p *memoryPlace) Sync() error { return nil }

// Hash implements [Place].
func (p *memoryPlace) Hash(prefix int64) error {
	if p.hash == nil {
		p.hash = sha256.New()
	}
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
	p.m.own(p.tid, p.key)
	return sum, "", nil
}

// Keep implements [Place].
func (p *memoryPlace) Keep(have []wire.Range) string {
	m := p.m
	m.mu.Lock()
	defer m.mu.Unlock()
	m.drop(p.tid)
	if m.unfinished == nil {
		m.unfinished = make(map[int64]*memoryPlace)
	}
	m.unfinished[p.tid] = &memoryPlace{segment: p.segment, b: p.b, have: have}
	m.kept += int64(len(p.b))
	m.order = append(m.order, p.tid)
	m.own(p.tid, p.key)
	p.b = nil
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
	m.drop(tid)
	if m.payloads == nil {
		m.payloads = make(map[int64][]byte)
	}
	m.kept += int64(len(b))
	m.payloads[tid] = b
	m.order = append(m.order, tid)
}

// own remembers whose it is that is kept, where there is a key.
func (m *Memory) own(tid int64, key [16]byte) {
	if key == [16]byte{} {
		return
	}
	if m.keys == nil {
		m.keys = make(map[int64][16]byte)
	}
	m.keys[tid] = key
}

// drop gives up what is kept of a transaction.
func (m *Memory) drop(tid int64) {
	n := int64(len(m.payloads[tid]))
	if old := m.unfinished[tid]; old != nil {
		n += int64(len(old.b))
	}
	if n == 0 {
		return
	}
	m.used -= n
	m.kept -= n
	delete(m.payloads, tid)
	delete(m.unfinished, tid)
	delete(m.keys, tid)
	if m.order[0] == tid {
		m.order = m.order[1:]
		return
	}
	m.order = slices.DeleteFunc(m.order, func(k int64) bool { return k == tid })
}
