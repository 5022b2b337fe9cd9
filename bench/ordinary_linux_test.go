package bench

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"
)

// The peers: stop-and-wait to many receivers as one would write it in Go on an ordinary
// day, with package net, goroutines and no thought of system calls. They are told
// receivers and TID, and retransmit after 3 s as the original client does.

// wait is the original client's timeout.
const wait = 3 * time.Second

// ordinaryData writes a segment.
func ordinaryData(b []byte, tid, seq int64, data []byte) []byte {
	b = fmt.Appendf(b[:0], "Type:2;TID:%d;SEQ:%d;DATA:", tid, seq)
	return append(b, data...)
}

// ordinaryAck reads an acknowledgement.
func ordinaryAck(b []byte, tid int64) (seq int64, ok bool) {
	fields := bytes.Split(b, []byte(";"))
	if len(fields) < 3 || string(fields[0]) != "Type:3" {
		return 0, false
	}
	t, hasTID := bytes.CutPrefix(fields[1], []byte("TID:"))
	s, hasSeq := bytes.CutPrefix(fields[2], []byte("SEQ:"))
	if !hasTID || !hasSeq {
		return 0, false
	}
	got, err := strconv.ParseInt(string(t), 10, 64)
	if err != nil || got != tid {
		return 0, false
	}
	seq, err = strconv.ParseInt(string(s), 10, 64)
	return seq, err == nil
}

// A part is one receiver's: its first sequence number and its bytes.
type part struct {
	to   netip.AddrPort
	seq  int64
	data []byte
}

// parts shares data equally over n receivers.
func parts(r *Receivers, n int, data []byte) []part {
	ps := make([]part, n)
	seq := int64(0)
	for i := range ps {
		ps[i] = part{r.Receiver(i), seq, data[len(data)*i/n : len(data)*(i+1)/n]}
		seq += int64((len(ps[i].data) + segment - 1) / segment)
	}
	return ps
}

// goroutines sends with a connected socket and a goroutine for each receiver.
func goroutines(r *Receivers, n int, data []byte) error {
	const tid = 7
	failed := make(chan error, n)
	for _, p := range parts(r, n, data) {
		go func() { failed <- sendPart(p, tid) }()
	}
	var err error
	for range n {
		if e := <-failed; e != nil {
			err = e
		}
	}
	return err
}

func sendPart(p part, tid int64) error {
	c, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(p.to))
	if err != nil {
		return err
	}
	defer c.Close()
	out, in := make([]byte, 0, 256), make([]byte, 2048)
	for seq := p.seq; len(p.data) > 0; seq++ {
		k := min(segment, len(p.data))
		out = ordinaryData(out, tid, seq, p.data[:k])
		p.data = p.data[k:]
		for acked := false; !acked; {
			if _, err := c.Write(out); err != nil {
				return err
			}
			if err := c.SetReadDeadline(time.Now().Add(wait)); err != nil {
				return err
			}
			for !acked {
				k, err := c.Read(in)
				if err != nil {
					break // the deadline: once more
				}
				got, ok := ordinaryAck(in[:k], tid)
				acked = ok && got == seq
			}
		}
	}
	return nil
}

// channels sends with one socket, a goroutine that reads it, and a goroutine, a
// channel and a timer for each receiver.
func channels(r *Receivers, n int, data []byte) error {
	const tid = 7
	c, err := net.ListenUDP("udp4", nil)
	if err != nil {
		return err
	}
	if err := c.SetReadBuffer(4 << 20); err != nil {
		return err
	}
	ps := parts(r, n, data)
	acks := make(map[netip.AddrPort]chan int64, n)
	for _, p := range ps {
		acks[p.to] = make(chan int64, 16)
	}
	var reader, senders sync.WaitGroup
	reader.Go(func() {
		in := make([]byte, 2048)
		for {
			k, from, err := c.ReadFromUDPAddrPort(in)
			if err != nil {
				return
			}
			if seq, ok := ordinaryAck(in[:k], tid); ok {
				if ch := acks[netip.AddrPortFrom(from.Addr().Unmap(), from.Port())]; ch != nil {
					ch <- seq
				}
			}
		}
	})
	failed := make(chan error, n)
	for _, p := range ps {
		senders.Go(func() { failed <- sendShared(c, p, tid, acks[p.to]) })
	}
	senders.Wait()
	c.Close()
	reader.Wait()
	for range n {
		if e := <-failed; e != nil {
			err = e
		}
	}
	return err
}

func sendShared(c *net.UDPConn, p part, tid int64, acks <-chan int64) error {
	out := make([]byte, 0, 256)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for seq := p.seq; len(p.data) > 0; seq++ {
		k := min(segment, len(p.data))
		out = ordinaryData(out, tid, seq, p.data[:k])
		p.data = p.data[k:]
		for acked := false; !acked; {
			if _, err := c.WriteToUDPAddrPort(out, p.to); err != nil {
				return err
			}
			timer.Reset(wait)
			for late := false; !acked && !late; {
				select {
				case got := <-acks:
					acked = got == seq
				case <-timer.C:
					late = true
				}
			}
		}
	}
	return nil
}
