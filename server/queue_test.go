package server

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"mdalp/loop"
	"mdalp/wire"
)

// host is a client of its own.
func host(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 18, byte(n >> 8), byte(n)}), 40000)
}

// wait gives how long a client waits for its offer, which asks now and then every second.
func (r *rig) wait(who netip.AddrPort, most time.Duration) time.Duration {
	began := r.now
	for r.now.Sub(began) < most {
		r.s.Receive(r.now, &loop.Envelope{Peer: who, Local: orch}, []byte("Type:0;"))
		for _, d := range append(r.drain(), r.pass(time.Second)...) {
			if d.env.Peer == who {
				return r.now.Sub(began)
			}
		}
	}
	return most
}

// offered gives how long a client waits for its offer that asks once.
func (r *rig) offered(who netip.AddrPort) time.Duration {
	began := r.now
	for got := r.to(orch, who, "Type:0;"); len(got) == 0 && r.now.Sub(began) < time.Minute; {
		got = texts(r.pass(10 * time.Millisecond))
	}
	return r.now.Sub(began)
}

// Intents that nobody follows up do not keep an honest client waiting, be they from one
// address or from many.
func TestForgedIntents(t *testing.T) {
	for _, tt := range []struct {
		name string
		from func(k int) netip.AddrPort
		n    int
		most time.Duration
	}{
		{"66 of one source", func(k int) netip.AddrPort { return port(k + 1) }, 66, time.Second},
		{"1216 of one source", func(k int) netip.AddrPort { return port(k + 1) }, 1216, time.Second},
		{"1216 of as many", host, 1216, 6 * time.Second},
		{"4000 of 64", func(k int) netip.AddrPort {
			return netip.AddrPortFrom(host(k%64).Addr(), uint16(1+k/64))
		}, 4000, 2 * time.Second},
	} {
		r := newRig(t, Config{FirstTID: 1})
		for k := range tt.n {
			r.s.Receive(r.now, &loop.Envelope{Peer: tt.from(k), Local: orch}, []byte("Type:0;"))
		}
		if d := r.wait(stranger, time.Minute); d > tt.most {
			t.Errorf("%s: it waits for %v", tt.name, d)
		}
		r.addsUp()
	}
}

// Who asks on and on, and sends nothing, holds no place: the next to come does not wait for it.
func TestPushyIntents(t *testing.T) {
	for _, tt := range []struct {
		times int
		most  time.Duration
	}{{pushy - 1, DefaultUnused/2 + 2*reclaimEvery}, {pushy, 2 * reclaimEvery}, {1000, 2 * reclaimEvery}} {
		r := newRig(t, Config{Receivers: one, FirstTID: 1, Concurrent: 8})
		for range 1 + tt.times {
			for k := range 8 {
				r.s.Receive(r.now, &loop.Envelope{Peer: host(k), Local: orch}, []byte("Type:0;"))
			}
			r.drain()
		}
		r.s.Receive(r.now, &loop.Envelope{Peer: stranger, Local: orch}, []byte("Type:0;"))
		began, came := r.now, time.Duration(0)
		for out := r.drain(); came < DefaultUnused; out = r.pass(5 * time.Millisecond) {
			came = r.now.Sub(began)
			if slices.ContainsFunc(out, func(d sent) bool { return d.env.Peer == stranger }) {
				break
			}
		}
		if came > tt.most || tt.times < pushy && came < DefaultUnused/4 {
			t.Errorf("asked %d times again: an offer to the next after %v", tt.times, came)
		}
		// The place is gone, and what was offered is not.
		r.want(r.to(sao, host(0), "Type:2;TID:1;SEQ:0;DATA:x"), "Type:3;TID:1;SEQ:0;")
		r.addsUp()
	}
}

// A hundred clients behind one address are all served, though each asks but once.
func TestManyBehindOneAddress(t *testing.T) {
	r := newRig(t, Config{Receivers: one, FirstTID: 1})
	served := map[netip.AddrPort]bool{}
	see := func(ds []sent) {
		for _, d := range ds {
			m, _ := wire.Parse([]byte(d.b))
			if m.Type == wire.Offer && !served[d.env.Peer] {
				served[d.env.Peer] = true
				r.to(sao, d.env.Peer, fmt.Sprintf("Type:2;TID:%d;SEQ:0;DATA:%v", m.TID, d.env.Peer))
			}
		}
	}
	for k := range 100 {
		r.s.Receive(r.now, &loop.Envelope{Peer: port(k + 1), Local: orch}, []byte("Type:0;"))
	}
	see(r.drain())
	for range 120 {
		see(r.pass(100 * time.Millisecond))
	}
	if len(served) != 100 {
		t.Errorf("%d of 100 are served after 12 s", len(served))
	}
	r.pass(DefaultLimit)
	if st := r.s.Stats(); st.Completed != 100 {
		t.Errorf("%+v", st)
	}
}

