package server

import (
	"crypto/sha256"
	"errors"
	"io/fs"
	"os"
	"slices"
	"sync/atomic"

	"mdalp/internal/disk"
)

// A handle is an open file, for the sake of atomic.Pointer.
type handle struct{ disk.File }

// dirSpool is one transaction in a Dir.
type dirSpool struct {
	d    *Dir
	meta Meta
	own  string // whose it is, where several have one of a transaction, see [Writer]
	// f is opened when it is needed first: by the server's goroutine, or beside it for
	// a spool that was recovered.
	f      atomic.Pointer[handle]
	onDisk bool     // the spool file is there
	stuck  []string // suffixes of files that could not be removed, and are in the way
	high   int64

	// What the room has accounted for: bytes of the file, and the fixed rest of it.
	// Put adds to it, while Assemble reads none of it.
	stored, copies, files int64
	block                 int64 // that was written last

	// Of Assemble and Publish, which run one at a time.
	assembly  bool  // its file is there
	assembled int64 // bytes of it
	sum       [sha256.Size]byte
	published string // path
}

func (s *dirSpool) name(suffix string) string {
	if s.own != "" {
		suffix = "." + s.own + suffix
	}
	return fileName(s.meta.TID, suffix)
}

func (s *dirSpool) path(suffix string) string { return s.d.f.Full(s.name(suffix)) }

func (s *dirSpool) record() int64 { return int64(recordHead + s.meta.Segment) }

func (s *dirSpool) place(seq int64) int64 { return headBytes + seq*s.record() }

// Begin implements [Spool]. The number and the size of segments are those of Create.
func (s *dirSpool) Begin(m Meta) { s.meta.Client, s.meta.Offered = m.Client, m.Offered }

// Note implements [Spool]. It needs no room: the head is there, or comes with the first
// segment.
func (s *dirSpool) Note(seq int64) {
	if seq < s.high {
		return
	}
	s.high = seq + 1
	f := s.f.Load()
	if f == nil && s.onDisk {
		f, _ = s.open()
	}
	if f != nil {
		s.d.scratch = appendHigh(s.d.scratch[:0], s.high)
		f.WriteAt(s.d.scratch, headSealed)
	}
}

// Judged implements [Judger], as well as it can.
func (s *dirSpool) Judged() {
	if !s.onDisk {
		return
	}
	f := s.f.Load()
	if f == nil {
		f, _ = s.open()
	}
	if f != nil {
		f.WriteAt(appendHigh(nil, s.high|judgedBit), headSealed)
	}
}

// Put implements [Spool].
func (s *dirSpool) Put(seq int64, receiver int, data []byte, sum uint32) error {
	f := s.f.Load()
	if f == nil {
		var err error
		if f, err = s.open(); err != nil {
			return err
		}
	}
	size := int64(recordHead + len(data))
	off := s.place(seq)
	disk, end := blocks(off, size, s.block)
	if err := s.take(size, disk, int64(len(data)), 0); err != nil {
		return err
	}
	if need := int(size) + sealBytes; cap(s.d.scratch) < need {
		s.d.scratch = make([]byte, 0, recordHead+s.meta.Segment+sealBytes)
	}
	b := appendRecord(s.d.scratch[:0], s.meta.TID, seq, receiver, data, sum)
	// WriteAt fails unless all of it was written. What a failed one leaves behind is no
	// record, and the next try writes over it.
	if _, err := f.WriteAt(b, off); err != nil {
		s.give(size, int64(len(data)), 0)
		return err
	}
	s.block = end
	return nil
}

