package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"mdalp/wire"
)

// noPort is a UDP port that nobody has, and that the kernel gives to nobody: one that was
// closed a moment ago may be another test's by now.
const noPort = "1"

// testReceivers are an orchestrator and n receivers on one port of the addresses from
// 127.0.0.1 on. They acknowledge everything, but what a test holds back.
type testReceivers struct {
	port  string
	offer string // instead of the right one; "-" for none
	socks []*net.UDPConn
	mu    sync.Mutex
	limit map[int]int // by receiver: acknowledges no more than that
	kept  []func()    // the acknowledgements held back
	acked map[int]int
	wait  sync.WaitGroup
}

func newReceivers(t *testing.T, n int) *testReceivers {
	t.Helper()
	p := &testReceivers{limit: map[int]int{}, acked: map[int]int{}}
	for range 50 {
		first, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		p.socks = []*net.UDPConn{first}
		port := first.LocalAddr().(*net.UDPAddr).Port
		p.port = strconv.Itoa(port)
		for i := 1; i < n && err == nil; i++ {
			var c *net.UDPConn
			if c, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, byte(1+i)), Port: port}); err == nil {
				p.socks = append(p.socks, c)
			}
		}
		if err == nil {
			break
		}
		p.close()
		p.socks = nil
	}
	if p.socks == nil {
		t.Fatal("no port is free on all addresses")
	}
	t.Cleanup(p.close)
	for i, c := range p.socks {
		p.wait.Go(func() { p.serve(i, c) })
	}
	return p
}

// close ends them.
func (p *testReceivers) close() {
	for _, c := range p.socks {
		c.Close()
	}
	p.wait.Wait()
}

// hold makes receiver i, from 0, acknowledge no more than n segments.
func (p *testReceivers) hold(i, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limit[i] = n
}

// say makes text the answer to intents.
func (p *testReceivers) say(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.offer = text
}

// release lets all go that was held back.
func (p *testReceivers) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.limit)
	for _, send := range p.kept {
		send()
	}
	p.kept = nil
}

func (p *testReceivers) serve(i int, c *net.UDPConn) {
	b := make([]byte, 65536)
	for {
		n, from, err := c.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		m, err := wire.Parse(b[:n])
		if err != nil {
			continue
		}
		switch m.Type {
		case wire.Intent:
			p.mu.Lock()
			clear(p.acked)
			p.mu.Unlock()
			p.answer(c, from)
		case wire.Data:
			ack := wire.AppendAck(nil, m.TID, m.Seq)
			p.mu.Lock()
			if most, held := p.limit[i]; held && p.acked[i] >= most {
				p.kept = append(p.kept, func() { c.WriteToUDPAddrPort(ack, from) })
			} else {
				p.acked[i]++
				c.WriteToUDPAddrPort(ack, from)
			}
			p.mu.Unlock()
		}
	}
}

// answer gives the offer.
func (p *testReceivers) answer(c *net.UDPConn, to netip.AddrPort) {
	p.mu.Lock()
	text := p.offer
	p.mu.Unlock()
	offer := []byte(text)
	switch text {
	case "":
		var rs []wire.Receiver
		for i := range p.socks {
			a := p.socks[i].LocalAddr().(*net.UDPAddr).AddrPort()
			rs = append(rs, wire.Receiver{Host: a.Addr().String(), Name: fmt.Sprintf("receiver %d", i+1), Port: a.Port()})
		}
		offer = wire.AppendOffer(nil, 3740, rs)
	case "-":
		return
	}
	c.WriteToUDPAddrPort(offer, to)
}

// payloadFile makes a file of size bytes.
func payloadFile(t *testing.T, dir, name string, size int) string {
	t.Helper()
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i + i/256)
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
