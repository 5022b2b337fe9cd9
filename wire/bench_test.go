package wire_test

import (
	"testing"

	"mdalp/wire"
)

// The benchmarks' results go here, so that no call can be left out.
var (
	sinkMessage   wire.Message
	sinkReceivers []wire.Receiver
	sinkRanges    []wire.Range
	sinkBytes     []byte
)

func BenchmarkParse(b *testing.B) {
	for _, bm := range []struct{ name, in string }{
		{"ack", "Type:3;TID:3740;SEQ:30;"},
		{"ack of big numbers", "Type:3;TID:9223372036854775807;SEQ:9223372036854775807;"},
		{"data", "Type:2;TID:3740;SEQ:30;DATA:" + hundred},
		{"intent", "Type:0;"},
		{"junk", "Tipe:3;TID:3740;SEQ:30;"},
	} {
		b.Run(bm.name, func(b *testing.B) {
			in := []byte(bm.in)
			b.ReportAllocs()
			for b.Loop() {
				sinkMessage, _ = wire.Parse(in)
			}
		})
	}
}

func BenchmarkAppend(b *testing.B) {
	buf := make([]byte, 0, 256)
	data := []byte(hundred)
	for _, bm := range []struct {
		name string
		f    func()
	}{
		{"data header", func() { sinkBytes = wire.AppendDataHeader(buf, 3740, 30) }},
		{"data", func() { sinkBytes = wire.AppendData(buf, 3740, 30, data) }},
		{"ack", func() { sinkBytes = wire.AppendAck(buf, 3740, 30) }},
		{"ack of big numbers", func() { sinkBytes = wire.AppendAck(buf, wire.MaxNumber, wire.MaxNumber) }},
	} {
		b.Run(bm.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				bm.f()
			}
		})
	}
}

func BenchmarkReceivers(b *testing.B) {
	b.Run("parse three", func(b *testing.B) {
		in := []byte(captured)
		b.ReportAllocs()
		for b.Loop() {
			sinkReceivers, _ = wire.ParseReceivers(in)
		}
	})
	b.Run("append three", func(b *testing.B) {
		rs, err := wire.ParseReceivers([]byte(captured))
		if err != nil {
			b.Fatal(err)
		}
		buf := make([]byte, 0, 1024)
		b.ReportAllocs()
		for b.Loop() {
			sinkBytes = wire.AppendReceivers(buf, rs)
		}
	})
}

func BenchmarkParseRanges(b *testing.B) {
	in := []byte("30-41,45,47-52;")
	b.ReportAllocs()
	for b.Loop() {
		sinkRanges, _ = wire.ParseRanges(in)
	}
}
