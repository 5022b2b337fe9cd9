package main

import (
	"bytes"
	"encoding/xml"
	"flag"
	"fmt"
	"image/png"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mdalp/internal/pcapng"
	"mdalp/wire"
)

var update = flag.Bool("update", false, "write the pictures in testdata anew")

// real is a capture of a transaction over three continents.
const real = "../../internal/trace/testdata/continents.pcapng"

var (
	began  = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	client = netip.MustParseAddrPort("192.0.2.1:40000")
)

// scene makes a capture of a transaction with n receivers.
type scene struct {
	tid       int64
	at        time.Duration
	addrs     []netip.AddrPort
	datagrams []pcapng.Datagram
}

func newScene(tid int64, host string, n int) *scene {
	s := &scene{tid: tid}
	var rs []wire.Receiver
	a := netip.MustParseAddr(host)
	for i := range n {
		s.addrs = append(s.addrs, netip.AddrPortFrom(a, 4650))
		rs = append(rs, wire.Receiver{Host: a.String(), Name: fmt.Sprintf("receiver <%d> & \"more\"", i+1)})
		a = a.Next()
	}
	from := client
	if s.addrs[0].Addr().Is6() {
		from = netip.MustParseAddrPort("[2001:db8::1]:40000")
	}
	s.put(0, s.addrs[0], from, wire.AppendOffer(nil, tid, rs))
	return s
}

func (s *scene) put(at time.Duration, from, to netip.AddrPort, b []byte) {
	s.datagrams = append(s.datagrams, pcapng.Datagram{At: began.Add(s.at + at), Proto: pcapng.UDP, Src: from, Dst: to, Data: b})
}

func (s *scene) client() netip.AddrPort { return s.datagrams[0].Dst }

// ping answers an echo to each receiver after a time.
func (s *scene) ping(took ...time.Duration) *scene {
	for i, d := range took {
		for k, typ := range []byte{8, 0} {
			b := []byte{typ, 0, 0, 0, 1, byte(i), 0, 1}
			src, dst := netip.AddrPortFrom(s.client().Addr(), 0), netip.AddrPortFrom(s.addrs[i].Addr(), 0)
			if k == 1 {
				src, dst = dst, src
			}
			s.datagrams = append(s.datagrams, pcapng.Datagram{At: began.Add(s.at + time.Duration(k)*d), Proto: pcapng.ICMP, Src: src, Dst: dst, Data: b})
		}
	}
	return s
}

// send sends a segment of 100 bytes, which is acknowledged unless took is 0.
func (s *scene) send(receiver int, seq int64, at, took time.Duration) *scene {
	s.put(at, s.client(), s.addrs[receiver], wire.AppendData(nil, s.tid, seq, make([]byte, 100)))
	if took > 0 {
		s.put(at+took, s.addrs[receiver], s.client(), wire.AppendAck(nil, s.tid, seq))
	}
	return s
}

