package server

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"mdalp/wire"
)

// A Writer is the spool that one of several receivers has of a base transaction, in a
// [Shared] directory. Its methods are called from one goroutine, but for Sync.
type Writer struct {
	s     *dirSpool
	index Index
	over  bool // a segment came that could not be stored
}

// SpoolName is the name of a receiver's spool.
func SpoolName(tid int64, writer string) string { return fileName(tid, "."+writer+spoolSuffix) }

// writer is the spool of that receiver, which may not be there.
func (s *Shared) writer(m Meta, writer string) *dirSpool {
	return &dirSpool{d: s.d, meta: m, own: writer}
}

// OpenSpool opens the spool of that receiver, with what is in it. One that is not there is made
// with the first segment. It fails as the disk does.
func (s *Shared) OpenSpool(m Meta, writer string) (*Writer, error) {
	w := &Writer{s: s.writer(m, writer)}
	err := w.read()
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return w, err
}

// read reads what is in the file.
func (w *Writer) read() error {
	f, err := w.s.d.f.Open(w.s.name(spoolSuffix), os.O_RDONLY)
	if err != nil {
		return err
	}
	head := make([]byte, headBytes)
	n, err := f.ReadAt(head, 0)
	f.Close()
	if err != nil && err != io.EOF {
		return err
	}
	w.s.onDisk = true
	if n == headBytes {
		w.s.high, _ = parseHigh(head[headSealed:])
	}
	// Without its head it is what a loss of power left, or what its process is about to make. What
	// the head says is known without it, and each record stands for itself.
	m, err := parseHead(head[:n])
	if err == nil && m.TID != w.s.meta.TID {
		return fmt.Errorf("%s: the spool of transaction %d", w.s.path(spoolSuffix), m.TID)
	}
	if err == nil {
		w.s.meta = m
	}
	for r, err := range w.s.segments() {
		if err != nil {
			return err
		}
		w.index.Add(r.Seq, int(r.Length), r.Sum)
	}
	if w.s.high > 0 {
		w.over = w.s.high > w.index.High()
		w.index.Note(w.s.high - 1)
	}
	return nil
}

// Put stores a segment that came; known says that it was there before, with the same bytes.
// Where it is shut nothing new is taken. Neither is true of what is not to be acknowledged.
func (w *Writer) Put(seq int64, data []byte, shut bool) (taken, known bool, err error) {
	if seq >= MostBytes/DefaultSegmentLimit || len(data) == 0 {
		return false, false, nil
	}
	sum := Sum(data)
	switch {
	case w.index.Has(seq):
		return false, w.index.Sum(seq) == sum, nil
	case shut:
		return false, false, nil
	case len(data) > w.s.meta.Segment:
		// It exists and is not here: without it the payload is not whole.
		w.refuse(seq)
		return false, false, nil
	}
	if err := w.s.Put(seq, 0, data, sum); err != nil {
		w.refuse(seq)
		return false, false, err
	}
	w.index.Add(seq, len(data), sum)
	return true, false, nil
}

func (w *Writer) refuse(seq int64) {
	if seq >= w.index.High() {
		w.s.Note(seq)
	}
	w.index.Note(seq)
	w.over = true
}

// Meta is what its head says of the transaction; without one, what it was opened with.
func (w *Writer) Meta() Meta { return w.s.meta }

// Have is which segments are there, of how many bytes, one more than the highest SEQ that
// came, and whether one came that could not be stored and has not come again.
func (w *Writer) Have() (have []wire.Range, bytes, high int64, over bool) {
	return w.index.Stored(nil), w.index.Bytes(), w.index.High(), w.over && !w.index.Whole()
}

// Sync brings what is there to the disk. It may block, and is called beside the others.
func (w *Writer) Sync() error {
	f := w.s.f.Load()
	if f == nil {
		return nil
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return w.s.d.f.Flush()
}

// Close lets go of its file, which stays.
func (w *Writer) Close() {
	w.s.close()
	w.s.reckon(0)
}

// SpoolOf gives what the spool of a receiver holds that is not asked itself, as Writer.Have
// does. Without a spool that is nothing.
func (s *Shared) SpoolOf(tid int64, writer string) (have []wire.Range, bytes, high int64, over bool,
	err error) {
	w, err := s.OpenSpool(Meta{TID: tid, Segment: DefaultSegmentLimit}, writer)
	if err != nil {
		return nil, 0, 0, false, err
	}
	have, bytes, high, over = w.Have()
	return have, bytes, high, over, nil
}

// Assemble puts the segments of all writers together in a file of that name, flushed, and
// gives its digest and what of the transaction is there, in rising ranges. Two writers with
// the same segment and other bytes are an error, as nobody knows whose are right.
func (s *Shared) Assemble(tid int64, writers []string, name string) (sum [sha256.Size]byte,
	have []wire.Range, err error) {
	ws := make([]*Writer, len(writers))
	var high int64
	for i, id := range writers {
		if ws[i], err = s.OpenSpool(Meta{TID: tid, Segment: DefaultSegmentLimit}, id); err != nil {
			return sum, nil, err
		}
		defer ws[i].s.close()
		high = max(high, ws[i].index.High())
	}
	if err := s.d.f.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return sum, nil, err
	}
	out, err := s.d.f.Make(name, 0o644)
	if err != nil {
		return sum, nil, err
	}
	defer out.Close()
	a := &assembly{to: out, room: &s.d.room, busy: s.d.busy, hash: sha256.New()}
	for seq := int64(0); seq < high; {
		i, n, err := firstWith(ws, seq, high)
		if err != nil {
			return sum, nil, err
		}
		if i >= 0 {
			r := wire.Range{First: seq, Last: seq + n - 1}
			if err := ws[i].s.copy(a, []wire.Range{r}); err != nil {
				return sum, nil, err
			}
			have = Union(high, have, []wire.Range{r})
		}
		seq += n
	}
	if err := out.Sync(); err != nil {
		return sum, nil, err
	}
	return [sha256.Size]byte(a.hash.Sum(nil)), have, nil
}

// firstWith is a writer that has segment seq, and how many it has in a row from there on; -1
// where nobody has it.
func firstWith(ws []*Writer, seq, high int64) (i int, n int64, err error) {
	i = slices.IndexFunc(ws, func(w *Writer) bool { return w.index.Has(seq) })
	if i < 0 {
		return -1, 1, nil
	}
	for n < high-seq && ws[i].index.Has(seq+n) {
		for _, w := range ws {
			if w.index.Has(seq+n) && w.index.Sum(seq+n) != ws[i].index.Sum(seq+n) {
				return i, 0, fmt.Errorf("%s: segment %d is another one than in %s",
					w.s.path(spoolSuffix), seq+n, ws[i].s.path(spoolSuffix))
			}
		}
		n++
	}
	return i, n, nil
}
