package mdalp

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"mdalp/icmp"
	"mdalp/loop"
)

// extendedOffer is one of two receivers, of which the first takes the smaller segments.
const extendedOffer = "Type:1;TID:7;DATA:[{'ip_address': '177.71.168.45', 'seg': 1200, 'win': 64}, {'ip_address': '54.200.52.112', 'seg': 8192, 'win': 64}];"

func manifestOf(seq int, keys string) sent {
	return sent{sockUDP, orchestrator.String(), fmt.Sprintf("Type:4;TID:7;SEQ:%d;DATA:{%s};", seq, keys)}
}

func stateOf(seq int, keys string) string {
	return fmt.Sprintf("Type:5;TID:7;SEQ:%d;DATA:{'state': %s};", seq, keys)
}

// segmentOf is a segment of 1,200 bytes of the payload, or of what is left of it.
func segmentOf(to netip.AddrPort, seq, num, size int) sent {
	p := payload(size)
	return sent{sockUDP, to.String(), fmt.Sprintf("Type:2;TID:7;SEQ:%d;NUM:%02d;DATA:%s", seq, num, p[1200*seq:min(1200*(seq+1), size)])}
}

func (b *bench) want(now time.Time, want ...sent) {
	b.t.Helper()
	if got := b.flush(now); !slices.Equal(got, want) {
		b.t.Fatalf("sent %s, want %s", brief(got), brief(want))
	}
}

// brief is the beginnings of datagrams.
func brief(ds []sent) (s string) {
	for _, d := range ds {
		s += fmt.Sprintf("\n%s %.100q", d.To, d.Data)
	}
	return s
}

// opened begins a session that sends 4,800 bytes in 4 segments, two to each receiver.
func opened(t *testing.T, cfg Config) *bench {
	t.Helper()
	cfg.Balance = BalanceEqual
	b := start(t, 4800, cfg)
	b.flush(t0)
	b.in(t0, orchestrator, extendedOffer)
	b.want(t0, manifestOf(0, "'bytes': 4800, 'seg': 1200"))
	b.in(t0, orchestrator, stateOf(0, "'open', 'win': 2, 'have': ''"))
	b.want(t0, segmentOf(receiverA, 0, 0, 4800), segmentOf(receiverA, 1, 1, 4800), segmentOf(receiverB, 2, 0, 4800), segmentOf(receiverB, 3, 1, 4800))
	return b
}

// next lets time pass until the session wants something sent.
func (b *bench) next() (now time.Time, out []sent) {
	b.t.Helper()
	for range 100 {
		at, ok := b.s.Next()
		if !ok {
			b.t.Fatalf("the session has ended: %v", b.s.err)
		}
		b.s.Expire(at)
		if out = b.flush(at); len(out) > 0 {
			return at, out
		}
	}
	b.t.Fatal("nothing is sent")
	return now, nil
}

// TestAnnounce: the payload is announced beside the pings, and both are waited for.
func TestAnnounce(t *testing.T) {
	for _, first := range []string{"state", "echoes"} {
		b := start(t, 4800, Config{Echoes: 1, Name: "päyload"})
		b.flush(t0)
		b.in(t0, orchestrator, extendedOffer)
		out := b.flush(t0)
		if len(out) != 3 || out[0] != manifestOf(0, "'bytes': 4800, 'seg': 1200, 'name': 'päyload'") || out[1].Sock != sockICMP4 {
			t.Fatalf("sent %s", brief(out))
		}
		steps := []func(){
			func() { b.in(ms(5), orchestrator, stateOf(0, "'open', 'have': ''")) },
			func() {
				for i, e := range out[1:] {
					at := ms(5 + float64(5*i))
					b.s.Receive(at, &loop.Envelope{Sock: sockICMP4, Peer: netip.MustParseAddrPort(e.To), At: at}, answer([]byte(e.Data)))
				}
			},
		}
		if first == "echoes" {
			slices.Reverse(steps)
		}
		steps[0]()
		b.want(ms(10))
		steps[1]()
		// 5 and 10 ms: the split is that of the base protocol, over segments.
		got := b.flush(ms(10))
		if len(got) != 3 || !strings.HasPrefix(got[2].Data, "Type:2;TID:7;SEQ:3;NUM:00;DATA:") || b.s.report.Receivers[0].Assigned != 3 {
			t.Errorf("%s first: sent %s", first, brief(got))
		}
	}
}

