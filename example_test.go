package mdalp_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"mdalp"
	"mdalp/loop"
	"mdalp/server"
)

// A payload goes to two receivers of a server in the same program.
func ExampleSend() {
	var socks []*loop.Socket
	var receivers []server.Receiver
	for i, host := range []string{"127.0.0.1", "127.0.0.2", "127.0.0.3"} {
		s, err := loop.Listen(netip.AddrPortFrom(netip.MustParseAddr(host), 0), loop.Options{PacketInfo: true})
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
	srv, err := server.New(server.Config{Receivers: receivers})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); loop.Run(ctx, srv, socks...) }()
	defer func() { cancel(); <-ended }()

	payload := strings.NewReader(strings.Repeat("a segment ", 10000))
	report, err := mdalp.Send(ctx, payload, payload.Size(), &mdalp.Config{
		Orchestrator: socks[0].LocalAddr(),
		Balance:      mdalp.BalanceEqual,
	})
	if errors.Is(err, mdalp.ErrIncomplete) {
		fmt.Println("missing:", report.Missing)
	}
	fmt.Println(report.Acked, "of", report.Size, "bytes, extended:", report.Extended, "error:", err)
	fmt.Println(len(report.Receivers), "receivers, missing:", report.Missing)
	// Output:
	// 100000 of 100000 bytes, extended: true error: <nil>
	// 2 receivers, missing: []
}
