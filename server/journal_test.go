package server

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"mdalp/wire"
)

func TestJournalHead(t *testing.T) {
	for _, m := range []Meta{
		{TID: 7, Segment: 1200, Client: spoolClient, Offered: spoolTime, Name: "räksmörgås.txt"},
		{TID: 1<<63 - 1, Segment: wire.MaxSegment, Client: netip.MustParseAddrPort("[fe80::1%eth0]:1"), Offered: spoolTime, Name: strings.Repeat("n", 255)},
		{TID: 0, Segment: 1, Offered: spoolTime},
		{TID: 7, Segment: 100, Offered: spoolTime, Key: Identity{Print: [16]byte{15: 1}}},
		{TID: 7, Segment: 100, Offered: spoolTime, Name: strings.Repeat("n", 255), Key: Identity{strings.Repeat("k", 64), [16]byte{1}}},
	} {
		b := appendJournalHead(nil, &m, 5000)
		got, size, err := parseJournalHead(b)
		if err != nil || len(b) != journalHead || size != 5000 || !got.Offered.Equal(m.Offered) {
			t.Errorf("%+v became %+v, %d bytes, %v", m, got, size, err)
		}
		if got.Offered = m.Offered; got != m {
			t.Errorf("%+v became %+v", m, got)
		}
		for i := range journalHead * 8 {
			b[i/8] ^= 1 << (i % 8)
			if _, _, err := parseJournalHead(b); err == nil {
				t.Fatalf("bit %d turned over, and it is intact", i)
			}
			b[i/8] ^= 1 << (i % 8)
		}
	}
	good := appendJournalHead(nil, &Meta{TID: 7, Segment: 100}, 1)
	for _, tt := range []struct {
		want string
		with func(b []byte)
	}{
		{"version 3", func(b []byte) { b[9] = 3 }},
		{"a sealed payload without a key", func(b []byte) { b[9] = 2 }},
		{"segments of 0 bytes", func(b []byte) { b[10], b[11] = 0, 0 }},
		{"segments of 65535 bytes", func(b []byte) { b[10], b[11] = 255, 255 }},
		{"a payload of 0 bytes", func(b []byte) { binary.BigEndian.PutUint64(b[sizeAt:], 0) }},
		{"a payload of -1 bytes", func(b []byte) { binary.BigEndian.PutUint64(b[sizeAt:], 1<<64-1) }},
		{"a name of 256 bytes", func(b []byte) { binary.BigEndian.PutUint16(b[nameAt-2:], 256) }},
	} {
		b := bytes.Clone(good)
		tt.with(b)
		binary.BigEndian.PutUint32(b[journalHead-4:], crc32.Checksum(b[:journalHead-4], castagnoli()))
		if _, _, err := parseJournalHead(b); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v, want %s", err, tt.want)
		}
	}
	if _, _, err := parseJournalHead(good[:journalHead-1]); err == nil {
		t.Error("a short one is intact")
	}
}

// What an entry says is believed of its own transaction alone, and what is taken, while the
// machine runs.
func TestEntry(t *testing.T) {
	r := wire.Range{First: 3, Last: 1 << 40}
	s := newSealer(7, "boot")
	taken, stable := s.appendTaken(nil, r), s.appendStable(nil, r)
	for _, tt := range []struct {
		name          string
		by            sealer
		taken, stable bool
	}{
		{"its own", s, true, true},
		{"after another start of the machine", newSealer(7, "boots"), false, true},
		{"another transaction", newSealer(8, "boot"), false, false},
	} {
		if got, flushed, ok := tt.by.parseEntry(taken); ok != tt.taken || ok && (got != r || flushed) {
			t.Errorf("%s, taken: %v, %t", tt.name, got, ok)
		}
		if got, flushed, ok := tt.by.parseEntry(stable); ok != tt.stable || ok && (got != r || !flushed) {
			t.Errorf("%s, stable: %v, %t", tt.name, got, ok)
		}
	}
	for i := range entryBytes * 8 {
		for _, b := range [][]byte{taken, stable} {
			b[i/8] ^= 1 << (i % 8)
			if got, _, ok := s.parseEntry(b); ok {
				t.Errorf("bit %d turned over, and it is %v", i, got)
			}
			b[i/8] ^= 1 << (i % 8)
		}
	}
	if _, _, ok := s.parseEntry(s.appendTaken(nil, wire.Range{First: 2, Last: 1})); ok {
		t.Error("a range that ends before it begins")
	}
	if _, _, ok := s.parseEntry(make([]byte, entryBytes)); ok {
		t.Error("nothing is an entry")
	}
}

