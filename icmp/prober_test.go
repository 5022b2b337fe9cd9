package icmp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var (
	epoch = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	hostA = netip.MustParseAddr("192.0.2.1")
	hostB = netip.MustParseAddr("2001:db8::2")
	hostC = netip.MustParseAddr("192.0.2.3")
)

// An echo is a request as the network saw it.
type echo struct {
	at time.Time
	to netip.Addr
	b  []byte
}

// reply turns the request into what its host sends back.
func (e echo) reply() []byte {
	b := bytes.Clone(e.b)
	answer(b)
	return b
}

// answer makes a reply of a request, in place.
func answer(b []byte) {
	if b[0] == 128 {
		b[0] = 129
		return
	}
	b[0], b[2], b[3] = 0, 0, 0
	binary.BigEndian.PutUint16(b[2:], checksum(b))
}

// drain takes all that is due at now.
func drain(p *Prober, now time.Time) (es []echo) {
	for {
		b, to, ok := p.Transmit(now, nil)
		if !ok {
			return es
		}
		es = append(es, echo{now, to, b})
	}
}

// ms is an instant in milliseconds after the epoch.
func ms(n int) time.Time { return epoch.Add(time.Duration(n) * time.Millisecond) }

// wantNext checks Next, and that Done agrees with it.
func wantNext(t *testing.T, p *Prober, want time.Time) {
	t.Helper()
	if at, ok := p.Next(); !ok || !at.Equal(want) || p.Done() {
		t.Fatalf("Next %v, %v (done %v), want %v", at.Sub(epoch), ok, p.Done(), want.Sub(epoch))
	}
}

// wantDone checks that the Prober is done and has nothing more to send.
func wantDone(t *testing.T, p *Prober) {
	t.Helper()
	if at, ok := p.Next(); ok || !p.Done() {
		t.Fatalf("Next %v, %v (done %v), want done", at, ok, p.Done())
	}
	if es := drain(p, epoch.Add(time.Hour)); es != nil {
		t.Fatalf("%d echoes when done", len(es))
	}
}

// wantTo checks who the echoes go to.
func wantTo(t *testing.T, es []echo, to ...netip.Addr) {
	t.Helper()
	if len(es) != len(to) {
		t.Fatalf("%d echoes, want %d", len(es), len(to))
	}
	for i, e := range es {
		if e.to != to[i] {
			t.Fatalf("echo %d goes to %v, want %v", i, e.to, to[i])
		}
	}
}

// wantReceive hands a message over and checks what becomes of it.
func wantReceive(t rapid.TB, p *Prober, at time.Time, from netip.Addr, b []byte, want Outcome) {
	t.Helper()
	if got := p.Receive(at, from, b); got != want {
		t.Fatalf("a message from %v is %v, want %v", from, got, want)
	}
}

func TestProberRounds(t *testing.T) {
	p := NewProber(epoch, Config{}, []netip.Addr{hostA, hostB})
	wantNext(t, p, epoch)
	if es := drain(p, epoch.Add(-1)); es != nil {
		t.Fatal("an echo before the beginning")
	}
	var all []echo
	for round, at := range []int{0, 1, 2} {
		es := drain(p, ms(at))
		wantTo(t, es, hostA, hostB)
		for _, e := range es {
			if seq := int(binary.BigEndian.Uint16(e.b[6:])); seq != round {
				t.Fatalf("sequence number %d in round %d", seq, round)
			}
		}
		all = append(all, es...)
		if round < 2 {
			wantNext(t, p, ms(at+1))
			if es := drain(p, ms(at+1).Add(-1)); es != nil {
				t.Fatal("an echo within the gap")
			}
		}
	}
	wantNext(t, p, ms(2002))
	for i, e := range all {
		if p.Done() {
			t.Fatalf("done with %d answers of 6", i)
		}
		wantReceive(t, p, e.at.Add(time.Duration(10+i)), e.to, e.reply(), Counted)
	}
	wantDone(t, p)
	wantA := Stats{Sent: 3, Received: 3, Min: 10, Median: 12, Mean: 12, Max: 14}
	wantB := Stats{Sent: 3, Received: 3, Min: 11, Median: 13, Mean: 13, Max: 15}
	if a, b := p.Stats(0), p.Stats(1); a != wantA || b != wantB {
		t.Errorf("stats %+v %+v", a, b)
	}
}