// TestNotAnnounced: none of these offers is extended, or the caller will not have it.
func TestNotAnnounced(t *testing.T) {
	entry := func(keys string) string { return "{'ip_address': '177.71.168.45'" + keys + "}" }
	for _, tt := range []struct {
		name, offer string
		cfg         Config
	}{
		{"base alone", entry(", 'seg': 1200, 'win': 64"), Config{Base: true}},
		{"no win", entry(", 'seg': 1200"), Config{}},
		{"no seg", entry(", 'win': 64"), Config{}},
		{"seg is too small", entry(", 'seg': 99, 'win': 64"), Config{}},
		{"seg is too large", entry(", 'seg': 65001, 'win': 64"), Config{}},
		{"win is none", entry(", 'seg': 1200, 'win': 0"), Config{}},
		{"win is too large", entry(", 'seg': 1200, 'win': 1048577"), Config{}},
		{"win is no number", entry(", 'seg': 1200, 'win': '64'"), Config{}},
		{"one of two", entry(", 'seg': 1200, 'win': 64") + ", {'ip_address': '54.200.52.112'}", Config{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.cfg.Balance = BalanceEqual
			b := start(t, 50, tt.cfg)
			b.flush(t0)
			b.in(t0, orchestrator, "Type:1;TID:7;DATA:["+tt.offer+"];")
			got := b.flush(t0)
			if len(got) == 0 || !strings.HasPrefix(got[0].Data, "Type:2;TID:7;SEQ:0;DATA:") {
				t.Errorf("sent %s", brief(got))
			}
			// What a state says is nothing to it.
			b.in(t0, orchestrator, stateOf(0, "'refused'"))
			if b.s.phase == PhaseFinished || b.s.report.Dropped.Unwanted != 1 {
				t.Errorf("%v, %+v", b.s.err, b.s.report.Dropped)
			}
		})
	}
}

// TestNoAnswer: after 4 announcements it goes on with the base protocol, and ignores states.
func TestNoAnswer(t *testing.T) {
	b := start(t, 150, Config{Balance: BalanceEqual})
	b.flush(t0)
	b.in(t0, orchestrator, extendedOffer)
	b.want(t0, manifestOf(0, "'bytes': 150, 'seg': 1200"))
	b.in(ms(500), orchestrator, stateOf(0, "'later'")) // a word of a later protocol is no answer
	for i, at := range []float64{1000, 3000, 7000} {
		now, got := b.next()
		if d := now.Sub(ms(at)); d < 0 || d > 5*time.Millisecond || got[0] != manifestOf(i+1, "'bytes': 150, 'seg': 1200") || len(got) != 1 {
			t.Fatalf("after %v: %s", now.Sub(t0), brief(got))
		}
	}
	now, got := b.next()
	if d := now.Sub(ms(15000)); d < 0 || d > 5*time.Millisecond || len(got) != 2 || !strings.HasPrefix(got[0].Data, "Type:2;TID:7;SEQ:0;DATA:") {
		t.Fatalf("after %v: %s", now.Sub(t0), brief(got))
	}
	b.in(now, orchestrator, stateOf(3, "'refused'"))
	b.in(now, receiverA, "Type:3;TID:7;SEQ:0;")
	b.in(now, receiverB, "Type:3;TID:7;SEQ:1;")
	b.flush(now)
	if err := b.ended(); err != nil || b.s.report.Dropped.Unwanted != 2 || b.s.report.Extended {
		t.Errorf("%v, %+v", err, b.s.report)
	}
}

// TestRefused: a refusal ends the transfer, whenever it comes.
func TestRefused(t *testing.T) {
	for _, sending := range []bool{false, true} {
		b := start(t, 4800, Config{Balance: BalanceEqual})
		seq := 0
		if sending {
			b, seq = opened(t, Config{}), 1
			b.s.dialog.ask(t0)
		} else {
			b.flush(t0)
			b.in(t0, orchestrator, extendedOffer)
		}
		b.flush(t0)
		b.in(t0, receiverA, stateOf(seq, "'refused'")) // not from there
		b.in(t0, orchestrator, stateOf(seq, "'refused', 'comment': 'no room', 'x': 3"))
		err := b.ended()
		var peer *PeerError
		if !errors.Is(err, ErrRefused) || !errors.As(err, &peer) || peer.Peer != orchestrator || !strings.HasSuffix(err.Error(), "no room") {
			t.Errorf("sending %t: %v", sending, err)
		}
		if n := b.s.report.Dropped; n.Foreign+n.Unwanted != 1 {
			t.Errorf("%+v", n)
		}
	}
}

