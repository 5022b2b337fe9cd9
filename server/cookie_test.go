package server

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"mdalp/loop"
	"mdalp/wire"
)

const asksCookie = "Type:0;DATA:{'cookie': '0000000000000000'};"

// busyRig is one with a place for one transaction, which is taken, and somebody who waits.
func busyRig(t *testing.T) *rig {
	r := newRig(t, Config{Receivers: one, FirstTID: 1, Concurrent: 1, Unused: time.Hour, Seed: [32]byte{7}})
	r.want(r.to(orch, host(0), "Type:0;"), offerOf(1))
	r.want(r.to(sao, host(0), "Type:2;TID:1;SEQ:1;DATA:x"), "Type:3;TID:1;SEQ:1;")
	r.want(r.to(orch, host(1), "Type:0;"))
	return r
}

// given asks for a cookie, and gives it as an intent has it.
func (r *rig) given(who netip.AddrPort) string {
	r.t.Helper()
	r.drain()
	out := r.to(orch, who, asksCookie)
	if len(out) != 1 || !strings.HasPrefix(out[0], "Type:1;DATA:{'cookie': '") || len(out[0]) != len(asksCookie) {
		r.t.Fatalf("a cookie is %q", out)
	}
	return strings.Replace(out[0], "Type:1", "Type:0", 1)
}

// Without load a client gets its offer, whatever it shows.
func TestCookieWithoutLoad(t *testing.T) {
	for _, b := range []string{asksCookie, "Type:0;DATA:{'cookie': '0123456789abcdef'};", "Type:0;DATA:{'cookie': 7};", "Type:0;DATA:"} {
		r := newRig(t, Config{Receivers: one, FirstTID: 1})
		r.want(r.to(orch, client, b), offerOf(1))
		r.want(r.to(orch, client, b), offerOf(1))
		r.addsUp()
	}
}

// What draws a cookie under load, and what never does: an original client could not read it.
func TestChallenges(t *testing.T) {
	for _, tt := range []struct {
		b     string
		draws bool
	}{
		{"Type:0;", false},
		{"Type:0", false},
		{"Type:0;TID:0;", false},
		{"Type:0;DATA:", false},
		{"Type:0;DATA:{}", false},
		{"Type:0;DATA:{'cookie': ''};", false}, // the answer would be longer
		{"Type:0;DATA:{'cookie': '000000000000000'};", false},
		{"Type:0;DATA:{'cookie': '000000000000000G'};", false},
		{"Type:0;DATA:{'cookie': 0};", false},
		{asksCookie, true},
		{"Type:0;DATA:{'later': [1], 'cookie': \"fedcba9876543210\"}", true},
	} {
		r := busyRig(t)
		out := r.to(orch, client, tt.b)
		if got := len(out) == 1 && strings.HasPrefix(out[0], "Type:1;DATA:{'cookie': '"); got != tt.draws || !got && len(out) > 0 {
			t.Errorf("%q draws %q", tt.b, out)
		}
		waits := 2
		if tt.draws {
			waits = 1 // nothing is kept of who asks
		}
		if st := r.s.Stats(); r.s.Waiting() != waits || st.Challenged != uint64(2-waits) {
			t.Errorf("%q: %d wait, %+v", tt.b, r.s.Waiting(), st)
		}
		r.addsUp()
	}
}

// A cookie is good for its address, for one minute at least, and for two at most.
func TestCookieLasts(t *testing.T) {
	for _, tt := range []struct {
		who   netip.AddrPort
		after time.Duration
		seed  byte
		good  bool
	}{
		{client, 0, 7, true},
		{client, time.Minute, 7, true},
		{client, 2 * time.Minute, 7, false},
		{client, time.Second, 8, false},
		{netip.AddrPortFrom(client.Addr(), client.Port()+1), 0, 7, false},
		{stranger, 0, 7, false},
	} {
		for _, phase := range []time.Duration{0, 59 * time.Second} {
			at := epoch.Add(phase)
			now := newCookies([32]byte{7})
			later := newCookies([32]byte{tt.seed})
			c := string(now.append(nil, at, client, 0))
			if got := later.good(at.Add(tt.after), tt.who, c); got != tt.good {
				t.Errorf("%v from second %v, by seed %d: good is %t", tt, phase, tt.seed, got)
			}
		}
	}
}

// Who has shown where it is comes before those who wait, and out of their row. It is told nothing
// twice, and its place counts apart from that of whoever uses its address.
func TestShown(t *testing.T) {
	r := busyRig(t)
	for k := range 8 {
		r.want(r.to(orch, netip.AddrPortFrom(client.Addr(), uint16(1+k)), "Type:0;"))
	}
	r.want(r.to(orch, stranger, "Type:0;"))
	shows := r.given(stranger)
	r.want(r.to(orch, stranger, shows))
	r.want(r.to(orch, stranger, shows))
	r.want(r.to(orch, stranger, "Type:0;"))
	if st := r.s.Stats(); st.Waiting != 2 || r.s.Waiting() != 10 || r.s.orch.rows[1].length != 1 {
		t.Fatalf("%d wait, %+v", r.s.Waiting(), st)
	}
	// The first transaction ends, and its place is the stranger's.
	r.s.cfg.Concurrent = 2
	out := r.pass(100 * time.Millisecond)
	if len(out) != 1 || out[0].env.Peer != stranger || out[0].b != offerOf(2) {
		t.Fatalf("%+v", out)
	}
	// The same offer again, if it was lost.
	r.want(r.to(orch, stranger, shows), offerOf(2))
	r.addsUp()
}