func TestProberConfig(t *testing.T) {
	p := NewProber(epoch, Config{Count: 2, Gap: -1, Timeout: -1}, []netip.Addr{hostA})
	if n := len(drain(p, epoch)); n != 2 {
		t.Fatalf("%d echoes at once without a gap, want 2", n)
	}
	wantNext(t, p, epoch)
	p.Expire(epoch)
	wantDone(t, p)
	wantDone(t, NewProber(epoch, Config{}, nil))
}

func TestProberTimeout(t *testing.T) {
	p := NewProber(epoch, Config{Count: 1, Timeout: 100 * time.Millisecond}, []netip.Addr{hostA, hostB})
	p.Expire(epoch.Add(time.Hour)) // nothing is sent yet: the wait has not begun
	es := drain(p, ms(5))
	wantReceive(t, p, ms(6), hostA, es[0].reply(), Counted)
	// B has not been heard at all: the whole timeout.
	wantNext(t, p, ms(105))
	p.Expire(ms(105).Add(-1))
	wantNext(t, p, ms(105))
	p.Expire(ms(105))
	wantDone(t, p)
	if got, want := p.Stats(1), (Stats{Sent: 1}); got != want {
		t.Errorf("stats %+v, want %+v", got, want)
	}
	// Who comes too late is measured all the same.
	wantReceive(t, p, ms(205), hostB, es[1].reply(), Counted)
	wantDone(t, p)
	if got := p.Stats(1).Max; got != 200*time.Millisecond {
		t.Errorf("late round trip %v", got)
	}
}

func TestProberStragglers(t *testing.T) {
	p := NewProber(epoch, Config{Count: 2}, []netip.Addr{hostA, hostB})
	one := drain(p, epoch)
	wantReceive(t, p, epoch.Add(20*time.Millisecond), hostA, one[0].reply(), Counted)
	two := drain(p, ms(30))
	wantTo(t, two, hostA, hostB)
	wantNext(t, p, ms(2030))
	// All have answered, the slowest in 40 ms: 3*40+10 after the last echo.
	wantReceive(t, p, ms(40), hostB, one[1].reply(), Counted)
	wantNext(t, p, ms(30+130))
	p.Expire(ms(160).Add(-1))
	wantNext(t, p, ms(160))
	p.Expire(ms(160))
	wantDone(t, p)
}

// Round trips near the timeout, or absurd ones, do not lengthen the wait.
func TestProberStragglersCapped(t *testing.T) {
	for _, rtt := range []time.Duration{650 * time.Millisecond, time.Second, 1<<63 - 1} {
		p := NewProber(epoch, Config{Count: 2, Gap: -1, Timeout: 1955 * time.Millisecond}, []netip.Addr{hostA})
		es := drain(p, epoch)
		wantReceive(t, p, epoch.Add(rtt), hostA, es[0].reply(), Counted)
		wantNext(t, p, ms(1955))
	}
}