// TestHaves: what the server has already is not sent, and several answers tell it.
func TestHaves(t *testing.T) {
	b := start(t, 4800, Config{Balance: BalanceEqual})
	b.flush(t0)
	b.in(t0, orchestrator, extendedOffer)
	b.flush(t0)
	b.in(t0, orchestrator, stateOf(0, "'open', 'have': '0', 'upto': 2"))
	b.want(t0, manifestOf(1, "'bytes': 4800, 'seg': 1200, 'from': 2"))
	b.in(t0, orchestrator, stateOf(0, "'open', 'have': '0-3'"))                      // an old one
	b.in(t0, orchestrator, stateOf(1, "'open', 'have': '2-3', 'win': 9, 'upto': 4")) // nothing is left to tell
	b.want(t0, segmentOf(receiverA, 1, 0, 4800))
	if b.s.report.Dropped.Unwanted != 1 {
		t.Errorf("%+v", b.s.report.Dropped)
	}
}

// TestSegmentSize: what the receivers take, what the route takes, and what the path itself
// answers.
func TestSegmentSize(t *testing.T) {
	offer := func(host string, seg int) string {
		return fmt.Sprintf("Type:1;TID:7;DATA:[{'ip_address': '%s', 'seg': %d, 'win': 64}, {'ip_address': '54.200.52.112', 'seg': 65000, 'win': 64}];", host, seg)
	}
	const v4, v6 = "177.71.168.45", "2001:db8::1"
	// The longest header of this transaction: 10 MB, so that numbers have 4 or 5 digits.
	header := func(segment int) int {
		total := (10_000_000-1)/segment + 1
		n := len(fmt.Sprint(total - 1))
		return len("Type:2;TID:7;SEQ:;NUM:;DATA:") + n + len(fmt.Sprint(total)) + 1
	}
	routes := func(mtu int) func(netip.Addr) int { return func(netip.Addr) int { return mtu } }
	own := func(netip.Addr) bool { return true }
	for _, tt := range []struct {
		name, offer string
		cfg         run
		try         bool // an echo of that size is sent
		answered    bool
		want        int
	}{
		{name: "no route is known", offer: offer(v4, 8192), want: 1200},
		{name: "the least of the receivers", offer: offer(v4, 600), want: 600},
		{name: "ethernet", offer: offer(v4, 8192), cfg: run{mtu: routes(1500)}, try: true, answered: true, want: 1500 - 28 - header(1200)},
		{name: "the path does not answer", offer: offer(v4, 8192), cfg: run{mtu: routes(1500)}, try: true, want: 1200},
		{name: "IPv6", offer: offer(v6, 8192), cfg: run{mtu: routes(1500), Config: Config{Bind: netip.IPv6Unspecified()}}, try: true, answered: true, want: 1500 - 48 - header(1200)},
		{name: "this very host", offer: offer(v4, 65000), cfg: run{mtu: routes(65536), ours: own}, want: 65000},
		{name: "large packets, smaller segments", offer: offer(v4, 8192), cfg: run{mtu: routes(9000)}, try: true, answered: true, want: 8192},
		{name: "nobody can be pinged", offer: offer(v4, 8192), cfg: run{mtu: routes(9000), Config: Config{Ping: icmp.Off}}, want: 1200},
		{name: "a small route", offer: offer(v4, 8192), cfg: run{mtu: routes(576)}, want: 1200},
		{name: "the caller's", offer: offer(v4, 8192), cfg: run{mtu: routes(1500), Config: Config{Segment: 4000}}, want: 4000},
		{name: "the caller's, which is too much", offer: offer(v4, 8192), cfg: run{Config: Config{Segment: 10000}}, want: 8192},
		{name: "the caller's, which is too little", offer: offer(v4, 8192), cfg: run{Config: Config{Segment: 3}}, want: 100},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.cfg.Echoes = 1
			b := start(t, 10_000_000, tt.cfg)
			b.flush(t0)
			b.in(t0, orchestrator, tt.offer)
			manifest, large := "", 0
			for now := t0; manifest == "" && now.Before(ms(5000)); {
				for _, d := range b.flush(now) {
					if d.Sock == sockUDP {
						manifest = d.Data
						continue
					}
					if len(d.Data) > 1000 {
						large++
					}
					if len(d.Data) < 1000 || tt.answered {
						e := &loop.Envelope{Sock: d.Sock, Peer: netip.MustParseAddrPort(d.To), At: now}
						if d.Sock == sockICMP6 {
							b.s.Receive(now, e, append([]byte{129}, d.Data[1:]...))
						} else {
							b.s.Receive(now, e, answer([]byte(d.Data)))
						}
					}
				}
				at, _ := b.s.Next()
				if now = at; manifest == "" {
					b.s.Expire(now)
				}
			}
			if want := fmt.Sprintf("Type:4;TID:7;SEQ:0;DATA:{'bytes': 10000000, 'seg': %d};", tt.want); manifest != want {
				t.Errorf("%q, want %q", manifest, want)
			}
			if (large == 2) != tt.try || !tt.try && large != 0 {
				t.Errorf("%d large echoes", large)
			}
		})
	}
}

