package server

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// FuzzSpool gives a Dir any bytes for a spool. What it takes for records it can put
// together, what it does not know it leaves alone.
func FuzzSpool(f *testing.F) {
	m := Meta{TID: 7, Segment: 10, Client: spoolClient, Offered: spoolTime}
	head := appendHead(nil, &m)
	record := func(seq int64, data string) []byte {
		b := appendRecord(make([]byte, 0, 100), 7, seq, int(seq), []byte(data), Sum([]byte(data)))
		return append(b, make([]byte, 18-len(b))...)
	}
	whole := bytes.Join([][]byte{head, record(0, "0123456789"), record(1, "a"), make([]byte, 18), record(3, "bc")}, nil)
	f.Add([]byte(nil))
	f.Add(head)
	f.Add(whole)
	f.Add(whole[:len(whole)-12])
	f.Add(append(bytes.Clone(whole), record(5, "elsewhere")...))
	f.Add(append(bytes.Clone(head), bytes.Repeat([]byte{0xff}, 64)...))
	large := Meta{TID: 7, Segment: maxSegment, Offered: time.Unix(0, 0)}
	f.Add(append(appendHead(nil, &large), appendRecord(make([]byte, 0, 100), 7, 0, 65535, []byte("x"), Sum([]byte("x")))...))
	path := f.TempDir()
	d := newDir(f, path)
	file := filepath.Join(path, "7.spool")
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		rs, records := recovered(t, d)
		if len(rs) == 0 {
			if _, err := os.Stat(file); err == nil || len(b) != 0 && len(b) != headBytes {
				t.Fatalf("%d bytes are neither told nor gone", len(b))
			}
			return
		}
		r := rs[0]
		if len(rs) != 1 || r.TID != 7 || (r.Err == nil) != (r.Spool != nil) {
			t.Fatalf("%+v", rs)
		}
		if r.Err != nil {
			holds(t, file, b)
			return
		}
		var want []byte
		for i, rec := range records[0] {
			off := headBytes + rec.Seq*int64(recordHead+r.Segment) + recordHead
			data := b[off:][:rec.Length]
			if rec.Length == 0 || int(rec.Length) > r.Segment || rec.Sum != Sum(data) || i > 0 && rec.Seq <= records[0][i-1].Seq {
				t.Fatalf("%+v", rec)
			}
			want = append(want, data...)
		}
		var got bytes.Buffer // and no Assemble, whose flush takes longer than all else
		if err := r.Spool.(*dirSpool).copy(&got, ranges(records[0])); err != nil || !bytes.Equal(got.Bytes(), want) {
			t.Fatalf("%q, %v", got.Bytes(), err)
		}
		r.Spool.Discard()
		if got := names(t, path); got != "" {
			t.Fatalf("left %q", got)
		}
	})
}
