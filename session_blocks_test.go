package mdalp

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mdalp/wire"
)

// TestAsksWhenSilent: after two probe timeouts in a row the server is asked how it stands.
func TestAsksWhenSilent(t *testing.T) {
	b := opened(t, Config{})
	b.in(ms(20), receiverB, "Type:3;TID:7;SEQ:0;NUM:1;DATA:0-1;")
	b.in(ms(20), receiverA, "Type:3;TID:7;SEQ:0;NUM:0;DATA:0;")
	b.flush(ms(20))
	probes := 0
	for range 20 {
		now, out := b.next()
		if i := slices.Index(out, manifestOf(1, "'bytes': 4800, 'seg': 1200")); i >= 0 {
			if b.s.report.Receivers[0].Timeouts != 2 {
				t.Errorf("%d timeouts", b.s.report.Receivers[0].Timeouts)
			}
			b.in(now, orchestrator, stateOf(1, "'open', 'have': '0,2-3'"))
			if b.s.dialog.asked || b.s.phase != PhaseSending {
				t.Error("it goes on asking")
			}
			return
		}
		probes += len(out)
	}
	t.Errorf("%d probes, and the server was not asked", probes)
}

// acked acknowledges everything of an opened session.
func (b *bench) acked(now time.Time) {
	b.in(now, receiverA, "Type:3;TID:7;SEQ:0;NUM:1;DATA:0-1;")
	b.in(now, receiverB, "Type:3;TID:7;SEQ:0;NUM:1;DATA:0-1")
}

// asks is the manifest that asks for the verdict.
func asks(seq int) sent {
	return manifestOf(seq, fmt.Sprintf("'bytes': 4800, 'seg': 1200, 'sha256': '%x'", sha256.Sum256(payload(4800))))
}

