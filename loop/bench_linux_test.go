package loop

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
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

// BenchmarkTrains is bulk traffic to 1 and 8 peers: a window of 64 datagrams to each is
// underway, and a second loop acknowledges each burst with one datagram. An operation is a
// datagram of that many bytes sent and acknowledged. s/GB is the sender's CPU time.
func BenchmarkTrains(b *testing.B) {
	for _, size := range []int{100, 1200, 8192, 65000} {
		for _, peers := range []int{1, 8} {
			for _, off := range []Offload{OffloadAuto, OffloadOff} {
				b.Run(fmt.Sprintf("%d/%d/off=%v", size, peers, off == OffloadOff), func(b *testing.B) {
					stream(b, size, peers, off)
				})
			}
		}
	}
}

func stream(b *testing.B, size, peers int, off Offload) {
	s := listen(b, "0.0.0.0:0", Options{Offload: off})
	far := time.Now().Add(time.Hour)
	ctx, cancel := context.WithCancel(context.Background())
	gone := make(chan error)
	h := &windows{pingPong: pingPong{far: far}, data: make([]byte, size), left: b.N, acks: b.N}
	var socks []*Socket
	for i := range peers {
		r := listen(b, fmt.Sprintf("127.1.0.%d:0", i+1), Options{Trains: true, Offload: off})
		socks = append(socks, r)
		h.peers = append(h.peers, window{to: r.LocalAddr(), room: 64})
	}
	go func() { gone <- Run(ctx, &acks{pingPong: pingPong{far: far}, of: make([]burst, peers)}, socks...) }()
	runtime.LockOSThread() // for its CPU time
	defer runtime.UnlockOSThread()
	b.SetBytes(int64(size))
	b.ReportAllocs()
	before := cpu(b)
	b.ResetTimer()
	run(b, h, s)
	b.StopTimer()
	b.ReportMetric(float64(cpu(b)-before)/float64(size)/float64(b.N), "s/GB")
	cancel()
	if err := <-gone; err != context.Canceled {
		b.Fatal(err)
	}
}

// cpu is the CPU time of this thread.
func cpu(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// windows sends bulk, and is told by the first two bytes of an answer how many came.
type windows struct {
	pingPong
	peers      []window
	turn       int
	data       []byte
	left, acks int
}

type window struct {
	to   netip.AddrPort
	room int
}

func (h *windows) Receive(_ time.Time, e *Envelope, b []byte) {
	for i := range h.peers {
		if h.peers[i].to == e.Peer {
			n := int(b[0])<<8 | int(b[1])
			h.peers[i].room += n
			h.acks -= n
		}
	}
}

func (h *windows) Transmit(_ time.Time, e *Envelope, b []byte) ([]byte, bool) {
	for range h.peers {
		if p := &h.peers[h.turn]; p.room > 0 && h.left > 0 {
			p.room--
			h.left--
			e.Peer = p.to
			return append(b, h.data...), true
		}
		h.turn = (h.turn + 1) % len(h.peers)
	}
	return nil, false
}

func (h *windows) Next() (time.Time, bool) { return h.far, h.acks > 0 }

// acks counts what comes to each socket and acknowledges it when the burst has ended.
type acks struct {
	pingPong
	of []burst
}

type burst struct {
	from netip.AddrPort
	n    int
}

func (h *acks) Receive(_ time.Time, e *Envelope, b []byte) {
	h.of[e.Sock].from = e.Peer
	h.of[e.Sock].n++
}

func (h *acks) Transmit(_ time.Time, e *Envelope, b []byte) ([]byte, bool) {
	for i := range h.of {
		if n := h.of[i].n; n > 0 {
			h.of[i].n = 0
			e.Sock, e.Peer = i, h.of[i].from
			return append(b, byte(n>>8), byte(n)), true
		}
	}
	return nil, false
}
