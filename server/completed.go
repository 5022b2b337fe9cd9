package server

import (
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"
	"os"
	"sync"
	"time"

	"mdalp/internal/disk"
)

// A done is what is remembered of an extended payload that was published.
type done struct {
	tid, size int64
	segment   int
	when      time.Time
	sum       [sha256.Size]byte
}

// completed remembers what was published: records of doneBytes bytes in one file, the
// newest last, at most mostDone of them. It is a help and no proof: whoever finds nothing
// there looks at the payload itself, and a digest is always made anew before anybody is
// told of it. So it is not flushed, and its errors are nobody's.
//
//	record:  TID 8, size 8, segment 4, when 8 (seconds since 1970), digest 32, CRC 4
type completed struct {
	f disk.Folder

	mu   sync.Mutex
	file disk.File
	end  int64
}

const (
	doneBytes    = 64
	mostDone     = 1 << 16
	newCompleted = ".completed.new"
)

func appendDone(b []byte, d *done) []byte {
	start := len(b)
	b = binary.BigEndian.AppendUint64(b, uint64(d.tid))
	b = binary.BigEndian.AppendUint64(b, uint64(d.size))
	b = binary.BigEndian.AppendUint32(b, uint32(d.segment))
	b = binary.BigEndian.AppendUint64(b, uint64(d.when.Unix()))
	b = append(b, d.sum[:]...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli()))
}

func parseDone(b []byte) (d done, ok bool) {
	if len(b) < doneBytes || binary.BigEndian.Uint32(b[60:]) != crc32.Checksum(b[:60], castagnoli()) {
		return d, false
	}
	d.tid = int64(binary.BigEndian.Uint64(b))
	d.size = int64(binary.BigEndian.Uint64(b[8:]))
	d.segment = int(binary.BigEndian.Uint32(b[16:]))
	d.when = time.Unix(int64(binary.BigEndian.Uint64(b[20:])), 0)
	copy(d.sum[:], b[28:])
	return d, true
}

// open opens the file, and makes it when it is not there.
func (c *completed) open() bool {
	if c.file != nil {
		return true
	}
	f, err := c.f.Open(completedName, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return false
	}
	is, err := f.Fact()
	if err != nil {
		f.Close()
		return false
	}
	c.file, c.end = f, is.Size/doneBytes*doneBytes
	return true
}

func (c *completed) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.file != nil {
		c.file.Close()
		c.file = nil
	}
}

// add remembers one more. When there are too many, the older half is forgotten.
func (c *completed) add(d *done) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.open() {
		return
	}
	if c.end >= mostDone*doneBytes {
		c.halve()
	}
	if _, err := c.file.WriteAt(appendDone(nil, d), c.end); err == nil {
		c.end += doneBytes
	}
}

// halve writes the newer half to a new file.
func (c *completed) halve() {
	b := make([]byte, c.end/2/doneBytes*doneBytes)
	if _, err := c.file.ReadAt(b, c.end-int64(len(b))); err != nil {
		return
	}
	c.f.Remove(newCompleted)
	n, err := c.f.Make(newCompleted, 0o600)
	if err != nil {
		return
	}
	if _, err = n.WriteAt(b, 0); err == nil {
		err = c.f.Replace(newCompleted, completedName)
	}
	if err != nil {
		n.Close()
		c.f.Remove(newCompleted)
		return
	}
	c.file.Close()
	c.file, c.end = n, int64(len(b))
}

// find gives what is remembered of a transaction.
func (c *completed) find(tid int64) (d done, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if there, err := disk.Exists(c.f, completedName); c.file == nil && (err != nil || !there) || !c.open() {
		return d, false
	}
	b := make([]byte, 1024*doneBytes)
	for end := c.end; end > 0; end -= int64(len(b)) {
		b = b[:min(int64(len(b)), end)]
		if _, err := c.file.ReadAt(b, end-int64(len(b))); err != nil {
			return d, false
		}
		for k := len(b) - doneBytes; k >= 0; k -= doneBytes {
			if int64(binary.BigEndian.Uint64(b[k:])) != tid {
				continue
			}
			if d, ok = parseDone(b[k:]); ok {
				return d, true
			}
		}
	}
	return done{}, false
}

// all gives all that is remembered, by transaction.
func (c *completed) all() map[int64]done {
	m := make(map[int64]done)
	f, err := c.f.Open(completedName, os.O_RDONLY)
	if err != nil {
		return m
	}
	defer f.Close()
	b := make([]byte, 1024*doneBytes)
	for at := int64(0); ; at += int64(len(b)) {
		n, err := f.ReadAt(b, at)
		for in := b[:n]; len(in) >= doneBytes; in = in[doneBytes:] {
			if d, ok := parseDone(in); ok {
				m[d.tid] = d
			}
		}
		if err != nil {
			return m
		}
	}
}
