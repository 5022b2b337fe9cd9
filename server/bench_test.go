package server

import (
	"testing"

	"mdalp/loop"
	"mdalp/wire"
)

// A new segment of 100 bytes and its acknowledgement, 100,000 a transaction.
func BenchmarkSegment(b *testing.B) {
	stores := map[string]Store{"memory": new(Memory)}
	d, err := NewDir(b.TempDir(), DirOptions{})
	if err != nil {
		b.Fatal(err)
	}
	stores["dir"] = d
	for _, kind := range []string{"memory", "dir"} {
		b.Run(kind, func(b *testing.B) {
			in, out := make([]byte, 0, 256), make([]byte, 0, 256)
			data := random(100)
			e, back := &loop.Envelope{Peer: client, Local: sao}, new(loop.Envelope)
			b.SetBytes(100)
			b.ReportAllocs()
			var r *rig
			for i := range b.N {
				seq := int64(i % 100_000)
				if seq == 0 {
					b.StopTimer()
					r = newRig(b, Config{FirstTID: 1, Store: stores[kind], Receivers: one})
					r.to(orch, client, "Type:0;")
					b.StartTimer()
				}
				in = wire.AppendData(in[:0], r.s.next-1, seq, data)
				r.s.Receive(r.now, e, in)
				if _, ok := r.s.Transmit(r.now, back, out); !ok {
					b.Fatal("no acknowledgement")
				}
				if seq == 99_999 || i == b.N-1 {
					b.StopTimer()
					for _, t := range r.s.slots[timers:] {
						t.spool.Discard()
					}
					b.StartTimer()
				}
			}
		})
	}
}

// A segment of the base protocol and its acknowledgement allocate nothing. What remembers
// its fingerprint is made for 64 of them at once.
func TestSegmentAllocations(t *testing.T) {
	d, err := NewDir(t.TempDir(), DirOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, Config{FirstTID: 1, Store: d, Receivers: one})
	r.to(orch, client, "Type:0;")
	in, out := make([]byte, 0, 256), make([]byte, 0, 256)
	data := random(100)
	e, back := &loop.Envelope{Peer: client, Local: sao}, new(loop.Envelope)
	seq := int64(0)
	each := testing.AllocsPerRun(100, func() {
		for range 64 {
			in = wire.AppendData(in[:0], r.s.next-1, seq, data)
			seq++
			r.s.Receive(r.now, e, in)
			if _, ok := r.s.Transmit(r.now, back, out); !ok {
				t.Fatal("no acknowledgement")
			}
		}
	})
	if each > 1 {
		t.Errorf("%v allocations for 64 segments, want 1", each)
	}
}
