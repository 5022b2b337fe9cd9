package mdalp_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"mdalp"
	"mdalp/loop"
	"mdalp/server"
)

// startServer starts a server with two receivers in this program, and gives the address of its
// orchestrator. The other examples of this package use it.
func startServer() (home netip.AddrPort, stop func(), err error) {
	var socks []*loop.Socket
	closeAll := func() {
		for _, s := range socks {
			s.Close()
		}
	}
	var receivers []server.Receiver
	for i, host := range []string{"127.0.0.1", "127.0.0.2", "127.0.0.3"} {
		s, err := loop.Listen(netip.AddrPortFrom(netip.MustParseAddr(host), 0), loop.Options{PacketInfo: true})
		if err != nil {
			closeAll()
			return home, nil, err
		}
		socks = append(socks, s)
		if i > 0 {
			receivers = append(receivers, server.Receiver{Addr: s.LocalAddr(), Sock: i})
		}
	}
	srv, err := server.New(server.Config{Receivers: receivers})
	if err != nil {
		closeAll()
		return home, nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); loop.Run(ctx, srv, socks...) }()
	return socks[0].LocalAddr(), func() { cancel(); <-ended; closeAll() }, nil
}

// A payload goes to two receivers of a server in the same program.
func ExampleSend() {
	home, stop, err := startServer()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()

	payload := strings.NewReader(strings.Repeat("a segment ", 10000))
	report, err := mdalp.Send(context.Background(), payload, payload.Size(), &mdalp.Config{
		Orchestrator: home,
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

// What happens is told as it does. Functions that are nil cost nothing.
func ExampleTrace() {
	home, stop, err := startServer()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()

	intents, segments, bytes := 0, 0, 0
	payload := strings.NewReader(strings.Repeat("a segment ", 100))
	_, err = mdalp.Send(context.Background(), payload, payload.Size(), &mdalp.Config{
		Orchestrator: home,
		Balance:      mdalp.BalanceEqual,
		Base:         true, // segments of 100 bytes
		Trace: &mdalp.Trace{
			Intent: func(mdalp.TraceIntent) { intents++ },
			Segment: func(s mdalp.TraceSegment) {
				if s.Try == 1 {
					segments++
					bytes += s.Len
				}
			},
		},
	})
	fmt.Println(intents, "intent,", segments, "segments with", bytes, "bytes, error:", err)
	// Output: 1 intent, 10 segments with 1000 bytes, error: <nil>
}

// Who would get how much, with nothing sent.
func ExamplePlan() {
	home, stop, err := startServer()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()

	report, err := mdalp.Plan(context.Background(), 5000, &mdalp.Config{
		Orchestrator: home,
		Balance:      mdalp.BalanceEqual,
		Base:         true, // segments of 100 bytes
	})
	if err != nil {
		fmt.Println(err)
	}
	for _, r := range report.Receivers {
		fmt.Println(r.Addr.Addr(), "would get", r.Share, "bytes in", r.Assigned, "segments")
	}
	// Output:
	// 127.0.0.2 would get 2500 bytes in 25 segments
	// 127.0.0.3 would get 2500 bytes in 25 segments
}

// Two addresses of this host are pinged.
func ExamplePing() {
	hosts := []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")}
	report, err := mdalp.Ping(context.Background(), hosts, &mdalp.PingConfig{Timeout: time.Minute})
	if errors.Is(err, os.ErrPermission) {
		// This process may not ping: it has neither CAP_NET_RAW nor a group within
		// net.ipv4.ping_group_range. The report has the hosts all the same, without an echo.
		err = nil
	}
	if err != nil {
		fmt.Println(err)
	}
	for _, h := range report.Hosts {
		fmt.Println(h.Addr, "lost", h.Lost(), "echoes")
	}
	// Output:
	// 127.0.0.1 lost 0 echoes
	// 127.0.0.2 lost 0 echoes
}

// An error tells which field of the configuration is to blame.
func ExampleConfigError() {
	_, err := mdalp.Send(context.Background(), strings.NewReader("x"), 1, &mdalp.Config{
		Orchestrator: netip.MustParseAddrPort("127.0.0.1:4651"),
		Receiver:     -1,
	})
	var wrong *mdalp.ConfigError
	if errors.As(err, &wrong) {
		fmt.Printf("%s: %v\n", wrong.Field, wrong.Err)
	}
	// Output: Receiver: receiver -1: receivers count from 1
}

// The names of the command line are those of the package.
func ExampleParseBalance() {
	b, err := mdalp.ParseBalance("adaptive")
	fmt.Println(b == mdalp.BalanceAdaptive, err)
	_, err = mdalp.ParseBalance("fair")
	fmt.Println(err)
	// Output:
	// true <nil>
	// mdalp: balance "fair" is none of icmp, equal, none, adaptive
}
