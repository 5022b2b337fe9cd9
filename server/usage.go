package server

// A Usage is what a [Dir] holds and may still take in, in bytes.
type Usage struct {
	// Held is what payloads, spools and journals hold, those that were counted: whole
	// payloads of former processes only where MaxBytes bounds the directory.
	Held int64
	// Promised is what putting together what has come will still take.
	Promised int64
	// Max is the bound of the directory; 0 is none. Reserve is what stays free on the disk.
	Max, Reserve int64
}

// Usage tells how much the directory holds. Unlike other methods it may be called by any
// goroutine: it asks nobody, and holds up a segment no longer than another segment would.
func (d *Dir) Usage() Usage {
	r := &d.room
	r.mu.Lock()
	defer r.mu.Unlock()
	return Usage{Held: r.accounted + r.spools, Promised: r.copies, Max: r.max, Reserve: r.reserve}
}

// Disk tells how many bytes are free on the directory's disk, and how many it has in all. Any
// goroutine may ask. It may block as long as the disk does not answer; the error is that of
// statfs(2).
func (d *Dir) Disk() (free, all int64, err error) {
	free, _, all, err = d.f.Free()
	return free, all, err
}