// open makes the spool file, or opens the one that is there.
func (s *dirSpool) open() (f *handle, err error) {
	if s.onDisk {
		g, err := s.d.f.Open(s.name(spoolSuffix), os.O_RDWR)
		if err != nil {
			return nil, err
		}
		f = &handle{g}
		if !s.f.CompareAndSwap(nil, f) {
			f.Close() // the other goroutine was first
		}
		return s.f.Load(), nil
	}
	if err := s.take(headBytes+diskBlock, diskBlock, diskBlock, 1); err != nil {
		return nil, err
	}
	g, err := s.make(spoolSuffix, 0o600)
	if err != nil {
		s.give(headBytes+diskBlock, diskBlock, 1)
		return nil, err
	}
	head := appendHigh(appendHead(nil, &s.meta)[:headSealed], s.high)
	if _, err = g.WriteAt(head, 0); err != nil {
		g.Close()
		s.remove(spoolSuffix)
		s.give(headBytes+diskBlock, diskBlock, 1)
		return nil, err
	}
	s.onDisk = true
	f = &handle{g}
	s.f.Store(f)
	return f, nil
}

// make makes one of the transaction's files. What has its name is in the way, unless it is one
// of ours that could not be removed.
func (s *dirSpool) make(suffix string, mode uint32) (disk.File, error) {
	if slices.Contains(s.stuck, suffix) {
		if err := s.d.f.Remove(s.name(suffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		s.stuck = slices.DeleteFunc(s.stuck, func(x string) bool { return x == suffix })
	}
	return s.d.f.Make(s.name(suffix), mode)
}

// remove removes one of them, now or before the next of that name.
func (s *dirSpool) remove(suffix string) {
	err := s.d.f.Remove(s.name(suffix))
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !slices.Contains(s.stuck, suffix) {
		s.stuck = append(s.stuck, suffix)
	}
}

func (s *dirSpool) take(n, disk, payload, files int64) error {
	if err := s.d.room.take(n, disk, payload, files); err != nil {
		return err
	}
	s.stored, s.copies, s.files = s.stored+n, s.copies+payload, s.files+files
	return nil
}

func (s *dirSpool) give(n, payload, files int64) {
	s.d.room.give(n, payload, files, 0)
	s.stored, s.copies, s.files = s.stored-n, s.copies-payload, s.files-files
}

// Publish implements [Spool].
func (s *dirSpool) Publish(partial bool) (string, error) {
	if s.published == "" {
		if !s.assembly {
			return "", ErrEmpty
		}
		suffix := wholeSuffix
		if partial {
			suffix = partialSuffix
		}
		if err := s.d.f.Rename(s.name(assemblySuffix), s.name(suffix)); err != nil {
			return "", err
		}
		s.published = s.path(suffix)
		s.d.room.give(s.assembled, 0, 0, s.assembled)
		s.copies -= s.assembled
		s.assembly, s.assembled = false, 0
	}
	// The name itself is on the disk only when the directory is (fsync(2)). Until then
	// the spool stays, for whoever comes next.
	if err := s.d.f.Flush(); err != nil {
		s.Keep()
		return s.published, err
	}
	s.Discard()
	return s.published, nil
}

// Discard implements [Spool]. A file that cannot be removed is left to the next
// Recover.
func (s *dirSpool) Discard() {
	s.close()
	if s.onDisk {
		s.d.f.Remove(s.name(spoolSuffix))
		s.onDisk = false
	}
	s.d.mu.Lock()
	delete(s.d.kept, s.meta.TID)
	s.d.mu.Unlock()
	s.reckon(0)
}

// Keep implements [Spool].
func (s *dirSpool) Keep() string {
	s.close()
	if !s.onDisk {
		return ""
	}
	s.d.mu.Lock()
	s.d.kept[s.meta.TID] = struct{}{}
	s.d.mu.Unlock()
	s.reckon(s.stored)
	return s.path(spoolSuffix)
}

// close lets go of everything but the spool file and what it accounts for.
func (s *dirSpool) close() {
	s.unassemble()
	if f := s.f.Swap(nil); f != nil {
		f.Close()
	}
}

// reckon ends the reckon, of which bytes stay.
func (s *dirSpool) reckon(stay int64) {
	s.d.room.give(s.stored, s.copies, s.files, stay)
	s.stored, s.copies, s.files = 0, 0, 0
}