// Whoever lost the place comes late: his first segment is taken, as long as there is room
// beyond Concurrent and his source has not all it may.
func TestLateFirstSegment(t *testing.T) {
	r := newRig(t, Config{Receivers: one, FirstTID: 1, Concurrent: 2, SourceConcurrent: 3, IntentRate: -1})
	for k := range 6 {
		r.s.Receive(r.now, &loop.Envelope{Peer: host(k), Local: orch}, []byte("Type:0;"))
	}
	r.drain()
	r.pass(DefaultUnused + 10*time.Second)
	if r.s.Waiting() != 0 {
		t.Fatalf("%d wait", r.s.Waiting())
	}
	for tid := range 6 {
		want := []string{fmt.Sprintf("Type:3;TID:%d;SEQ:1;", tid+1)}
		if tid >= 2 { // the last two still have a place, and two more are taken
			want = nil
		}
		if tid >= 4 {
			want = []string{fmt.Sprintf("Type:3;TID:%d;SEQ:1;", tid+1)}
		}
		r.want(r.to(sao, host(tid), fmt.Sprintf("Type:2;TID:%d;SEQ:1;DATA:x", tid+1)), want...)
	}
	if st := r.s.Stats(); st.NoPlace != 2 || r.s.placed.len() != 4 {
		t.Errorf("%d places, %+v", r.s.placed.len(), st)
	}
	r.addsUp()
}

// A port that comes again is another client: it gets a transaction of its own, whatever
// becomes of the one before.
func TestPortComesAgain(t *testing.T) {
	m := new(Memory)
	r := newRig(t, Config{Receivers: one, FirstTID: 1, Store: m})
	r.want(r.to(orch, client, "Type:0;"), offerOf(1))
	r.want(r.to(orch, client, "Type:0;"), offerOf(1)) // nothing came: it asks again
	r.want(r.to(sao, client, "Type:2;TID:1;SEQ:0;DATA:first"), "Type:3;TID:1;SEQ:0;")
	r.want(r.to(orch, client, "Type:0;"), offerOf(2))
	r.want(r.to(sao, client, "Type:2;TID:2;SEQ:0;DATA:second"), "Type:3;TID:2;SEQ:0;")
	r.want(r.to(sao, client, "Type:2;TID:1;SEQ:0;DATA:first"), "Type:3;TID:1;SEQ:0;")
	r.pass(DefaultIdle + time.Second)
	r.want(r.to(orch, client, "Type:0;"), offerOf(3))
	for tid, want := range map[int64]string{1: "first", 2: "second"} {
		if b, _ := m.Payload(tid); string(b) != want {
			t.Errorf("payload %d is %q", tid, b)
		}
	}
	r.pass(DefaultLimit + time.Second)
	if len(r.s.byTID)+len(r.s.byClient)+len(r.s.origins) != 0 {
		t.Error("something is remembered for good")
	}
	r.addsUp()
}

// Whole and silent transactions hold no place: small ones come and go.
func TestWholeHoldsNoPlace(t *testing.T) {
	r := newRig(t, Config{Receivers: one, FirstTID: 1, Concurrent: 4, IntentRate: -1})
	for k := range 200 {
		tid := 0
		for range 20 {
			for _, b := range append(r.to(orch, host(k), "Type:0;"), texts(r.pass(20*time.Millisecond))...) {
				if m, err := wire.Parse([]byte(b)); err == nil && m.Type == wire.Offer {
					tid = int(m.TID)
				}
			}
			if tid > 0 {
				break
			}
		}
		r.want(r.to(sao, host(k), fmt.Sprintf("Type:2;TID:%d;SEQ:0;DATA:x", tid)), fmt.Sprintf("Type:3;TID:%d;SEQ:0;", tid))
	}
	if d := r.now.Sub(epoch); d > DefaultIdle {
		t.Errorf("200 transfers took %v", d)
	}
	// A big one that pauses goes on, place or not.
	r.pass(time.Second)
	r.want(r.to(sao, host(199), "Type:2;TID:200;SEQ:1;DATA:y"), "Type:3;TID:200;SEQ:1;")
	r.pass(DefaultIdle + time.Second)
	if st := r.s.Stats(); st.Completed != 200 {
		t.Errorf("%+v", st)
	}
}

