package trace_test

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mdalp/internal/pcapng"
	"mdalp/internal/trace"
	"mdalp/wire"
)

var update = flag.Bool("update", false, "write testdata/continents.pcapng anew")

var (
	client       = netip.MustParseAddrPort("172.31.43.71:49710")
	orchestrator = netip.MustParseAddrPort("18.139.29.142:4650")
	receivers    = []netip.AddrPort{
		netip.MustParseAddrPort("177.71.168.45:4650"), netip.MustParseAddrPort("54.200.52.112:4650"), netip.MustParseAddrPort("18.134.193.153:4650"),
	}
	began = time.Date(2021, 6, 23, 20, 6, 32, 451806038, time.UTC)
)

const tid = 3740

// offer is what the orchestrator sends.
func offer() []byte {
	var rs []wire.Receiver
	for i, name := range []string{"5th Receiver", "4th Receiver", "2nd Receiver"} {
		rs = append(rs, wire.Receiver{Host: receivers[i].Addr().String(), Name: name})
	}
	return wire.AppendOffer(nil, tid, rs)
}

// An event is a line of testdata/continents.txt.
type event struct {
	at       int64 // ns since the intent
	what     string
	receiver int
	seq      int64
	size     int
}

// datagram makes of an event what was on the wire, but for the payload's bytes.
func (e *event) datagram() pcapng.Datagram {
	d := pcapng.Datagram{At: began.Add(time.Duration(e.at)), Proto: pcapng.UDP, Src: client, Dst: receivers[e.receiver]}
	switch e.what {
	case "intent":
		d.Dst, d.Data = orchestrator, wire.AppendIntent(nil)
	case "offer":
		d.Src, d.Dst, d.Data = orchestrator, client, offer()
	case "data":
		d.Data = wire.AppendData(nil, tid, e.seq, bytes.Repeat([]byte{byte('a' + e.seq%26)}, e.size))
	case "ack":
		d.Src, d.Dst, d.Data = d.Dst, client, wire.AppendAck(nil, tid, e.seq)
	case "echo", "answer":
		d.Proto = pcapng.ICMP
		d.Data = []byte{8, 0, 0, 0, 0x19, byte(e.receiver), 0, byte(e.seq)}
		if e.what == "answer" {
			d.Data[0] = 0
			d.Src, d.Dst = d.Dst, d.Src
		}
		sum := pcapng.Checksum(d.Data)
		d.Data[2], d.Data[3] = byte(sum>>8), byte(sum)
		d.Src, d.Dst = netip.AddrPortFrom(d.Src.Addr(), 0), netip.AddrPortFrom(d.Dst.Addr(), 0)
	default:
		panic("no such event: " + e.what)
	}
	return d
}

// continents are the datagrams of a transaction over three continents, from the instants
// of a real one.
func continents(t testing.TB) (all []pcapng.Datagram) {
	t.Helper()
	f, err := os.Open("testdata/continents.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		var e event
		if n, _ := fmt.Sscan(lines.Text(), &e.at, &e.what, &e.receiver, &e.seq, &e.size); n < 2 {
			t.Fatalf("bad line %q", lines.Text())
		}
		all = append(all, e.datagram())
	}
	return all
}

