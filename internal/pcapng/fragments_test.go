package pcapng_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"mdalp/internal/pcapng"
)

// The datagram of which the fragments are parts: 8 bytes of UDP header, 39 of payload.
var longUDP = append(unhex("122ac22e002f0000"), "Type:1;TID:7;DATA:[01234567890123456789"[:39]...)

// A part is a fragment of longUDP: bytes from to to.
type part struct {
	from, to int
	id       uint16
	more     bool // fragments follow
	cut      int  // bytes that the capture left out
	link     byte // "any" captures: the interface
}

// frame4 makes the frame of a fragment, as the second form of cooked captures has it.
func (p part) frame4() []byte {
	b := unhex("0800 0000 000000" + fmt.Sprintf("%02x", p.link) + " 0001 00 06 0670 1887 f6b4 0000")
	offset := uint16(p.from / 8)
	if p.more {
		offset |= 0x2000
	}
	n := p.to - p.from
	b = append(b, 0x45, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(20+n))
	b = binary.BigEndian.AppendUint16(b, p.id)
	b = binary.BigEndian.AppendUint16(b, offset)
	b = append(b, 64, 17, 0, 0, 10, 0, 0, 9, 10, 0, 0, 1)
	return append(b, longUDP[p.from:p.to]...)
}

// frame6 is the same over IPv6.
func (p part) frame6() []byte {
	b := unhex("86dd 0000 00000002 0001 00 06 0670 1887 f6b4 0000")
	more := 0
	if p.more {
		more = 1
	}
	return append(b, unhex(ip6("2c", fmt.Sprintf("1100%04x%08x%x", p.from|more, p.id, longUDP[p.from:p.to])))...)
}

// record appends a frame to a pcap file, which says that cut bytes of it are missing.
func record(b, frame []byte, cut int) []byte {
	n := uint32(len(frame))
	return append(b, words(binary.LittleEndian, frame, 1624478787, 0, n, n+uint32(cut))...)
}

// capture makes a pcap file of parts.
func capture(all []part, frame func(part) []byte) []byte {
	b := classic(binary.LittleEndian, 0xa1b2c3d4, 276, nil)[:24]
	for _, p := range all {
		f := frame(p)
		b = record(b, f[:len(f)-p.cut], p.cut)
	}
	return b
}

func TestFragments(t *testing.T) {
	end := len(longUDP)
	a, b, c := part{from: 0, to: 16, more: true}, part{from: 16, to: 32, more: true}, part{from: 32, to: end}
	with := func(p part, f func(*part)) part { f(&p); return p }
	tests := []struct {
		name         string
		in           []part
		whole, parts int // datagrams, and fragments that none was made of
		cut          int // bytes of the datagram
	}{
		{"in order", []part{a, b, c}, 1, 0, 0},
		{"the last first", []part{c, b, a}, 1, 0, 0},
		{"one is missing", []part{a, c}, 0, 2, 0},
		{"the last is missing", []part{a, b}, 0, 2, 0},
		{"one comes twice", []part{a, a, b, c}, 1, 1, 0},
		{"one comes again behind the end", []part{a, b, c, b}, 1, 1, 0},
		{"all come again", []part{a, b, c, a, b, c}, 1, 3, 0},
		{"they overlap", []part{a, with(b, func(p *part) { p.from = 8 }), c}, 0, 3, 0},
		{"beyond the end", []part{with(c, func(p *part) { p.from, p.to = 16, 32 }), with(c, func(p *part) { p.from = 32 })}, 0, 2, 0},
		{"odd length", []part{with(a, func(p *part) { p.to = 15 }), b, c}, 0, 3, 0},
		{"of another datagram", []part{a, with(b, func(p *part) { p.id = 9 }), c}, 0, 3, 0},
		{"two mixed", []part{a, with(a, func(p *part) { p.id = 9 }), b, with(c, func(p *part) { p.id = 9 }), c, with(b, func(p *part) { p.id = 9 })}, 2, 0, 0},
		{"the middle is cut", []part{a, with(b, func(p *part) { p.cut = 6 }), c}, 1, 0, end - 26},
		{"the end is cut", []part{a, b, with(c, func(p *part) { p.cut = 6 })}, 1, 0, 6},
	}
	for _, tt := range tests {
		for version, frame := range map[string]func(part) []byte{"IPv4": part.frame4, "IPv6": part.frame6} { // order does not show
			all, stats, err := readAll(t, capture(tt.in, frame))
			if err != nil {
				t.Fatal(err)
			}
			if len(all) != tt.whole || int(stats.Fragments) != tt.parts || int(stats.Frames) != len(tt.in) ||
				stats.Datagrams+stats.Fragments+stats.Joined != stats.Frames {
				t.Errorf("%s, %s: %+v", tt.name, version, stats)
			}
			for _, d := range all {
				want := longUDP[8 : len(longUDP)-tt.cut]
				if !bytes.Equal(d.Data, want) || d.Missing != tt.cut || d.Cut != (tt.cut > 0) || d.Dst.Port() != 0xc22e {
					t.Errorf("%s, %s: %+v, %q", tt.name, version, d, d.Data)
				}
			}
		}
	}
	// Both interfaces have all fragments: two datagrams, which are copies of each other.
	both := func(p part) []part { return []part{p, with(p, func(p *part) { p.link = 3 })} }
	in := append(append(both(a), both(b)...), both(c)...)
	all, stats, err := readAll(t, capture(in, part.frame4))
	if err != nil || len(all) != 2 || stats.Fragments != 0 || all[0].Origin.Iface == all[1].Origin.Iface || !all[0].Origin.Own {
		t.Errorf("over two interfaces: %+v, %v", stats, err)
	}
}

