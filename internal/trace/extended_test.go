package trace_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mdalp/internal/pcapng"
	"mdalp/internal/trace"
	"mdalp/wire"
)

// to puts another receiver into a datagram made by step.
func to(r int, d pcapng.Datagram) pcapng.Datagram {
	if d.Src == client {
		d.Dst = receivers[r]
	} else {
		d.Src = receivers[r]
	}
	return d
}

// TestExtended takes what a client and receivers of the extended protocol say.
func TestExtended(t *testing.T) {
	seg := func(ms float64, seq, num int) pcapng.Datagram {
		return step(ms, '+', fmt.Sprintf("Type:2;TID:7;SEQ:%03d;NUM:%d;DATA:%s", seq, num, strings.Repeat("x", 200)))
	}
	ack := func(ms float64, seq int, ranges string) pcapng.Datagram {
		num, _, _ := strings.Cut(ranges, ",")
		if _, last, ok := strings.Cut(num, "-"); ok {
			num = last
		}
		return step(ms, '-', fmt.Sprintf("Type:3;TID:7;SEQ:%d;NUM:%s;DATA:%s;", seq, num, ranges))
	}
	// A train is in the capture as one datagram.
	train := func(parts ...pcapng.Datagram) pcapng.Datagram {
		d := parts[0]
		for _, p := range parts[1:] {
			d.Data = append(d.Data, p.Data...)
		}
		return d
	}
	cut := func(d pcapng.Datagram, n int) pcapng.Datagram {
		d.Cut, d.Missing, d.Data = true, len(d.Data)-n, d.Data[:n]
		return d
	}
	short := step(2, '+', "Type:2;TID:7;SEQ:002;NUM:2;DATA:"+strings.Repeat("x", 50))
	// A payload that has such headers in it is no train.
	quotes := step(0, '+', "Type:2;TID:7;SEQ:000;NUM:0;DATA:"+strings.Repeat("x", 20)+strings.Repeat("Type:2;TID:7;SEQ:009;NUM:9;DATA:", 5)+strings.Repeat("x", 20))
	type part struct {
		Figures                               figures
		Acks, Doubled, Unseen, Unsent, Flight int64
	}
	tests := []struct {
		name   string
		in     []pcapng.Datagram
		want   part
		delays []float64
	}{
		{"a train and one ack", []pcapng.Datagram{seg(0, 0, 0), seg(1, 1, 1), seg(2, 2, 2), ack(12, 0, "0-2")},
			part{figures{Segments: 3, Acked: 3, Bytes: 600, Datagrams: 3, Complete: true}, 1, 0, 0, 0, 3}, []float64{12, 11, 10}},
		{"one is lost and sent again", []pcapng.Datagram{seg(0, 0, 0), seg(1, 1, 1), seg(2, 2, 2), seg(3, 3, 3), seg(4, 4, 4), ack(14, 0, "1-4"), seg(15, 0, 5), ack(25, 1, "1-5")},
			part{figures{Segments: 5, Acked: 5, Bytes: 1000, Datagrams: 6, Again: 1, Lost: 1, Complete: true}, 2, 0, 0, 0, 5}, []float64{10, 13, 12, 11, 10}},
		{"sent again too early: both arrive", []pcapng.Datagram{seg(0, 0, 0), seg(8, 0, 1), ack(10, 0, "0"), ack(18, 1, "0-1")},
			part{figures{Segments: 1, Acked: 1, Bytes: 200, Datagrams: 2, Again: 1, Complete: true}, 2, 0, 0, 0, 2}, []float64{10, 10}},
		{"an ack is lost", []pcapng.Datagram{seg(0, 0, 0), seg(1, 1, 1), ack(11, 1, "0-1")},
			part{figures{Segments: 2, Acked: 2, Bytes: 400, Datagrams: 2, Complete: true}, 1, 0, 0, 0, 2}, []float64{11, 10}},
		{"acks with gaps", []pcapng.Datagram{seg(0, 0, 0), seg(1, 1, 1), seg(2, 2, 2), seg(3, 3, 3), ack(13, 0, "3,0-1")},
			part{figures{Segments: 4, Acked: 3, Bytes: 800, Datagrams: 4, Missing: "2"}, 1, 0, 0, 0, 4}, []float64{13, 12, 10}},
		{"an ack twice", []pcapng.Datagram{seg(0, 0, 0), ack(10, 0, "0"), ack(11, 1, "0")},
			part{figures{Segments: 1, Acked: 1, Bytes: 200, Datagrams: 1, Duplicate: 1, Complete: true}, 2, 0, 0, 0, 1}, []float64{10}},
		{"an ack of what was never sent", []pcapng.Datagram{seg(0, 0, 0), ack(10, 0, "7-9,0")},
			part{figures{Segments: 1, Acked: 1, Bytes: 200, Datagrams: 1, Complete: true}, 1, 0, 0, 1, 1}, []float64{10}},
		{"the network doubles a segment", []pcapng.Datagram{seg(0, 0, 0), seg(0.1, 0, 0), ack(10, 0, "0")},
			part{figures{Segments: 1, Acked: 1, Bytes: 200, Datagrams: 2, Complete: true}, 1, 1, 0, 0, 1}, []float64{10}},
		{"the capture lacks some", []pcapng.Datagram{seg(0, 0, 0), seg(3, 5, 3), ack(13, 0, "0-3")},
			part{figures{Segments: 2, Acked: 2, Bytes: 400, Datagrams: 2, Unseen: "1-4"}, 1, 0, 2, 0, 2}, []float64{13, 10}},
		{"the ack is in the capture first", []pcapng.Datagram{seg(0, 0, 0), ack(10, 0, "0-1"), seg(10.2, 1, 1)},
			part{figures{Segments: 2, Acked: 2, Bytes: 400, Datagrams: 2, Complete: true}, 1, 0, 0, 0, 1}, []float64{10}},
		{"a train that was not cut yet", []pcapng.Datagram{train(seg(0, 0, 0), seg(1, 1, 1), short), ack(10, 0, "0-2")},
			part{figures{Segments: 3, Acked: 3, Bytes: 450, Datagrams: 3, Complete: true}, 1, 0, 0, 0, 3}, []float64{10, 10, 10}},
		{"a train of acks", []pcapng.Datagram{seg(0, 0, 0), seg(1, 1, 1), train(ack(10, 0, "0"), ack(11, 1, "1"))},
			part{figures{Segments: 2, Acked: 2, Bytes: 400, Datagrams: 2, Complete: true}, 2, 0, 0, 0, 2}, []float64{10, 9}},
		{"no train but its text", []pcapng.Datagram{quotes, ack(10, 0, "0")},
			part{figures{Segments: 1, Acked: 1, Bytes: 200, Datagrams: 1, Complete: true}, 1, 0, 0, 0, 1}, []float64{10}},
		{"a train of which the capture has less", []pcapng.Datagram{cut(train(seg(0, 0, 0), seg(1, 1, 1), seg(2, 2, 2), seg(3, 3, 3)), 300), ack(10, 0, "0-3")},
			part{figures{Segments: 2, Acked: 2, Bytes: 400, Datagrams: 2, Complete: true}, 1, 0, 0, 1, 2}, []float64{10, 10}},
		{"in another order", []pcapng.Datagram{seg(0, 1, 1), seg(0.1, 0, 0), ack(10, 0, "0-1")},
			part{figures{Segments: 2, Acked: 2, Bytes: 400, Datagrams: 2, Complete: true}, 1, 0, 0, 0, 2}, []float64{9.9, 10}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tr := analyze(tt.in)
			x := one(t, tr)
			r := x.Receivers[0]
			if diff := cmp.Diff(tt.want, part{of(x), r.Acks, r.Doubled, r.Unseen, r.Unsent, r.Flight}); diff != "" || !x.Extended || tr.Malformed != 0 {
				t.Error(diff, tr.Malformed)
			}
			var got []float64
			for _, d := range r.Delays {
				got = append(got, float64(d.Took)/1e6)
			}
			if diff := cmp.Diff(tt.delays, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	// Taken over by another receiver, whose numbers are its own.
	x := one(t, analyze([]pcapng.Datagram{seg(0, 0, 0), seg(1, 1, 1), ack(10, 0, "1"), to(1, seg(20, 0, 0)), to(1, ack(30, 0, "0"))}))
	if want := (figures{Segments: 2, Acked: 2, Bytes: 400, Datagrams: 3, Moved: 1, Lost: 1, Complete: true}); of(x) != want {
		t.Errorf("%+v", of(x))
	}
	// Ranges that rise, touch, or do not end at NUM.
	tr := analyze([]pcapng.Datagram{seg(0, 0, 0), step(1, '-', "Type:3;TID:7;SEQ:0;NUM:2;DATA:0,2;"), step(2, '-', "Type:3;TID:7;SEQ:0;NUM:5;DATA:3;"), step(3, '-', "Type:3;TID:7;SEQ:0;NUM:5;")})
	if tr.Malformed != 3 {
		t.Errorf("%+v", tr)
	}
}

// TestManifests takes what client and orchestrator say of the payload.
func TestManifests(t *testing.T) {
	say := func(ms float64, dir byte, text string) pcapng.Datagram {
		d := step(ms, dir, text)
		if dir == '+' {
			d.Dst = orchestrator
		} else {
			d.Src = orchestrator
		}
		return d
	}
	seg := step(50, '+', "Type:2;TID:7;SEQ:2;NUM:0;DATA:"+strings.Repeat("x", 50))
	in := []pcapng.Datagram{
		say(0, '-', "Type:1;TID:7;DATA:[{'ip_address': '177.71.168.45', 'seg': 1400, 'win': 64}]"),
		say(10, '+', "Type:4;TID:7;SEQ:0;DATA:{'bytes': 250, 'seg': 100, 'name': 'a\x1b', 'resume': 5};"),
		say(20, '+', "Type:4;TID:7;SEQ:1;DATA:{'bytes': 250, 'seg': 100, 'name': 'report', 'resume': 5};"),
		say(30, '-', "Type:5;TID:7;SEQ:1;DATA:{'state': 'open', 'have': '0-1'};"),
		seg, step(60, '-', "Type:3;TID:7;SEQ:0;NUM:0;DATA:0;"),
		say(70, '+', "Type:4;TID:7;SEQ:2;DATA:{'bytes': 250, 'seg': 100, 'sha256': '"+strings.Repeat("0a", 32)+"'};"),
		say(80, '-', "Type:5;TID:7;SEQ:2;DATA:{'state': 'busy', 'wait': 100};"),
		say(85, '-', "Type:5;TID:7;SEQ:2;DATA:{'state': 'busy', 'wait': 100, 'new': None};"),
		say(90, '-', "Type:5;TID:7;SEQ:2;DATA:{'state': 'complete'};"),
		say(91, '+', "Type:4;TID:7;SEQ:3;DATA:nonsense"), say(92, '-', "Type:5;TID:7;DATA:{'state': 'open'};"),
	}
	tr := analyze(in)
	x := one(t, tr)
	if x.Size != 250 || x.Unit != 100 || x.Name != "report" || x.Resume != 5 || x.Manifests != 3 || x.Asked != 1 || x.States != 4 || tr.Malformed != 2 || x.Expected() != 3 {
		t.Errorf("%+v", x)
	}
	at := func(ms int) time.Time { return began.Add(time.Duration(ms) * time.Millisecond) }
	if diff := cmp.Diff([]trace.Report{{at(30), wire.Open, "", 2}, {at(80), wire.Busy, "", 0}, {at(90), wire.Complete, "", 0}}, x.Reports); diff != "" {
		t.Error(diff)
	}
	if r := x.Receivers[0]; r.Seg != 1400 || r.Win != 64 || !x.Complete() || len(x.Unseen) != 0 {
		t.Errorf("%+v, %+v", r, x)
	}
	// The verdict outdoes the acknowledgements.
	for _, state := range []string{"damaged", "refused", "incomplete"} {
		x := one(t, analyze(append(in[:9:9], say(90, '-', "Type:5;TID:7;SEQ:2;DATA:{'state': '"+state+"', 'comment': 'why'};"))))
		if x.Complete() || x.Standing.String() != state || x.Reports[2].Comment != "why" {
			t.Errorf("%+v", x)
		}
	}
	// Without a verdict the size counts: SEQ 0 and 1 are there only if the server has them.
	if x := one(t, analyze(append(in[:3:3], in[4:6]...))); x.Complete() || string(wire.AppendRanges(nil, x.Unseen)) != "0-1" {
		t.Errorf("%+v", x)
	}
	// All from other ports of the same host.
	other := func(d pcapng.Datagram, port uint16) pcapng.Datagram {
		if d.Src.Addr() == client.Addr() {
			d.Src = netip.AddrPortFrom(d.Src.Addr(), port)
		} else {
			d.Dst = netip.AddrPortFrom(d.Dst.Addr(), port)
		}
		return d
	}
	moved := []pcapng.Datagram{in[0], other(in[1], 7), other(in[3], 7), other(in[4], 8), other(in[5], 8)}
	if x := one(t, analyze(moved)); x.Manifests != 1 || x.States != 1 || x.Acked != 1 {
		t.Errorf("%+v", x)
	}
}

// TestExtendedLong takes many segments, of which some are lost for good: memory has a
// bound, and what is told stays right.
func TestExtendedLong(t *testing.T) {
	var a trace.Analyzer
	const n, train = 400_000, 50
	sent, ack := step(0, '+', ""), step(0, '-', "")
	var buf []byte
	var ranges []wire.Range
	num := make([]int64, 3)
	lost := int64(0)
	for i := 0; i < n; i += train {
		r := i / train % 3
		d := to(r, sent)
		d.At = began.Add(time.Duration(i) * 10 * time.Microsecond)
		from := num[r]
		for k := range int64(train) {
			buf = wire.AppendSegmentHeader(buf[:0], 7, int64(i)+k, num[r], 8, 8)
			num[r]++
			d.Data = append(buf, "0123456789"...)
			a.Add(&d)
		}
		ranges = ranges[:0]
		last := num[r] - 1
		// The first of every tenth train is lost, and sent again behind it.
		if i/train%10 == 0 {
			lost++
			from++
			buf = wire.AppendSegmentHeader(buf[:0], 7, int64(i), num[r], 8, 8)
			num[r]++
			last++
			d.Data = append(buf, "0123456789"...)
			a.Add(&d)
		}
		ranges = append(ranges, wire.Range{First: from, Last: last})
		e := to(r, ack)
		e.At = d.At.Add(20 * time.Millisecond)
		e.Data = wire.AppendAckRanges(nil, 7, int64(i/train), ranges)
		a.Add(&e)
	}
	x := one(t, a.Finish())
	if want := (figures{Segments: n, Acked: n, Bytes: 10 * n, Datagrams: n + lost, Again: lost, Lost: lost, Complete: true}); of(x) != want {
		t.Errorf("%+v, want %+v", of(x), want)
	}
	total := int64(0)
	for _, r := range x.Receivers {
		if len(r.Slots) == 0 || len(r.Slots) > 512 || r.Flight != train+1 || len(r.Delays) > 1<<16 || r.AckDelays().Median != 20*time.Millisecond {
			t.Errorf("%d slots, %d in flight, %d delays, %+v", len(r.Slots), r.Flight, len(r.Delays), r.AckDelays())
		}
		for _, s := range r.Slots {
			total += s.Acked
		}
		if rate, ok := r.Rate(); !ok || rate < 300_000 || rate > 400_000 {
			t.Errorf("%.0f bytes/s, %v", rate, ok)
		}
	}
	if total != 10*n || x.Slot != 8*time.Millisecond {
		t.Errorf("%d bytes in slots of %v", total, x.Slot)
	}
}