// capture writes datagrams as a capture.
func capture(t testing.TB, all []pcapng.Datagram) []byte {
	t.Helper()
	var b bytes.Buffer
	w := pcapng.NewWriter(&b, "mdalp test")
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

// analyze runs datagrams through an Analyzer.
func analyze(all []pcapng.Datagram) *trace.Trace {
	var a trace.Analyzer
	for i := range all {
		a.Add(&all[i])
	}
	return a.Finish()
}

// one gives the only transaction.
func one(t *testing.T, tr *trace.Trace) *trace.Transaction {
	t.Helper()
	if len(tr.Transactions) != 1 {
		t.Fatalf("%d transactions", len(tr.Transactions))
	}
	return tr.Transactions[0]
}

// figures is what a transaction comes to.
type figures struct {
	Segments, Acked, Bytes, Datagrams, Again, Lost, Duplicate, Moved int64
	Complete                                                         bool
	Missing, Unseen                                                  string
}

func of(t *trace.Transaction) figures {
	return figures{
		t.Segments, t.Acked, t.Bytes, t.Datagrams, t.Again(), t.Lost(), t.Duplicate(), t.Moved, t.Complete(),
		string(wire.AppendRanges(nil, t.Missing)), string(wire.AppendRanges(nil, t.Unseen)),
	}
}

// whole are the figures of the transaction over three continents.
var whole = figures{Segments: 51, Acked: 51, Bytes: 5000, Datagrams: 55, Again: 4, Lost: 4, Complete: true}

func TestContinents(t *testing.T) {
	want := capture(t, continents(t))
	if *update {
		if err := os.WriteFile("testdata/continents.pcapng", want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile("testdata/continents.pcapng")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b, want) {
		t.Error("testdata/continents.pcapng is not what testdata/continents.txt says; go test -update writes it")
	}
	tr, err := trace.Read(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if tr.Messages != 108 || tr.Echoes != 18 || tr.Malformed != 0 || tr.Copies != 0 || tr.Stats.Frames != 126 {
		t.Errorf("%+v", tr)
	}
	x := one(t, tr)
	if diff := cmp.Diff(whole, of(x)); diff != "" {
		t.Error(diff)
	}
	if x.TID != tid || x.Client != client || x.Orchestrator != orchestrator || x.Intents != 1 || x.Offers != 1 {
		t.Errorf("%+v", x)
	}
	phases := []time.Duration{x.Offer.Sub(x.Intent), x.Begin.Sub(x.Offer), x.End.Sub(x.Begin)}
	if diff := cmp.Diff([]time.Duration{795033627123, 2348363062, 23898739696}, phases); diff != "" {
		t.Error(diff)
	}
	// To a microsecond, with the mean of the echoes.
	type part struct {
		Addr, Name                                     string
		Segments, Bytes, Again, Lost, Acked, Duplicate int64
		Echoes, Sent                                   int
		Mean                                           time.Duration
		Delays                                         trace.Spread
	}
	var got []part
	for _, r := range x.Receivers {
		d := r.AckDelays()
		for _, p := range []*time.Duration{&d.Min, &d.Median, &d.Mean, &d.Max} {
			*p = p.Round(time.Microsecond)
		}
		got = append(got, part{
			r.Addr.String(), r.Name, r.Segments, r.Bytes, r.Again(), r.Lost, r.Acked, r.Duplicate, len(r.Echoes), r.EchoesSent,
			trace.SpreadOf(r.Echoes).Mean.Round(time.Microsecond), d,
		})
	}
	us := time.Microsecond
	parts := []part{
		{"177.71.168.45:4650", "5th Receiver", 10, 963, 2, 2, 10, 0, 3, 3, 335133 * us, trace.Spread{Min: 1704170 * us, Median: 1712139 * us, Mean: 1712124 * us, Max: 1720486 * us}},
		{"54.200.52.112:4650", "4th Receiver", 20, 1981, 1, 1, 20, 0, 3, 3, 162839 * us, trace.Spread{}},
		{"18.134.193.153:4650", "2nd Receiver", 21, 2056, 1, 1, 21, 0, 3, 3, 156852 * us, trace.Spread{}},
	}
	parts[1].Delays = trace.Spread{Min: 831803 * us, Median: 853302 * us, Mean: 852567 * us, Max: 874709 * us}
	parts[2].Delays = trace.Spread{Min: 833095 * us, Median: 860030 * us, Mean: 855075 * us, Max: 879003 * us}
	if diff := cmp.Diff(parts, got); diff != "" {
		t.Error(diff)
	}
	// The segments of which the first transmission was lost are acknowledged at their second.
	second := map[int64]bool{}
	for _, r := range x.Receivers {
		for _, d := range r.Delays {
			if d.Try == 2 {
				second[d.Seq] = true
			}
		}
	}
	if diff := cmp.Diff(map[int64]bool{7: true, 8: true, 10: true, 46: true}, second); diff != "" {
		t.Error(diff)
	}
}

// TestParts reads captures that lack something.
func TestParts(t *testing.T) {
	all := continents(t)
	without := func(types ...string) (some []pcapng.Datagram) {
	next:
		for _, d := range all {
			for _, typ := range types {
				if strings.HasPrefix(string(d.Data), typ) {
					continue next
				}
			}
			some = append(some, d)
		}
		return some
	}
	late := without("Type:0", "Type:1")[60:]
	tests := []struct {
		name     string
		in       []pcapng.Datagram
		want     figures
		echoes   int // of the first receiver
		named    bool
		intents  int
		inferred bool // there is no orchestrator
	}{
		{"all", all, whole, 3, true, 1, false},
		{"no intent", without("Type:0"), whole, 3, true, 0, false},
		{"no offer", without("Type:1"), whole, 3, false, 0, true},
		{"neither", without("Type:0", "Type:1"), whole, 3, false, 0, true},
		{"no acks", without("Type:3"), figures{Segments: 51, Bytes: 5000, Datagrams: 55, Again: 4, Missing: "0-50"}, 3, true, 1, false},
		{"no data", without("Type:2"), figures{}, 3, true, 1, false},
		{"from the middle on", late, figures{Segments: 29, Acked: 29, Bytes: 2800, Datagrams: 32, Again: 3, Lost: 3, Unseen: "0-4,10-16,30-39"}, 0, false, 0, true},
		{"up to the middle", all[:80], figures{Segments: 31, Acked: 28, Bytes: 3100, Datagrams: 32, Again: 1, Lost: 1, Missing: "6,19,43", Unseen: "7-9,20-29"}, 3, true, 1, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			x := one(t, analyze(tt.in))
			if diff := cmp.Diff(tt.want, of(x)); diff != "" {
				t.Error(diff)
			}
			var first *trace.Receiver
			for _, r := range x.Receivers {
				if r.Addr == receivers[0] {
					first = r
				}
			}
			if len(first.Echoes) != tt.echoes || (first.Name != "") != tt.named || first.Offered != tt.named || x.Intents != tt.intents || x.Orchestrator.IsValid() == tt.inferred {
				t.Errorf("%+v, receiver %+v", x, first)
			}
		})
	}
}

// step is a datagram by hand: "+" goes out, "-" comes in.
func step(ms float64, dir byte, text string) pcapng.Datagram {
	d := pcapng.Datagram{At: began.Add(time.Duration(ms * 1e6)), Proto: pcapng.UDP, Src: client, Dst: receivers[0], Data: []byte(text)}
	if dir == '-' {
		d.Src, d.Dst = d.Dst, d.Src
	}
	return d
}

func TestCases(t *testing.T) {
	from := func(r int, d pcapng.Datagram) pcapng.Datagram {
		if d.Src == client {
			d.Dst = receivers[r]
		} else {
			d.Src = receivers[r]
		}
		return d
	}
	tests := []struct {
		name   string
		in     []pcapng.Datagram
		want   figures
		delays []float64 // of the first receiver, ms
	}{
		{"duplicate acks", []pcapng.Datagram{
			step(0, '+', "Type:2;TID:1;SEQ:0;DATA:ab"), step(100, '-', "Type:3;TID:1;SEQ:0;"), step(101, '-', "Type:3;TID:1;SEQ:0"), step(102, '-', "Type:3;TID:1;SEQ:0;"),
		}, figures{Segments: 1, Acked: 1, Bytes: 2, Datagrams: 1, Duplicate: 2, Complete: true}, []float64{100}},
		{"sent again too early: the ack is of the first", []pcapng.Datagram{
			step(0, '+', "Type:2;TID:1;SEQ:0;DATA:a"), step(100, '-', "Type:3;TID:1;SEQ:0;"),
			step(200, '+', "Type:2;TID:1;SEQ:1;DATA:b"), step(290, '+', "Type:2;TID:1;SEQ:1;DATA:b"), step(300, '-', "Type:3;TID:1;SEQ:1;"), step(390, '-', "Type:3;TID:1;SEQ:1;"),
		}, figures{Segments: 2, Acked: 2, Bytes: 2, Datagrams: 3, Again: 1, Duplicate: 1, Complete: true}, []float64{100, 100}},
		{"lost twice", []pcapng.Datagram{
			step(0, '+', "Type:2;TID:1;SEQ:0;DATA:a"), step(3000, '+', "Type:2;TID:1;SEQ:0;DATA:a"), step(6000, '+', "Type:2;TID:1;SEQ:0;DATA:a"), step(6100, '-', "Type:3;TID:1;SEQ:0;"),
		}, figures{Segments: 1, Acked: 1, Bytes: 1, Datagrams: 3, Again: 2, Lost: 1, Complete: true}, []float64{100}},
		{"sent again after the ack", []pcapng.Datagram{
			step(0, '+', "Type:2;TID:1;SEQ:0;DATA:a"), step(100, '-', "Type:3;TID:1;SEQ:0;"), step(101, '+', "Type:2;TID:1;SEQ:0;DATA:a"),
		}, figures{Segments: 1, Acked: 1, Bytes: 1, Datagrams: 2, Again: 1, Complete: true}, []float64{100}},
		{"taken over", []pcapng.Datagram{
			step(0, '+', "Type:2;TID:1;SEQ:0;DATA:a"), from(1, step(10, '+', "Type:2;TID:1;SEQ:0;DATA:a")), from(1, step(20, '-', "Type:3;TID:1;SEQ:0;")),
		}, figures{Segments: 1, Acked: 1, Bytes: 1, Datagrams: 2, Moved: 1, Complete: true}, nil},
		{"an ack from another", []pcapng.Datagram{
			step(0, '+', "Type:2;TID:1;SEQ:0;DATA:a"), from(1, step(20, '-', "Type:3;TID:1;SEQ:0;")),
		}, figures{Segments: 1, Bytes: 1, Datagrams: 1, Missing: "0"}, nil},
		{"ranges", []pcapng.Datagram{
			step(0, '+', "Type:2;TID:1;SEQ:0;DATA:a"), step(1, '+', "Type:2;TID:1;SEQ:1;DATA:b"), step(2, '+', "Type:2;TID:1;SEQ:2;DATA:c"), step(3, '+', "Type:2;TID:1;SEQ:3;DATA:d"),
			step(4, '+', "Type:2;TID:1;SEQ:9;DATA:d"), step(100, '-', "Type:3;TID:1;SEQ:2;DATA:0-2,4-9223372036854775807;"),
		}, figures{Segments: 5, Acked: 4, Bytes: 5, Datagrams: 5, Missing: "3", Unseen: "4-8"}, []float64{100, 99, 98, 96}},
		{"the greatest number", []pcapng.Datagram{
			step(0, '+', "Type:2;TID:9223372036854775807;SEQ:9223372036854775807;DATA:a"), step(4, '-', "Type:3;TID:9223372036854775807;SEQ:9223372036854775807;DATA:0-9223372036854775807"),
		}, figures{Segments: 1, Acked: 1, Bytes: 1, Datagrams: 1, Duplicate: 0, Unseen: "0-9223372036854775806"}, []float64{4}},
		{"only acks", []pcapng.Datagram{step(4, '-', "Type:3;TID:1;SEQ:5;")}, figures{}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			x := one(t, analyze(tt.in))
			if diff := cmp.Diff(tt.want, of(x)); diff != "" {
				t.Error(diff)
			}
			var got []float64
			for _, d := range x.Receivers[0].Delays {
				got = append(got, float64(d.Took)/1e6)
			}
			if diff := cmp.Diff(tt.delays, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestOffers covers what an orchestrator may say.
func TestOffers(t *testing.T) {
	intent := step(0, '+', "Type:0;")
	intent.Dst = orchestrator
	say := func(ms float64, text string) pcapng.Datagram {
		d := step(ms, '-', text)
		d.Src = orchestrator
		return d
	}
	again := intent
	again.At = again.At.Add(time.Second)
	list := "[{'ip_address': '177.71.168.45'}, {'ip_address': '::ffff:54.200.52.112', 'port': 7}, {'ip_address': 'a.example'}, {'ip_address': '177.71.168.45'}]"

	x := one(t, analyze([]pcapng.Datagram{intent, again, say(2000, "Type:1;TID:1;DATA:"+list), say(2001, "Type:1;TID:1;DATA:"+list)}))
	if x.Intents != 2 || x.Offers != 2 || len(x.Receivers) != 2 || x.Receivers[1].Addr.String() != "54.200.52.112:7" || x.BadOffer != nil {
		t.Errorf("repeated: %+v", x)
	}
	tr := analyze([]pcapng.Datagram{intent, again, say(2000, "Type:1;TID:1;DATA:[evil()]")})
	if x := one(t, tr); x.BadOffer == nil || len(tr.Unanswered) != 0 {
		t.Errorf("hostile: %+v", x)
	}
	if x := one(t, analyze([]pcapng.Datagram{say(0, "Type:1;TID:1;")})); x.BadOffer == nil {
		t.Errorf("no list: %+v", x)
	}
	tr = analyze([]pcapng.Datagram{intent, again})
	if len(tr.Transactions) != 0 || len(tr.Unanswered) != 1 || tr.Unanswered[0].Times != 2 {
		t.Errorf("no offer: %+v", tr)
	}
	// The same port asks again, and the server counts from the start again.
	data, ack := step(3000, '+', "Type:2;TID:1;SEQ:0;DATA:a"), step(3100, '-', "Type:3;TID:1;SEQ:0;")
	first := []pcapng.Datagram{intent, say(2000, "Type:1;TID:1;DATA:"+list), data, ack}
	both := first
	for _, d := range first {
		d.At = d.At.Add(time.Hour)
		both = append(both, d)
	}
	tr = analyze(both)
	if len(tr.Transactions) != 2 || of(tr.Transactions[0]) != of(tr.Transactions[1]) || !tr.Transactions[1].Complete() {
		t.Errorf("the TID twice: %+v", tr.Transactions)
	}
	tr = analyze([]pcapng.Datagram{step(0, '+', "Type:2"), step(0, '+', "Type:x;"), step(0, '+', "GET / HTTP/1.1"), step(0, '+', "Type:3;TID:1;")})
	if len(tr.Transactions) != 0 || tr.Malformed != 3 || tr.Messages != 0 || tr.Foreign != 1 {
		t.Errorf("odd messages: %+v", tr)
	}
}

func TestReadErrors(t *testing.T) {
	b := capture(t, continents(t))
	tr, err := trace.Read(bytes.NewReader(b[:len(b)-3]))
	if !errors.Is(err, io.ErrUnexpectedEOF) || one(t, tr).Acked != 50 {
		t.Errorf("%v, %+v", err, tr)
	}
	if tr, err := trace.Read(strings.NewReader("no capture")); err != pcapng.ErrFormat || tr == nil {
		t.Errorf("%v, %+v", err, tr)
	}
}

func TestSpread(t *testing.T) {
	for _, tt := range []struct {
		in   []time.Duration
		want trace.Spread
	}{
		{nil, trace.Spread{}},
		{[]time.Duration{7}, trace.Spread{Min: 7, Median: 7, Mean: 7, Max: 7}},
		{[]time.Duration{9, 1, 3, 3}, trace.Spread{Min: 1, Median: 3, Mean: 4, Max: 9}},
		{[]time.Duration{1 << 62, 1<<62 + 2}, trace.Spread{Min: 1 << 62, Median: 1<<62 + 1, Mean: 1 << 62, Max: 1<<62 + 2}},
	} {
		if got := trace.SpreadOf(tt.in); got != tt.want {
			t.Errorf("%v: %+v, want %+v", tt.in, got, tt.want)
		}
	}
}

// FuzzAnalyze takes any texts as messages between three hosts.
func FuzzAnalyze(f *testing.F) {
	f.Add("+Type:0;\n-Type:1;TID:1;DATA:[{'ip_address': '10.0.0.2'}];\n+Type:2;TID:1;SEQ:0;DATA:a\n-Type:3;TID:1;SEQ:0;")
	f.Add("+Type:2;TID:1;SEQ:3;DATA:a\n+Type:2;TID:1;SEQ:3;DATA:a\n-Type:3;TID:1;SEQ:3;DATA:0-9223372036854775807\n-Type:5;TID:1;DATA:x\n+Type:4;TID:1;")
	f.Add("*\x08\x00\x00\x00\x00\x01\x00\x01\n*\x00\x00\x00\x00\x00\x01\x00\x01\n+Type:2;TID:1;SEQ:9223372036854775807;DATA:")
	f.Add("+Type:4;TID:1;SEQ:0;DATA:{'bytes': 300, 'seg': 100}\n-Type:5;TID:1;SEQ:0;DATA:{'state': 'open', 'have': '0'}\n+Type:2;TID:1;SEQ:1;NUM:0;DATA:a\n+Type:2;TID:1;SEQ:1;NUM:1;DATA:a\n-Type:3;TID:1;SEQ:0;NUM:1;DATA:0-1\n+Type:2;TID:1;SEQ:2;DATA:a")
	f.Fuzz(func(t *testing.T, script string) {
		var all []pcapng.Datagram
		for i, line := range strings.Split(script, "\n") {
			if line == "" {
				continue
			}
			d := step(float64(i), line[0], line[1:])
			if line[0] == '*' {
				d.Proto = pcapng.ICMP
				if i%2 == 1 {
					d.Src, d.Dst = d.Dst, d.Src
				}
			}
			all = append(all, d)
		}
		for _, x := range analyze(all).Transactions {
			g := of(x)
			if g.Acked > g.Segments || g.Datagrams < g.Segments || g.Complete && x.Standing != wire.Complete && (g.Missing != "" || g.Unseen != "") {
				t.Fatalf("%+v", g)
			}
			var sum int64
			for _, r := range x.Receivers {
				if r.Acked > r.Segments || r.Lost > r.Datagrams || int64(len(r.Delays)) > r.Datagrams || r.Again() < 0 || r.Timed() != int64(len(r.Delays)) || r.Answered > r.EchoesSent || r.Unsent < 0 || len(r.Echoes) > r.EchoesSent {
					t.Fatalf("%+v", r)
				}
				sum += r.Datagrams
			}
			if sum != g.Datagrams {
				t.Fatalf("%d datagrams at receivers, %d in all", sum, g.Datagrams)
			}
		}
	})
}
