package server

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestHead(t *testing.T) {
	when := time.Unix(1700000000, 123456789)
	for _, m := range []Meta{
		{TID: 3740, Segment: 100, Client: netip.MustParseAddrPort("203.0.113.7:40000"), Offered: when},
		{TID: 1<<63 - 1, Segment: maxSegment, Client: netip.MustParseAddrPort("[2001:db8::7]:65535"), Offered: when},
		{TID: 1, Segment: 1, Client: netip.MustParseAddrPort("[fe80::1%wlan0]:1"), Offered: when},
		{TID: 1, Segment: 1, Client: netip.MustParseAddrPort("[fe80::1%4294967295]:1"), Offered: when},
		{TID: 1, Segment: 1, Client: netip.MustParseAddrPort("[::ffff:192.0.2.1]:1"), Offered: when},
		{TID: 1, Segment: 1, Offered: when},
	} {
		b := appendHead([]byte("before"), &m)[6:]
		if len(b) != headBytes {
			t.Fatalf("%d bytes", len(b))
		}
		got, err := parseHead(append(b, "behind"...))
		if err != nil || got.TID != m.TID || got.Segment != m.Segment || got.Client != m.Client || !got.Offered.Equal(m.Offered) {
			t.Errorf("%+v became %+v, %v", m, got, err)
		}
		for i := range headSealed * 8 {
			b[i/8] ^= 1 << (i % 8)
			if _, err := parseHead(b); err == nil {
				t.Errorf("bit %d turned over, and it is intact", i)
			}
			b[i/8] ^= 1 << (i % 8)
		}
	}
}

// What a head of ours may not say, although its CRC is right.
func TestHeadErrors(t *testing.T) {
	good := appendHead(nil, &Meta{TID: 7, Segment: 100, Client: netip.MustParseAddrPort("203.0.113.7:40000"), Offered: time.Unix(1, 0)})
	for _, tt := range []struct {
		want string
		with func(b []byte)
	}{
		{"not a spool", func(b []byte) { b[0] = 'm' }},
		{"version 2", func(b []byte) { b[9] = 2 }},
		{"segments of 0 bytes", func(b []byte) { b[10], b[11] = 0, 0 }},
		{"segments of 65535 bytes", func(b []byte) { b[10], b[11] = 255, 255 }},
	} {
		b := bytes.Clone(good)
		tt.with(b)
		binary.BigEndian.PutUint32(b[headSealed-4:], crc32.Checksum(b[:headSealed-4], castagnoli()))
		if _, err := parseHead(b); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v, want %s", err, tt.want)
		}
	}
	if _, err := parseHead(good[:headBytes-1]); err == nil {
		t.Error("a head without its last byte is intact")
	}
}

func TestHigh(t *testing.T) {
	for _, high := range []int64{0, 1, 1 << 40, 1<<63 - 1} {
		b := appendHigh(nil, high)
		if got, judged := parseHigh(b); len(b) != highBytes || got != high || judged {
			t.Errorf("%d became %d in %d bytes", high, got, len(b))
		}
		for i := range highBytes * 8 {
			b[i/8] ^= 1 << (i % 8)
			if got, judged := parseHigh(b); got != 0 || judged {
				t.Errorf("bit %d turned over, and it is %d", i, got)
			}
			b[i/8] ^= 1 << (i % 8)
		}
	}
	if got, judged := parseHigh(make([]byte, highBytes)); got != 0 || judged {
		t.Errorf("nothing became %d", got)
	}
	if got, judged := parseHigh(appendHigh(nil, 5|judgedBit)); got != 5 || !judged {
		t.Errorf("5 became %d, judged %v", got, judged)
	}
}

// A record is read back as it was written, in its own place alone.
func TestRecordProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tid, seq := rapid.Int64Range(0, 1<<62).Draw(t, "tid"), rapid.Int64Range(0, 1<<40).Draw(t, "seq")
		receiver := rapid.IntRange(0, 65535).Draw(t, "receiver")
		data := rapid.SliceOfN(rapid.Byte(), 1, 300).Draw(t, "data")
		b := appendRecord(make([]byte, 0, recordHead+len(data)+sealBytes), tid, seq, receiver, data, Sum(data))
		scratch := make([]byte, sealBytes)
		want := Record{Seq: seq, Sum: Sum(data), Length: uint16(len(data)), Receiver: uint16(receiver)}
		r, got, ok := parseRecord(append(bytes.Clone(b), "behind"...), scratch, tid, seq)
		if !ok || r != want || !bytes.Equal(got, data) {
			t.Fatal(cmp.Diff(want, r))
		}
		if _, _, ok := parseRecord(b, scratch, tid+1, seq); ok {
			t.Fatal("taken for another transaction's")
		}
		if _, _, ok := parseRecord(b, scratch, tid, seq+1); ok {
			t.Fatal("taken for another segment")
		}
		if _, _, ok := parseRecord(b[:rapid.IntRange(0, len(b)-1).Draw(t, "cut")], scratch, tid, seq); ok {
			t.Fatal("taken although it is cut off")
		}
		bit := rapid.IntRange(0, len(b)*8-1).Draw(t, "bit")
		b[bit/8] ^= 1 << (bit % 8)
		if _, _, ok := parseRecord(b, scratch, tid, seq); ok {
			t.Fatalf("taken although bit %d turned over", bit)
		}
	})
}
