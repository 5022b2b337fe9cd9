package server_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"net/netip"
	"strings"

	"mdalp"
	"mdalp/loop"
	"mdalp/server"
	"mdalp/wire"
)

// A shelf is a Store of one's own in a few lines: payloads in a map, by transaction. It is no
// [server.Placer], so the base protocol alone is offered.
type shelf map[int64][]byte

// Recover finds nothing: a map does not outlive its process.
func (s shelf) Recover() ([]server.Recovered, error) { return nil, nil }

// Room sets no bound.
func (s shelf) Room() int64 { return -1 }

// Create makes place for a transaction.
func (s shelf) Create(tid int64, segment int) (server.Spool, error) {
	if _, taken := s[tid]; taken {
		return nil, fs.ErrExist
	}
	return &parcel{on: s, tid: tid, segments: make(map[int64][]byte)}, nil
}

// A parcel is the Spool of one transaction. Without Config.Beside all its methods are called
// by the server's goroutine, and it needs no lock.
type parcel struct {
	on       shelf
	tid      int64
	segments map[int64][]byte
	whole    []byte
}

// Put must copy: the bytes are the loop's.
func (p *parcel) Put(seq int64, receiver int, data []byte, sum uint32) error {
	p.segments[seq] = bytes.Clone(data)
	return nil
}

// Assemble is told by the server what there is.
func (p *parcel) Assemble(have []wire.Range) ([sha256.Size]byte, error) {
	p.whole = nil
	for _, r := range have {
		for seq := r.First; seq <= r.Last; seq++ {
			p.whole = append(p.whole, p.segments[seq]...)
		}
	}
	return sha256.Sum256(p.whole), nil
}

// Publish gives the payload its place for good.
func (p *parcel) Publish(partial bool) (path string, err error) {
	p.on[p.tid], p.segments = p.whole, nil
	return "", nil
}

func (p *parcel) Begin(server.Meta)   {} // nothing outlives the process
func (p *parcel) Note(int64)          {}
func (p *parcel) Discard()            {}
func (p *parcel) Keep() (path string) { return "" }

// What a server receives goes to a Store of one's own.
func ExampleStore() {
	payload := strings.Repeat("a segment ", 100)
	var socks []*loop.Socket
	var receivers []server.Receiver
	for i := range 3 { // the orchestrator and two receivers
		s, err := loop.Listen(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, byte(1 + i)}), 0), loop.Options{PacketInfo: true})
		if err != nil {
			fmt.Println(err)
			return
		}
		defer s.Close()
		socks = append(socks, s)
		if i > 0 {
			receivers = append(receivers, server.Receiver{Addr: s.LocalAddr(), Sock: i})
		}
	}
	store, settled := make(shelf), make(chan server.Result, 1)
	srv, err := server.New(server.Config{
		Receivers: receivers, Store: store, FirstTID: 3740,
		// What is expected is complete as soon as it is there; else only silence tells.
		Expect:  &server.Payload{Size: int64(len(payload)), SHA256: sha256.Sum256([]byte(payload))},
		Settled: func(r server.Result) { settled <- r },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); loop.Run(ctx, srv, socks...) }()

	_, err = mdalp.Send(ctx, strings.NewReader(payload), int64(len(payload)), &mdalp.Config{
		Orchestrator: socks[0].LocalAddr(), Balance: mdalp.BalanceEqual,
	})
	fmt.Println("sent, error:", err)
	r := <-settled
	cancel()
	<-ended // the map is ours again
	fmt.Println(r.Comment, r.Bytes, "bytes in", r.Segments, "segments")
	fmt.Println("the same:", string(store[r.TID]) == payload)
	// Output:
	// sent, error: <nil>
	// Transaction completed! 1000 bytes in 10 segments
	// the same: true
}
