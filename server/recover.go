package server

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"math"
	"os"
	"slices"

	"mdalp/internal/disk"
	"mdalp/wire"
)

// Recover implements [Store]. Of extended payloads there is what was taken, or, after a loss
// of power, what was flushed; see also places. A spool whose head is not intact is told and left alone,
// as is a payload that has neither name nor spool. Removed are what was put together
// and has no name yet, as its spool is there, the spool of a payload that was
// published, and one that holds nothing.
func (d *Dir) Recover() ([]Recovered, error) {
	spools := make(map[int64]bool)
	var tids, assemblies []int64
	left := leftovers{journals: make(map[int64]bool), parts: make(map[int64]bool)}
	err := d.f.Names(func(name string) error {
		switch tid, suffix, ok := parseName(name); {
		case !ok || left.note(d, name, tid, suffix):
		case suffix == spoolSuffix:
			spools[tid] = true
			tids = append(tids, tid)
		case suffix == assemblySuffix:
			assemblies = append(assemblies, tid)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var found []Recovered
	for _, tid := range assemblies {
		name := fileName(tid, assemblySuffix)
		err := errors.New("a payload without a name, whose spool is gone")
		if spools[tid] {
			err = d.f.Remove(name)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			found = append(found, Recovered{Meta: Meta{TID: tid}, Path: d.f.Full(name), Err: err})
		}
	}
	for _, tid := range tids {
		s := &dirSpool{d: d, meta: Meta{TID: tid}, onDisk: true}
		r := Recovered{Path: s.path(spoolSuffix)}
		var gone bool
		if gone, r.Err = s.revive(&r); gone {
			continue
		}
		r.Meta, r.High = s.meta, s.high
		if r.Err == nil {
			r.Spool, r.Segments = s, s.counted()
		}
		found = append(found, r)
	}
	// Where both are there, the spool comes first: a place is only made before it.
	found = append(found, d.places(&left)...)
	slices.SortStableFunc(found, func(a, b Recovered) int { return cmp.Compare(a.TID, b.TID) })
	if len(found) == 0 {
		return nil, nil
	}
	now, err := d.f.Clock()
	if err != nil {
		return nil, err
	}
	for i := range found {
		if r := &found[i]; !r.written.IsZero() {
			r.Silent = max(0, now.Sub(r.written))
		}
	}
	return found, nil
}

// revive reads the head, and when the last segment came. gone says that the spool was not
// needed any more.
func (s *dirSpool) revive(r *Recovered) (gone bool, err error) {
	name := s.name(spoolSuffix)
	f, err := s.d.f.Open(name, os.O_RDWR)
	if err != nil {
		return false, err
	}
	defer f.Close()
	is, err := f.Fact()
	if err != nil {
		return false, err
	}
	r.written = is.When
	var head [headBytes + 1]byte
	n, err := f.ReadAt(head[:], 0)
	if err != nil && err != io.EOF {
		return false, err
	}
	if n == 0 || n == headBytes {
		// The process was killed before the first segment was stored.
		if _, err := parseHead(head[:n]); n == 0 || err == nil {
			return true, s.d.f.Remove(name)
		}
	}
	m, err := parseHead(head[:n])
	if err == nil {
		s.high, r.Judged = parseHigh(head[headSealed:])
	}
	if err == nil && m.TID != s.meta.TID {
		err = fmt.Errorf("the spool of transaction %d", m.TID)
	}
	if err != nil {
		return false, &fs.PathError{Op: "recover", Path: f.Name(), Err: err}
	}
	s.meta = m
	for _, suffix := range []string{wholeSuffix, partialSuffix} {
		if there, err := disk.Exists(s.d.f, s.name(suffix)); err != nil {
			return false, err
		} else if there {
			return s.finish(suffix)
		}
	}
	return false, nil
}

// finish ends a Publish that was cut off between its last steps. A number is never
// given twice while a file of it is there, so payload and spool belong together; that
// is held against what they hold all the same, before anything is removed.
func (s *dirSpool) finish(suffix string) (gone bool, err error) {
	p, err := s.d.f.Open(s.name(suffix), os.O_RDONLY)
	if err != nil {
		return false, err
	}
	defer p.Close()
	defer s.close()
	var have []wire.Range
	for r, err := range s.segments() {
		if err != nil {
			return false, err
		}
		if k := len(have) - 1; k >= 0 && have[k].Last == r.Seq-1 {
			have[k].Last++
		} else {
			have = append(have, wire.Range{First: r.Seq, Last: r.Seq})
		}
	}
	whole := io.NewSectionReader(p, 0, math.MaxInt64)
	c := &comparison{with: whole}
	if err := s.copy(c, have); err != nil {
		return false, err
	}
	if n, _ := whole.Read(make([]byte, 1)); n != 0 || c.differs {
		return false, fmt.Errorf("%s: there is a payload of that number, which holds something else",
			p.Name())
	}
	if err := s.d.f.Flush(); err != nil {
		return false, err
	}
	return true, s.d.f.Remove(s.name(spoolSuffix))
}

// A comparison is written what a file should hold.
type comparison struct {
	with    io.Reader
	block   []byte
	differs bool
}

func (c *comparison) Write(b []byte) (int, error) {
	c.block = slices.Grow(c.block[:0], len(b))[:len(b)]
	_, err := io.ReadFull(c.with, c.block)
	if err == io.EOF || err == io.ErrUnexpectedEOF || err == nil && !bytes.Equal(b, c.block) {
		c.differs, err = true, nil
	}
	return len(b), err
}

// counted is segments, with an account of them.
func (s *dirSpool) counted() iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		n, payload, files := int64(headBytes+diskBlock), int64(diskBlock), int64(1)
		defer func() {
			s.stored, s.copies, s.files = s.stored+n, s.copies+payload, s.files+files
			s.d.room.found(n, payload, files)
		}()
		for r, err := range s.segments() {
			if err == nil {
				n += int64(recordHead + r.Length)
				payload += int64(r.Length)
			}
			if !yield(r, err) {
				return
			}
		}
	}
}

// segments reads the file from front to end. What is torn, or was never a record here,
// is stepped over. The file is closed then: there may be more spools than a process can
// have open.
func (s *dirSpool) segments() iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		f, err := s.d.f.Open(s.name(spoolSuffix), os.O_RDONLY)
		if err != nil {
			yield(Record{}, err)
			return
		}
		defer f.Close()
		b := s.d.blocks.Get().(*block)
		defer s.d.blocks.Put(b)
		most := max(1, blockBytes/s.record())
		for seq := int64(0); ; seq += most {
			// A spool may be far longer than what is in it.
			at := f.Data(s.place(seq))
			seq = max(seq, (at-headBytes)/s.record())
			if at == math.MaxInt64 || seq > MostBytes {
				return
			}
			in, err := s.read(f, b, seq, most)
			if err != nil {
				yield(Record{}, err)
				return
			}
			if len(in) == 0 {
				return
			}
			for i := range most {
				r, _, ok := parseRecord(in, b.seal[:], s.meta.TID, seq+i)
				if ok && !yield(r, nil) {
					return
				}
				in = in[min(int(s.record()), len(in)):]
			}
		}
	}
}
