package pcapng_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"pgregory.net/rapid"

	"mdalp/internal/pcapng"
)

// at is an instant with nanoseconds.
var at = time.Unix(1624478787, 779894961)

// samples are datagrams of all kinds.
var samples = []pcapng.Datagram{
	{At: at, Proto: pcapng.UDP, Src: ap("172.31.43.71:49710"), Dst: ap("18.139.29.142:4650"), Data: []byte("Type:0;"), Comment: "intent", Dir: pcapng.Out},
	{At: at.Add(1), Proto: pcapng.UDP, Src: ap("[2001:db8::1]:1"), Dst: ap("[2001:db8::2]:65535"), Data: []byte("odd"), Dir: pcapng.In},
	{At: at.Add(2), Proto: pcapng.UDP, Src: ap("10.0.0.1:5"), Dst: ap("10.0.0.2:6"), Data: []byte{}},
	{At: at.Add(3), Proto: pcapng.ICMP, Src: ap("10.0.0.1:0"), Dst: ap("10.0.0.2:0"), Data: []byte{8, 0, 0xf7, 0xfd, 0, 1, 0, 1}, Comment: "echo"},
	{At: at.Add(4), Proto: pcapng.ICMPv6, Src: ap("[fe80::1]:0"), Dst: ap("[fe80::2]:0"), Data: []byte{128, 0, 0, 0, 0, 1, 0, 1, 7}},
}

