package icmp

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// Literal messages: identifier 0x1234, host 1, echo 2.
var (
	request4 = []byte{8, 0, 0xd5, 0xb2, 0x12, 0x34, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8}
	reply4   = []byte{0, 0, 0xdd, 0xb2, 0x12, 0x34, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8}
	request6 = []byte{128, 0, 0, 0, 0x12, 0x34, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8}
	reply6   = []byte{129, 0, 0xab, 0xcd, 0x12, 0x34, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8}
	carried  = payload{host: 1, echo: 2, cookie: 0x0102030405060708}
	// header4 is an IPv4 header for reply4, from 127.0.0.1 to itself.
	header4 = []byte{0x45, 0, 0, 44, 0, 1, 0, 0, 64, 1, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1}
)

// join puts byte strings together in fresh memory.
func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// with gives a copy of b with byte i changed to v.
func with(b []byte, i int, v byte) []byte {
	b = bytes.Clone(b)
	b[i] = v
	return b
}

func TestTemplateAppend(t *testing.T) {
	tests := []struct {
		name  string
		typ   icmp.Type
		proto int
		want  []byte
	}{
		{"IPv4", ipv4.ICMPTypeEcho, 1, request4},
		{"IPv6", ipv6.ICMPTypeEchoRequest, 58, request6},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tmpl := newTemplate(tt.typ, 0x1234)
			got := tmpl.append([]byte("before"), carried, 0)
			if want := join([]byte("before"), tt.want); !bytes.Equal(got, want) {
				t.Fatalf("got  %x\nwant %x", got, want)
			}
			// x/net/icmp must read it as what it would have written itself.
			m, err := icmp.ParseMessage(tt.proto, got[len("before"):])
			if err != nil {
				t.Fatal(err)
			}
			body := &icmp.Echo{ID: 0x1234, Seq: 2, Data: tt.want[headerLen:]}
			if diff := cmp.Diff(body, m.Body); diff != "" {
				t.Fatal(diff)
			}
			whole, err := (&icmp.Message{Type: tt.typ, Body: body}).Marshal(nil)
			if err != nil || !bytes.Equal(whole, tt.want) {
				t.Fatalf("x/net/icmp writes %x, %v", whole, err)
			}
		})
	}
}

// The sequence number in the header has 16 bits, the echo in the data 32.
func TestTemplateAppendWraps(t *testing.T) {
	tmpl := newTemplate(ipv6.ICMPTypeEchoRequest, 7)
	got := tmpl.append(nil, payload{echo: 0x10002}, 0)
	if want := []byte{0, 2}; !bytes.Equal(got[6:8], want) {
		t.Errorf("sequence number %x, want %x", got[6:8], want)
	}
	if want := []byte{0, 1, 0, 2}; !bytes.Equal(got[12:16], want) {
		t.Errorf("echo %x, want %x", got[12:16], want)
	}
}

func TestParseReply(t *testing.T) {
	options := join([]byte{0x46}, header4[1:3], []byte{48}, header4[4:], []byte{1, 1, 1, 0}, reply4)
	short, err := (&icmp.Message{Type: ipv4.ICMPTypeEchoReply, Body: &icmp.Echo{ID: 0x1234}}).Marshal(nil)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		v4   bool
		b    []byte
		want Outcome
	}{
		{"v4 bare", true, reply4, Counted},
		{"v4 with IP header", true, join(header4, reply4), Counted},
		{"v4 with IP options", true, options, Counted},
		{"v4 with padding after the datagram", true, join(header4, reply4, []byte{9, 9}), Counted},
		{"v6", false, reply6, Counted},
		{"v4 nothing", true, nil, Malformed},
		{"v6 nothing", false, nil, Malformed},
		{"v4 header cut", true, reply4[:7], Malformed},
		{"v6 header cut", false, reply6[:7], Malformed},
		{"v4 IP header cut", true, header4[:19], Malformed},
		{"v4 IP header alone", true, with(header4, 3, 20), Malformed},
		{"v4 IP header length 16", true, join(with(header4, 0, 0x44), reply4), Malformed},
		{"v4 IP header length past the end", true, with(header4, 0, 0x4f), Malformed},
		{"v4 total length past the end", true, join(header4, reply4[:23]), Malformed},
		{"v4 total length within the header", true, join(with(header4, 3, 19), reply4), Malformed},
		{"v4 checksum", true, with(reply4, 3, 0xb3), Malformed},
		{"v4 bit flipped", true, with(reply4, 23, 9), Malformed},
		{"v4 code", true, with(reply4, 1, 1), Malformed},
		{"v6 code", false, with(reply6, 1, 1), Malformed},
		{"v4 request", true, request4, Foreign},
		{"v6 request", false, request6, Foreign},
		{"v4 reply from an IPv6 host", false, reply4, Foreign},
		{"v6 reply from an IPv4 host", true, reply6, Foreign},
		{"v4 other data", true, short, Foreign},
		{"v6 less data", false, reply6[:23], Foreign},
		{"v6 more data", false, append(bytes.Clone(reply6), 0), Foreign},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pl, got := parseReply(tt.v4, tt.b, 0)
			if got != tt.want {
				t.Fatalf("outcome %v, want %v", got, tt.want)
			}
			if got == Counted && pl != carried {
				t.Fatalf("payload %+v, want %+v", pl, carried)
			}
		})
	}
}

// The worked example of RFC 1071 section 3, and the odd byte.
func TestChecksum(t *testing.T) {
	tests := []struct {
		b    []byte
		want uint16
	}{
		{[]byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}, ^uint16(0xddf2)},
		{nil, 0xffff},
		{[]byte{0x12}, ^uint16(0x1200)},
		{bytes.Repeat([]byte{0xff}, 1<<16), 0},
	}
	for _, tt := range tests {
		if got := checksum(tt.b); got != tt.want {
			t.Errorf("checksum of %d bytes: %#04x, want %#04x", len(tt.b), got, tt.want)
		}
	}
}
