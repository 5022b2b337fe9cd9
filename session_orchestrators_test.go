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
)

// second and third are orchestrators of the same fleet as the first.
var (
	second = netip.MustParseAddrPort("18.139.29.143:4650")
	third  = netip.MustParseAddrPort("[2001:db8::5]:4650")
)

// A question is who was asked, and when, in seconds from the start.
type question struct {
	at float64
	to netip.AddrPort
}

func (q question) String() string { return fmt.Sprint(q.to, " at ", q.at) }

// asks lets time pass until n datagrams that begin with kind have left, and gives them. answer,
// if not nil, is called for each.
func (b *bench) asks(n int, now time.Time, kind string, answer func(now time.Time, to netip.AddrPort)) (out []question) {
	b.t.Helper()
	for range 1000 {
		sent := b.flush(now)
		for _, d := range sent {
			if !strings.HasPrefix(d.Data, kind) {
				continue
			}
			to := netip.MustParseAddrPort(d.To)
			out = append(out, question{float64(now.Sub(t0).Round(100*time.Millisecond)) / 1e9, to})
			if answer != nil {
				answer(now, to)
			}
		}
		at, ok := b.s.Next()
		if !ok || len(out) >= n {
			return out
		}
		if len(sent) > 0 {
			continue // an answer may have more sent at once
		}
		if at.After(now) {
			now = at
		}
		b.s.Expire(now)
	}
	b.t.Fatalf("only %v was asked", out)
	return nil
}

// TestOrchestratorsSilent: the intent goes to one after the other, and an offer is taken from
// any of them, also from one that was asked before.
func TestOrchestratorsSilent(t *testing.T) {
	fleet := Config{Orchestrators: []netip.AddrPort{second, orchestrator, third, second}, Balance: BalanceEqual}
	b := start(t, 4800, fleet)
	got := b.asks(9, t0, "Type:0;", nil)
	want := []question{{0, orchestrator}, {1, second}, {2, third}, {3, orchestrator}, {5, second}, {7, third}, {9, orchestrator}, {13, second}, {17, third}}
	if !slices.Equal(got, want) {
		t.Errorf("asked %v, want %v", got, want)
	}
	now := ms(17_500)
	b.in(now, receiverA, extendedOffer)
	if b.s.phase != PhaseWaiting || b.s.report.Dropped.Foreign != 1 {
		t.Error("an offer is taken from a stranger")
	}
	b.in(now, second, extendedOffer)
	out := b.flush(now)
	if len(out) != 1 || out[0].To != second.String() || !strings.HasPrefix(out[0].Data, "Type:4;TID:7;SEQ:0;") {
		t.Errorf("sent %s, want an announcement to the one that offered", brief(out))
	}
	if r := &b.s.report; r.Orchestrator != second || r.Moves != 8 {
		t.Errorf("the report names %v and %d moves", r.Orchestrator, r.Moves)
	}
	// The retry of the caller is the time for each.
	fleet.IntentRetry = 5 * time.Second
	got = start(t, 4800, fleet).asks(4, t0, "Type:0;", nil)
	if want = []question{{0, orchestrator}, {5, second}, {10, third}, {15, orchestrator}}; !slices.Equal(got, want) {
		t.Errorf("with a retry of 5 s, asked %v, want %v", got, want)
	}
}

