package pcapng_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"mdalp/internal/pcapng"
)

// Packets by hand.
const (
	// 172.31.43.71:49710 to 18.139.29.142:4650, "Type:0;"
	udp4 = "c22e122a000fe9e8547970653a303b"
	ip4  = "45000023000040004011334bac1f2b47128b1d8e" + udp4
	// 2001:db8::1 to 2001:db8::2, behind the next header and length that are put in
	addr6 = "20010db8000000000000000000000001" + "20010db8000000000000000000000002"
	vlan  = "8100 0064"
	macs  = "0670188 7f6b4 06e6ce277920"
)

// ip6 makes an IPv6 packet.
func ip6(next string, payload string) string {
	payload = strings.ReplaceAll(payload, " ", "")
	return fmt.Sprintf("60000000%04x%s40", len(payload)/2, next) + addr6 + payload
}

// unhex makes bytes of hex digits and blanks.
func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

// classic makes a pcap file of one frame.
func classic(order binary.ByteOrder, magic, link uint32, frame []byte) []byte {
	b := make([]byte, 40)
	for i, n := range map[int]uint32{0: magic, 16: 65535, 20: link, 24: 1624478787, 28: 779894, 32: uint32(len(frame)), 36: uint32(len(frame))} {
		order.PutUint32(b[i:], n)
	}
	order.PutUint16(b[4:], 2)
	order.PutUint16(b[6:], 4)
	return append(b, frame...)
}

// modified makes a pcap file of one frame as Kuznetsov's patch did: 8 bytes more.
func modified(order binary.AppendByteOrder, link uint32, frame []byte) []byte {
	b := classic(order.(binary.ByteOrder), 0xa1b2cd34, link, nil)
	n := uint32(len(frame))
	order.(binary.ByteOrder).PutUint32(b[32:], n)
	order.(binary.ByteOrder).PutUint32(b[36:], n)
	b = order.AppendUint16(order.AppendUint32(b, 7), 0x0800) // of interface 7
	return append(append(b, 4, 0), frame...)                 // outgoing
}

// modern makes a pcapng file: blocks of type, body.
func modern(order binary.AppendByteOrder, blocks ...any) []byte {
	var b []byte
	add := func(typ uint32, body []byte) {
		for len(body)%4 != 0 {
			body = append(body, 0)
		}
		b = order.AppendUint32(b, typ)
		b = order.AppendUint32(b, uint32(len(body)+12))
		b = append(b, body...)
		b = order.AppendUint32(b, uint32(len(body)+12))
	}
	add(0x0a0d0d0a, append(order.AppendUint32(nil, 0x1a2b3c4d), make([]byte, 12)...))
	for i := 0; i < len(blocks); i += 2 {
		add(uint32(blocks[i].(int)), blocks[i+1].([]byte))
	}
	return b
}

// words makes 32-bit words, and puts bytes behind them.
func words(order binary.AppendByteOrder, more []byte, all ...uint32) (b []byte) {
	for _, n := range all {
		b = order.AppendUint32(b, n)
	}
	return append(b, more...)
}

// describe makes the body of an interface description.
func describe(order binary.AppendByteOrder, link uint16, options ...byte) []byte {
	b := order.AppendUint16(nil, link)
	return append(append(b, make([]byte, 6)...), options...)
}

// packet makes the body of an enhanced packet.
func packet(order binary.AppendByteOrder, high, low uint32, frame []byte) []byte {
	n := uint32(len(frame))
	return words(order, frame, 0, high, low, n, n)
}

