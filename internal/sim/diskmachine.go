package sim

import (
	"os"
	"slices"
	"strconv"

	"mdalp/internal/disk"
)

// A Machine is one of several that share a Disk, as they share a network's. What it writes is in
// its own memory until it flushes that, which nobody else can; its loss of power takes what it
// had not flushed, and no names: those are the host's that has the disk.
type Machine struct {
	*Disk
	id    int
	boots int
}

// What becomes of a change. One that is adrift reached the memory of the disk's host from a machine
// that lost its power since: only the host itself could flush it, and it is nobody's.
const (
	adrift = -1
	onDisk = -2
	gone   = -3
)

// Machine gives another machine of the disk. Those that are not told apart, as by [Disk] itself,
// are one, on which the disk is.
func (d *Disk) Machine() *Machine {
	d.machines++
	return &Machine{Disk: d, id: d.machines}
}

// Boot implements disk.Folder.
func (m *Machine) Boot() string { return strconv.Itoa(m.id) + "." + strconv.Itoa(m.boots) }

// Make implements disk.Folder.
func (m *Machine) Make(name string, mode uint32) (disk.File, error) {
	return m.own(m.Disk.Make(name, mode))
}

// Open implements disk.Folder.
func (m *Machine) Open(name string, flags int) (disk.File, error) {
	return m.own(m.Disk.Open(name, flags))
}

func (m *Machine) own(f disk.File, err error) (disk.File, error) {
	if err == nil {
		f.(*diskFile).by = m.id
	}
	return f, err
}

// Stat implements disk.Folder.
func (m *Machine) Stat(name string) (disk.Fact, error) {
	f, err := m.Open(name, os.O_RDONLY)
	if err != nil {
		return disk.Fact{}, err
	}
	return f.Fact()
}

// Boots begins another start of the machine, whatever ended the last.
func (m *Machine) Boots() { m.boots++ }

// Closed says that a process of the machine has ended, which closed its files: what it had not
// flushed all see from now on, and only this machine can flush it.
func (m *Machine) Closed() {
	m.Disk.each(func(f *inode) { f.show(m.id) })
}

// show has all see what a machine has changed.
func (f *inode) show(by int) {
	for i := range f.changes {
		c := &f.changes[i]
		c.shown = c.shown || c.by == by
	}
}

// Unplug takes power from the machine, and from nothing else. keep says of each thing that it had
// not flushed whether it reached the disk's host, and of what did, once more, whether it is on
// the disk by now. It is for between two operations.
func (m *Machine) Unplug(keep func() bool) {
	m.Boots()
	m.Disk.each(func(f *inode) {
		f.lose(m.id, func(c change) int {
			switch {
			case !keep():
				return gone
			case keep():
				return onDisk
			}
			return adrift
		})
	})
}

// Outage takes power from the disk's host, and from nothing else: the machines write again what
// they had not flushed, and names are on the disk before anybody hears of them. keep says what is
// there of what had reached the host from machines that are gone.
func (d *Disk) Outage(keep func() bool) {
	d.each(func(f *inode) {
		f.lose(adrift, func(change) int {
			if keep() {
				return onDisk
			}
			return gone
		})
	})
}

// Evict has the kernel forget what it need not keep: what a flush that failed was about is as it is on
// the disk from then on. It is for between two operations.
func (d *Disk) Evict() {
	d.each((*inode).reread)
}

// each calls g for every file that has a name, or had one not long ago.
func (d *Disk) each(g func(*inode)) {
	seen := make(map[*inode]bool)
	once := func(f *inode) {
		if f != nil && !seen[f] {
			seen[f] = true
			g(f)
		}
	}
	for _, names := range []map[string]*inode{d.names, d.kept} {
		for _, name := range sorted(names) {
			once(names[name])
		}
	}
	for _, m := range d.moves {
		once(m.file)
	}
}

// lose has what becomes of each sector that was by says.
func (f *inode) lose(by int, says func(change) int) {
	var rest []change
	for _, c := range f.changes {
		if c.by != by {
			rest = append(rest, c)
			continue
		}
		for _, p := range c.sectors() {
			switch what := says(p); what {
			case onDisk:
				f.kept = p.done(f.kept)
			case adrift:
				p.by = adrift
				rest = append(rest, p)
			}
		}
	}
	f.changes = rest
	f.reread()
}

// reread has all see what is on the disk, and what is still to be flushed.
func (f *inode) reread() {
	f.data = slices.Clone(f.kept)
	for _, c := range f.changes {
		f.data = c.done(f.data)
	}
}

// flush brings what was changed by one machine to the disk; that of 0 is all.
func (f *inode) flush(by int) {
	var rest []change
	for _, c := range f.changes {
		if by != 0 && c.by != by {
			rest = append(rest, c)
		} else {
			f.kept = c.done(f.kept)
		}
	}
	f.changes = rest
}

// forget takes bytes for flushed that were not, after an error. The length that somebody gave the file
// stays to be flushed: a file system has that in a journal of its own, and after an error there it
// writes nothing more.
func (f *inode) forget(by int) {
	f.changes = slices.DeleteFunc(f.changes, func(c change) bool {
		return c.bytes != nil && (by == 0 || c.by == by)
	})
}

// seen is what a machine sees of a file.
func (f *inode) seen(d *Disk, by int) []byte {
	if by == 0 || !d.Apart || !slices.ContainsFunc(f.changes, func(c change) bool { return c.hidden(by) }) {
		return f.data
	}
	b := slices.Clone(f.kept)
	for _, c := range f.changes {
		if !c.hidden(by) {
			b = c.done(b)
		}
	}
	return b
}

// hidden reports whether a change is in another machine's memory alone.
func (c change) hidden(by int) bool { return c.by != by && c.by != adrift && !c.shown }

// sectors is a change in pieces that are on the disk whole or not at all.
func (c change) sectors() (ps []change) {
	if c.bytes == nil {
		return []change{c}
	}
	for at := int64(0); at < int64(len(c.bytes)); {
		end := min(((c.off+at)/sector+1)*sector-c.off, int64(len(c.bytes)))
		ps = append(ps, change{off: c.off + at, bytes: c.bytes[at:end], by: c.by})
		at = end
	}
	return ps
}

// done gives b with a change.
func (c change) done(b []byte) []byte {
	if c.bytes == nil {
		return resize(b, c.size)
	}
	b = resize(b, max(int64(len(b)), c.off+int64(len(c.bytes))))
	copy(b[c.off:], c.bytes)
	return b
}
