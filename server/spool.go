package server

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
)

// header is what stands before a segment in the spool file: its length, big
// endian. With it the file needs no table of lengths in memory.
const header = 2

// blockBytes is how much is read and written at once while a payload is put
// together.
const blockBytes = 256 << 10

// dirSpool is one transaction in a Dir. Segment seq has its place in the file at
// seq times the record size; what has not come is a hole (lseek(2), sparse files).
type dirSpool struct {
	d         *Dir
	tid       int64
	segment   int
	x         Index
	f         *os.File
	assembled bool
}

func (s *dirSpool) name(suffix string) string {
	return filepath.Join(s.d.path, strconv.FormatInt(s.tid, 10)+suffix)
}

func (s *dirSpool) size() int64 { return int64(header + s.segment) }

func (s *dirSpool) Index() *Index { return &s.x }

func (s *dirSpool) Put(seq int64, data []byte) (bool, error) {
	if s.x.Has(seq) {
		return false, nil
	}
	if s.f == nil {
		f, err := os.OpenFile(s.name(spoolSuffix), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return false, err
		}
		s.f = f
	}
	b := binary.BigEndian.AppendUint16(s.d.record[:0], uint16(len(data)))
	b = append(b, data...)
	s.d.record = b
	// WriteAt fails unless all of it was written. What a failed one leaves behind is
	// not in the index, and the next try writes over it.
	if _, err := s.f.WriteAt(b, seq*s.size()); err != nil {
		return false, err
	}
	return s.x.Add(seq, len(data)), nil
}

func (s *dirSpool) Assemble() (sum [sha256.Size]byte, err error) {
	out, err := os.OpenFile(s.name(assemblySuffix), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return sum, err
	}
	s.assembled = true // from here on there may be a file to remove
	hash := sha256.New()
	w := bufio.NewWriterSize(io.MultiWriter(out, hash), blockBytes)
	if err = s.copy(w); err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = out.Sync()
	}
	if e := out.Close(); err == nil {
		err = e
	}
	if err != nil {
		// The room may be what someone else waits for.
		os.Remove(out.Name())
		return sum, err
	}
	hash.Sum(sum[:0])
	return sum, nil
}

// copy writes the segments that are stored to w, in order.
func (s *dirSpool) copy(w io.Writer) error {
	size := s.size()
	most := max(1, blockBytes/size)
	if int64(len(s.d.block)) < most*size {
		s.d.block = make([]byte, most*size)
	}
	for seq := s.x.next(0, true); seq < s.x.high; seq = s.x.next(seq, true) {
		n := min(s.x.next(seq, false)-seq, most)
		b := s.d.block[:n*size]
		// The file may end within its last record, whose segment may be short.
		got, err := s.f.ReadAt(b, seq*size)
		if err != nil && err != io.EOF {
			return err
		}
		b = b[:got]
		for range n {
			if len(b) < header {
				return s.broken(seq)
			}
			length := int(binary.BigEndian.Uint16(b))
			if length == 0 || length > s.segment || header+length > len(b) {
				return s.broken(seq)
			}
			if _, err := w.Write(b[header : header+length]); err != nil {
				return err
			}
			b = b[min(int(size), len(b)):]
			seq++
		}
	}
	return nil
}

// broken is the error of a spool file that someone else has written to.
func (s *dirSpool) broken(seq int64) error {
	return fmt.Errorf("%s: segment %d is damaged", s.name(spoolSuffix), seq)
}

func (s *dirSpool) Publish(partial bool) (string, error) {
	name := s.name(wholeSuffix)
	if partial {
		name = s.name(partialSuffix)
	}
	if err := os.Rename(s.name(assemblySuffix), name); err != nil {
		s.Discard()
		return "", err
	}
	s.assembled = false
	s.Discard()
	// The name itself is on the disk only when the directory is (fsync(2)).
	if err := syncDir(s.d.path); err != nil {
		os.Remove(name)
		return "", err
	}
	return name, nil
}

// Discard removes the files. One that cannot be removed is left to the next
// NewDir: it is no reason to doubt the payload.
func (s *dirSpool) Discard() {
	if s.assembled {
		os.Remove(s.name(assemblySuffix))
		s.assembled = false
	}
	if s.f != nil {
		s.f.Close()
		os.Remove(s.f.Name())
		s.f = nil
	}
	s.x.compact()
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	err = d.Sync()
	if e := d.Close(); err == nil {
		err = e
	}
	return err
}