// Ranges are put into a set as their numbers are one by one.
func TestPutRanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s, one rangeSet
		for range rapid.IntRange(0, 40).Draw(t, "steps") {
			first := rapid.Int64Range(0, 60).Draw(t, "first")
			r := wire.Range{First: first, Last: first + rapid.Int64Range(0, 12).Draw(t, "more")}
			all := true
			for k := r.First; k <= r.Last; k++ {
				all = all && one.has(k)
			}
			if s.covers(r) != all {
				t.Fatalf("%v covers %v: %t", s.rs, r, !all)
			}
			s.put(r)
			for k := r.First; k <= r.Last; k++ {
				one.add(k, true)
			}
			if !slices.Equal(s.rs, one.rs) || s.n != one.n || !s.covers(r) {
				t.Fatalf("%v of %d, want %v of %d", s.rs, s.n, one.rs, one.n)
			}
		}
	})
}

// FuzzJournal reads journals of any content. What they say lies within the payload, and
// written anew they say the same.
func FuzzJournal(f *testing.F) {
	m := Meta{TID: 7, Segment: 100, Client: spoolClient, Offered: spoolTime, Name: "n"}
	s := newSealer(7, "boot")
	head := appendJournalHead(nil, &m, 100_000)
	for _, sealed := range []bool{false, true} {
		f.Add([]byte{}, sealed)
		f.Add(head, sealed)
		f.Add(s.appendTaken(bytes.Clone(head), wire.Range{First: 0, Last: 9}), sealed)
		f.Add(s.appendStable(s.appendTaken(bytes.Clone(head), wire.Range{First: 5, Last: 9}), wire.Range{First: 7, Last: 999}), sealed)
		f.Add(append(s.appendStable(bytes.Clone(head), wire.Range{First: 7, Last: 1000}), "torn"...), sealed)
		f.Add(append(bytes.Clone(head), bytes.Repeat([]byte{0xff}, 50)...), sealed)
	}
	m.Key = Identity{"north", [16]byte{1}}
	f.Add(s.appendStable(appendJournalHead(nil, &m, 100_000), wire.Range{First: 7, Last: 999}), true)
	f.Fuzz(func(t *testing.T, b []byte, sealed bool) {
		if sealed { // what no accident passes: its sums are right
			b = resealed(b)
		}
		m, size, err := parseJournalHead(b)
		if err != nil {
			return
		}
		total := segmentsOf(size, m.Segment)
		s := newSealer(m.TID, "boot")
		var taken, stable rangeSet
		s.read(b[journalHead:], total, &taken, &stable)
		again := appendJournalHead(nil, &m, size)
		for _, x := range []*rangeSet{&taken, &stable} {
			last := int64(-2)
			for _, r := range x.rs {
				if r.First <= last+1 || r.Last < r.First || r.Last >= total {
					t.Fatalf("%v in a payload of %d segments", x.rs, total)
				}
				last = r.Last
				if x == &taken {
					again = s.appendTaken(again, r)
				} else {
					again = s.appendStable(again, r)
				}
			}
		}
		is, bytes, err := parseJournalHead(again)
		if err != nil || bytes != size || !is.Offered.Equal(m.Offered) || is.Key != m.Key {
			t.Fatalf("%+v became %+v, %v", m, is, err)
		}
		var taken2, stable2 rangeSet
		s.read(again[journalHead:], total, &taken2, &stable2)
		if d := cmp.Diff(taken.rs, taken2.rs) + cmp.Diff(stable.rs, stable2.rs); d != "" {
			t.Fatal(d)
		}
	})
}

// resealed gives a journal of any content the sums that it should have.
func resealed(b []byte) []byte {
	if len(b) < journalHead {
		return b
	}
	b = bytes.Clone(b)
	copy(b, journalMagic)
	binary.BigEndian.PutUint16(b[8:], journalVersion+uint16(b[9]&1)) // in the clear or sealed
	binary.BigEndian.PutUint32(b[journalHead-4:], crc32.Checksum(b[:journalHead-4], castagnoli()))
	s := newSealer(parseMeta(b[10:]).TID, "boot")
	for e := b[journalHead:]; len(e) >= entryBytes; e = e[entryBytes:] {
		first, last := binary.BigEndian.Uint64(e), int64(binary.BigEndian.Uint64(e[8:]))
		seed := s.taken
		if first&stableBit != 0 {
			seed = s.stable
		}
		copy(e, appendEntry(nil, first, last, seed))
	}
	return b
}
