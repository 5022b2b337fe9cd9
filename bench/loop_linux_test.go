package bench

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"mdalp/loop"
	"mdalp/wire"
)

// A volley keeps one datagram under way to each of its peers, and knows nothing of the
// protocol but how a segment looks: it is what the loop alone costs.
type volley struct {
	datagram []byte
	queue    []netip.AddrPort // whom to send to
	left     int              // to be sent
	awaited  int              // to be received
}

func (v *volley) Receive(_ time.Time, e *loop.Envelope, _ []byte) {
	v.awaited--
	v.queue = append(v.queue, e.Peer)
}

func (v *volley) Transmit(_ time.Time, e *loop.Envelope, b []byte) ([]byte, bool) {
	if v.left == 0 || len(v.queue) == 0 {
		return b, false
	}
	v.left--
	last := len(v.queue) - 1
	e.Peer, v.queue = v.queue[last], v.queue[:last]
	return append(b, v.datagram...), true
}

func (v *volley) Next() (time.Time, bool)               { return never, v.awaited > 0 }
func (v *volley) Expire(time.Time)                      {}
func (v *volley) Fail(time.Time, *loop.Envelope, error) {}

// BenchmarkLoop is the loop over loopback with next to no program on it; what
// BenchmarkSend needs more is the session. calls/op counts what sends and receives,
// without the poller's.
func BenchmarkLoop(b *testing.B) {
	for _, n := range counts {
		b.Run(fmt.Sprint("receivers=", n), func(b *testing.B) {
			r := receivers(b, n, 0, false)
			s, err := loop.Listen(netip.AddrPortFrom(netip.IPv4Unspecified(), 0), loop.Options{Errors: true, Replies: true})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			v := &volley{datagram: wire.AppendData(nil, 3740, 123456, make([]byte, segment)), left: b.N, awaited: b.N}
			for i := range n {
				v.queue = append(v.queue, r.Receiver(i))
			}
			b.ReportAllocs()
			cpu := CPU()
			b.ResetTimer()
			if err := loop.Run(context.Background(), v, s); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			st := s.Stats()
			b.ReportMetric(float64(CPU()-cpu)/float64(b.N), "cpu-ns/op")
			b.ReportMetric(float64(st.Sends+st.Receives)/float64(b.N), "calls/op")
		})
	}
}
