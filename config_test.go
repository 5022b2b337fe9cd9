package mdalp

import (
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestConfigErrors(t *testing.T) {
	for name, c := range map[string]Config{
		"no orchestrator":   {},
		"no port":           {Orchestrator: netip.AddrPortFrom(orchestrator.Addr(), 0)},
		"negative receiver": {Orchestrator: orchestrator, Receiver: -1},
		"negative tries":    {Orchestrator: orchestrator, Tries: -1},
		"negative deadline": {Orchestrator: orchestrator, Deadline: -time.Second},
		"negative echoes":   {Orchestrator: orchestrator, Echoes: -1},
	} {
		if _, err := newRun(&c); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: error %v", name, err)
		}
		r, err := Send(t.Context(), strings.NewReader("x"), 1, &c)
		if !errors.Is(err, ErrConfig) || r == nil || r.Size != 1 {
			t.Errorf("%s: Send gives %v, %v", name, r, err)
		}
	}
}

// TestNames: the words that users see and type.
func TestNames(t *testing.T) {
	var got []string
	for b := BalanceLatency; b <= BalanceAdaptive; b++ {
		got = append(got, b.String())
	}
	for p := PhaseWaiting; p <= PhaseFinished; p++ {
		got = append(got, p.String())
	}
	want := "icmp equal none adaptive waiting pinging sending finishing finished"
	if s := strings.Join(got, " "); s != want {
		t.Errorf("%s, want %s", s, want)
	}
}

func TestResolve(t *testing.T) {
	for _, c := range []struct {
		host   string
		family int
		want   string // empty: an error
	}{
		{"192.0.2.1", 0, "192.0.2.1:7"},
		{"192.0.2.1", 4, "192.0.2.1:7"},
		{"192.0.2.1", 6, ""},
		{"::ffff:192.0.2.1", 4, "192.0.2.1:7"},
		{"2001:db8::1", 0, "[2001:db8::1]:7"},
		{"2001:db8::1", 4, ""},
		{"localhost", 4, "127.0.0.1:7"},
		{"no such name", 0, ""},
	} {
		got, err := Resolve(t.Context(), c.host, 7, c.family)
		if c.want == "" && err == nil || c.want != "" && (err != nil || got.String() != c.want) {
			t.Errorf("%s, family %d: %v, %v; want %q", c.host, c.family, got, err, c.want)
		}
	}
	if a, b := lookup(t.Context(), "localhost"), lookup(t.Context(), "no such name"); !a.IsLoopback() || b.IsValid() {
		t.Errorf("lookup gives %v and %v", a, b)
	}
}

// TestDatagramLog: with -vv every datagram has a line, and what it holds cannot
// break the line.
func TestDatagramLog(t *testing.T) {
	var out strings.Builder
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	b := start(t, 300, Config{Balance: BalanceEqual, Logger: log})
	b.flush(t0)
	b.in(t0, orchestrator, captured)
	b.flush(t0)
	b.in(ms(1), receiverA, "Type:3;TID:3740;SEQ:0;")
	b.in(ms(1), receiverA, "line\nbreak \x1b[31m"+strings.Repeat("x", 100))
	b.s.Expire(ms(3100))
	b.flush(ms(3100))
	for _, want := range []string{
		`msg=sending peer=177.71.168.45:4650 type=2 tid=3740 seq=0 bytes=100`,
		`msg=received peer=177.71.168.45:4650 type=3 tid=3740 seq=0`,
		`msg=dropped why=malformed peer=177.71.168.45:4650`,
		`msg="timeout: sending again" addr=54.200.52.112:4650 seq=1 try=2`,
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no line has %s:\n%s", want, out.String())
		}
	}
	for line := range strings.Lines(out.String()) {
		if !strings.HasPrefix(line, "time=") || strings.Contains(line, "\x1b") {
			t.Errorf("a datagram broke a line: %q", line)
		}
	}
}

// TestReceiverOutOfReach: an IPv4 socket leaves the IPv6 receivers of an offer out.
func TestReceiverOutOfReach(t *testing.T) {
	b := start(t, 100, Config{Balance: BalanceEqual})
	b.flush(t0)
	b.in(t0, orchestrator, "Type:1;TID:7;DATA:[{'ip_address': '2001:db8::1'}, {'ip_address': '192.0.2.1'}];")
	if r := b.s.report.Receivers; len(r) != 1 || r[0].Addr.String() != "192.0.2.1:4650" {
		t.Errorf("receivers %v", r)
	}
}

// TestFinishOnce: what comes after the end changes nothing.
func TestFinishOnce(t *testing.T) {
	b := start(t, 0, Config{})
	b.s.finish(ms(1), ErrDeadline)
	b.in(ms(1), orchestrator, captured)
	b.s.Expire(ms(2))
	if got := b.flush(ms(2)); got != nil || b.ended() != nil {
		t.Errorf("sent %v, error %v", got, b.s.err)
	}
}