// TestVerdicts: what the server says when all is acknowledged.
func TestVerdicts(t *testing.T) {
	t.Run("complete", func(t *testing.T) {
		b := opened(t, Config{})
		b.in(ms(5), orchestrator, stateOf(0, "'complete'")) // nothing was asked
		b.acked(ms(10))
		b.want(ms(10), asks(1))
		if b.s.phase != PhaseFinishing {
			t.Errorf("phase %v", b.s.phase)
		}
		b.in(ms(15), receiverA, stateOf(1, "'complete'"))
		b.in(ms(20), orchestrator, stateOf(1, "'complete'"))
		if err := b.ended(); err != nil || b.s.report.Acked != 4800 || b.s.report.SHA256 != fmt.Sprintf("%x", sha256.Sum256(payload(4800))) {
			t.Errorf("%v, %+v", err, b.s.report)
		}
		if r := &b.s.report; !r.Verified || r.Transfer != 10*time.Millisecond || r.Verdict != 10*time.Millisecond {
			t.Errorf("verified: %v; sent in %v, verdict after %v", r.Verified, r.Transfer, r.Verdict)
		}
	})
	t.Run("busy", func(t *testing.T) {
		b := opened(t, Config{})
		b.acked(ms(10))
		b.want(ms(10), asks(1))
		at := 20.0
		for i := range 100 { // longer than it waits for an answer
			b.in(ms(at), orchestrator, stateOf(i+1, "'busy', 'wait': 900"))
			now, out := b.next()
			if d := now.Sub(ms(at + 900)); d < 0 || d > 5*time.Millisecond || len(out) != 1 || out[0] != asks(i+2) {
				t.Fatalf("%v too late: %s", d, brief(out))
			}
			at += 910
		}
		b.in(ms(at), orchestrator, stateOf(101, "'complete'"))
		if err := b.ended(); err != nil {
			t.Error(err)
		}
	})
	t.Run("incomplete", func(t *testing.T) {
		b := opened(t, Config{})
		b.acked(ms(10))
		b.want(ms(10), asks(1))
		b.in(ms(20), orchestrator, stateOf(1, "'incomplete', 'have': '0', 'upto': 1"))
		b.want(ms(20), manifestOf(2, strings.Replace(asks(1).Data[len("Type:4;TID:7;SEQ:1;DATA:{"):len(asks(1).Data)-2], "'sha256'", "'from': 1, 'sha256'", 1)))
		b.in(ms(30), orchestrator, stateOf(2, "'incomplete', 'have': '1,3'"))
		out := b.flush(ms(30))
		if len(out) != 1 || !strings.Contains(out[0].Data, ";SEQ:2;NUM:02;DATA:") || !strings.HasSuffix(out[0].Data, string(payload(4800)[2400:3600])) {
			t.Fatalf("sent %s", brief(out))
		}
		b.in(ms(40), netip.MustParseAddrPort(out[0].To), "Type:3;TID:7;SEQ:1;NUM:2;DATA:2,0;")
		b.want(ms(40), asks(3))
		b.in(ms(50), orchestrator, stateOf(3, "'complete'"))
		// Sent until 10 ms, and again from 30 to 40 ms.
		if err := b.ended(); err != nil || !b.s.report.Verified || b.s.report.Transfer != 20*time.Millisecond {
			t.Errorf("%v, %+v", err, b.s.report)
		}
	})
	// A server that says so for ever draws one question at once, and the others ever later.
	for _, lacks := range []string{"'have': '0-3'", "'have': '0-3', 'upto': 0", "'have': '0-1,3'"} {
		t.Run("incomplete for ever, "+lacks, func(t *testing.T) {
			b := opened(t, Config{})
			b.acked(ms(10))
			b.want(ms(10), asks(1))
			now, num := ms(20), map[string]int{receiverA.String(): 2, receiverB.String(): 2}
			for k, wait := range []time.Duration{0, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 8 * time.Second} {
				b.in(now, orchestrator, stateOf(k+1, "'incomplete', "+lacks))
				if strings.HasSuffix(lacks, "1,3'") {
					out := b.flush(now)
					if len(out) != 1 || !strings.Contains(out[0].Data, ";SEQ:2;") {
						t.Fatalf("sent %s, want the segment that is lacked", brief(out))
					}
					to := out[0].To
					b.in(now, netip.MustParseAddrPort(to), fmt.Sprintf("Type:3;TID:7;SEQ:%d;NUM:%d;DATA:%[2]d;", 1+k, num[to]))
					num[to]++
				}
				at, out := now, b.flush(now)
				if len(out) == 0 {
					at, out = b.next()
				}
				if d := at.Sub(now) - wait; d < 0 || d > 5*time.Millisecond || len(out) != 1 || out[0] != asks(k+2) {
					t.Fatalf("round %d: %v after %v: %s", k, at.Sub(now), wait, brief(out))
				}
				now = at.Add(10 * time.Millisecond)
			}
		})
	}
	t.Run("damaged", func(t *testing.T) {
		b := opened(t, Config{})
		b.acked(ms(10))
		b.flush(ms(10))
		b.in(ms(20), orchestrator, stateOf(1, "'damaged'"))
		if err := b.ended(); !errors.Is(err, ErrDamaged) || b.s.report.Verified {
			t.Error(err)
		}
	})
	t.Run("deadline", func(t *testing.T) {
		b := opened(t, Config{Deadline: time.Second})
		b.acked(ms(10))
		b.want(ms(10), asks(1))
		b.s.Expire(ms(1001))
		if err := b.ended(); !errors.Is(err, ErrUnverified) || !errors.Is(err, ErrDeadline) || errors.Is(err, ErrIncomplete) {
			t.Error(err)
		}
	})
	t.Run("deadline at the wake-up of the last acknowledgement", func(t *testing.T) {
		for _, unasked := range []bool{false, true} {
			b := opened(t, Config{Deadline: time.Second, NoVerify: unasked})
			b.acked(ms(1001))
			b.s.Expire(ms(1002))
			if err := b.ended(); unasked != (err == nil) || !unasked && !errors.Is(err, ErrUnverified) || errors.Is(err, ErrIncomplete) {
				t.Errorf("no verdict wanted %v: %v", unasked, err)
			}
		}
	})
	t.Run("none is wanted", func(t *testing.T) {
		b := opened(t, Config{NoVerify: true})
		b.acked(ms(10))
		b.want(ms(10))
		if err := b.ended(); err != nil || b.s.report.SHA256 != "" || b.s.report.Verified {
			t.Errorf("%v, %+v", err, b.s.report)
		}
	})
	// Asked again after 1, 2, 4, 8, 8 … s, and given up after 60 s.
	t.Run("silence", func(t *testing.T) {
		b := opened(t, Config{})
		b.acked(ms(10))
		b.want(ms(10), asks(1))
		want, wait := 10.0, 1000.0
		for seq := 2; ; seq++ {
			want += wait
			wait = min(2*wait, 8000)
			var at time.Time
			var out []sent
			for b.s.phase != PhaseFinished && len(out) == 0 {
				at, _ = b.s.Next()
				b.s.Expire(at)
				out = b.flush(at)
			}
			if d := at.Sub(ms(want)); d < 0 || d > 50*time.Millisecond {
				t.Fatalf("%d: %v late", seq, d)
			}
			if b.s.phase == PhaseFinished {
				break
			}
			if len(out) != 1 || out[0] != asks(seq) {
				t.Fatalf("sent %s", brief(out))
			}
		}
		if err := b.ended(); !errors.Is(err, ErrNoAnswer) || !errors.Is(err, ErrUnverified) || errors.Is(err, ErrIncomplete) || want < 60_000 || want > 72_000 {
			t.Errorf("after %v ms: %v", want, err)
		}
	})
}

