package script

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"

	"mdalp/internal/own"
	"mdalp/wire"
)

// A peer is an orchestrator, and receivers on the same port of the addresses that
// follow its own, which may misbehave. The script finds the port in $NAME. Its keys:
//
//	addr=ADDR      the orchestrator's and first receiver's address (127.0.0.1)
//	receivers=N    how many there are (3), and are offered
//	offer=FILE     answers intents with this instead, where PORT stands for the port;
//	               nothing follows if the file ends with a newline, which is left out
//	offer=none     never answers
//	ack=right      acknowledges every segment (the default)
//	ack=none       acknowledges nothing
//	ack=twice      every acknowledgement comes twice
//	ack=odd        sends what acknowledges nothing before the right one
//	ack=wrong      sends only that
//	dead=N         receiver N, from 1, acknowledges nothing
//	lose=N         the first N segments are not seen
//	spoof=FILE     another port answers the intent with that first
//
// What got can check:
//
//	intents=N      how many intents came
//	data=N         how many segments, repetitions included
//	left=N         how many of them at receivers that are not the one of only
//	only=N         with left: that receiver, from 1
//	payload=FILE   what the segments since the last intent are, in their order
type peer struct {
	// The same in every run, so that files with an offer can name it.
	tid   int64
	offer []byte
	spoof []byte
	ack   string
	dead  int
	socks []*net.UDPConn
	other *net.UDPConn  // a port that is none of the peer's
	marks chan struct{} // what other sent has been read
	// An intent has come that asked has not seen; of several, one.
	intents chan struct{}
	ended   sync.WaitGroup
	mu      sync.Mutex
	// All below is shared by the goroutines of the sockets and by the script, under mu.
	lose   int
	intent int
	data   []int // by receiver
	parts  map[int64][]byte
	// What was sent that no client should send; got fails with it.
	wrong string
}

// newPeer is the command peer.
func newPeer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 || of(ts).peers[args[0]] != nil {
		ts.Fatalf("usage: peer NAME [KEY=VALUE...]")
	}
	p := &peer{tid: 3740, ack: "right", parts: make(map[int64][]byte), marks: make(chan struct{}, 1),
		intents: make(chan struct{}, 1)}
	addr, n := netip.AddrFrom4([4]byte{127, 0, 0, 1}), 3
	offer, spoof := "", ""
	for _, a := range args[1:] {
		var err error
		k, v, _ := strings.Cut(a, "=")
		switch k {
		case "addr":
			addr, err = netip.ParseAddr(v)
		case "receivers":
			n, err = strconv.Atoi(v)
		case "offer":
			offer = v
		case "spoof":
			spoof = v
		case "ack":
			p.ack = v
		case "dead":
			p.dead, err = strconv.Atoi(v)
		case "lose":
			p.lose, err = strconv.Atoi(v)
		default:
			ts.Fatalf("unknown key %s", k)
		}
		ts.Check(err)
	}
	port, rs := p.listen(ts, addr, n)
	read := func(file string) []byte {
		text := strings.TrimSuffix(ts.ReadFile(file), "\n")
		return []byte(strings.ReplaceAll(text, "PORT", strconv.Itoa(port)))
	}
	switch offer {
	case "":
		p.offer = wire.AppendOffer(nil, p.tid, rs)
	case "none":
	default:
		p.offer = read(offer)
	}
	if spoof != "" {
		p.spoof = read(spoof)
	}
	ts.Setenv(args[0], strconv.Itoa(port))
	of(ts).peers[args[0]] = p
	for i := range p.socks {
		p.ended.Go(func() { p.serve(i) })
	}
}

// listen opens a socket for each of n addresses from addr on, with one port.
func (p *peer) listen(ts *testscript.TestScript, addr netip.Addr, n int) (port int, rs []wire.Receiver) {
	p.data = make([]int, n)
	// own.Port gave the port back before it is taken here, on several addresses at that:
	// another program may come in between.
	for range 20 {
		var err error
		port, err = own.Port()
		ts.Check(err)
		a := addr
		for len(p.socks) < n {
			var c *net.UDPConn
			at := net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, uint16(port)))
			if c, err = net.ListenUDP("udp", at); err != nil {
				break
			}
			p.socks = append(p.socks, c)
			rs = append(rs, wire.Receiver{Host: a.String(),
				Name: fmt.Sprintf("receiver %d", len(p.socks)), Port: uint16(port)})
			a = a.Next()
		}
		if err == nil {
			p.other, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 0)))
			ts.Check(err)
			return port, rs
		}
		for _, c := range p.socks {
			c.Close()
		}
		p.socks, rs = nil, nil
	}
	ts.Fatalf("no port is free on all of %d addresses", n)
	return 0, nil
}

