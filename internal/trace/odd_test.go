package trace_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mdalp/internal/pcapng"
	"mdalp/internal/trace"
)

// A sight is where a copy of a datagram is captured, and how much later.
type sight struct {
	iface uint64
	dir   pcapng.Dir
	ttl   uint8
	later time.Duration
}

// copied gives every datagram once for each sight. Those of a batch of as many datagrams
// come one behind the other, and then their copies.
func copied(all []pcapng.Datagram, batch int, own, numbered bool, sights ...sight) (out []pcapng.Datagram) {
	for from := 0; from < len(all); from += batch {
		for _, s := range sights {
			for i := from; i < min(from+batch, len(all)); i++ {
				d := all[i]
				d.At, d.Dir = d.At.Add(s.later), s.dir
				d.Origin = pcapng.Origin{Iface: s.iface, Own: own, TTL: s.ttl}
				if numbered {
					d.Origin.ID = uint32(1000 + i)
				}
				out = append(out, d)
			}
		}
	}
	return out
}

// TestCopies takes captures of several interfaces: a datagram that is seen on all of them
// was sent once.
func TestCopies(t *testing.T) {
	all := continents(t)
	us := time.Microsecond
	tests := []struct {
		name string
		in   []pcapng.Datagram
	}{
		{"both ends of a veth, cooked", copied(all, 1, false, false, sight{0, pcapng.Out, 64, 0}, sight{0, pcapng.In, 64, 5 * us})},
		{"both ends of a veth", copied(all, 1, true, false, sight{5, pcapng.Out, 64, 0}, sight{6, pcapng.In, 64, 5 * us})},
		{"a batch at one end, then at the other", copied(all, 1, true, false, sight{5, pcapng.Out, 64, 0}, sight{6, pcapng.In, 64, 300 * us})},
		{"a bridge", copied(all, 1, true, false, sight{7, pcapng.In, 64, 0}, sight{3, pcapng.In, 64, 2 * us}, sight{2, pcapng.Out, 64, 9 * us})},
		{"a bridge, cooked", copied(all, 1, false, false, sight{0, pcapng.In, 64, 0}, sight{0, pcapng.In, 64, 2 * us}, sight{0, pcapng.Out, 64, 9 * us})},
		{"a bridge and a router, numbered", copied(all, 1, true, true, sight{7, pcapng.In, 64, 0}, sight{3, pcapng.In, 64, 0}, sight{2, pcapng.Out, 63, 21 * us})},
		{"a mirrored port", copied(all, 1, false, true, sight{1 << 32, 0, 64, 0}, sight{1 << 32, 0, 64, 40 * us})},
		{"a mirrored port of a router", copied(all, 1, false, false, sight{1 << 32, 0, 64, 0}, sight{1 << 32, 0, 63, 40 * us})},
		{"twenty interfaces", copied(all, 1, true, false, func() (s []sight) {
			for i := range 20 {
				s = append(s, sight{uint64(i + 1), pcapng.In, 64, time.Duration(i) * us})
			}
			return s
		}()...)},
		{"both hosts, numbered", copied(all, 1, false, true, sight{1 << 32, pcapng.Out, 64, 0}, sight{2 << 32, pcapng.In, 50, 80 * time.Millisecond})},
	}
	for _, tt := range tests {
		tr := analyze(tt.in)
		if diff := cmp.Diff(whole, of(one(t, tr))); diff != "" || tr.Copies != int64(len(tt.in)-len(all)) || tr.Messages+tr.Echoes != int64(len(all)) {
			t.Errorf("%s: %d copies: %s", tt.name, tr.Copies, diff)
		}
	}
}

// TestNoCopies takes what looks the same and was sent, or doubled, all the same.
func TestNoCopies(t *testing.T) {
	again := func(later float64, first, second pcapng.Origin, dir pcapng.Dir) []pcapng.Datagram {
		a := step(0, '+', "Type:2;TID:1;SEQ:0;DATA:a")
		b := step(later, '+', "Type:2;TID:1;SEQ:0;DATA:a")
		a.Origin, b.Origin, a.Dir, b.Dir = first, second, dir, dir
		return []pcapng.Datagram{a, b}
	}
	here := pcapng.Origin{Iface: 3, Own: true, TTL: 64}
	numbered := func(id uint32) pcapng.Origin { return pcapng.Origin{Iface: 1 << 32, ID: id, TTL: 64} }
	for _, tt := range []struct {
		name string
		in   []pcapng.Datagram
	}{
		{"no interface is known", again(0.01, pcapng.Origin{}, pcapng.Origin{}, pcapng.Out)},
		{"the same interface", again(0.01, here, here, pcapng.Out)},
		{"the same interface, numbered alike", again(0.01, pcapng.Origin{Iface: 3, Own: true, ID: 9}, pcapng.Origin{Iface: 3, Own: true, ID: 9}, pcapng.Out)},
		{"another number", again(0.01, numbered(8), numbered(9), 0)},
		{"much later", again(200, here, pcapng.Origin{Iface: 4, Own: true, TTL: 64}, pcapng.Out)},
		{"much later, numbered alike", again(3000, numbered(8), numbered(8), 0)},
		{"cooked, later", again(11, pcapng.Origin{TTL: 64}, pcapng.Origin{TTL: 64}, pcapng.In)},
	} {
		tr := analyze(tt.in)
		if x := one(t, tr); x.Datagrams != 2 || x.Again() != 1 || tr.Copies != 0 {
			t.Errorf("%s: %+v", tt.name, tr)
		}
	}
	// Both transmissions are seen twice.
	all := copied([]pcapng.Datagram{step(0, '+', "Type:2;TID:1;SEQ:0;DATA:a"), step(10, '+', "Type:2;TID:1;SEQ:0;DATA:a")}, 1, true, false,
		sight{1, pcapng.In, 64, 0}, sight{2, pcapng.Out, 64, time.Microsecond})
	if tr := analyze(all); tr.Copies != 2 || one(t, tr).Again() != 1 {
		t.Errorf("%+v", tr)
	}
}