// TestLinks reads one frame of every kind.
func TestLinks(t *testing.T) {
	const from, to = "172.31.43.71:49710", "18.139.29.142:4650"
	const from6, to6 = "[2001:db8::1]:49710", "[2001:db8::2]:4650"
	tests := []struct {
		name     string
		link     uint32
		frame    string
		src, dst string // "" if nothing is to be found
		dir      pcapng.Dir
	}{
		{"Ethernet", 1, macs + "0800" + ip4, from, to, 0},
		{"Ethernet, padded", 1, macs + "0800" + ip4 + "0000000000000000000000", from, to, 0},
		{"Ethernet, VLAN", 1, macs + vlan + "0800" + ip4, from, to, 0},
		{"Ethernet, two VLANs", 1, macs + "88a80001" + vlan + "0800" + ip4, from, to, 0},
		{"Ethernet, five VLANs", 1, macs + vlan + vlan + vlan + vlan + vlan + "0800" + ip4, "", "", 0},
		{"Ethernet, IPv6", 1, macs + "86dd" + ip6("11", udp4), from6, to6, 0},
		{"Ethernet, ARP", 1, macs + "0806 0001 0800 0604 0001", "", "", 0},
		{"Ethernet, cut", 1, macs, "", "", 0},
		{"Ethernet, cut in the tag", 1, macs + "8100 00", "", "", 0},
		{"Ethernet with check sequence", 1 | 0x54000000, macs + "0800" + ip4 + "01020304", from, to, 0},
		{"cooked, out", 113, "0004 0001 0006 067018 87f6b4 0000 0800" + ip4, from, to, pcapng.Out},
		{"cooked, in", 113, "0000 0001 0006 067018 87f6b4 0000 86dd" + ip6("11", udp4), from6, to6, pcapng.In},
		{"cooked, cut", 113, "0004 0001 0006 067018 87f6b4 0000", "", "", 0},
		{"cooked 2, out", 276, "0800 0000 00000002 0001 04 06 0670 1887 f6b4 0000" + ip4, from, to, pcapng.Out},
		{"cooked 2, in", 276, "86dd 0000 00000002 0001 00 06 0670 1887 f6b4 0000" + ip6("11", udp4), from6, to6, pcapng.In},
		{"cooked 2, cut", 276, "0800 0000 00000002 0001 04 06 0670 1887 f6b4", "", "", 0},
		{"raw", 101, ip4, from, to, 0},
		{"raw, BSD", 12, ip4, from, to, 0},
		{"raw, OpenBSD", 14, ip6("11", udp4), from6, to6, 0},
		{"raw IPv4", 228, ip4, from, to, 0},
		{"raw IPv6", 229, ip6("11", udp4), from6, to6, 0},
		{"null, little endian", 0, "02000000" + ip4, from, to, 0},
		{"null, big endian", 0, "00000002" + ip4, from, to, 0},
		{"null, IPv6 of macOS", 0, "1e000000" + ip6("11", udp4), from6, to6, 0},
		{"null, IPv6 of FreeBSD", 0, "0000001c" + ip6("11", udp4), from6, to6, 0},
		{"loop", 108, "00000002" + ip4, from, to, 0},
		{"null, EtherType", 0, "00000800" + ip4, from, to, 0},
		{"Ethernet, old tags", 1, macs + "9200 0001 9300 0001" + "0800" + ip4, from, to, 0},
		{"Ethernet, SNAP", 1, macs + "002b aaaa03 000000 0800" + ip4, from, to, 0},
		{"Ethernet, MPLS", 1, macs + "8847 00064040 00065140" + ip4, from, to, 0},
		{"Ethernet, MPLS, IPv6", 1, macs + "8848 00065140" + ip6("11", udp4), from6, to6, 0},
		{"Ethernet, MPLS, Ethernet", 1, macs + "8847 00065140 00000000" + macs + "0800" + ip4, from, to, 0},
		{"Ethernet, MPLS, something", 1, macs + "8847 00065140 1000000000000000", "", "", 0},
		{"Ethernet, MPLS, cut", 1, macs + "8847 000640", "", "", 0},
		{"Ethernet, MPLS without end", 1, macs + "8847" + strings.Repeat("00064040", 20) + ip4, "", "", 0},
		{"Ethernet, PPPoE", 1, macs + "8864 11000001 0025 0021" + ip4, from, to, 0},
		{"Ethernet, PPPoE, IPv6", 1, macs + "8864 11000001 0039 0057" + ip6("11", udp4), from6, to6, 0},
		{"Ethernet, PPPoE, LCP", 1, macs + "8864 11000001 0006 c021 09000008", "", "", 0},
		{"Ethernet, PPPoE, discovery", 1, macs + "8863 11090000 0004 01010000", "", "", 0},
		{"Ethernet, PPPoE, cut", 1, macs + "8864 11000001", "", "", 0},
		{"PPP", 9, "ff03 0021" + ip4, from, to, 0},
		{"PPP, short form", 9, "21" + ip4, from, to, 0},
		{"PPP, HDLC", 50, "ff03 0057" + ip6("11", udp4), from6, to6, 0},
		{"PPP with direction", 204, "01 ff03 0021" + ip4, from, to, 0},
		{"PPPoE alone", 51, "11000001 0025 0021" + ip4, from, to, 0},
		{"PPP, cut", 9, "ff03", "", "", 0},
		{"loop, other family", 108, "00000007" + ip4, "", "", 0},
		{"loop, cut", 108, "0000", "", "", 0},
		{"unknown link", 105, ip4, "", "", 0},
		{"nothing", 101, "", "", "", 0},
		{"IPv5", 101, "55000023000040004011334bac1f2b47128b1d8e" + udp4, "", "", 0},

		{"IPv4 options", 101, "46000027000040004011334bac1f2b47128b1d8e 01010100" + udp4, from, to, 0},
		{"IPv4, header cut", 101, "4500002300004000401133", "", "", 0},
		{"IPv4, options cut", 101, "4f000027000040004011334bac1f2b47128b1d8e 010101", "", "", 0},
		{"IPv4, header too short", 101, "44000023000040004011334bac1f2b47128b1d8e" + udp4, "", "", 0},
		{"IPv4, total below header", 101, "45000010000040004011334bac1f2b47128b1d8e" + udp4, "", "", 0},
		{"IPv4, no total length", 101, "45000000000040004011334bac1f2b47128b1d8e" + udp4, from, to, 0},
		{"IPv4, first fragment", 101, "45000023000020004011334bac1f2b47128b1d8e" + udp4, "", "", 0},
		{"IPv4, later fragment", 101, "45000023000000034011334bac1f2b47128b1d8e" + udp4, "", "", 0},
		{"TCP", 101, "45000023000040004006334bac1f2b47128b1d8e" + udp4, "", "", 0},
		{"ICMPv6 over IPv4", 101, "4500002300004000403a334bac1f2b47128b1d8e" + udp4, "", "", 0},
		{"UDP, header cut", 101, "4500001a000040004011334bac1f2b47128b1d8e c22e122a000f", "", "", 0},
		{"UDP, length too large", 101, "45000023000040004011334bac1f2b47128b1d8e c22e122a0010e9e8547970653a303b", "", "", 0},
		{"UDP, length too small", 101, "45000023000040004011334bac1f2b47128b1d8e c22e122a0007e9e8547970653a303b", "", "", 0},
		{"UDP, no length", 101, "45000023000040004011334bac1f2b47128b1d8e c22e122a0000e9e8547970653a303b", from, to, 0},

		{"IPv6, hop by hop", 101, ip6("00", "1100 0000 0000 0000"+udp4), from6, to6, 0},
		{"IPv6, routing and destination", 101, ip6("2b", "3c01 0000 00000000 0000000000000000 1100 000000000000"+udp4), from6, to6, 0},
		{"IPv6, atomic fragment", 101, ip6("2c", "1100 0000 00000001"+udp4), from6, to6, 0},
		{"IPv6, fragment", 101, ip6("2c", "1100 0001 00000001"+udp4), "", "", 0},
		{"IPv6, authentication", 101, ip6("33", "1104 0000 00000001 00000001 000000000000000000000000"+udp4), from6, to6, 0},
		{"IPv6, no next header", 101, ip6("3b", ""), "", "", 0},
		{"IPv6, extension cut", 101, ip6("00", "1101 0000 0000 0000"), "", "", 0},
		{"IPv6, no extension", 101, ip6("00", ""), "", "", 0},
		{"IPv6, header cut", 101, "6000000000", "", "", 0},
		{"IPv6, no length", 101, "600000000000 11 40" + addr6 + udp4, from6, to6, 0},
		{"IPv6, endless extensions", 101, ip6("00", strings.Repeat("0000000000000000", 20)), "", "", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			all, stats, err := readAll(t, classic(binary.LittleEndian, 0xa1b2c3d4, tt.link, unhex(tt.frame)))
			if err != nil || stats.Frames != 1 {
				t.Fatalf("%+v, %v", stats, err)
			}
			if sum := stats.Datagrams + stats.Other + stats.Fragments + stats.Joined + stats.Malformed + stats.Strange + stats.Short; sum != 1 {
				t.Errorf("it counts %d times: %+v", sum, stats)
			}
			if tt.src == "" {
				if len(all) != 0 {
					t.Errorf("got %+v", all)
				}
				if want := strings.Contains(tt.name, "fragment"); want != (stats.Fragments == 1) {
					t.Errorf("fragments: %+v", stats)
				}
				return
			}
			if len(all) != 1 {
				t.Fatalf("nothing found: %+v", stats)
			}
			if d := all[0]; d.Src.String() != tt.src || d.Dst.String() != tt.dst || string(d.Data) != "Type:0;" || d.Dir != tt.dir || d.Cut || d.Proto != pcapng.UDP {
				t.Errorf("got %+v, data %q", d, d.Data)
			}
		})
	}
}