// Nor do extended ones, whose clients ask for no verdict; and where as many have segments as
// may, they have their names before their silence is over.
func TestWholeUnasked(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  Config
		n    int
		most time.Duration // that one waits for its offer
	}{
		{"places of the server", Config{Concurrent: 4, SourceConcurrent: 4}, 200, 2 * quiet},
		{"places of a source", Config{}, 200, 2 * quiet},
		{"open at once", Config{MaxOpen: 8}, 40, 2 * unasked},
	} {
		tt.cfg.IntentRate = -1
		r := newExtendedRig(t, tt.cfg)
		for k := range tt.n {
			if d := r.offered(port(k + 1)); d > tt.most {
				t.Fatalf("%s: offer %d waits for %v", tt.name, k, d)
			}
			tid := 7 + k
			m := fmt.Sprintf("Type:4;TID:%d;SEQ:0;DATA:{'bytes': 100, 'seg': 100};", tid)
			r.to(orch, port(k+1), m)
			b := strings.Replace(numbered(0, 0, 100), "TID:7;", fmt.Sprintf("TID:%d;", tid), 1)
			r.want(r.to(sao, port(k+1), b), fmt.Sprintf("Type:3;TID:%d;SEQ:0;NUM:0;DATA:0;", tid))
		}
		r.pass(DefaultSilence + time.Second)
		if st := r.s.Stats(); st.Completed != uint64(tt.n) {
			t.Errorf("%s: %+v", tt.name, st)
		}
		r.addsUp()
	}
}

// Clients that were killed keep no others of their source out for longer than Unused, and one
// that has only paused goes on.
func TestSilentHoldsNoPlace(t *testing.T) {
	for _, seq := range []int{0, 1} { // whole, as far as can be told, and not
		r := newRig(t, Config{Receivers: one, FirstTID: 1, SourceConcurrent: 8, IntentRate: -1})
		for k := range 8 {
			r.to(orch, port(k+1), "Type:0;")
			r.want(r.to(sao, port(k+1), fmt.Sprintf("Type:2;TID:%d;SEQ:%d;DATA:x", k+1, seq)),
				fmt.Sprintf("Type:3;TID:%d;SEQ:%d;", k+1, seq))
		}
		if d := r.offered(port(9)); d > DefaultUnused+100*time.Millisecond {
			t.Errorf("SEQ %d first: it waits for %v", seq, d)
		}
		r.want(r.to(sao, port(1), "Type:2;TID:1;SEQ:2;DATA:y"), "Type:3;TID:1;SEQ:2;")
		r.addsUp()
	}
}

// What cannot be told from a payload that was cut off is not complete: at the limit, only
// silence for Idle makes it so.
func TestCutOffAtLimit(t *testing.T) {
	for _, tt := range []struct {
		last time.Duration
		want bool
	}{
		{DefaultLimit - DefaultIdle - time.Second, true},
		{DefaultLimit - DefaultIdle + time.Second, false},
		{DefaultLimit - time.Millisecond, false},
	} {
		r := newRig(t, Config{FirstTID: 7})
		r.to(orch, client, "Type:0;")
		for seq := 0; r.now.Before(epoch.Add(tt.last)); seq++ {
			r.pass(min(5*time.Second, epoch.Add(tt.last).Sub(r.now)))
			r.to(three[seq%3].Addr, client, segment{seq % 3, int64(seq), "abc"}.message(7))
		}
		r.pass(DefaultLimit)
		if res := r.result(); res.Complete != tt.want {
			t.Errorf("last segment after %v: %+v", tt.last, res)
		}
	}
}

// The loop stood still: nobody could be heard, so that is no silence.
func TestStallIsNoSilence(t *testing.T) {
	r := newRig(t, Config{FirstTID: 7})
	r.to(orch, client, "Type:0;")
	r.to(sao, client, "Type:2;TID:7;SEQ:0;DATA:x")
	r.pass(2 * time.Second)
	r.now = r.now.Add(time.Minute)
	r.s.Expire(r.now)
	if len(r.results) != 0 || r.s.Stats().Stalls != 1 || r.s.Stood() < 59*time.Second || r.s.Stood() > time.Minute {
		t.Fatalf("%+v, %+v, %v", r.results, r.s.Stats(), r.s.Stood())
	}
	r.want(r.to(sao, client, "Type:2;TID:7;SEQ:1;DATA:y"), "Type:3;TID:7;SEQ:1;")
	r.pass(DefaultIdle + time.Second)
	if res := r.result(); !res.Complete || res.Segments != 2 || r.s.Stats().Stalls != 1 {
		t.Errorf("%+v", res)
	}
}

// An offer does not wait for all acknowledgements, nor does one transaction's for
// another's.
func TestTurns(t *testing.T) {
	r := newRig(t, Config{Receivers: one, FirstTID: 1})
	r.to(orch, port(1), "Type:0;")
	r.to(orch, port(2), "Type:0;")
	for tid := range 2 {
		for seq := range []int{leastAcks, 1}[tid] {
			r.s.Receive(r.now, &loop.Envelope{Peer: port(tid + 1), Local: sao}, []byte(segment{0, int64(seq), "x"}.message(int64(tid+1))))
		}
	}
	r.s.Receive(r.now, &loop.Envelope{Peer: port(3), Local: orch}, []byte("Type:0;"))
	out := texts(r.drain())
	if len(out) != leastAcks+2 || out[1] != "Type:3;TID:2;SEQ:0;" || out[offerEvery] != offerOf(3) {
		t.Errorf("%q", out)
	}
}