func ap(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// written makes a capture.
func written(t testing.TB, all []pcapng.Datagram) []byte {
	t.Helper()
	var b bytes.Buffer
	w := pcapng.NewWriter(&b, "test")
	for i := range all {
		if err := w.Write(&all[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// readAll reads a capture to its end.
func readAll(t testing.TB, b []byte) (all []pcapng.Datagram, s pcapng.Stats, err error) {
	t.Helper()
	r, err := pcapng.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	for {
		var d pcapng.Datagram
		if err := r.Next(&d); err != nil {
			if err == io.EOF {
				err = nil
			}
			return all, r.Stats(), err
		}
		d.Data = append([]byte{}, d.Data...)
		all = append(all, d)
	}
}

// TestBytes compares a whole capture with what the drafts and RFCs say it is.
func TestBytes(t *testing.T) {
	want := strings.Join([]string{
		"0a0d0d0a 28000000 4d3c2b1a 0100 0000 ffffffffffffffff", // section
		"0400 0400 74657374 00000000 28000000",                  // its program: "test"
		"01000000 2c000000 6500 0000 00000000",                  // interface of raw IP
		"0200 0500 6d64616c70 000000 0900 0100 09 000000 00000000 2c000000",
		"06000000 5c000000 00000000 d94e8b16 b11ec7c2 23000000 23000000", // packet of 35 bytes
		"4500 0023 0000 4000 4011 334b ac1f2b47 128b1d8e",
		"c22e 122a 000f e9e8 547970653a303b 00",
		"0100 0600 696e74656e74 0000 0200 0400 02000000 00000000 5c000000",
	}, "")
	want = strings.ReplaceAll(want, " ", "")
	if got := hex.EncodeToString(written(t, samples[:1])); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestWriteRefuses(t *testing.T) {
	long := make([]byte, 65536)
	for name, d := range map[string]pcapng.Datagram{
		"two families":   {Proto: pcapng.UDP, Src: ap("10.0.0.1:5"), Dst: ap("[::1]:5")},
		"no source":      {Proto: pcapng.UDP, Dst: ap("10.0.0.1:5")},
		"other protocol": {Proto: 6, Src: ap("10.0.0.1:5"), Dst: ap("10.0.0.2:5")},
		"too long":       {Proto: pcapng.UDP, Src: ap("10.0.0.1:5"), Dst: ap("10.0.0.2:5"), Data: long[:65508]},
		"too long for 6": {Proto: pcapng.UDP, Src: ap("[::1]:5"), Dst: ap("[::1]:5"), Data: long[:65528]},
		"ICMP of IPv6":   {Proto: pcapng.ICMP, Src: ap("[::1]:5"), Dst: ap("[::1]:5"), Data: long[:8]},
		"ICMPv6 of IPv4": {Proto: pcapng.ICMPv6, Src: ap("10.0.0.1:5"), Dst: ap("10.0.0.2:5"), Data: long[:8]},
		"short ICMP":     {Proto: pcapng.ICMP, Src: ap("10.0.0.1:5"), Dst: ap("10.0.0.2:5"), Data: long[:3]},
	} {
		var b bytes.Buffer
		w := pcapng.NewWriter(&b, "test")
		if err := w.Write(&d); !errors.Is(err, pcapng.ErrDatagram) {
			t.Errorf("%s: %v", name, err)
		}
		// The capture goes on as if nothing had been.
		if err := w.Write(&samples[0]); err != nil {
			t.Errorf("%s: afterwards: %v", name, err)
		}
		if w.Flush(); !bytes.Equal(b.Bytes(), written(t, samples[:1])) {
			t.Errorf("%s: it left something in the capture", name)
		}
	}
	most := pcapng.Datagram{Proto: pcapng.UDP, Src: ap("10.0.0.1:5"), Dst: ap("10.0.0.2:5"), Data: long[:65507], At: at}
	if got, _, err := readAll(t, written(t, []pcapng.Datagram{most})); err != nil || len(got) != 1 || len(got[0].Data) != 65507 {
		t.Errorf("the longest datagram: %d read, %v", len(got), err)
	}
}

// broken fails after some bytes.
type broken struct{ left int }

var errFull = errors.New("full")

func (b *broken) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestWriteError(t *testing.T) {
	w := pcapng.NewWriter(&broken{100_000}, "test")
	d := samples[0]
	d.Data = make([]byte, 1000)
	var err error
	n := 0
	for ; err == nil && n < 1000; n++ {
		err = w.Write(&d)
	}
	if !errors.Is(err, errFull) || n > 200 {
		t.Errorf("%v after %d packets", err, n)
	}
}

func TestRoundTrip(t *testing.T) {
	got, stats, err := readAll(t, written(t, samples))
	if err != nil {
		t.Fatal(err)
	}
	want := append([]pcapng.Datagram(nil), samples...)
	for i := range want {
		want[i].Frame = int64(i + 1)
	}
	for i := range got {
		if got[i].Origin.TTL != 64 || got[i].Origin.Iface == 0 {
			t.Errorf("%+v", got[i].Origin)
		}
		got[i].Origin = pcapng.Origin{}
	}
	want[4].Data = []byte{128, 0, 0x7b, 0xb5, 0, 1, 0, 1, 7} // the checksum was left to the writer
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
		t.Error(diff)
	}
	if stats.Frames != 5 || stats.Datagrams != 5 || !stats.First.Equal(at) || !stats.Last.Equal(at.Add(4)) {
		t.Errorf("%+v", stats)
	}
}

// A comment that is too long is cut between characters.
func TestLongComment(t *testing.T) {
	for _, c := range []struct {
		comment string
		want    int
	}{
		{strings.Repeat("x", 5000), 4096}, {strings.Repeat("ü", 2100), 4096},
		{"x" + strings.Repeat("ü", 2100), 4095}, {strings.Repeat("x", 4096), 4096},
	} {
		d := samples[0]
		d.Comment = c.comment
		got, _, err := readAll(t, written(t, []pcapng.Datagram{d}))
		if err != nil || len(got) != 1 || got[0].Comment != c.comment[:c.want] {
			t.Errorf("%.3s...: %v", c.comment, err)
		}
	}
}

func TestRoundTripAny(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		d := pcapng.Datagram{
			At: time.Unix(0, rapid.Int64Min(0).Draw(r, "at")), Proto: pcapng.UDP,
			Data:    rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(r, "data"),
			Comment: rapid.String().Draw(r, "comment"), Dir: pcapng.Dir(rapid.IntRange(0, 2).Draw(r, "dir")),
		}
		a, b := [16]byte{0: 0x20}, [16]byte{0: 0x20}
		copy(a[1:], rapid.SliceOfN(rapid.Byte(), 15, 15).Draw(r, "src"))
		copy(b[1:], rapid.SliceOfN(rapid.Byte(), 15, 15).Draw(r, "dst"))
		src, dst := netip.AddrFrom16(a), netip.AddrFrom16(b)
		if rapid.Bool().Draw(r, "IPv4") {
			src, dst = netip.AddrFrom4([4]byte(a[:4])), netip.AddrFrom4([4]byte(b[:4]))
		}
		d.Src = netip.AddrPortFrom(src, rapid.Uint16().Draw(r, "sport"))
		d.Dst = netip.AddrPortFrom(dst, rapid.Uint16().Draw(r, "dport"))
		got, _, err := readAll(t, written(t, []pcapng.Datagram{d, d}))
		if err != nil || len(got) != 2 {
			r.Fatalf("%d read, %v", len(got), err)
		}
		d.Frame, d.Origin = 2, got[1].Origin
		if diff := cmp.Diff(d, got[1], cmpopts.EquateComparable(netip.AddrPort{}), cmpopts.EquateEmpty()); diff != "" {
			r.Fatal(diff)
		}
	})
}

// TestGopacket has another implementation read what ours writes, and sum it up.
func TestGopacket(t *testing.T) {
	r, err := pcapgo.NewNgReader(bytes.NewReader(written(t, samples)), pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	if r.LinkType() != layers.LinkTypeRaw || r.SectionInfo().Application != "test" {
		t.Errorf("link type %v of %q", r.LinkType(), r.SectionInfo().Application)
	}
	for i, want := range samples {
		b, info, err := r.ReadPacketData()
		if err != nil {
			t.Fatal(err)
		}
		if !info.Timestamp.Equal(want.At) || info.Length != len(b) {
			t.Errorf("packet %d at %v, %d of %d bytes", i, info.Timestamp, len(b), info.Length)
		}
		p := gopacket.NewPacket(b, r.LinkType(), gopacket.Default)
		if e := p.ErrorLayer(); e != nil {
			t.Errorf("packet %d: %v", i, e.Error())
		}
		for _, l := range p.Layers() {
			if c, ok := l.(interface {
				SetNetworkLayerForChecksum(gopacket.NetworkLayer) error
			}); ok {
				c.SetNetworkLayerForChecksum(p.NetworkLayer())
			}
		}
		if err, wrong := p.VerifyChecksums(); err != nil || len(wrong) > 0 {
			t.Errorf("packet %d: checksums: %v, wrong: %v", i, err, wrong)
		}
		flow := p.NetworkLayer().NetworkFlow()
		if flow.Src().String() != want.Src.Addr().String() || flow.Dst().String() != want.Dst.Addr().String() {
			t.Errorf("packet %d: %v", i, flow)
		}
		if want.Proto == pcapng.UDP {
			u := p.Layer(layers.LayerTypeUDP).(*layers.UDP)
			if uint16(u.SrcPort) != want.Src.Port() || uint16(u.DstPort) != want.Dst.Port() || !bytes.Equal(u.Payload, want.Data) {
				t.Errorf("packet %d: %+v", i, u)
			}
		}
	}
	if _, _, err := r.ReadPacketData(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

func TestWriteAllocates(t *testing.T) {
	w := pcapng.NewWriter(io.Discard, "test")
	d := samples[0]
	if err := w.Write(&d); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(1000, func() { w.Write(&d) }); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
}
