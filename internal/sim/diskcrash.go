package sim

import (
	"math/rand/v2"
	"slices"
)

// Killed is the disk as the next process finds it after the death of the last one.
func (d *Disk) Killed() *Disk {
	n := d.copy()
	n.done, n.died, n.Stop, n.last = 0, false, 0, ""
	return n
}

// Unplugged is the disk as it is found after the loss of power. keep says of each thing that
// was not flushed whether it is there; it is asked in the order in which they came.
func (d *Disk) Unplugged(keep func() bool) *Disk {
	n := d.copy()
	n.done, n.died, n.Stop, n.last = 0, false, 0, ""
	n.boot++
	for _, m := range n.moves {
		if keep() {
			m.apply(n.kept)
		}
	}
	n.moves = nil
	n.names = make(map[string]*inode)
	for _, name := range sorted(n.kept) {
		f := n.kept[name]
		for _, c := range f.changes {
			f.kept = c.applied(f.kept, keep)
		}
		f.changes, f.data = nil, slices.Clone(f.kept)
		n.names[name] = f
	}
	return n
}

// Sometimes keeps things with that probability.
func Sometimes(rng *rand.Rand, p float64) func() bool {
	return func() bool { return rng.Float64() < p }
}

// copy is a disk that shares nothing with d.
func (d *Disk) copy() *Disk {
	n := *d
	files := make(map[*inode]*inode)
	twin := func(f *inode) *inode {
		if f == nil {
			return nil
		}
		if files[f] == nil {
			t := *f
			t.data, t.kept, t.changes = slices.Clone(f.data), slices.Clone(f.kept), slices.Clone(f.changes)
			t.failed = slices.Clone(f.failed)
			files[f] = &t
		}
		return files[f]
	}
	n.names, n.kept, n.moves = make(map[string]*inode), make(map[string]*inode), slices.Clone(d.moves)
	for name, f := range d.names { // order does not show
		n.names[name] = twin(f)
	}
	for name, f := range d.kept { // order does not show
		n.kept[name] = twin(f)
	}
	for k := range n.moves {
		n.moves[k].file = twin(n.moves[k].file)
	}
	return &n
}

func (m move) apply(names map[string]*inode) {
	if m.from != "" {
		delete(names, m.from)
	}
	if m.to != "" {
		names[m.to] = m.file
	}
}

// applied gives b with what is kept of a change.
func (c change) applied(b []byte, keep func() bool) []byte {
	for _, p := range c.sectors() {
		if keep() {
			b = p.done(b)
		}
	}
	return b
}

func resize(b []byte, n int64) []byte {
	if n <= int64(len(b)) {
		return b[:n:n]
	}
	return append(b, make([]byte, n-int64(len(b)))...)
}

func sorted(m map[string]*inode) (names []string) {
	for name := range m { // order does not show
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
