package loop

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// BenchmarkPeers is stop-and-wait with 1 to 1000 peers: one datagram to each is
// underway, and a second loop on another thread echoes it from the address it was
// sent to. An operation is a datagram sent and its echo received.
func BenchmarkPeers(b *testing.B) {
	for _, n := range []int{1, 10, 64, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s, echo := listen(b, "0.0.0.0:0", Options{}), listen(b, "0.0.0.0:0", Options{PacketInfo: true})
			ctx, cancel := context.WithCancel(context.Background())
			gone := make(chan error)
			far := time.Now().Add(time.Hour)
			go func() { gone <- Run(ctx, &pingPong{far: far}, echo) }()
			p := &bench{pingPong: pingPong{far: far}, want: b.N, total: b.N}
			for i := range min(n, b.N) {
				a := netip.AddrFrom4([4]byte{127, 1, byte(i >> 8), byte(i) + 1})
				p.queue = append(p.queue, Envelope{Peer: netip.AddrPortFrom(a, echo.LocalAddr().Port())})
			}
			p.want -= len(p.queue)
			r, err := newRunner(context.Background(), nil, p, []*Socket{s})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.ResetTimer()
			for done := false; !done; {
				if done, err = r.round(); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			st := s.Stats()
			b.ReportMetric(float64(st.Sends+st.Receives+r.poll.calls)/float64(b.N), "calls/op")
			r.close()
			cancel()
			if err := <-gone; err != context.Canceled {
				b.Fatal(err)
			}
		})
	}
}

// bench sends as pingPong does and ends with the last echo.
type bench struct {
	pingPong
	want  int // to be sent again
	total int // to be received
}

func (p *bench) Receive(now time.Time, e *Envelope, b []byte) {
	p.n++
	if p.want > 0 {
		p.want--
		p.queue = append(p.queue, Envelope{Sock: e.Sock, Peer: e.Peer})
	}
}

func (p *bench) Next() (time.Time, bool) { return p.far, p.n < p.total }
