package server

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io/fs"
	"strings"
	"testing"
)

// A memory never holds more than its limit, whatever segments come; payloads make
// room, the oldest first; and all of it comes back.
func TestMemoryBounded(t *testing.T) {
	m := &Memory{Limit: 64 << 10}
	data := []byte(strings.Repeat("x", 100))
	for tid := int64(1); tid <= 20; tid++ {
		sp := newSpool(t, m, tid, 100)
		var full bool
		var have []Record
		for i := range int64(60) {
			// Far apart: a place costs more than the segment.
			err := sp.Put(i*200, 0, data, Sum(data))
			if err != nil && !errors.Is(err, ErrFull) {
				t.Fatal(err)
			}
			if err == nil {
				have = append(have, Record{Seq: i * 200})
			}
			full = full || err != nil
			if m.Used() > m.Limit {
				t.Fatalf("%d bytes used", m.Used())
			}
		}
		if !full || len(have) == 0 {
			t.Fatalf("%d fit, full %v", len(have), full)
		}
		// What was taken in can be put together.
		sum, err := sp.Assemble(ranges(have))
		if err != nil || sum != sha256.Sum256(bytes.Repeat(data, len(have))) {
			t.Fatal(err)
		}
		sp.Discard()
	}
	if m.Used() != 0 || m.Room() != 32<<10 {
		t.Errorf("%d bytes used in the end, room for %d", m.Used(), m.Room())
	}

	for tid := int64(1); tid <= 5; tid++ {
		sp := newSpool(t, m, tid, 1000)
		for i := range int64(20) {
			b := make([]byte, 1000)
			if err := sp.Put(i, 0, b, Sum(b)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := sp.Assemble(all(19)); err != nil {
			t.Fatal(err)
		}
		publish(t, sp, all(20), false, make([]byte, 20000))
	}
	for tid := int64(1); tid <= 5; tid++ {
		if b, ok := m.Payload(tid); ok != (tid == 5) || ok && len(b) != 20000 {
			t.Errorf("payload %d: %v", tid, ok)
		}
	}
	if _, err := m.Create(5, 100); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second payload 5: %v", err)
	}
	if m.Used() != 20000 || m.Room() != 32<<10 {
		t.Errorf("%d bytes used, room for %d", m.Used(), m.Room())
	}
	sp := newSpool(t, m, 6, 100)
	put(t, sp, 6, 100, 0)
	if path := publish(t, sp, all(1), true, piece(6, 0, 100)); path != "" || m.Used() != 20000 {
		t.Errorf("partial: %q, %d bytes used", path, m.Used())
	}
}

func TestMemoryEmpty(t *testing.T) {
	m := new(Memory)
	sp := newSpool(t, m, 7, 100)
	if _, err := sp.Publish(false); !errors.Is(err, ErrEmpty) {
		t.Error(err)
	}
	if _, err := sp.Assemble(nil); !errors.Is(err, ErrEmpty) {
		t.Error(err)
	}
	put(t, sp, 7, 100, 0)
	if path := sp.Keep(); path != "" || m.Used() != 0 {
		t.Errorf("kept %q, %d bytes", path, m.Used())
	}
	if rs, err := m.Recover(); rs != nil || err != nil {
		t.Errorf("%+v, %v", rs, err)
	}
	if _, ok := m.Payload(7); ok {
		t.Error("there is a payload")
	}
}

// Segments come while others are put together beside them.
func TestPutWhileAssembling(t *testing.T) {
	for _, s := range []Store{new(Memory), newDir(t, t.TempDir())} {
		sp := newSpool(t, s, 7, 100)
		put(t, sp, 7, 100, upTo(2000)...)
		done := make(chan error)
		go func() {
			for range 5 {
				if sum, err := sp.Assemble(all(2000)); err != nil || sum != sha256.Sum256(pieces(7, 2000, 100)) {
					done <- errors.Join(err, errors.New("not what it should be"))
					return
				}
			}
			done <- nil
		}()
		for seq := int64(2000); seq < 6000; seq++ {
			put(t, sp, 7, 100, seq)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		publish(t, sp, all(6000), false, pieces(7, 6000, 100))
	}
}