// TestICMP gives the whole message, and marks what was cut.
func TestICMP(t *testing.T) {
	for name, tt := range map[string]struct {
		frame string
		want  string
		cut   bool
	}{
		"echo":        {"4500001e00004000400133 00 0a000001 0a000002 0800f7fd00010001 6869", "0800f7fd000100016869", false},
		"cut":         {"4500002200004000400133 00 0a000001 0a000002 0800f7fd00010001 6869", "0800f7fd000100016869", true},
		"ICMPv6 echo": {ip6("3a", "8000 f7fd 0001 0001"), "8000f7fd00010001", false},
	} {
		all, stats, err := readAll(t, classic(binary.BigEndian, 0xa1b2c3d4, 101, unhex(tt.frame)))
		if err != nil || len(all) != 1 || hex.EncodeToString(all[0].Data) != tt.want || all[0].Cut != tt.cut || all[0].Proto == pcapng.UDP {
			t.Errorf("%s: %+v, %v", name, all, err)
		}
		if tt.cut != (stats.Cut == 1) {
			t.Errorf("%s: %+v", name, stats)
		}
	}
}

// TestFormats reads the same packet from files of every kind.
func TestFormats(t *testing.T) {
	le, be := binary.LittleEndian, binary.BigEndian
	frame := unhex(ip4)
	const ns = 1624478787779894961
	hi, lo := uint32(ns>>32), uint32(ns&0xffffffff)
	us := uint64(ns / 1000)
	micro, nano := time.Unix(1624478787, 779894000), time.Unix(1624478787, 779894961)
	// Options are code, length, value, padding.
	tests := []struct {
		name string
		file []byte
		want time.Time
	}{
		{"pcap, little endian", classic(le, 0xa1b2c3d4, 101, frame), micro},
		{"pcap, big endian", classic(be, 0xa1b2c3d4, 101, frame), micro},
		{"pcap, modified", modified(le, 101, frame), micro},
		{"pcap, modified, big endian", modified(be, 101, frame), micro},
		{"pcap, ns, little endian", classic(le, 0xa1b23c4d, 101, frame), time.Unix(1624478787, 779894)},
		{"pcap, ns, big endian", classic(be, 0xa1b23c4d, 101, frame), time.Unix(1624478787, 779894)},
		{"pcapng, µs, little endian", modern(le, 1, describe(le, 101), 6, packet(le, uint32(us>>32), uint32(us), frame)), micro},
		{"pcapng, µs, big endian", modern(be, 1, describe(be, 101), 6, packet(be, uint32(us>>32), uint32(us), frame)), micro},
		{"pcapng, ns", modern(le, 1, describe(le, 101, 9, 0, 1, 0, 9, 0, 0, 0), 6, packet(le, hi, lo, frame)), nano},
		{"pcapng, 10^-12 s", modern(le, 1, describe(le, 101, 9, 0, 1, 0, 12, 0, 0, 0), 6, packet(le, 0, 1_500_000_000, frame)), time.Unix(0, 1_500_000)},
		{"pcapng, 2^-10 s", modern(le, 1, describe(le, 101, 9, 0, 1, 0, 0x8a, 0, 0, 0), 6, packet(le, 0, 1024+512, frame)), time.Unix(1, 5e8)},
		{"pcapng, whole seconds", modern(le, 1, describe(le, 101, 9, 0, 1, 0, 0, 0, 0, 0), 6, packet(le, 0, 7, frame)), time.Unix(7, 0)},
		{"pcapng, offset", modern(le, 1, describe(le, 101, 14, 0, 8, 0, 100, 0, 0, 0, 0, 0, 0, 0), 6, packet(le, 0, 7, frame)), time.Unix(100, 7000)},
		{"pcapng, beyond the year 9999", modern(le, 1, describe(le, 101, 9, 0, 1, 0, 0, 0, 0, 0), 6, packet(le, 1<<31, 7, frame)), time.Time{}},
		{"pcapng, offset beyond all", modern(le, 1, describe(le, 101, 14, 0, 8, 0, 255, 255, 255, 255, 255, 255, 255, 127), 6, packet(le, 0, 7, frame)), time.Time{}},
		{"pcapng, options cut", modern(le, 1, describe(le, 101, 9, 0, 200, 0, 9, 0, 0, 0), 6, packet(le, uint32(us>>32), uint32(us), frame)), micro},
		{"pcapng, old packet", modern(le, 1, describe(le, 101), 2, packet(le, uint32(us>>32), uint32(us), frame)), micro},
		{"pcapng, simple packet", modern(le, 1, describe(le, 101), 3, words(le, frame, uint32(len(frame)))), time.Time{}},
		{"pcapng, unknown blocks", modern(le, 99, []byte("what"), 1, describe(le, 101), 5, []byte("stat"), 6, packet(le, uint32(us>>32), uint32(us), frame)), micro},
		{"two sections of both orders", append(modern(le, 1, describe(le, 1)), modern(be, 1, describe(be, 101), 6, packet(be, uint32(us>>32), uint32(us), frame))...), micro},
	}
	for _, tt := range tests {
		all, _, err := readAll(t, tt.file)
		if err != nil || len(all) != 1 || string(all[0].Data) != "Type:0;" || !all[0].At.Equal(tt.want) {
			t.Errorf("%s: %+v, %v; want %v", tt.name, all, err, tt.want)
		}
		// However it comes in.
		r, err := pcapng.NewReader(iotest.OneByteReader(bytes.NewReader(tt.file)))
		var d pcapng.Datagram
		if err == nil {
			err = r.Next(&d)
		}
		if err != nil || string(d.Data) != "Type:0;" {
			t.Errorf("%s, byte by byte: %+v, %v", tt.name, d, err)
		}
	}
}

