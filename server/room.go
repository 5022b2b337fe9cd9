package server

import (
	"fmt"
	"sync"
	"time"

	"mdalp/internal/disk"
)

const (
	// diskBlock is what a file takes beyond its bytes: the rest of its last block, as
	// most file systems have it.
	diskBlock = 4096
	// The disk is asked again after a part of what was free, between these.
	askLeast = 16 << 10
	askMost  = 4 << 20
	// askAgain is how often a disk is asked that is full: on some it takes a while.
	askAgain = 100 * time.Millisecond
	// askFresh is how old what it said may be when somebody is told how much room there is: other
	// programs take some of it, too, and in a directory that is shared most of it.
	askFresh = time.Second
)

// room keeps account of what a Dir may still take in: of its own bound, and of the
// disk that it shares with others. It keeps place for the second copy of all that was
// taken in, for that is acknowledged.
type room struct {
	f        disk.Folder
	max      int64 // 0 is no bound
	reserve  int64
	overMax  error
	overDisk error

	mu        sync.Mutex
	accounted int64 // bytes in files that nobody works on
	news      int64 // all that ever came to those
	spools    int64 // bytes in spools, and in payloads that are being put together
	copies    int64 // bytes that putting together will still take
	files     int64 // that it will still make
	free      int64 // on the disk above the reserve, as far as we know
	left      int64 // of bytes until the disk is asked again
	changed   bool  // something was written since
	asked     time.Time
	now       func() time.Time
}

func (r *room) open(f disk.Folder, o DirOptions) error {
	_, _, all, err := f.Free()
	if err != nil {
		return err
	}
	r.f, r.max, r.reserve = f, o.MaxBytes, o.Reserve
	if r.now == nil {
		r.now = time.Now
	}
	switch {
	case r.reserve == 0:
		r.reserve = all / 100
	case r.reserve < 0:
		r.reserve = 0
	}
	// They are made once: a full store refuses every segment.
	r.overMax = fmt.Errorf("%s: %w: its bound is %d bytes", f.Path(), ErrFull, r.max)
	r.overDisk = fmt.Errorf("%s: %w: no more room on its disk, of which %d bytes stay free",
		f.Path(), ErrFull, r.reserve)
	r.ask()
	return nil
}

// ask asks the disk. What it does not tell is no bound.
func (r *room) ask() {
	free, files, _, err := r.f.Free()
	if err != nil {
		free, files = 1<<62, 1<<62
	}
	r.free = free - r.reserve
	if files < r.files {
		r.free = 0 // a payload would have no file to be in
	}
	r.left = min(max(r.free/64, askLeast), askMost)
	r.asked, r.changed = r.now(), false
}

// take accounts for n more bytes of a spool, whose payload takes that many bytes and
// files more. disk is the most that they may take of the disk, see blocks: what it was
// in truth is seen when the disk is asked.
func (r *room) take(n, disk, payload, files int64) error {
	r.mu.Lock()
	err := r.account(n, disk, payload, files)
	r.mu.Unlock()
	return err
}

func (r *room) account(n, disk, payload, files int64) error {
	if r.max > 0 && r.accounted+r.spools+r.copies+n+payload > r.max {
		return r.overMax
	}
	short := r.free < r.copies+disk+payload
	if r.left < disk || short && (r.changed || r.now().Sub(r.asked) >= askAgain) {
		r.ask()
		short = r.free < r.copies+disk+payload
	}
	if short {
		return r.overDisk
	}
	r.free -= disk
	r.left -= disk
	r.changed = true
	r.add(n, payload, files)
	return nil
}

// blocks is what n bytes at off take of the disk, when last is the block that was
// written last. Segments may come so far apart that each has blocks of its own.
func blocks(off, n, last int64) (disk, end int64) {
	first := off / diskBlock
	end = (off + n - 1) / diskBlock
	disk = (end - first + 1) * diskBlock
	if first == last {
		disk -= diskBlock
	}
	return disk, end
}

// found accounts for what is there already.
func (r *room) found(n, payload, files int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.add(n, payload, files)
}

func (r *room) add(n, payload, files int64) {
	r.spools += n
	r.copies += payload
	r.files += files
}

// copied accounts for n bytes of a payload that were written to its second copy.
func (r *room) copied(n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.free -= n
	r.left -= n
	r.changed = true
	r.add(n, -n, 0)
}

// give takes back what take, found and copied accounted for, of which settled bytes
// stay. What has become free is for the disk to say.
func (r *room) give(n, payload, files, settled int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.add(-n, -payload, -files)
	r.accounted += settled
	r.news += max(0, settled)
	r.left = 0
}

// counted says that files that nobody works on hold so many bytes. What has come since
// the count began, when news was that, may be in it or not, and is taken for missing.
func (r *room) counted(settled, before int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.accounted = settled + r.news - before
	r.left = 0
}

// published is how many bytes have come to files that nobody works on.
func (r *room) published() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.news
}

// payload is what Room says. A segment takes its place twice, and the head of its
// record; short ones, of 100 bytes, 2.08 of theirs.
func (r *room) payload() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, age := r.free-r.copies, r.now().Sub(r.asked)
	if r.left <= 0 || age >= askFresh || n < 2*diskBlock && (r.changed || age >= askAgain) {
		r.ask()
		n = r.free - r.copies
	}
	if r.max > 0 {
		n = min(n, r.max-r.accounted-r.spools-r.copies)
	}
	if n >= 1<<61 {
		return -1
	}
	return max(0, n-2*diskBlock) / 11 * 5
}