// TestOrchestratorsRefuse: one that refuses hands on at once, all of them end the wait, unless it
// is a transfer that goes on, or the caller wants the intent repeated; never faster than that.
func TestOrchestratorsRefuse(t *testing.T) {
	for _, tt := range []struct {
		name    string
		refuse  []netip.AddrPort
		err     syscall.Errno
		retry   time.Duration
		want    []question
		refused bool // the wait ends
	}{
		{"the first", []netip.AddrPort{orchestrator}, syscall.ECONNREFUSED, 0,
			[]question{{0, orchestrator}, {0, second}, {1, orchestrator}, {1, second}, {3, orchestrator}, {3, second}}, false},
		{"the second", []netip.AddrPort{second}, syscall.ECONNREFUSED, 0,
			[]question{{0, orchestrator}, {1, second}, {1, orchestrator}, {3, second}, {3, orchestrator}}, false},
		{"both", []netip.AddrPort{orchestrator, second}, syscall.ECONNREFUSED, 0,
			[]question{{0, orchestrator}, {0, second}}, true},
		{"both, asked again", []netip.AddrPort{orchestrator, second}, syscall.ECONNREFUSED, 2 * time.Second,
			[]question{{0, orchestrator}, {0, second}, {2, orchestrator}, {2, second}}, false},
		{"no way to either", []netip.AddrPort{orchestrator, second}, syscall.EHOSTUNREACH, 0,
			[]question{{0, orchestrator}, {0, second}, {1, orchestrator}, {1, second}, {3, orchestrator}}, false},
	} {
		b := start(t, 100, Config{Orchestrators: []netip.AddrPort{second}, IntentRetry: tt.retry})
		got := b.asks(len(tt.want), t0, "Type:0;", func(now time.Time, to netip.AddrPort) {
			if slices.Contains(tt.refuse, to) {
				b.s.Fail(now, refusal(to, "Type:0;"), tt.err)
			}
		})
		if !slices.Equal(got[:min(len(got), len(tt.want))], tt.want) {
			t.Errorf("%s: asked %v, want %v", tt.name, got, tt.want)
		}
		if refused := errors.Is(b.s.err, ErrNoOffer); refused != tt.refused {
			t.Errorf("%s: it ends with %v", tt.name, b.s.err)
		}
	}
}

// TestOrchestratorsCookies: the second round asks for cookies, and each goes to who gave it alone.
func TestOrchestratorsCookies(t *testing.T) {
	b := start(t, 100, Config{Orchestrators: []netip.AddrPort{second}})
	const none, given = "Type:0;DATA:{'cookie': '0000000000000000'};", "{'cookie': '6f1d2a90c3b4e587'};"
	b.want(t0, sent{sockUDP, orchestrator.String(), "Type:0;"})
	b.s.Expire(ms(1001))
	b.want(ms(1001), sent{sockUDP, second.String(), "Type:0;"})
	b.s.Expire(ms(2002))
	b.want(ms(2002), sent{sockUDP, orchestrator.String(), none})
	b.in(ms(2100), second, "Type:1;DATA:"+given)
	b.want(ms(2100))
	b.in(ms(2100), orchestrator, "Type:1;DATA:"+given)
	b.want(ms(2100), sent{sockUDP, orchestrator.String(), "Type:0;DATA:" + given})
	b.s.Expire(ms(4003))
	b.want(ms(4003), sent{sockUDP, second.String(), none})
}

// TestOrchestratorsManifests: two manifests in a row without an answer go to each, the payload is
// announced to all before it is sent in the base protocol, and states are taken from any.
func TestOrchestratorsManifests(t *testing.T) {
	fleet := Config{Orchestrators: []netip.AddrPort{second, third}, Balance: BalanceEqual}
	announcing := func() *bench {
		b := start(t, 4800, fleet)
		b.flush(t0)
		b.in(t0, orchestrator, extendedOffer)
		return b
	}
	b := announcing()
	announced := []question{{0, orchestrator}, {1, orchestrator}, {3, second}, {4, second}, {6, third}, {7, third}}
	if got := b.asks(6, t0, "Type:4;", nil); !slices.Equal(got, announced) {
		t.Errorf("announced to %v, want %v", got, announced)
	}
	// Who was asked first is believed, late as it is, and asked on.
	b.in(ms(7500), orchestrator, stateOf(1, "'open', 'have': ''"))
	if b.s.phase != PhaseSending || !b.s.report.Extended || b.s.cfg.Orchestrator != orchestrator {
		t.Fatalf("after the first one's answer: %v, and %v is asked", b.s.phase, b.s.cfg.Orchestrator)
	}
	b.flush(ms(7500))
	b.in(ms(7600), receiverA, "Type:3;TID:7;SEQ:0;NUM:1;DATA:0-1;")
	b.in(ms(7600), receiverB, "Type:3;TID:7;SEQ:0;NUM:1;DATA:0-1;")
	got := b.asks(4, ms(7600), "Type:4;", nil)
	if want := []question{{7.6, orchestrator}, {8.6, orchestrator}, {10.6, second}, {11.6, second}}; !slices.Equal(got, want) {
		t.Errorf("asked for the verdict %v, want %v", got, want)
	}
	b.in(ms(11_700), second, stateOf(int(b.s.dialog.seq-1), "'complete'"))
	if err := b.ended(); err != nil || !b.s.report.Verified || b.s.report.Orchestrator != second {
		t.Errorf("it ends with %v, report %+v", err, b.s.report)
	}

	b = announcing()
	want := append(announced, []question{{9, orchestrator}, {11, orchestrator}, {15, second}, {17, second}, {21, third}, {23, third}}...)
	if got := b.asks(12, t0, "Type:4;", nil); !slices.Equal(got, want) {
		t.Errorf("announced to %v, want %v", got, want)
	}
	b.s.Expire(ms(27_100))
	if out := b.flush(ms(27_100)); len(out) == 0 || !strings.HasPrefix(out[0].Data, "Type:2;TID:7;SEQ:0;DATA:") {
		t.Errorf("after 12 announcements %s is sent, want base segments", brief(out))
	}
}

