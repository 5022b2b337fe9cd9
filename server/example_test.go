package server_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"mdalp/loop"
	"mdalp/server"
	"mdalp/wire"
)

// A server alone: one socket for the orchestrator, one for a receiver, and a loop that drives
// it. What speaks to it here is a plain UDP socket.
func ExampleServer() {
	var socks []*loop.Socket
	for range 2 {
		s, err := loop.Listen(netip.MustParseAddrPort("127.0.0.1:0"), loop.Options{PacketInfo: true})
		if err != nil {
			fmt.Println(err)
			return
		}
		defer s.Close()
		socks = append(socks, s)
	}
	receiver := server.Receiver{Addr: socks[1].LocalAddr(), Name: "here", Sock: 1}
	srv, err := server.New(server.Config{Receivers: []server.Receiver{receiver}, Base: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); loop.Run(ctx, srv, socks...) }()
	defer func() { cancel(); <-ended }()

	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(socks[0].LocalAddr()))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	c.Write(wire.AppendIntent(nil))
	b := make([]byte, wire.MaxDatagram)
	n, err := c.Read(b)
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := wire.Parse(b[:n])
	if err != nil {
		fmt.Println(err)
		return
	}
	offered, err := wire.ParseReceivers(m.Data)
	fmt.Println(m.Type, "of", len(offered), "receiver, error:", err)
	fmt.Println(offered[0].Name, "at the address of its socket:", offered[0].Port == receiver.Addr.Port())
	// Output:
	// offer of 1 receiver, error: <nil>
	// here at the address of its socket: true
}