func TestProberReceive(t *testing.T) {
	p := NewProber(epoch, Config{Count: 2, ID: 7}, []netip.Addr{hostA, hostB, hostC})
	es := drain(p, epoch)
	a := es[0].reply()
	// Whatever is not ours must leave no trace, so the right reply comes last.
	foreign := []struct {
		name string
		from netip.Addr
		b    []byte
		want Outcome
	}{
		{"another host's address", hostC, a, Foreign},
		{"address of the other family", hostB, a, Foreign},
		{"no address", netip.Addr{}, a, Foreign},
		{"cookie", hostB, with(es[1].reply(), 16, es[1].b[16]+1), Foreign},
		{"another host's cookie", hostB, join(es[1].reply()[:16], a[16:]), Foreign},
		{"sequence number of another echo", hostB, with(es[1].reply(), 7, 1), Foreign},
		{"sequence number, high half", hostB, with(es[1].reply(), 6, 1), Foreign},
		{"echo not yet sent", hostB, with(es[1].reply(), 15, 1), Foreign},
		{"echo not yet sent, cookie 0", hostB, join([]byte{129}, make([]byte, 10), []byte{1, 0, 0, 0, 1}, make([]byte, 8)), Foreign},
		{"echo past all", hostB, with(es[1].reply(), 12, 0xff), Foreign},
		{"host past all", hostB, with(es[1].reply(), 8, 0xff), Foreign},
		{"the request itself", hostA, es[0].b, Foreign},
		{"corrupted", hostA, with(a, 23, a[23]+1), Malformed},
	}
	for _, f := range foreign {
		t.Run(f.name, func(t *testing.T) {
			wantReceive(t, p, ms(1), f.from, f.b, f.want)
			for i := range 3 {
				if got, want := p.Stats(i), (Stats{Sent: 1}); got != want {
					t.Fatalf("stats of host %d: %+v, want %+v", i, got, want)
				}
			}
		})
	}
	mapped := netip.AddrFrom16(hostA.As16())
	wantReceive(t, p, ms(3), mapped, a, Counted)
	wantReceive(t, p, ms(9), hostA, a, Duplicate)
	if got := p.Stats(0).Max; got != 3*time.Millisecond {
		t.Errorf("round trip %v, want that of the first reply, 3ms", got)
	}
	// Another identifier is what a datagram socket does to ours.
	wantReceive(t, p, ms(4), hostB, with(es[1].reply(), 5, 99), Counted)
	// A clock that went back does not make a round trip of nothing.
	wantReceive(t, p, epoch.Add(-time.Hour), hostC, es[2].reply(), Counted)
	if got := p.Stats(2).Max; got != 1 {
		t.Errorf("round trip %v, want 1ns", got)
	}
}

func TestProberZones(t *testing.T) {
	host := netip.MustParseAddr("fe80::1%eth0")
	p := NewProber(epoch, Config{Count: 1}, []netip.Addr{host})
	es := drain(p, epoch)
	wantTo(t, es, host)
	wantReceive(t, p, ms(1), netip.MustParseAddr("fe80::1%2"), es[0].reply(), Counted)
	wantDone(t, p)
}

func TestProberFail(t *testing.T) {
	p := NewProber(epoch, Config{Count: 2}, []netip.Addr{hostA, hostB, hostC})
	p.Fail(netip.MustParseAddr("192.0.2.9")) // not ours
	p.Fail(hostA)
	p.Fail(hostA)
	one := drain(p, epoch)
	wantTo(t, one, hostB, hostC)
	p.Fail(hostC)
	two := drain(p, ms(1))
	wantTo(t, two, hostB)
	// Of a failed host nothing is waited for, but what comes is taken.
	wantReceive(t, p, ms(2), hostC, one[1].reply(), Counted)
	wantNext(t, p, ms(2001))
	wantReceive(t, p, ms(3), hostB, one[0].reply(), Counted)
	wantReceive(t, p, ms(4), hostB, two[0].reply(), Counted)
	wantDone(t, p)
	if a, c := p.Stats(0), p.Stats(2); a.Sent != 0 || c.Sent != 1 || c.Received != 1 {
		t.Errorf("stats %+v %+v", a, c)
	}

	p = NewProber(epoch, Config{}, []netip.Addr{hostA, hostB})
	drain(p, epoch)
	p.Fail(hostB)
	wantNext(t, p, ms(1))
	p.Fail(hostA)
	wantDone(t, p)
}

// A host that answered and then fails has still been heard, and the silent one
// beside it has not: the whole timeout is waited for it.
func TestProberFailHeard(t *testing.T) {
	p := NewProber(epoch, Config{Count: 2, Gap: -1}, []netip.Addr{hostA, hostB})
	es := drain(p, epoch)
	wantReceive(t, p, ms(1), hostA, es[0].reply(), Counted)
	p.Fail(hostA)
	wantNext(t, p, ms(2000))
	wantReceive(t, p, ms(2), hostB, es[1].reply(), Counted)
	wantNext(t, p, ms(16))
}