// TestUntimed takes a capture without times: all counts are as with them.
func TestUntimed(t *testing.T) {
	all := continents(t)
	for i := range all {
		all[i].At = time.Time{}
	}
	x := one(t, analyze(all))
	// Which transmission was answered shows only where the others are behind the ack.
	if diff := cmp.Diff(whole, of(x)); diff != "" || x.Intents != 1 || x.Offers != 1 {
		t.Errorf("%+v: %s", x, diff)
	}
	for _, r := range x.Receivers {
		if r.EchoesSent != 3 || r.Answered != 3 || len(r.Echoes) != 0 || len(r.Delays) != 0 {
			t.Errorf("%+v", r)
		}
	}
	if _, ok := x.Took(); ok {
		t.Error("it took a time")
	}
}

// TestClock takes captures whose clock is set: no time is negative, and those that the
// change does not touch are right.
func TestClock(t *testing.T) {
	pairs := func(n int) (all []pcapng.Datagram) {
		for i := range n {
			at := float64(i * 10)
			all = append(all, step(at, '+', fmt.Sprintf("Type:2;TID:1;SEQ:%d;DATA:a", i)), step(at+5, '-', fmt.Sprintf("Type:3;TID:1;SEQ:%d;", i)))
		}
		return all
	}
	shift := func(all []pcapng.Datagram, from, to int, by time.Duration) []pcapng.Datagram {
		for i := from; i < to; i++ {
			all[i].At = all[i].At.Add(by)
		}
		return all
	}
	for _, tt := range []struct {
		name string
		in   []pcapng.Datagram
		back int64
		by   time.Duration
		took time.Duration
	}{
		{"right", pairs(50), 0, 0, 495 * time.Millisecond},
		{"back by 3 s", shift(pairs(50), 7, 100, -3*time.Second), 1, 3*time.Second - 5*time.Millisecond, 490 * time.Millisecond},
		{"back twice", shift(shift(pairs(50), 7, 100, -3*time.Second), 50, 100, -time.Hour), 2, time.Hour + 3*time.Second - 10*time.Millisecond, 485 * time.Millisecond},
		{"one is late", shift(pairs(50), 7, 8, -3*time.Second), 1, 3*time.Second - 5*time.Millisecond, 495 * time.Millisecond},
		{"a little disorder", shift(pairs(50), 7, 8, -20*time.Millisecond), 0, 0, 495 * time.Millisecond},
	} {
		tr := analyze(tt.in)
		x := one(t, tr)
		took, ok := x.Took()
		if tr.SetBack != tt.back || tr.Back != tt.by || took != tt.took || !ok || !x.Complete() {
			t.Errorf("%s: set back %d times by %v, it took %v, %+v", tt.name, tr.SetBack, tr.Back, took, of(x))
		}
		for _, d := range x.Receivers[0].Delays {
			if d.Took < 0 || d.Took > 5*time.Millisecond {
				t.Errorf("%s: %+v", tt.name, d)
			}
		}
	}
}

