package mdalp

import (
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// resumed begins a session that is to take over transaction 3, and answers its announcement.
func resumed(t *testing.T, cfg Config, r Transaction, announced string) *bench {
	t.Helper()
	cfg.Balance, cfg.Resume = BalanceEqual, &r
	b := start(t, 4800, cfg)
	b.flush(t0)
	b.in(t0, orchestrator, extendedOffer)
	b.want(t0, manifestOf(0, announced))
	return b
}

// TestResume: what the server has already is not sent, counts as acknowledged, and the
// caller is told what it takes to resume once more.
func TestResume(t *testing.T) {
	var told []Transaction
	b := resumed(t, Config{Announced: func(is Transaction) { told = append(told, is) }}, Transaction{3, 1200}, "'bytes': 4800, 'seg': 1200, 'resume': 3")
	b.in(t0, orchestrator, stateOf(0, "'open', 'have': '0,2-3'"))
	b.want(t0, segmentOf(receiverA, 1, 0, 4800))
	b.s.refresh(t0)
	if r := &b.s.report; r.Resumed != 3600 || r.Acked != 3600 || r.Left != 1 {
		t.Errorf("%d bytes resumed, %d acknowledged, %d segments left; want 3600, 3600 and 1", r.Resumed, r.Acked, r.Left)
	}
	if len(told) != 1 || told[0] != (Transaction{7, 1200}) {
		t.Errorf("the caller is told %v, want transaction 7", told)
	}
}

// TestResumeSizes: a transaction that cannot be resumed as it was announced.
func TestResumeSizes(t *testing.T) {
	held := func(bytes, seg string) string {
		return "'refused', 'comment': 'sizes that differ', 'bytes': " + bytes + ", 'seg': " + seg
	}
	const anew = "'bytes': 4800, 'seg': 1200"
	for _, tt := range []struct {
		name      string
		r         Transaction
		announced string
		answer    string
		next      string // announcement, or "" if it ends
	}{
		{"segments are not known", Transaction{TID: 3}, anew + ", 'resume': 3", held("4800", "700"), "'bytes': 4800, 'seg': 700, 'resume': 3"},
		{"another payload", Transaction{3, 1200}, anew + ", 'resume': 3", held("4801", "1200"), anew},
		{"segments that do not fit any more", Transaction{3, 700}, "'bytes': 4800, 'seg': 700, 'resume': 3", held("4800", "9000"), anew},
		{"smaller than anybody sends", Transaction{3, 1200}, anew + ", 'resume': 3", held("4800", "99"), anew},
		{"none", Transaction{3, 1200}, anew + ", 'resume': 3", held("4800", "0"), anew},
		{"larger than receivers take", Transaction{3, 9000}, anew, held("4800", "9000"), ""},
		{"the same sizes", Transaction{3, 1200}, anew + ", 'resume': 3", held("4800", "1200"), ""},
		{"no room", Transaction{3, 1200}, anew + ", 'resume': 3", "'refused', 'comment': 'no room'", ""},
	} {
		b := resumed(t, Config{}, tt.r, tt.announced)
		b.in(t0, orchestrator, stateOf(0, tt.answer))
		if tt.next != "" {
			if got := b.flush(t0); len(got) != 1 || got[0] != manifestOf(1, tt.next) {
				t.Errorf("%s: sent %s, want %s", tt.name, brief(got), tt.next)
			}
		} else if !errors.Is(b.s.err, ErrRefused) {
			t.Errorf("%s: it goes on: %v", tt.name, b.s.err)
		}
	}
}

// TestResumeFlaps: a server that tells other sizes each time has the client end, or send anew.
func TestResumeFlaps(t *testing.T) {
	b := resumed(t, Config{}, Transaction{3, 1200}, "'bytes': 4800, 'seg': 1200, 'resume': 3")
	for k, next := range []struct{ seg, manifest string }{
		{"700", "'bytes': 4800, 'seg': 700, 'resume': 3"},
		{"800", "'bytes': 4800, 'seg': 1200"},
	} {
		b.in(t0, orchestrator, stateOf(k, "'refused', 'comment': 'sizes that differ', 'bytes': 4800, 'seg': "+next.seg))
		b.want(t0, manifestOf(k+1, next.manifest))
	}
	b.in(t0, orchestrator, stateOf(2, "'refused', 'comment': 'sizes that differ', 'bytes': 4800, 'seg': 900"))
	if !errors.Is(b.s.err, ErrRefused) {
		t.Errorf("it goes on: %v", b.s.err)
	}
}

// TestRenew: a transaction that the server has closed goes on in another one; not for ever
// when nothing is acknowledged in between.
func TestRenew(t *testing.T) {
	for _, tt := range []struct{ name, answer, resume string }{
		{"its limit", "'refused', 'comment': 'it was silent for too long', 'resume': 7", "7"},
		{"unknown", "'refused'", "7"},
	} {
		b := opened(t, Config{})
		now := t0
		for k := range mostRenewed + 1 {
			b.s.dialog.ask(now)
			b.flush(now)
			b.in(now, orchestrator, strings.Replace(stateOf(1, tt.answer), "TID:7", "TID:"+map[bool]string{true: "7", false: "8"}[k%2 == 0], 1))
			if k == mostRenewed {
				break
			}
			out := b.flush(now)
			if len(out) != 1 || out[0].Data != "Type:0;" {
				t.Fatalf("%s: sent %s, want an intent", tt.name, brief(out))
			}
			// The old offer comes once more, late; the new one names another transaction.
			b.in(now, orchestrator, strings.Replace(extendedOffer, "TID:7", "TID:"+map[bool]string{true: "7", false: "8"}[k%2 == 0], 1))
			b.want(now)
			next := map[bool]string{true: "8", false: "7"}[k%2 == 0]
			b.in(now, orchestrator, strings.Replace(extendedOffer, "TID:7", "TID:"+next, 1))
			out = b.flush(now)
			if len(out) != 1 || !strings.HasPrefix(out[0].Data, "Type:4;TID:"+next+";SEQ:0;DATA:{'bytes': 4800, 'seg': 1200, 'resume': ") {
				t.Fatalf("%s: sent %s, want the announcement of %s", tt.name, brief(out), next)
			}
			b.in(now, orchestrator, strings.Replace(stateOf(0, "'open', 'have': '0'"), "TID:7", "TID:"+next, 1))
			b.flush(now)
		}
		if !errors.Is(b.s.err, ErrRefused) {
			t.Errorf("%s: after %d transactions without progress it ends with %v", tt.name, mostRenewed+1, b.s.err)
		}
	}
}

// TestRenewLost: the intent of a transfer that goes on in another transaction is sent until
// there is an offer, also where the caller does not ask for that: one that is lost, or comes
// while the server starts anew, ends no transfer. A server that refuses for long does.
func TestRenewLost(t *testing.T) {
	for _, refused := range []bool{false, true} {
		b := opened(t, Config{})
		b.s.dialog.ask(t0)
		b.flush(t0)
		b.in(t0, orchestrator, stateOf(1, "'refused'"))
		intent := []sent{{sockUDP, orchestrator.String(), "Type:0;"}}
		b.want(t0, intent...)
		// That orchestrator knows what a cookie is.
		intent[0].Data = "Type:0;DATA:{'cookie': '0000000000000000'};"
		now, after := t0, []time.Duration{}
		for len(after) < 6 {
			if refused {
				b.s.Fail(now, refusal(orchestrator, "Type:0;"), syscall.ECONNREFUSED)
			}
			at, out := b.next()
			if !slices.Equal(out, intent) {
				t.Fatalf("refused %t: sent %s, want an intent", refused, brief(out))
			}
			after = append(after, at.Sub(now).Round(10*time.Millisecond))
			now = at
		}
		if want := []time.Duration{1e9, 2e9, 4e9, 8e9, 8e9, 8e9}; !slices.Equal(after, want) {
			t.Errorf("refused %t: an intent after %v, want %v", refused, after, want)
		}
		if refused {
			b.s.Fail(now, refusal(orchestrator, "Type:0;"), syscall.ECONNREFUSED)
			if err := b.ended(); !errors.Is(err, ErrNoOffer) {
				t.Errorf("it ends with %v", err)
			}
			continue
		}
		b.in(now, orchestrator, strings.Replace(extendedOffer, "TID:7", "TID:8", 1))
		out := b.flush(now)
		if len(out) != 1 || !strings.HasPrefix(out[0].Data, "Type:4;TID:8;SEQ:0;DATA:{'bytes': 4800, 'seg': 1200, 'resume': 7}") {
			t.Errorf("sent %s, want the announcement", brief(out))
		}
	}
}