// file writes scenes as a capture, in the order of time.
func file(t testing.TB, scenes ...*scene) string {
	t.Helper()
	var all []pcapng.Datagram
	for _, s := range scenes {
		all = append(all, s.datagrams...)
	}
	slices.SortStableFunc(all, func(a, b pcapng.Datagram) int { return a.At.Compare(b.At) })
	var b bytes.Buffer
	w := pcapng.NewWriter(&b, "mdalplot test")
	for i := range all {
		if err := w.Write(&all[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "run.pcapng")
	if err := os.WriteFile(name, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// small has all that a picture can show: a loss, a lost repetition, a needless one, and
// segments that move to another receiver.
func small() *scene {
	const ms = time.Millisecond
	return newScene(7, "192.0.2.11", 2).ping(20*ms, 40*ms).
		send(0, 0, 50*ms, 90*ms).send(0, 1, 140*ms, 0).send(0, 1, 400*ms, 95*ms).
		send(1, 2, 50*ms, 180*ms).send(1, 3, 230*ms, 0).send(1, 3, 600*ms, 0).
		send(0, 3, 900*ms, 85*ms).
		send(0, 4, 1000*ms, 250*ms).send(0, 4, 1249*ms, 0)
}

func transfers(t *testing.T, name string) []*transfer {
	t.Helper()
	all, err := readTransfers(name)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestShots checks what became of each datagram.
func TestShots(t *testing.T) {
	all := transfers(t, file(t, small()))
	if len(all) != 1 {
		t.Fatalf("%d transfers", len(all))
	}
	var got []string
	for i, r := range all[0].receivers {
		for _, s := range r.shots {
			got = append(got, fmt.Sprintf("%d: SEQ %d at %.3f, try %d, %s, %v, again %.3f", i+1, s.seq, s.at, s.try,
				[]string{"answered", "unanswered", "needless"}[s.state], s.took, s.next))
		}
	}
	want := []string{
		"1: SEQ 0 at 0.000, try 1, answered, 90ms, again 0.000",
		"1: SEQ 1 at 0.090, try 1, unanswered, 0s, again 0.350",
		"1: SEQ 1 at 0.350, try 2, answered, 95ms, again 0.000",
		"1: SEQ 3 at 0.850, try 1, answered, 85ms, again 0.000",
		"1: SEQ 4 at 0.950, try 1, answered, 250ms, again 1.199",
		"1: SEQ 4 at 1.199, try 2, needless, 0s, again 0.000",
		"2: SEQ 2 at 0.000, try 1, answered, 180ms, again 0.000",
		"2: SEQ 3 at 0.180, try 1, unanswered, 0s, again 0.550",
		"2: SEQ 3 at 0.550, try 2, unanswered, 0s, again 0.000",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if s, want := all[0].about(), "500 bytes in 5 segments to 2 receivers; 3 sent again, 3 unanswered"; s != want {
		t.Errorf("%q instead of %q", s, want)
	}
}

// TestReal checks a capture of a real transaction against what is known of it.
func TestReal(t *testing.T) {
	x := transfers(t, real)[0]
	if x.tid != 3740 || x.segments != 51 || x.resent() != 4 || x.lost() != 4 || len(x.receivers) != 3 {
		t.Errorf("TID %d: %s", x.tid, x.about())
	}
	for _, r := range x.receivers {
		if len(r.shots) == 0 || len(r.delays) == 0 || r.latency < 100*time.Millisecond {
			t.Errorf("%v: %d shots, %d delays, latency %v", r.addr, len(r.shots), len(r.delays), r.latency)
		}
	}
}

// TestCopies checks that what loopback captures twice is no repetition, and that what
// comes later is one.
func TestCopies(t *testing.T) {
	s := newScene(1, "192.0.2.11", 1)
	s.send(0, 0, 0, 30*time.Millisecond)
	var all []pcapng.Datagram
	for _, d := range s.datagrams {
		in := d
		in.At = d.At.Add(5 * time.Microsecond)
		d.Dir, in.Dir = pcapng.Out, pcapng.In
		all = append(all, d, in)
	}
	late := all[2]
	late.At = late.At.Add(10 * time.Millisecond)
	s.datagrams = append(all, late)
	r := transfers(t, file(t, s))[0].receivers[0]
	if len(r.shots) != 2 || r.shots[1].try != 2 {
		t.Errorf("%d shots: %+v", len(r.shots), r.shots)
	}
}

// TestCut checks that what comes before the end of a cut capture is given with an error.
func TestCut(t *testing.T) {
	b, err := os.ReadFile(real)
	if err != nil {
		t.Fatal(err)
	}
	all, err := readCapture(bytes.NewReader(b[:len(b)/2+1]))
	if len(all) != 1 || err == nil || !strings.Contains(err.Error(), ": it was cut") {
		t.Errorf("%d transfers, %v", len(all), err)
	}
	if all, err = readCapture(bytes.NewReader(b[:100])); all != nil || err == nil {
		t.Errorf("%d transfers, %v", len(all), err)
	}
}

// TestDamaged draws files with wrong bytes, from one seed.
func TestDamaged(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	drawn := 0
	for _, name := range []string{real, "testdata/stream.jsonl"} {
		whole, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for range 15 {
			b := bytes.Clone(whole[:min(len(whole), 6000)])
			for range 1 + rng.IntN(6) {
				b[1+rng.IntN(len(b)-1)] = byte(rng.IntN(256))
			}
			all, _ := readAny(bytes.NewReader(b), b[0] == '{')
			for _, x := range all {
				for _, draw := range []func(*transfer) (*picture, error){sequence, delay, share} {
					if p, err := draw(x); err == nil {
						texts(t, rendered(t, p, "x.svg")) // it is XML
						drawn++
					}
				}
			}
		}
	}
	if drawn < 20 {
		t.Errorf("only %d pictures", drawn)
	}
}

// TestSameTID checks that a TID that is used again is told apart.
func TestSameTID(t *testing.T) {
	first, second := newScene(9, "192.0.2.11", 1), newScene(9, "192.0.2.11", 1)
	second.at = time.Minute
	for i, s := range []*scene{first, second} {
		s.datagrams = nil
		s.put(0, client, s.addrs[0], wire.AppendIntent(nil))
		s.put(1, s.addrs[0], client, wire.AppendOffer(nil, 9, []wire.Receiver{{Host: "192.0.2.11"}}))
		for seq := range int64(3 + i) {
			s.put(time.Duration(2+seq), client, s.addrs[0], wire.AppendData(nil, 9, seq, []byte("x")))
		}
	}
	all := transfers(t, file(t, first, second))
	var got []int
	for _, x := range all {
		got = append(got, len(x.receivers[0].shots))
	}
	if d := cmp.Diff([]int{3, 4}, got); d != "" {
		t.Error(d)
	}
}

// pictures are all that is drawn, of small and of testdata.
func pictures(t *testing.T) map[string]*picture {
	all := make(map[string]*picture)
	add := func(name string, p *picture, err error) {
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all[name] = p
	}
	x := transfers(t, file(t, small()))[0]
	for name, draw := range map[string]func(*transfer) (*picture, error){"sequence": sequence, "delay": delay, "share": share} { // order does not show
		p, err := draw(x)
		add(name, p, err)
	}
	e := transfers(t, "testdata/stream.jsonl")[0]
	p, err := sequence(e)
	add("progress", p, err)
	p, err = share(e)
	add("assigned", p, err)
	b, err := readBench("testdata/bench.json")
	if err != nil {
		t.Fatal(err)
	}
	p, err = compare(b)
	add("compare", p, err)
	return all
}

// TestGolden compares the SVGs with those in testdata, and draws each twice in both
// formats. Look at them after go test -update.
func TestGolden(t *testing.T) {
	first, second := pictures(t), pictures(t)
	for name, p := range first { // order does not show
		t.Run(name, func(t *testing.T) {
			got := rendered(t, p, "x.svg")
			golden := filepath.Join("testdata", name+".svg")
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(string(got), "\n")); d != "" {
				t.Error(d)
			}
			if !bytes.Equal(got, rendered(t, second[name], "x.SVG")) {
				t.Error("two SVGs of the same differ")
			}
			b := rendered(t, p, "x.png")
			// One is enough: the race detector makes a second of each.
			if name == "share" && !bytes.Equal(b, rendered(t, second[name], "x.PNG")) {
				t.Error("two PNGs of the same differ")
			}
			m, err := png.Decode(bytes.NewReader(b))
			if err != nil {
				t.Fatal(err)
			}
			if b := m.Bounds(); b.Dx() != 1680 || b.Dy() < 400 || b.Dy() > 2400 {
				t.Errorf("the picture has %v", b)
			}
		})
	}
}

func rendered(t *testing.T, p *picture, name string) []byte {
	t.Helper()
	b, err := p.render(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// texts gives the texts of an SVG.
func texts(t *testing.T, b []byte) (all []string) {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(b))
	inside := false
	for {
		k, err := d.Token()
		if err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		switch k := k.(type) {
		case xml.StartElement:
			inside = k.Name.Local == "text"
		case xml.EndElement:
			inside = false
		case xml.CharData:
			if inside {
				all = append(all, string(k))
			}
		}
	}
}

// TestTexts checks what pictures say.
func TestTexts(t *testing.T) {
	all := pictures(t)
	for name, want := range map[string][]string{ // order does not show
		"sequence": {"Segments over time, TID 7", "time since the first segment (ms)", "segment (SEQ)", "sent again", "192.0.2.11 receiver <1> & \"mor…", "4 segments, 2 again, 1 unanswered"},
		"delay":    {"Acknowledgement delays, TID 7", "acknowledgement delay (ms)", "mean of the pings", "median 92.5 ms, ping 20.0 ms"},
		"share":    {"Share against latency, TID 7", "latency: mean of the pings (ms)", "bytes sent to the receiver", "20.0 ms: 400 bytes, 66.7 %", "least share: 50 bytes"},
		"progress": {"Progress, TID 3740", "segments acknowledged", "given up as dead"},
		"assigned": {"bytes assigned to the receiver"},
		"compare":  {"Balanced (icmp) is 2.0 times as fast as 192.0.2.11, the best receiver alone", "time for pings and sending (s)", "balanced: icmp", "192.0.2.11 alone", "all 2 runs failed", "2.100 s (1 failed)"},
	} {
		got := texts(t, rendered(t, all[name], "x.svg"))
		for _, w := range want {
			if !slices.Contains(got, w) {
				t.Errorf("%s does not say %q but %q", name, w, got)
			}
		}
	}
}

// TestLarge checks that pictures of much stay small, and that their legends fit.
func TestLarge(t *testing.T) {
	many := newScene(1, "2001:db8::ffff:ffff:ffff:1000", 60)
	for i := range 60 {
		many.send(i, int64(i), time.Duration(i)*time.Millisecond, 30*time.Millisecond)
	}
	long := newScene(2, "192.0.2.11", 2)
	for i := range int64(20000) {
		long.send(int(i&1), i, time.Duration(i)*time.Millisecond, time.Duration(1+i%977)*time.Microsecond)
	}
	for _, s := range []*scene{many, long} {
		x := transfers(t, file(t, s))[0]
		for _, draw := range []func(*transfer) (*picture, error){sequence, delay} {
			p, err := draw(x)
			if err != nil {
				t.Fatal(err)
			}
			if n := len(rendered(t, p, "x.svg")); n > 4<<20 {
				t.Errorf("%s: %d bytes", p.title, n)
			}
			if n := len(p.legend); n > 20 {
				t.Errorf("%s: %d entries", p.title, n)
			}
		}
	}
	b := &bench{Receivers: 100, Runs: 1}
	for i := range 100 {
		s := &sery{Mode: 2, Address: fmt.Sprintf("192.0.2.%d", i), Port: 4650, both: float64(100 - i), most: float64(100 - i), least: 1}
		s.Samples = append(s.Samples, sample{1, 1})
		b.Series = append(b.Series, s)
	}
	p, err := compare(b)
	if err != nil {
		t.Fatal(err)
	}
	got := texts(t, rendered(t, p, "x.svg"))
	if !slices.Contains(got, "60 slower receivers left out") || !slices.Contains(got, "192.0.2.99 alone") || slices.Contains(got, "192.0.2.0 alone") {
		t.Errorf("%q", got)
	}
}

// TestTicks checks the numbers at an axis.
func TestTicks(t *testing.T) {
	for _, c := range []struct {
		from, to float64
		ticks    ticks
		want     string
	}{
		{0, 10, ticks{5, false}, "0 2 4 6 8 10"},
		{-0.01, 2.43, ticks{8, false}, "0 0.5 1.0 1.5 2.0"},
		{0, 0.0003, ticks{4, false}, "0 0.0001 0.0002 0.0003"},
		{-0.6, 1.6, ticks{10, true}, "0 1"},
		{0, 12000, ticks{5, true}, "0 5,000 10,000"},
		{9.2e18, 9.3e18, ticks{2, false}, "9.2e+18 9.25e+18 9.3e+18"},
		{1, 1, ticks{5, false}, ""},
	} {
		var got []string
		for _, x := range c.ticks.Ticks(c.from, c.to) {
			got = append(got, x.Label)
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%v to %v: %s instead of %s", c.from, c.to, s, c.want)
		}
	}
}

// TestNumbers checks how numbers and names are written.
func TestNumbers(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567", -100: "-100"} { // order does not show
		if got := commas(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
	for d, want := range map[time.Duration]string{0: "0.000 ms", 291 * time.Microsecond: "0.291 ms", 33500 * time.Microsecond: "33.5 ms", 3 * time.Second: "3000 ms"} { // order does not show
		if got := millis(d); got != want {
			t.Errorf("%v: %s", d, got)
		}
	}
	if got := short("a\x00b\xffc"+strings.Repeat("d", 50), 8); got != "a?b?cdd…" {
		t.Errorf("%q", got)
	}
}