func TestBadFormats(t *testing.T) {
	le := binary.LittleEndian
	frame := unhex(ip4)
	good := modern(le, 1, describe(le, 101), 6, packet(le, 0, 0, frame))
	change := func(at int, n uint32) []byte {
		b := bytes.Clone(good)
		le.PutUint32(b[at:], n)
		return b
	}
	pcap := classic(le, 0xa1b2c3d4, 101, frame)
	pcapLong := bytes.Clone(pcap)
	le.PutUint32(pcapLong[32:], 1<<30)
	tests := []struct {
		name, want string
		file       []byte
	}{
		{"no byte order", "byte 0: the section tells no byte order", change(8, 7)},
		{"long block", "byte 28: the block of type 1 is longer than 16777216 bytes", change(32, 1<<25)},
		{"odd length", "byte 28: the block of type 1 has a length of 21", change(32, 21)},
		{"tiny length", "byte 28: the block of type 1 has a length of 8", change(32, 8)},
		{"other length at the end", "byte 28: the block of type 1 has another length at its end", change(44, 24)},
		{"no such interface", "byte 48: the packet is of interface 5 of 1", change(56, 5)},
		{"long packet", "byte 48: the packet is longer than its block", change(68, 1000)},
		{"short packet", "byte 28: the packet is too short", modern(le, 6, []byte("abcd"))},
		{"short interface", "byte 28: the description of an interface is too short", modern(le, 1, []byte("abcd"))},
		{"odd unit of time", "byte 28: the interface's unit of time, 0x14, is too small", modern(le, 1, describe(le, 101, 9, 0, 1, 0, 20, 0, 0, 0))},
		{"odd binary unit of time", "byte 28: the interface's unit of time, 0xc0, is too small", modern(le, 1, describe(le, 101, 9, 0, 1, 0, 0xc0, 0, 0, 0))},
		{"simple packet of nowhere", "byte 28: the simple packet is of no interface, or too short", modern(le, 3, words(le, frame, 35))},
		{"too many interfaces", fmt.Sprintf("byte %d: there are more than 65536 interfaces", 28+65536*20), modern(le, many(65537, 1, describe(le, 101))...)},
		{"long record", "byte 24: the packet is longer than 16777216 bytes", pcapLong},
		{"cut block", io.ErrUnexpectedEOF.Error(), good[:len(good)-1]},
		{"cut header", io.ErrUnexpectedEOF.Error(), good[:50]},
		{"cut section", io.ErrUnexpectedEOF.Error(), good[:8]},
		{"cut record", io.ErrUnexpectedEOF.Error(), pcap[:len(pcap)-1]},
		{"cut record header", io.ErrUnexpectedEOF.Error(), pcap[:30]},
	}
	for _, tt := range tests {
		_, _, err := readAll(t, tt.file)
		if err == nil || err.Error() != tt.want {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
		var format *pcapng.FormatError
		if !errors.As(err, &format) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: the error is a %T", tt.name, err)
		}
	}
	for _, tt := range []struct{ file, what string }{
		{"abc", ""}, {"a text", ""}, {"\xa1\xb2\xcd\x35aaaaaaaaaaaaaaaaaaaaaaaaa", ""},
		{"", ": it is empty"}, {"\x1f\x8b\x08\x00", ": it is compressed by gzip: gunzip it first"}, {"\xfd7zXZ", ": it is compressed by xz: unxz it first"},
		{"(\xb5/\xfd", ": it is compressed by zstd: unzstd it first"}, {"BZh91AY", ": it is compressed by bzip2: bunzip2 it first"},
	} {
		if _, err := pcapng.NewReader(strings.NewReader(tt.file)); !errors.Is(err, pcapng.ErrFormat) || err.Error() != pcapng.ErrFormat.Error()+tt.what {
			t.Errorf("%q: %v", tt.file, err)
		}
	}
	if _, err := pcapng.NewReader(strings.NewReader("\xd4\xc3\xb2\xa1\x02\x00")); err != io.ErrUnexpectedEOF {
		t.Errorf("a head that was cut: %v", err)
	}
	if _, err := pcapng.NewReader(iotest.ErrReader(errFull)); err != errFull {
		t.Errorf("an error of the file: %v", err)
	}
	r, err := pcapng.NewReader(io.MultiReader(bytes.NewReader(good[:50]), iotest.ErrReader(errFull)))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Next(new(pcapng.Datagram)); err != errFull {
		t.Errorf("an error of the file, later: %v", err)
	}
}

