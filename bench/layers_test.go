package bench

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"mdalp/sched"
	"mdalp/wire"
)

// segment is the payload of a datagram in bytes; counts are the numbers of receivers that
// everything is measured with.
const segment = 100

var counts = []int{1, 10, 64, 1000}

// The layers below the loop, each by itself. Results go here, so that no call can be
// left out.
var (
	sinkBytes   []byte
	sinkMessage wire.Message
	sinkShares  []int64
)

var epoch = time.Unix(1_000_000_000, 0)

// BenchmarkCodec is the text of one segment and of its acknowledgement, and the offer
// that stands at the beginning of it all.
func BenchmarkCodec(b *testing.B) {
	data := make([]byte, segment)
	buf := make([]byte, 0, 256)
	ack := []byte("Type:3;TID:3740;SEQ:123456;")
	b.Run("data", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			sinkBytes = wire.AppendData(buf, 3740, 123456, data)
		}
	})
	b.Run("ack", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			sinkMessage, _ = wire.Parse(ack)
		}
	})
	for _, n := range []int{3, 1000} {
		offer := NewAcker(n, 4650).offer
		text := wire.AppendReceivers(nil, offer)
		b.Run("offer/receivers="+strconv.Itoa(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if rs, err := wire.ParseReceivers(text); err != nil || len(rs) != n {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkSplit apportions a payload by latencies, which are different for all.
func BenchmarkSplit(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{3, 10, 64, 1000} {
		latencies := make([]time.Duration, n)
		for i := range latencies {
			latencies[i] = time.Duration(1+rng.IntN(400_000)) * time.Microsecond
		}
		b.Run(fmt.Sprint("receivers=", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				sinkShares = sched.Split(1<<30, latencies)
			}
		})
	}
}

// BenchmarkTransfer is what a segment costs below the session: who is next, the
// header and bytes of the segment; then the acknowledgement's text, its round trip and
// the timer. As many segments are out as there are receivers.
func BenchmarkTransfer(b *testing.B) {
	for _, n := range counts {
		b.Run(fmt.Sprint("receivers=", n), func(b *testing.B) {
			shares := make([]int64, n)
			for i := range shares {
				shares[i] = 1 << 50
			}
			t := sched.NewTransfer(epoch, shares, sched.TransferConfig{})
			now, data := epoch, make([]byte, segment)
			out, ack := make([]byte, 0, 256), make([]byte, 0, 64)
			seqs := make([]int64, n)
			transmit := func() {
				i, s, ok := t.Transmit(now)
				if !ok {
					b.Fatal("nothing to send")
				}
				seqs[i] = s.Seq
				sinkBytes = wire.AppendData(out, 3740, s.Seq, data[:s.Len])
			}
			for range n {
				transmit()
			}
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				now = now.Add(4 * time.Microsecond)
				m, err := wire.Parse(wire.AppendAck(ack, 3740, seqs[i]))
				if err != nil || t.Ack(now, i, m.Seq) != sched.Fresh {
					b.Fatal("not acknowledged")
				}
				transmit()
				if i++; i == n {
					i = 0
				}
			}
		})
	}
}