// TestDroppedAcks: what is no acknowledgement of this transfer is counted, and changes
// nothing.
func TestDroppedAcks(t *testing.T) {
	for _, tt := range []struct {
		name, data string
		from       netip.AddrPort
		want       Drops
	}{
		{"a stranger", "Type:3;TID:7;SEQ:0;NUM:0;DATA:0;", receiverC, Drops{Foreign: 1}},
		{"another port", "Type:3;TID:7;SEQ:0;NUM:0;DATA:0;", netip.AddrPortFrom(receiverA.Addr(), 4651), Drops{Foreign: 1}},
		{"another transaction", "Type:3;TID:8;SEQ:0;NUM:0;DATA:0;", receiverA, Drops{Unwanted: 1}},
		{"of the base protocol", "Type:3;TID:7;SEQ:0;", receiverA, Drops{Unwanted: 1}},
		{"no SEQ", "Type:3;TID:7;NUM:0;DATA:0;", receiverA, Drops{Unwanted: 1}},
		{"no TID", "Type:3;SEQ:0;NUM:0;DATA:0;", receiverA, Drops{Unwanted: 1}},
		{"from the orchestrator", "Type:3;TID:7;SEQ:0;NUM:0;DATA:0;", orchestrator, Drops{Unwanted: 1}},
		{"a state of a receiver", stateOf(0, "'refused'"), receiverA, Drops{Unwanted: 1}},
		{"a state that answers nothing", stateOf(1, "'refused'"), orchestrator, Drops{Unwanted: 1}},
		{"a state that is old", stateOf(0, "'refused'"), orchestrator, Drops{Unwanted: 1}},
		{"a state of another transaction", "Type:5;TID:8;SEQ:0;DATA:{'state': 'refused'};", orchestrator, Drops{Unwanted: 1}},
		{"no ranges", "Type:3;TID:7;SEQ:0;NUM:0;", receiverA, Drops{Malformed: 1}},
		{"empty ranges", "Type:3;TID:7;SEQ:0;NUM:0;DATA:;", receiverA, Drops{Malformed: 1}},
		{"ranges that do not end at NUM", "Type:3;TID:7;SEQ:0;NUM:1;DATA:0;", receiverA, Drops{Malformed: 1}},
		{"ranges that rise", "Type:3;TID:7;SEQ:0;NUM:0;DATA:0,1;", receiverA, Drops{Malformed: 1}},
		{"ranges that touch", "Type:3;TID:7;SEQ:0;NUM:1;DATA:1,0;", receiverA, Drops{Malformed: 1}},
		{"33 ranges", "Type:3;TID:7;SEQ:0;NUM:64;DATA:64" + evens(31) + ",0;", receiverA, Drops{Malformed: 1}},
		{"never sent", "Type:3;TID:7;SEQ:0;NUM:2;DATA:0-2;", receiverA, Drops{Unsent: 1}},
		{"far beyond", "Type:3;TID:7;SEQ:0;NUM:9223372036854775807;DATA:9223372036854775807;", receiverA, Drops{Unsent: 1}},
		{"noise", "Type:3;NUM", receiverA, Drops{Malformed: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := opened(t, Config{})
			b.in(ms(1), tt.from, tt.data)
			if diff := cmp.Diff(tt.want, b.s.report.Dropped); diff != "" || b.s.phase != PhaseSending {
				t.Errorf("%v, %v\n%s", b.s.phase, b.s.err, diff)
			}
			b.in(ms(2), receiverA, "Type:3;TID:7;SEQ:0;NUM:1;DATA:0-1;")
			b.in(ms(3), receiverA, "Type:3;TID:7;SEQ:0;NUM:1;DATA:0-1;")
			if b.s.report.Dropped.Duplicate != 1 || b.s.transfer().Left() != 2 {
				t.Errorf("%+v, %d left", b.s.report.Dropped, b.s.transfer().Left())
			}
		})
	}
}

// evens is ",62,60,…" with so many numbers.
func evens(n int) (s string) {
	for i := range n {
		s += fmt.Sprintf(",%d", 62-2*i)
	}
	return s
}

// TestExtendedWhole sends a payload that is no whole number of segments, lossless and in
// order, and puts together what is sent.
func TestExtendedWhole(t *testing.T) {
	for _, size := range []int{1, 99, 100, 1199, 1200, 1201, 4801, 100_000} {
		b := start(t, size, Config{Balance: BalanceEqual})
		b.flush(t0)
		b.in(t0, orchestrator, extendedOffer)
		b.flush(t0)
		b.in(t0, orchestrator, stateOf(0, "'open', 'have': ''"))
		got, now := make([]byte, size), t0
		asked := false
		for k := 0; k < 10_000 && !asked; k++ {
			for _, d := range b.flush(now) {
				m, err := wire.Parse([]byte(d.Data))
				if err != nil {
					t.Fatal(err)
				}
				if m.Type == wire.ManifestType {
					b.in(now, orchestrator, stateOf(int(m.Seq), "'complete'"))
					asked = true
					break
				}
				copy(got[1200*m.Seq:], m.Data)
				b.in(now, netip.MustParseAddrPort(d.To), fmt.Sprintf("Type:3;TID:7;SEQ:0;NUM:%d;DATA:0-%d;", m.Num, m.Num))
			}
			if at, ok := b.s.Next(); ok && !asked {
				if now = at; now.Before(t0) {
					t.Fatal(now)
				}
				b.s.Expire(now)
			}
		}
		if err := b.ended(); err != nil || !bytes.Equal(got, payload(size)) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}