// Equal keys give equal cookies, others others.
func TestProberKey(t *testing.T) {
	cookie := func(key byte) (s string) {
		p := NewProber(epoch, Config{Gap: -1, Key: [32]byte{key}}, []netip.Addr{hostA, hostB})
		for _, e := range drain(p, epoch) {
			s += fmt.Sprintf("%x ", e.b[16:])
		}
		return s
	}
	one, again, two := cookie(1), cookie(1), cookie(2)
	if one != again || one == two {
		t.Errorf("key 1: %s, again: %s\nkey 2: %s", one, again, two)
	}
}

// TestProberProperty compares the Prober with a model that knows of each echo
// whether it was answered and of each host whether it failed.
func TestProberProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := Config{
			Count:   rapid.IntRange(1, 5).Draw(t, "count"),
			Gap:     rapid.SampledFrom([]time.Duration{-1, 1, time.Millisecond}).Draw(t, "gap"),
			Timeout: 50 * time.Millisecond,
		}
		hosts := make([]netip.Addr, rapid.IntRange(1, 6).Draw(t, "hosts"))
		for i := range hosts {
			hosts[i] = netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})
			if i%2 == 1 {
				hosts[i] = netip.AddrFrom16([16]byte{0x20, 1, 15: byte(i)})
			}
		}
		now := epoch
		p := NewProber(now, cfg, hosts)
		var echoes []echo
		answered := map[int]bool{}
		failed := map[netip.Addr]bool{}
		expired := false

		check := func() {
			missing, sent := 0, map[netip.Addr]int{}
			for i, e := range echoes {
				sent[e.to]++
				if !failed[e.to] && !answered[i] {
					missing++
				}
			}
			all, received := true, 0
			for i, h := range hosts {
				all = all && (failed[h] || sent[h] == cfg.Count)
				if got := p.Stats(i); got.Sent != sent[h] || got.Received > got.Sent {
					t.Fatalf("host %d: %+v, sent %d", i, got, sent[h])
				} else {
					received += got.Received
				}
			}
			if received != len(answered) {
				t.Fatalf("%d received, want %d", received, len(answered))
			}
			if want := expired || all && missing == 0; p.Done() != want {
				t.Fatalf("done %v, want %v", p.Done(), want)
			}
			at, ok := p.Next()
			if ok == p.Done() {
				t.Fatalf("Next %v, %v and done %v", at, ok, p.Done())
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"": func(*rapid.T) { check() },
			"transmit": func(*rapid.T) {
				b, to, ok := p.Transmit(now, nil)
				if !ok {
					return
				}
				if failed[to] {
					t.Fatalf("an echo to %v, which failed", to)
				}
				echoes = append(echoes, echo{now, to, b})
			},
			"receive": func(t *rapid.T) {
				if len(echoes) == 0 {
					return
				}
				i := rapid.IntRange(0, len(echoes)-1).Draw(t, "echo")
				want := Counted
				if answered[i] {
					want = Duplicate
				}
				wantReceive(t, p, now, echoes[i].to, echoes[i].reply(), want)
				answered[i] = true
			},
			"fail": func(t *rapid.T) {
				h := rapid.SampledFrom(hosts).Draw(t, "host")
				p.Fail(h)
				failed[h] = true
			},
			"pass": func(t *rapid.T) {
				at, ok := p.Next()
				if !ok {
					return // all are answered
				}
				if at.Before(now) {
					at = now
				}
				now = at
				p.Expire(now)
				// Either something is due now or the waiting is over.
				if !p.Done() {
					if _, ok := p.Next(); !ok {
						t.Fatal("Next has nothing")
					}
					b, to, ok := p.Transmit(now, nil)
					if !ok {
						t.Fatalf("nothing to send at %v, which Next gave", now.Sub(epoch))
					}
					echoes = append(echoes, echo{now, to, b})
				} else {
					expired = true
				}
			},
		})
		// Whatever has happened, it ends: the Prober never waits in vain.
		for range len(hosts)*cfg.Count + 1 {
			if at, ok := p.Next(); ok {
				now = at
				drain(p, now)
				p.Expire(now)
			}
		}
		if !p.Done() {
			t.Fatal("it does not end")
		}
	})
}

