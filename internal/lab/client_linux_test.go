package lab

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"mdalp/wire"
)

// pupil is a plain client: one segment at a time, to one receiver after the
// other.
type pupil struct {
	conn *net.UDPConn
	tid  int64
	rs   []wire.Receiver
}

// begin sends an intent and reads the offer.
func begin(to netip.AddrPort) (*pupil, error) {
	conn, err := net.ListenUDP("udp", nil)
	if err != nil {
		return nil, err
	}
	c := &pupil{conn: conn}
	m, _, _, err := c.ask(to, wire.AppendIntent(nil), wire.Offer, patience)
	if err != nil {
		return nil, fmt.Errorf("offer: %w", err)
	}
	c.tid = m.TID
	c.rs, err = wire.ParseReceivers(m.Data)
	return c, err
}

// addr is the address of a receiver of the offer.
func (c *pupil) addr(i int) netip.AddrPort {
	port := c.rs[i].Port
	if port == 0 {
		port = 4650
	}
	return netip.AddrPortFrom(netip.MustParseAddr(c.rs[i].Host), port)
}

// ask sends a datagram, waits for one of a type from there, and gives the time
// between and the source.
func (c *pupil) ask(to netip.AddrPort, b []byte, want wire.Type, patience time.Duration) (m wire.Message, from netip.AddrPort, rtt time.Duration, err error) {
	start := time.Now()
	if _, err = c.conn.WriteToUDPAddrPort(b, to); err != nil {
		return m, from, 0, err
	}
	c.conn.SetReadDeadline(start.Add(patience))
	buf := make([]byte, 65535)
	for {
		n, from, err := c.conn.ReadFromUDPAddrPort(buf)
		rtt = time.Since(start)
		if err != nil {
			return m, from, rtt, err
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		if m, err = wire.Parse(buf[:n]); err == nil && m.Type == want && from == to {
			return m, from, rtt, nil
		}
	}
}

// send sends a segment until it is acknowledged, and gives the round trip of the
// last try. An acknowledgement of an earlier one would make that too short: to be measured,
// patience has to be longer than any machine stands still.
func (c *pupil) send(i int, seq int64, data []byte, patience time.Duration) (time.Duration, error) {
	for range 50 {
		_, _, rtt, err := c.ask(c.addr(i), wire.AppendData(nil, c.tid, seq, data), wire.Ack, patience)
		if err == nil {
			return rtt, nil
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return 0, err
		}
	}
	return 0, fmt.Errorf("segment %d is not acknowledged", seq)
}

// volley sends n segments at once and gives a string with an x for each that is not
// acknowledged.
func (c *pupil) volley(i, n int) string {
	got := bytes.Repeat([]byte("x"), n)
	for seq := range n {
		c.conn.WriteToUDPAddrPort(wire.AppendData(nil, c.tid, int64(seq), []byte("y")), c.addr(i))
	}
	buf := make([]byte, 2000)
	for {
		c.conn.SetReadDeadline(time.Now().Add(time.Second))
		k, _, err := c.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return string(got)
		}
		if m, err := wire.Parse(buf[:k]); err == nil && m.Type == wire.Ack && m.Seq >= 0 && m.Seq < int64(n) {
			got[m.Seq] = '.'
		}
	}
}

// refusal sends a segment over a connected socket, whose errors are its own, and
// gives the error.
func (c *pupil) refusal(i int) error {
	u, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(c.addr(i)))
	if err != nil {
		return err
	}
	defer u.Close()
	u.SetDeadline(time.Now().Add(patience))
	if _, err := u.Write(wire.AppendData(nil, c.tid, 0, []byte("x"))); err != nil {
		return err
	}
	_, err = u.Read(make([]byte, 2000))
	return err
}

// ping sends an echo request and gives the round trip.
func ping(a netip.Addr, patience time.Duration) (time.Duration, error) {
	network, typ := "ip4:icmp", byte(8)
	if a.Is6() {
		network, typ = "ip6:ipv6-icmp", 128
	}
	c, err := net.ListenPacket(network, "")
	if err != nil {
		return 0, err
	}
	defer c.Close()
	b := []byte{typ, 0, 0, 0, 0, 77, 0, 1}
	sum := ^(uint16(typ)<<8 + 78) // for IPv6 the kernel does it
	binary.BigEndian.PutUint16(b[2:], sum)
	start := time.Now()
	if _, err := c.WriteTo(b, &net.IPAddr{IP: a.AsSlice()}); err != nil {
		return 0, err
	}
	c.SetReadDeadline(start.Add(patience))
	buf := make([]byte, 2000)
	for {
		n, from, err := c.ReadFrom(buf)
		if err != nil {
			return 0, err
		}
		rtt := time.Since(start)
		if from.String() == a.String() && n == 8 && buf[0] == map[byte]byte{8: 0, 128: 129}[typ] && buf[5] == 77 {
			return rtt, nil
		}
	}
}

// pingGroup says whether ICMP datagram sockets are allowed.
func pingGroup() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_ICMP)
	if err == nil {
		unix.Close(fd)
	}
	return err
}
