package mdalp

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mdalp/loop"
)

// measured drives a session through the offer and the echoes of the capture, and gives
// what it sent to others than the receivers' ICMP.
func measured[C Config | run](t *testing.T, cfg C) (*session, []sent) {
	b := start(t, 5000, cfg)
	out := b.flush(t0)
	b.in(ms(100), orchestrator, captured)
	rtts := map[string]float64{"177.71.168.45:0": 335.148, "54.200.52.112:0": 162.844, "18.134.193.153:0": 156.857}
	now := ms(100)
	for range 10 {
		for _, d := range b.flush(now) {
			if d.Sock == sockUDP {
				out = append(out, d)
				continue
			}
			at := now.Add(time.Duration(rtts[d.To] * 1e6))
			e := loop.Envelope{Sock: d.Sock, Peer: netip.MustParseAddrPort(d.To), At: at}
			b.s.Receive(at, &e, answer([]byte(d.Data)))
		}
		at, ok := b.s.Next()
		if b.s.phase == PhaseSending || !ok {
			break
		}
		now = at
		b.s.Expire(now)
	}
	return b.s, append(out, b.flush(now)...)
}

// TestPlanSession holds a plan against a real transfer: the same weights and shares,
// but no segment.
func TestPlanSession(t *testing.T) {
	for _, balance := range []Balance{BalanceLatency, BalanceAdaptive, BalanceEqual, BalanceNone} {
		t.Run(balance.String(), func(t *testing.T) {
			real, _ := measured(t, Config{Balance: balance})
			plan, out := measured(t, run{Config: Config{Balance: balance}, planOnly: true})
			if diff := cmp.Diff([]sent{{sockUDP, orchestrator.String(), "Type:0;"}}, out); diff != "" {
				t.Error(diff)
			}
			if plan.phase != PhaseFinished || plan.err != nil || real.phase != PhaseSending {
				t.Fatalf("the plan is %v, %v; the transfer %v", plan.phase, plan.err, real.phase)
			}
			if plan.report.Segments != real.report.Segments || plan.report.TID != real.report.TID {
				t.Errorf("%d segments of %d, the transfer has %d of %d", plan.report.Segments, plan.report.TID, real.report.Segments, real.report.TID)
			}
			for i := range real.report.Receivers {
				p, r := plan.report.Receivers[i], real.report.Receivers[i]
				if p.Addr != r.Addr || p.Latency != r.Latency || p.Echoes != r.Echoes || p.Share != r.Share || p.Assigned != r.Assigned {
					t.Errorf("receiver %d: %+v, in the transfer %+v", i, p, r)
				}
			}
			if balance == BalanceLatency {
				if r := plan.report.Receivers; r[0].Share != 963 || r[1].Share != 1981 || r[2].Share != 2056 {
					t.Errorf("shares %d, %d, %d", r[0].Share, r[1].Share, r[2].Share)
				}
			}
		})
	}
}

// TestPlanExtended: a plan has the segments that would be sent, in the sizes that the
// receivers take, and announces nothing.
func TestPlanExtended(t *testing.T) {
	for _, tt := range []struct {
		cfg      Config
		segment  int
		segments int64
		parts    [2]ReceiverReport
	}{
		{Config{Balance: BalanceEqual}, 1200, 5, [2]ReceiverReport{{Share: 2400, Assigned: 2}, {Share: 2600, Assigned: 3}}},
		{Config{Balance: BalanceEqual, Segment: 500}, 500, 10, [2]ReceiverReport{{Share: 2500, Assigned: 5}, {Share: 2500, Assigned: 5}}},
		{Config{Balance: BalanceEqual, Base: true}, 0, 50, [2]ReceiverReport{{Share: 2500, Assigned: 25}, {Share: 2500, Assigned: 25}}},
	} {
		b := start(t, 5000, run{Config: tt.cfg, planOnly: true})
		b.flush(t0)
		b.in(t0, orchestrator, extendedOffer)
		b.want(t0)
		r := &b.s.report
		if b.s.phase != PhaseFinished || b.s.err != nil || r.Extended != (tt.segment > 0) || r.Segment != tt.segment || r.Segments != tt.segments || r.Left != r.Segments {
			t.Errorf("%v: %v, %v: %+v", tt.cfg.Segment, b.s.phase, b.s.err, r)
			continue
		}
		for i, want := range tt.parts {
			if got := r.Receivers[i]; got.Share != want.Share || got.Assigned != want.Assigned || got.OfferedSegment == 0 || got.OfferedWindow != 64 {
				t.Errorf("receiver %d: %+v, want %d bytes in %d segments", i, got, want.Share, want.Assigned)
			}
		}
	}
}

func TestPlanRefuses(t *testing.T) {
	cfg := &Config{Orchestrator: orchestrator}
	for _, tt := range []struct {
		size int64
		cfg  *Config
	}{{-1, cfg}, {1<<62 + 1, cfg}, {1, &Config{}}} {
		if r, err := Plan(t.Context(), tt.size, tt.cfg); r == nil || !errors.Is(err, ErrConfig) {
			t.Errorf("%d bytes: %+v, %v", tt.size, r, err)
		}
	}
	// Nobody is asked for nothing: there is nobody at that address.
	r, err := Plan(t.Context(), 0, cfg)
	if err != nil || r.Phase != PhaseFinished || r.TID != 0 {
		t.Errorf("no bytes: %+v, %v", r, err)
	}
	gone := errors.New("gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(gone)
	if _, err := Plan(ctx, 1, &Config{Orchestrator: netip.MustParseAddrPort("127.0.0.1:9"), Balance: BalanceEqual}); !errors.Is(err, gone) {
		t.Errorf("cancelled: %v", err)
	}
}