// close ends it.
func (p *peer) close() {
	for _, c := range append(p.socks, p.other) {
		c.Close()
	}
	p.ended.Wait()
}

// serve answers what comes to one receiver, or the orchestrator.
func (p *peer) serve(i int) {
	b := make([]byte, 65536)
	for {
		n, from, err := p.socks[i].ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		// A mark from quiet. It never reaches wire.Parse, so it counts for nothing.
		if from.Port() == p.other.LocalAddr().(*net.UDPAddr).AddrPort().Port() {
			p.marks <- struct{}{}
			continue
		}
		m, err := wire.Parse(b[:n])
		p.mu.Lock()
		switch {
		case err != nil:
			p.wrong = fmt.Sprintf("%v: %q", err, b[:n])
		case m.Type == wire.Intent && i == 0:
			p.intent++
			select {
			case p.intents <- struct{}{}:
			default: // one that nobody waited for
			}
			clear(p.parts) // another transaction
			if p.spoof != nil {
				p.other.WriteToUDPAddrPort(p.spoof, from)
			}
			if p.offer != nil {
				p.socks[0].WriteToUDPAddrPort(p.offer, from)
			}
		case m.Type == wire.Data:
			p.segment(i, from, &m)
		default:
			p.wrong = fmt.Sprintf("receiver %d was sent %q", i+1, b[:n])
		}
		p.mu.Unlock()
	}
}

// segment takes a segment.
func (p *peer) segment(i int, from netip.AddrPort, m *wire.Message) {
	if p.lose > 0 {
		p.lose--
		return
	}
	p.data[i]++
	switch {
	case m.TID != p.tid || len(m.Data) > 100:
		p.wrong = fmt.Sprintf("TID %d, %d bytes", m.TID, len(m.Data))
	case p.parts[m.Seq] != nil && !bytes.Equal(p.parts[m.Seq], m.Data):
		p.wrong = fmt.Sprintf("SEQ %d changed", m.Seq)
	}
	p.parts[m.Seq] = bytes.Clone(m.Data)
	if p.ack == "none" || p.dead == i+1 {
		return
	}
	right := wire.AppendAck(nil, m.TID, m.Seq)
	if p.ack == "odd" || p.ack == "wrong" {
		p.other.WriteToUDPAddrPort(right, from)
		for _, odd := range []string{
			"", "\x00", "\xff\xfe", "Type:3", "Type:3;", "type:3;TID:3740;SEQ:0;",
			"Type:9;TID:3740;SEQ:0;", "Type:2;TID:3740;SEQ:0;DATA:x", "Type:0;",
			"Type:1;TID:3740;DATA:[{'ip_address': '127.0.0.9'}];",
			fmt.Sprintf("Type:3;TID:%d;SEQ:%d;", m.TID+1, m.Seq),
			fmt.Sprintf("Type:3;TID:%d;SEQ:-%d;", m.TID, m.Seq),
			fmt.Sprintf("Type:3;TID:%d;SEQ:%d;", m.TID, m.Seq+100000),
			fmt.Sprintf("Type:3;TID:%d;SEQ:99999999999999999999;", m.TID),
			fmt.Sprintf("Type:3;TID:%d;SEQ:%d", m.TID, int64(wire.MaxNumber)),
			fmt.Sprintf("Type:3;TID:%d;SEQ:%d;junk", m.TID, m.Seq),
		} {
			p.socks[i].WriteToUDPAddrPort([]byte(odd), from)
		}
		// Another receiver cannot acknowledge it, and the orchestrator not either.
		for j, c := range p.socks {
			if j != i {
				c.WriteToUDPAddrPort(right, from)
			}
		}
	}
	if p.ack == "wrong" {
		return
	}
	p.socks[i].WriteToUDPAddrPort(right, from)
	if p.ack == "twice" {
		p.socks[i].WriteToUDPAddrPort(right, from)
	}
}
