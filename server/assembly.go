package server

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"io"

	"mdalp/wire"
)

// blockBytes is how much is read and written at once while a payload is put
// together.
const blockBytes = 256 << 10

// A block is the scratch of one who reads a spool.
type block struct {
	in, out []byte
	seal    [sealBytes]byte
}

// Assemble implements [Spool].
func (s *dirSpool) Assemble(have []wire.Range) (sum [sha256.Size]byte, err error) {
	if s.published != "" { // and not flushed: that is all there is still to do
		return s.sum, nil
	}
	s.unassemble()
	out, err := s.make(assemblySuffix, 0o644)
	if err != nil {
		return sum, err
	}
	s.assembly = true
	w := &assembly{to: out, room: &s.d.room, busy: s.d.busy, hash: sha256.New()}
	if err = s.copy(w, have); err == nil && w.n == 0 {
		err = ErrEmpty
	}
	if err == nil {
		err = out.Sync()
	}
	if e := out.Close(); err == nil {
		err = e
	}
	s.assembled = w.n
	if err != nil {
		s.unassemble() // its room may be what someone else waits for
		return sum, err
	}
	s.sum = [sha256.Size]byte(w.hash.Sum(nil))
	return s.sum, nil
}

// unassemble removes the assembly, if there is one, and goes on keeping its room.
func (s *dirSpool) unassemble() {
	if s.assembly {
		s.remove(assemblySuffix)
		s.d.room.give(s.assembled, -s.assembled, 0, 0)
		s.assembly, s.assembled = false, 0
	}
}

// An assembly is written, hashed and accounted for.
type assembly struct {
	to   io.WriterAt
	room *room
	busy busy
	hash hash.Hash
	n    int64
}

func (a *assembly) Write(b []byte) (n int, err error) {
	a.busy.work(func() {
		n, err = a.to.WriteAt(b, a.n)
		a.hash.Write(b[:n])
	})
	a.n += int64(n)
	a.room.copied(int64(n))
	return n, err
}

// copy writes the data of the segments to w, in order and in large pieces.
func (s *dirSpool) copy(w io.Writer, have []wire.Range) error {
	f := s.f.Load()
	if f == nil {
		var err error
		if f, err = s.open(); err != nil {
			return err
		}
	}
	b := s.d.blocks.Get().(*block)
	defer s.d.blocks.Put(b)
	b.out = b.out[:0]
	most := max(1, blockBytes/s.record())
	for _, r := range have {
		for seq := r.First; seq <= r.Last; {
			n := min(r.Last-seq+1, most)
			in, err := s.read(f, b, seq, n)
			if err != nil {
				return err
			}
			for end := seq + n; seq < end; seq++ {
				_, data, ok := parseRecord(in, b.seal[:], s.meta.TID, seq)
				if !ok {
					// Someone else has written to the file, or the disk is broken.
					return fmt.Errorf("%s: segment %d is damaged", s.path(spoolSuffix), seq)
				}
				b.out = append(b.out, data...)
				in = in[min(int(s.record()), len(in)):]
			}
			if len(b.out) >= blockBytes/2 {
				if _, err := w.Write(b.out); err != nil {
					return err
				}
				b.out = b.out[:0]
			}
		}
	}
	_, err := w.Write(b.out)
	return err
}

// read gives what there is of n records from seq on. The file may end before, and
// within its last record, whose segment may be short.
func (s *dirSpool) read(f io.ReaderAt, b *block, seq, n int64) ([]byte, error) {
	if need := n * s.record(); int64(cap(b.in)) < need {
		b.in = make([]byte, need)
	}
	got, err := f.ReadAt(b.in[:n*s.record()], s.place(seq))
	if err == io.EOF {
		err = nil
	}
	return b.in[:got], err
}
