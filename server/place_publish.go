package server

import (
	"crypto/sha256"
	"time"
)

// Hash implements [Place]. It reads what was just written, from the kernel's memory.
func (p *dirPlace) Hash(prefix int64) error {
	if err := p.renew(); err != nil {
		return err
	}
	f, err := p.file()
	if err != nil {
		return err
	}
	if p.hash == nil {
		p.hash = sha256.New()
	}
	b := p.d.blocks.Get().(*block)
	defer p.d.blocks.Put(b)
	if cap(b.in) < blockBytes {
		b.in = make([]byte, blockBytes)
	}
	for p.hashed < prefix {
		in := b.in[:min(blockBytes, prefix-p.hashed)]
		p.d.busy.work(func() {
			if _, err = f.ReadAt(in, p.hashed); err == nil {
				p.hash.Write(in)
			}
		})
		if err != nil {
			return err
		}
		p.hashed += int64(len(in))
	}
	return nil
}

// final is the name that the payload gets.
func (p *dirPlace) final() string {
	if p.d.names {
		if name := ClientName(p.meta.TID, p.meta.Name); name != "" {
			return name
		}
	}
	return p.name(wholeSuffix)
}

// Publish implements [Place].
func (p *dirPlace) Publish(want *[sha256.Size]byte) (sum [sha256.Size]byte, path string, err error) {
	if p.path == "" {
		if err := p.named(want); err != nil {
			return p.sum, "", err
		}
	}
	// The name itself is on the disk only when the directory is. Until then the journal
	// stays, for whoever comes next.
	err = p.d.f.Flush()
	p.close()
	p.reckon(p.size)
	if err != nil {
		return p.sum, p.path, err
	}
	if !p.meta.Key.sealed() {
		p.d.completed.add(p.done())
	}
	p.d.f.Remove(p.name(journalSuffix))
	return p.sum, p.path, nil
}

// done is what is to be remembered of it.
func (p *dirPlace) done() *done {
	return &done{tid: p.meta.TID, size: p.size, segment: p.meta.Segment, when: time.Now(), sum: p.sum,
		sealed: p.meta.Key.sealed(), key: p.meta.Key.Print}
}

// named checks and flushes the payload and gives it its name.
func (p *dirPlace) named(want *[sha256.Size]byte) error {
	if p.broken != nil {
		return p.broken
	}
	if err := p.Hash(p.size); err != nil {
		return err
	}
	p.hash.Sum(p.sum[:0])
	if want != nil && p.sum != *want {
		p.Discard()
		return ErrDamaged
	}
	f, err := p.file()
	if err != nil {
		return err
	}
	if err := p.breaks(f.Sync()); err != nil {
		return err
	}
	if p.meta.Key.sealed() { // or who has no key could resume it
		if err := p.d.completed.add(p.done()); err != nil {
			return err
		}
	}
	name := p.final()
	if err := p.d.f.Rename(p.name(partSuffix), name); err != nil {
		return err
	}
	p.path = p.d.f.Full(name)
	if name != p.name(wholeSuffix) {
		p.d.mu.Lock()
		p.d.named[p.meta.TID] = name
		p.d.mu.Unlock()
	}
	return nil
}