// TestFragmentFlood reads first fragments without end: memory has a bound, and what comes
// behind them is put together all the same.
func TestFragmentFlood(t *testing.T) {
	end := len(longUDP)
	var in []part
	for i := range 5000 {
		in = append(in, part{from: 0, to: 16, more: true, id: uint16(i + 1)})
	}
	in = append(in, part{from: 0, to: 32, more: true, id: 60000}, part{from: 32, to: end, id: 60000})
	all, stats, err := readAll(t, capture(in, part.frame4))
	if err != nil || len(all) != 1 || stats.Fragments != 5000 {
		t.Errorf("%d datagrams, %+v, %v", len(all), stats, err)
	}
}

// TestSkips names what is not read.
func TestSkips(t *testing.T) {
	for _, tt := range []struct {
		link        uint32
		frame, want string
	}{
		{1, macs + "0806 0001 0800 0604 0001", "EtherType 0x0806 (ARP)"},
		{1, macs + "8863 11090000 0004 01010000", "EtherType 0x8863 (PPPoE discovery)"},
		{1, macs + "8864 11000001 0006 c021 09000008", "PPP protocol 0xc021 (LCP)"},
		{1, macs + "8847 00065140 1000000000000000", "EtherType 0x8847 (MPLS that carries no IP)"},
		{127, "00000800", "link type 127 (IEEE 802.11 with radiotap)"},
		{250, "00000800", "link type 250"},
		{108, "00000007" + ip4, "address family 7"},
		{101, "45000023000040004006334bac1f2b47128b1d8e" + udp4, "IP protocol 6 (TCP)"},
	} {
		_, stats, err := readAll(t, classic(binary.LittleEndian, 0xa1b2c3d4, tt.link, unhex(tt.frame)))
		if err != nil || len(stats.Skips) != 1 || stats.Skips[0].String() != tt.want || stats.Skips[0].Count != 1 {
			t.Errorf("%s: %+v, %v", tt.want, stats, err)
		}
	}
	// Of very many kinds the first are told apart.
	b := classic(binary.LittleEndian, 0xa1b2c3d4, 1, nil)[:24]
	for i := range 200 {
		b = record(b, unhex(macs+fmt.Sprintf("%04x", 0x6000+i%150)), 0)
	}
	_, stats, err := readAll(t, b)
	sum := int64(0)
	for _, s := range stats.Skips {
		sum += s.Count
	}
	last := stats.Skips[len(stats.Skips)-1]
	if err != nil || len(stats.Skips) != 65 || last.String() != "other kinds" || sum != 200 || stats.Skips[0].Count != 2 {
		t.Errorf("%+v, %v", stats, err)
	}
}