// TestEarly takes answers that are in the capture before what they answer.
func TestEarly(t *testing.T) {
	x := one(t, analyze([]pcapng.Datagram{
		step(0, '-', "Type:3;TID:1;SEQ:0;"), step(0.4, '+', "Type:2;TID:1;SEQ:0;DATA:a"),
		step(10, '+', "Type:2;TID:1;SEQ:1;DATA:a"), step(15, '-', "Type:3;TID:1;SEQ:1;"),
	}))
	if r := x.Receivers[0]; !x.Complete() || r.Unsent != 0 || r.Duplicate != 0 || len(r.Delays) != 1 || r.Acked != 2 {
		t.Errorf("%+v", r)
	}
	// An old one acknowledges nothing.
	x = one(t, analyze([]pcapng.Datagram{step(0, '-', "Type:3;TID:1;SEQ:0;"), step(60, '+', "Type:2;TID:1;SEQ:0;DATA:a")}))
	if r := x.Receivers[0]; x.Complete() || r.Unsent != 1 {
		t.Errorf("%+v", r)
	}
	// The order is right and the times are not.
	x = one(t, analyze([]pcapng.Datagram{step(1, '+', "Type:2;TID:1;SEQ:0;DATA:a"), step(0.5, '-', "Type:3;TID:1;SEQ:0;")}))
	if r := x.Receivers[0]; !x.Complete() || len(r.Delays) != 0 {
		t.Errorf("%+v", r)
	}
	intent, offer := step(0, '+', "Type:0;"), step(-0.1, '-', "Type:1;TID:1;DATA:[{'ip_address': '177.71.168.45'}]")
	tr := analyze([]pcapng.Datagram{offer, intent})
	if x := one(t, tr); x.Intents != 1 || len(tr.Unanswered) != 0 {
		t.Errorf("%+v", tr)
	}
	if _, ok := one(t, tr).Wait(); ok {
		t.Error("there is a wait")
	}
	all := continents(t)
	for i := range all {
		if d := all[i].Data; all[i].Proto == pcapng.ICMP && d[0] == 0 && all[i].Src.Addr() == receivers[0].Addr() {
			// The answer comes 0.1 ms before its echo.
			for k := range i {
				if e := all[k].Data; all[k].Proto == pcapng.ICMP && e[0] == 8 && string(e[4:]) == string(d[4:]) {
					answer := all[i]
					answer.At = all[k].At.Add(-100 * time.Microsecond)
					copy(all[k+1:i+1], all[k:i])
					all[k] = answer
					break
				}
			}
			break
		}
	}
	if r := one(t, analyze(all)).Receivers[0]; r.Answered != 3 || len(r.Echoes) != 2 {
		t.Errorf("%+v", r)
	}
}

// TestCut takes datagrams of which the capture has only the beginning.
func TestCut(t *testing.T) {
	cut := func(d pcapng.Datagram, keep int) pcapng.Datagram {
		d.Missing, d.Cut, d.Data = len(d.Data)-keep, true, d.Data[:keep]
		return d
	}
	list := "Type:1;TID:1;DATA:[{'ip_address': '177.71.168.45', 'name': 'A'}, {'ip_address': '54.200.52.112'}]"
	tr := analyze([]pcapng.Datagram{
		cut(step(0, '-', list), 70), cut(step(1, '+', "Type:2;TID:1;SEQ:0;DATA:"+strings.Repeat("a", 100)), 30),
		step(2, '-', "Type:3;TID:1;SEQ:0;"),
		cut(step(3, '-', "Type:3;TID:1;SEQ:123;"), 19), cut(step(4, '+', "Type:2;TID:1;SEQ:1;DATA:a"), 16),
	})
	x := one(t, tr)
	if !x.CutOffer || x.BadOffer != nil || len(x.Receivers) != 1 || x.Receivers[0].Name != "A" || x.Bytes != 100 || !x.Complete() || tr.Cut != 2 || tr.Malformed != 0 {
		t.Errorf("%+v, %+v", tr, x)
	}
}

// TestLong takes a transfer that is too long to be kept: what is told stays right, and
// memory does not grow with it.
func TestLong(t *testing.T) {
	var a trace.Analyzer
	const n = 300_000
	sent, acked := step(0, '+', ""), step(0, '-', "")
	for i := range n {
		sent.At, acked.At = began.Add(time.Duration(i)*time.Millisecond), began.Add(time.Duration(i)*time.Millisecond+time.Duration(i%1000)*time.Microsecond)
		sent.Data, acked.Data = fmt.Appendf(nil, "Type:2;TID:1;SEQ:%d;DATA:a", i), fmt.Appendf(nil, "Type:3;TID:1;SEQ:%d;", i)
		a.Add(&sent)
		a.Add(&acked)
	}
	x := one(t, a.Finish())
	r := x.Receivers[0]
	if want := (figures{Segments: n, Acked: n, Bytes: n, Datagrams: n, Complete: true}); of(x) != want {
		t.Errorf("%+v", of(x))
	}
	s := r.AckDelays()
	if len(r.Delays) < 1<<15 || len(r.Delays) > 1<<16 || r.Timed() != n || s.Min != 0 || s.Max != 999*time.Microsecond || (s.Median-500*time.Microsecond).Abs() > 5*time.Microsecond {
		t.Errorf("%d of %d delays, %+v", len(r.Delays), r.Timed(), s)
	}
	// Evenly over the transfer.
	if d := r.Delays[len(r.Delays)/2]; d.Seq < n*4/10 || d.Seq > n*6/10 {
		t.Errorf("the middle delay is of SEQ %d", d.Seq)
	}
	// Without acks nothing is ever done with.
	var b trace.Analyzer
	for i := range n {
		sent.Data = fmt.Appendf(nil, "Type:2;TID:1;SEQ:%d;DATA:a", i)
		b.Add(&sent)
	}
	if g := of(one(t, b.Finish())); g.Missing != fmt.Sprintf("0-%d", n-1) || g.Acked != 0 {
		t.Errorf("%+v", g)
	}
}