// many repeats a block.
func many(n, typ int, body []byte) (blocks []any) {
	for range n {
		blocks = append(blocks, typ, body)
	}
	return blocks
}

// TestReadTakesLittle reads a block that claims much more than there is.
func TestReadTakesLittle(t *testing.T) {
	b := modern(binary.LittleEndian, 1, describe(binary.LittleEndian, 101))
	b = binary.LittleEndian.AppendUint32(b, 6)
	b = binary.LittleEndian.AppendUint32(b, 16<<20)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r, err := pcapng.NewReader(bytes.NewReader(b))
	if err == nil {
		err = r.Next(new(pcapng.Datagram))
	}
	runtime.ReadMemStats(&after)
	if err != io.ErrUnexpectedEOF {
		t.Fatal(err)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n == 0 || n > 300<<10 {
		t.Errorf("%d bytes are allocated", n)
	}
}

func FuzzRead(f *testing.F) {
	le, be := binary.LittleEndian, binary.BigEndian
	frame := unhex(ip4)
	f.Add(written(f, samples))
	f.Add(classic(be, 0xa1b2c3d4, 1, unhex(macs+vlan+"0800"+ip4)))
	f.Add(classic(le, 0xa1b23c4d, 276, unhex("86dd 0000 00000002 0001 00 06 0670 1887 f6b4 0000"+ip6("2c", "1100 0000 00000001"+udp4))))
	f.Add(modern(be, 1, describe(be, 0, 9, 0, 1, 0, 0x8a, 0, 0, 0), 2, packet(be, 1, 2, append(unhex("00000002"), frame...)), 3, words(be, frame, 35)))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := pcapng.NewReader(bytes.NewReader(b))
		if err != nil {
			return
		}
		var all []pcapng.Datagram
		var last int64
		for {
			var d pcapng.Datagram
			if err := r.Next(&d); err != nil {
				break
			}
			if d.Frame <= last || len(d.Data) > len(b) || !d.Src.Addr().IsValid() || d.Src.Addr().Is4() != d.Dst.Addr().Is4() {
				t.Fatalf("impossible: %+v after frame %d", d, last)
			}
			last = d.Frame
			d.Data = append([]byte{}, d.Data...)
			all = append(all, d)
		}
		s := r.Stats()
		if s.Frames != s.Datagrams+s.Other+s.Fragments+s.Joined+s.Malformed+s.Strange+s.Short || s.Datagrams != int64(len(all)) || s.Frames > int64(len(b)/16) {
			t.Fatalf("%d bytes, %d datagrams: %+v", len(b), len(all), s)
		}
		// What was read can be written, and reads the same.
		var out bytes.Buffer
		w := pcapng.NewWriter(&out, "fuzz")
		var kept []pcapng.Datagram
		for _, d := range all {
			if d.At.IsZero() || d.At.Unix() > 1<<33 || len(d.Comment) > 4096 {
				continue
			}
			if d.Proto == pcapng.ICMPv6 && d.Data[2]|d.Data[3] == 0 {
				continue // it gets its checksum
			}
			if err := w.Write(&d); err == nil {
				kept = append(kept, d)
			}
		}
		w.Flush()
		again, _, err := readAll(t, out.Bytes())
		if err != nil || len(again) != len(kept) {
			t.Fatalf("%d of %d written are read: %v", len(again), len(kept), err)
		}
		for i, d := range again {
			if k := kept[i]; !d.At.Equal(k.At) || d.Src != k.Src || d.Dst != k.Dst || !bytes.Equal(d.Data, k.Data) || d.Comment != k.Comment || d.Dir != k.Dir {
				t.Fatalf("written %+v, read %+v", k, d)
			}
		}
	})
}
