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
	sealed    bool
	key       [16]byte // the print of its key; zero if sealed, and it is lost
}

// of tells whether the payload is that of a key, none being one too.
func (d *done) of(k *Identity) bool {
	return d.sealed == k.sealed() && d.key == k.Print
}

// completed remembers what was published: records of doneBytes bytes in one file, the
// newest last, at most mostDone of them. It is a help and no proof: whoever finds nothing
// there looks at the payload itself, and a digest is always made anew before anybody is
// told of it. So it is not flushed, and its errors are nobody's. But whose a sealed payload is
// stands here alone: that is written, and flushed, before it gets its name.
//
//	record:  TID 8, size 8, segment 4, when 8 (seconds since 1970), digest 32, CRC 4
//
// The first bit of segment says that it was sealed. Right before such a record stands another
// one of size 0, whose digest begins with the print of the key.
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
	sealedMark   = 1 << 31
)

// appendAll appends all that is to be remembered of d.
func appendAll(b []byte, d *done) []byte {
	if d.sealed {
		k := done{tid: d.tid, when: d.when}
		copy(k.sum[:], d.key[:])
		b = appendDone(b, &k)
	}
	return appendDone(b, d)
}

func appendDone(b []byte, d *done) []byte {
	start := len(b)
	b = binary.BigEndian.AppendUint64(b, uint64(d.tid))
	b = binary.BigEndian.AppendUint64(b, uint64(d.size))
	segment := uint32(d.segment)
	if d.sealed {
		segment |= sealedMark
	}
	b = binary.BigEndian.AppendUint32(b, segment)
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
	segment := binary.BigEndian.Uint32(b[16:])
	d.segment, d.sealed = int(segment&^sealedMark), segment&sealedMark != 0
	d.when = time.Unix(int64(binary.BigEndian.Uint64(b[20:])), 0)
	copy(d.sum[:], b[28:])
	return d, true
}

// open opens the file, and makes it when it is not there.
func (c *completed) open() error {
	if c.file != nil {
		return nil
	}
	f, err := c.f.Open(completedName, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return err
	}
	is, err := f.Fact()
	if err != nil {
		f.Close()
		return err
	}
	c.file, c.end = f, is.Size/doneBytes*doneBytes
	return nil
}

func (c *completed) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.file != nil {
		c.file.Close()
		c.file = nil
	}
}

// add remembers one more. When there are too many, the older half is forgotten. A sealed one
// is flushed.
func (c *completed) add(d *done) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.open(); err != nil {
		return err
	}
	if c.end >= mostDone*doneBytes {
		c.halve()
	}
	b := appendAll(nil, d)
	if _, err := c.file.WriteAt(b, c.end); err != nil {
		return err
	}
	c.end += int64(len(b))
	if d.sealed {
		return c.file.Sync()
	}
	return nil
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
	there, err := disk.Exists(c.f, completedName)
	if c.file == nil && (err != nil || !there) || c.open() != nil {
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
			r, whole := parseDone(b[k:])
			switch {
			case !whole:
			case r.size == 0 && ok: // the key of the one behind it
				copy(d.key[:], r.sum[:])
				return d, true
			case r.size == 0 || ok: // a part of another one of that number
			default:
				if d, ok = r, true; !d.sealed {
					return d, true
				}
			}
		}
	}
	return d, ok
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
			if d, ok := parseDone(in); ok && d.size > 0 {
				m[d.tid] = d
			}
		}
		if err != nil {
			return m
		}
	}
}