// TestCut reads what the capture has only the beginning of: the length on the wire tells.
func TestCut(t *testing.T) {
	whole := unhex(macs + "0800" + ip4)
	for _, tt := range []struct {
		name      string
		cut, said int // bytes that are not there, and that the capture says are not
		datagrams int64
		short     int64
		malformed int64
	}{
		{"whole", 0, 0, 1, 0, 0},
		{"padding that was not captured", 0, 11, 1, 0, 0},
		{"in the payload", 3, 3, 1, 0, 0},
		{"in the payload, not said", 3, 0, 1, 0, 0},
		{"in the UDP header", 9, 9, 0, 1, 0},
		{"in the Ethernet header", len(whole) - 5, len(whole) - 5, 0, 1, 0},
		{"in the UDP header, not said", 9, 0, 0, 0, 1},
		{"more than was sent", 0, -20, 1, 0, 0},
	} {
		b := record(classic(binary.LittleEndian, 0xa1b2c3d4, 1, nil)[:24], whole[:len(whole)-tt.cut], tt.said)
		all, stats, err := readAll(t, b)
		if err != nil || stats.Datagrams != tt.datagrams || stats.Short != tt.short || stats.Malformed != tt.malformed {
			t.Errorf("%s: %+v, %v", tt.name, stats, err)
		}
		if len(all) == 1 && (len(all[0].Data)+all[0].Missing != 7 || all[0].Missing != tt.cut || all[0].Cut != (tt.cut > 0)) {
			t.Errorf("%s: %+v", tt.name, all[0])
		}
	}
	// The network card was to cut it, so that IP does not tell its length.
	tso := unhex(macs + "0800" + strings.Replace(ip4, "45000023", "45000000", 1))
	all, _, err := readAll(t, record(classic(binary.LittleEndian, 0xa1b2c3d4, 1, nil)[:24], tso, 0))
	if err != nil || len(all) != 1 || string(all[0].Data) != "Type:0;" {
		t.Errorf("without a length: %+v, %v", all, err)
	}
}

// TestUntimed counts packets without a time.
func TestUntimed(t *testing.T) {
	le := binary.LittleEndian
	f := unhex(ip4)
	all, stats, err := readAll(t, modern(le, 1, describe(le, 101), 3, words(le, f, uint32(len(f))), 3, words(le, f[:32], uint32(len(f)))))
	if err != nil || len(all) != 2 || stats.Untimed != 2 || !stats.First.IsZero() || !all[1].Cut || all[1].Missing != 3 {
		t.Errorf("%+v, %+v, %v", all, stats, err)
	}
}

// TestOrigin tells the interfaces of a capture apart.
func TestOrigin(t *testing.T) {
	le := binary.LittleEndian
	f := unhex("45000023123440003f11334bac1f2b47128b1d8e" + udp4)
	on := func(n uint32) []byte { p := packet(le, 0, 0, f); le.PutUint32(p, n); return p }
	all, _, err := readAll(t, modern(le, 1, describe(le, 101), 1, describe(le, 101), 6, on(0), 6, on(1), 6, on(0)))
	if err != nil || len(all) != 3 {
		t.Fatal(all, err)
	}
	if o := all[0].Origin; o.Iface == 0 || o.Iface == all[1].Origin.Iface || o != all[2].Origin || o.ID != 0x1234 || o.TTL != 63 || o.Own {
		t.Errorf("%+v, %+v", all[0].Origin, all[1].Origin)
	}
	// The first form of cooked captures does not say.
	all, _, err = readAll(t, classic(le, 0xa1b2c3d4, 113, unhex("0004 0001 0006 067018 87f6b4 0000 0800"+ip4)))
	if err != nil || all[0].Origin.Iface != 0 || all[0].Dir != pcapng.Out {
		t.Errorf("%+v, %v", all, err)
	}
	all, _, err = readAll(t, modified(le, 101, f))
	if err != nil || all[0].Origin.Iface&0xffff != 7 || all[0].Dir != pcapng.Out || !all[0].Origin.Own {
		t.Errorf("%+v, %v", all, err)
	}
}