// TestOrchestratorsManifestsRefused: a closed port hands the question on at once, and where all
// are closed it waits for its time.
func TestOrchestratorsManifestsRefused(t *testing.T) {
	for _, announced := range []bool{false, true} {
		b := start(t, 4800, Config{Orchestrators: []netip.AddrPort{second}, Balance: BalanceEqual})
		b.flush(t0)
		b.in(t0, orchestrator, extendedOffer)
		if announced {
			b.flush(t0)
			b.in(t0, orchestrator, stateOf(0, "'open', 'have': '0-3'"))
		}
		got := b.asks(5, t0, "Type:4;", func(now time.Time, to netip.AddrPort) {
			b.s.Fail(now, refusal(to, "Type:4;"), syscall.ECONNREFUSED)
			b.s.Fail(now, refusal(to, "Type:4;"), syscall.ECONNREFUSED) // counts once
		})
		for _, q := range got[2:] {
			if q.at == 0 {
				t.Errorf("announced %t: they go round and round: %v", announced, got)
			}
		}
		if got[0] != (question{0, orchestrator}) || got[1] != (question{0, second}) {
			t.Errorf("announced %t: asked %v, want the second at once", announced, got)
		}
	}
}

// TestOrchestratorsUnknown: another orchestrator that does not know the transaction makes the
// client ask it for a new offer, whose announcement still names what was to be resumed.
func TestOrchestratorsUnknown(t *testing.T) {
	b := start(t, 4800, Config{Orchestrators: []netip.AddrPort{second}, Balance: BalanceEqual, Resume: &Transaction{3, 1200}})
	b.flush(t0)
	b.in(t0, orchestrator, extendedOffer)
	b.asks(3, t0, "Type:4;", nil)
	b.in(ms(3100), second, stateOf(2, "'refused'"))
	b.want(ms(3100), sent{sockUDP, second.String(), "Type:0;"})
	b.in(ms(3200), second, strings.Replace(extendedOffer, "TID:7", "TID:8", 1))
	b.want(ms(3200), sent{sockUDP, second.String(), "Type:4;TID:8;SEQ:0;DATA:{'bytes': 4800, 'seg': 1200, 'resume': 3};"})
}

// TestOneOrchestrator: named twice it is still one, with none of the timers of several.
func TestOneOrchestrator(t *testing.T) {
	b := start(t, 100, Config{Orchestrators: []netip.AddrPort{orchestrator}})
	b.flush(t0)
	b.s.Expire(ms(20_000))
	b.want(ms(20_000))
	for _, wrong := range []netip.AddrPort{{}, netip.AddrPortFrom(second.Addr(), 0)} {
		c := Config{Orchestrator: orchestrator, Orchestrators: []netip.AddrPort{wrong}}
		if err := c.check(); !errors.Is(err, ErrConfig) {
			t.Errorf("%v is taken: %v", wrong, err)
		}
	}
}