// What one may send and draw.
func TestShares(t *testing.T) {
	t.Run("bytes of a source", func(t *testing.T) {
		r := newRig(t, Config{Receivers: one, FirstTID: 1, SourceBytes: 5})
		r.to(orch, port(1), "Type:0;")
		r.to(orch, port(2), "Type:0;")
		r.to(orch, stranger, "Type:0;")
		r.want(r.to(sao, port(1), "Type:2;TID:1;SEQ:0;DATA:abcd"), "Type:3;TID:1;SEQ:0;")
		r.want(r.to(sao, port(2), "Type:2;TID:2;SEQ:0;DATA:ab"))
		r.want(r.to(sao, port(2), "Type:2;TID:2;SEQ:0;DATA:a"), "Type:3;TID:2;SEQ:0;")
		r.want(r.to(orch, port(3), "Type:0;"))
		r.want(r.to(sao, stranger, "Type:2;TID:3;SEQ:0;DATA:abcde"), "Type:3;TID:3;SEQ:0;")
		// What has its verdict is nobody's any more.
		r.want(texts(r.pass(DefaultIdle+time.Second)), offerOf(4))
		if st := r.s.Stats(); st.SourceFull != 1 {
			t.Errorf("%+v", st)
		}
		r.addsUp()
	})
	t.Run("addresses", func(t *testing.T) {
		r := newRig(t, Config{Receivers: one, FirstTID: 1, BindClients: true})
		r.to(orch, client, "Type:0;")
		r.want(r.to(sao, stranger, "Type:2;TID:1;SEQ:0;DATA:x"))
		r.want(r.to(sao, port(9), "Type:2;TID:1;SEQ:0;DATA:x"), "Type:3;TID:1;SEQ:0;")
		if st := r.s.Stats(); st.Foreign != 1 {
			t.Errorf("%+v", st)
		}
		r.addsUp()
	})
	t.Run("bytes of offers", func(t *testing.T) {
		r := newRig(t, Config{Receivers: one, FirstTID: 1, OfferRate: 1000, IntentRate: -1})
		most := int(1000 / time.Duration(offerLen(r.s.orch.offered)))
		offers := 0
		for range 100 {
			offers += len(r.to(orch, client, "Type:0;"))
		}
		// Half is for those who have none yet.
		if offers < 1 || offers > most/2+1 {
			t.Errorf("%d repeated offers, %d are all", offers, most)
		}
		for k := range 100 {
			offers += len(r.to(orch, host(k), "Type:0;"))
		}
		if offers < most-1 || offers > most+1 {
			t.Errorf("%d offers at once, want %d", offers, most)
		}
		// The others wait for theirs: strangers have half of it, as long as somebody waits.
		if n := len(r.pass(2 * time.Second)); n < most-1 || n > most+1 {
			t.Errorf("%d offers in 2 s, want %d", n, most)
		}
		r.pass(2 * time.Minute)
		if n := len(r.to(orch, client, "Type:0;")); n != 1 {
			t.Errorf("%d offers to one who asks again", n)
		}
	})
	t.Run("transactions with segments", func(t *testing.T) {
		r := newRig(t, Config{Receivers: one, FirstTID: 1, MaxOpen: 2})
		for k := range 3 {
			r.want(r.to(orch, host(k), "Type:0;"), offerOf(k+1))
		}
		for k := range 3 {
			var want []string
			if k < 2 {
				want = []string{fmt.Sprintf("Type:3;TID:%d;SEQ:0;", k+1)}
			}
			r.want(r.to(sao, host(k), fmt.Sprintf("Type:2;TID:%d;SEQ:0;DATA:x", k+1)), want...)
		}
		r.want(r.to(orch, host(4), "Type:0;"))
		r.want(texts(r.pass(DefaultIdle+time.Second)), offerOf(4))
		r.want(r.to(sao, host(2), "Type:2;TID:3;SEQ:0;DATA:x"), "Type:3;TID:3;SEQ:0;")
	})
	t.Run("nothing", func(t *testing.T) {
		r := newRig(t, Config{Receivers: one, FirstTID: 1, Expect: &Payload{0, sha256.Sum256(nil)}, Store: &broken{Store: new(Memory), room: -1, fails: 1000}})
		for k := range 50 {
			r.to(orch, host(k), "Type:0;")
		}
		r.pass(DefaultLimit + time.Second)
		if b := r.s.cfg.Store.(*broken); len(r.results) != 50 || b.tries != 0 {
			t.Errorf("%d verdicts, %d tries to publish", len(r.results), b.tries)
		}
	})
}