// TestAnew: segments that do not fit into the path are given up with their transaction.
func TestAnewAsks(t *testing.T) {
	offer := strings.Replace(extendedOffer, "'seg': 1200", "'seg': 8192", 1)
	for _, tt := range []struct {
		name  string
		fails func(b *bench, quote string)
		anew  bool
	}{
		{"this host says so", func(b *bench, quote string) {
			b.s.Fail(t0, &loop.Envelope{Peer: receiverA}, syscall.EMSGSIZE)
		}, true},
		{"a router says so, and quotes", func(b *bench, quote string) {
			b.s.Fail(t0, &loop.Envelope{Peer: receiverA, Remote: true, Quote: []byte(quote)}, syscall.EMSGSIZE)
		}, true},
		{"anybody says so", func(b *bench, quote string) {
			b.s.Fail(t0, &loop.Envelope{Peer: receiverA, Remote: true}, syscall.EMSGSIZE)
		}, false},
		{"a router quotes another transaction", func(b *bench, quote string) {
			b.s.Fail(t0, &loop.Envelope{Peer: receiverA, Remote: true, Quote: []byte(strings.Replace(quote, "TID:7", "TID:9", 1))}, syscall.EMSGSIZE)
		}, false},
		{"of a stranger", func(b *bench, quote string) {
			b.s.Fail(t0, &loop.Envelope{Peer: receiverC}, syscall.EMSGSIZE)
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := start(t, 50_000, Config{Balance: BalanceEqual, Segment: 8192})
			b.flush(t0)
			b.in(t0, orchestrator, offer)
			b.want(t0, manifestOf(0, "'bytes': 50000, 'seg': 8192"))
			b.in(t0, orchestrator, stateOf(0, "'open', 'have': ''"))
			out := b.flush(t0)
			tt.fails(b, out[0].Data)
			if !tt.anew {
				b.want(t0)
				if b.s.phase != PhaseSending {
					t.Errorf("%v, %v", b.s.phase, b.s.err)
				}
				return
			}
			b.want(t0, sent{sockUDP, orchestrator.String(), "Type:0;"})
			b.in(t0, receiverA, "Type:3;TID:7;SEQ:0;NUM:0;DATA:0;") // too late
			b.in(t0, orchestrator, strings.Replace(offer, "TID:7", "TID:8", 1))
			b.want(t0, sent{sockUDP, orchestrator.String(), "Type:4;TID:8;SEQ:0;DATA:{'bytes': 50000, 'seg': 1200};"})
			b.in(t0, orchestrator, strings.Replace(stateOf(0, "'open', 'have': ''"), "TID:7", "TID:8", 1))
			if got := b.flush(t0); len(got) == 0 || !strings.HasPrefix(got[0].Data, "Type:2;TID:8;SEQ:00;NUM:000;DATA:") || len(got[0].Data) != len("Type:2;TID:8;SEQ:00;NUM:000;DATA:")+1200 {
				t.Errorf("sent %s", brief(got))
			}
			if b.s.report.TID != 8 || b.s.report.Segments != 42 {
				t.Errorf("%+v", b.s.report)
			}
		})
	}
}