// manyHosts gives n addresses, every other one IPv6.
func manyHosts(n int) []netip.Addr {
	hosts := make([]netip.Addr, n)
	for i := range hosts {
		hosts[i] = netip.AddrFrom4([4]byte{127, 1, byte(i >> 8), byte(i)})
		if i%2 == 1 {
			hosts[i] = netip.AddrFrom16([16]byte{0xfd, 14: byte(i >> 8), 15: byte(i)})
		}
	}
	return hosts
}

func TestProberAllocs(t *testing.T) {
	const runs = 1000
	p := NewProber(epoch, Config{Gap: -1}, manyHosts(runs))
	buf := make([]byte, 0, 64)
	n := testing.AllocsPerRun(runs, func() {
		b, to, ok := p.Transmit(epoch, buf)
		if !ok {
			t.Fatal("no echo is due")
		}
		e := echo{epoch, to, b}
		answer(e.b)
		if o := p.Receive(epoch.Add(5), e.to, e.b); o != Counted {
			t.Fatalf("a reply is %v", o)
		}
		p.Expire(epoch)
		if _, ok := p.Next(); !ok {
			t.Fatal("it is done")
		}
	})
	if n != 0 {
		t.Errorf("%v allocations for an echo and its answer, want 0", n)
	}
	if n := testing.AllocsPerRun(runs, func() { p.Stats(0) }); n != 0 {
		t.Errorf("%v allocations for Stats, want 0", n)
	}
}

// BenchmarkProber is 10,000 hosts with three echoes each, all answered.
func BenchmarkProber(b *testing.B) {
	hosts := manyHosts(10_000)
	msgs := make([]byte, 0, len(hosts)*echoLen)
	tos := make([]netip.Addr, 0, len(hosts))
	b.ReportAllocs()
	echoes := 0
	for b.Loop() {
		p := NewProber(epoch, Config{}, hosts)
		for now := epoch; !p.Done(); now, _ = p.Next() {
			msgs, tos = msgs[:0], tos[:0]
			for {
				out, to, ok := p.Transmit(now, msgs)
				if !ok {
					break
				}
				answer(out[len(msgs):])
				msgs, tos = out, append(tos, to)
			}
			for i, from := range tos {
				p.Receive(now.Add(5), from, msgs[i*echoLen:][:echoLen])
			}
			echoes += len(tos)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(echoes), "ns/echo")
}

// An echo that is lost is not waited for, and its host gets the next one.
func TestProberLose(t *testing.T) {
	p := NewProber(epoch, Config{Count: 2}, []netip.Addr{hostA, hostB, hostC})
	p.Lose(hostA) // nothing is sent yet
	one := drain(p, epoch)
	p.Lose(hostA)
	p.Lose(hostA) // there is no other
	p.Lose(netip.MustParseAddr("192.0.2.9"))
	p.Lose(hostB)
	wantReceive(t, p, ms(1), hostB, one[1].reply(), Counted) // it was not lost after all
	wantReceive(t, p, ms(1), hostC, one[2].reply(), Counted)
	two := drain(p, ms(1))
	wantTo(t, two, hostA, hostB, hostC)
	wantReceive(t, p, ms(2), hostC, two[2].reply(), Counted)
	wantReceive(t, p, ms(2), hostB, two[1].reply(), Counted)
	if p.Done() {
		t.Fatal("the last echo is not waited for")
	}
	p.Lose(hostA) // that was all
	wantDone(t, p)
	wantReceive(t, p, ms(3), hostA, two[0].reply(), Counted)
	wantDone(t, p)
	for i, want := range []int{1, 2, 2} {
		if s := p.Stats(i); s.Sent != 2 || s.Received != want {
			t.Errorf("host %d: %+v", i, s)
		}
	}
	// Who has lost all is no reason to wait for stragglers any longer.
	p = NewProber(epoch, Config{Count: 1}, []netip.Addr{hostA, hostC})
	one = drain(p, epoch)
	p.Lose(hostA)
	wantReceive(t, p, ms(1), hostC, one[1].reply(), Counted)
	wantDone(t, p)
	p = NewProber(epoch, Config{Count: 2, Gap: -1}, []netip.Addr{hostA})
	drain(p, epoch)
	p.Lose(hostA)
	p.Fail(hostA)
	wantDone(t, p)
}