// flood sends intents from forged addresses for a while, so many a millisecond.
func (r *rig) flood(rnd *rand.Rand, d time.Duration, rate int, each func()) (out []sent) {
	for end := r.now.Add(d); r.now.Before(end); {
		for range rate {
			b := "Type:0;"
			switch rnd.IntN(4) {
			case 0:
				b = asksCookie
			case 1:
				b = fmt.Sprintf("Type:0;DATA:{'cookie': '%016x'};", rnd.Uint64())
			}
			a := netip.AddrFrom4([4]byte{100, byte(rnd.Uint32()), byte(rnd.Uint32()), byte(rnd.Uint32())})
			r.s.Receive(r.now, &loop.Envelope{Peer: netip.AddrPortFrom(a, uint16(1+rnd.IntN(65535))), Local: orch}, []byte(b))
		}
		each()
		out = append(out, r.pass(time.Millisecond)...)
	}
	return out
}

// What a flood draws is bounded in bytes, and its half under load; who shows itself gets an offer at
// once, and who cannot, gets one too if it asks on.
func TestFloodIsBounded(t *testing.T) {
	for _, tt := range []struct{ concurrent, rate int }{{64, 0}, {100_000, 0}, {100_000, 10_000}} {
		r := newRig(t, Config{Receivers: one, FirstTID: 1, Concurrent: tt.concurrent, OfferRate: int64(tt.rate), Seed: [32]byte{1}})
		rnd := rand.New(rand.NewPCG(1, 2))
		rate := int(r.s.cfg.rate(offerLen(r.s.orch.offered)))
		if tt.rate == 0 && rate != 1000*offerLen(r.s.orch.offered) {
			t.Fatalf("%d bytes a second", rate)
		}
		count := func(out []sent) (offers int) {
			for _, d := range out {
				if m, _ := wire.Parse([]byte(d.b)); m.TID != wire.Absent {
					offers += len(d.b)
				}
			}
			return offers
		}
		r.flood(rnd, 2*time.Second, 5, func() {})
		const seconds = 4
		if n := count(r.flood(rnd, seconds*time.Second, 5, func() {})); n > rate/2*seconds+rate || n == 0 {
			t.Errorf("%+v: strangers draw %d bytes in %d s, half of what is for all are %d", tt, n, seconds, rate/2*seconds)
		}
		// One of ours in the midst of it.
		began, asked := r.now, false
		var shows string
		got := time.Duration(0)
		r.flood(rnd, time.Second, 5, func() {
			if asked {
				return
			}
			asked = true
			shows = r.given(client)
			r.s.Receive(r.now, &loop.Envelope{Peer: client, Local: orch}, []byte(shows))
		})
		for _, tx := range r.s.byTID {
			if tx.client == client {
				got = tx.start.Sub(began)
			}
		}
		if got > DefaultUnused/40+3*reclaimEvery || r.s.byClient[client] == nil {
			t.Errorf("%+v: who has shown itself gets its offer after %v", tt, got)
		}
		// An original client that asks again every second.
		if d := r.wait(stranger, time.Minute); d >= time.Minute {
			t.Errorf("%+v: who cannot show itself waits for ever", tt)
		}
		r.addsUp()
	}
}

// However many show themselves, strangers keep a part.
func TestStrangersKeepAPart(t *testing.T) {
	r := newRig(t, Config{Receivers: one, FirstTID: 1, IntentRate: -1, SourceConcurrent: 1 << 20, Concurrent: 1 << 20, OfferRate: 10_000, Seed: [32]byte{1}})
	all := 6 * 10_000 / offerLen(r.s.orch.offered) // what may go at once, too
	shown, strange := 0, 0
	n := 0
	for range 5000 {
		for range 2 {
			n++
			who := netip.AddrPortFrom(host(n%16).Addr(), uint16(1+n))
			c := r.s.orch.cookies.append(nil, r.now, who, 0)
			r.s.Receive(r.now, &loop.Envelope{Peer: who, Local: orch}, wire.AppendCookieIntent(nil, string(c)))
			r.s.Receive(r.now, &loop.Envelope{Peer: host(100 + n%5000), Local: orch}, []byte("Type:0;"))
		}
		for _, d := range r.pass(time.Millisecond) {
			if d.env.Peer.Port() == host(0).Port() {
				strange++
			} else {
				shown++
			}
		}
	}
	if shown+strange > all+1 || shown < all/2 || strange < all/8 {
		t.Errorf("in 5 s %d offers to who has shown itself, %d to strangers, of %d", shown, strange, all)
	}
	r.addsUp()
}
