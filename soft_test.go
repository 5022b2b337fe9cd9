package mdalp

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"syscall"
	"testing"
	"time"

	"mdalp/loop"
	"mdalp/sched"
)

// passing are errors that may be gone a moment later.
var passing = []syscall.Errno{
	syscall.EPERM, syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.EACCES, syscall.ENOBUFS,
	syscall.EHOSTDOWN, syscall.ENETDOWN, syscall.ENOMEM, syscall.EMSGSIZE, syscall.EOPNOTSUPP,
}

// logged gives a logger of warnings and what it wrote.
func logged() (*slog.Logger, *bytes.Buffer) {
	var text bytes.Buffer
	return slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelWarn})), &text
}

// TestSoftSegment: no error that may pass ends a receiver, of this host or of the network,
// and it is told once. The segment is sent again when it times out.
func TestSoftSegment(t *testing.T) {
	const quote = "Type:2;TID:3740;SEQ:0;DATA:"
	type failure struct {
		errno syscall.Errno
		e     loop.Envelope
	}
	all := []failure{
		// What sounds like a refusal is none when this host says it.
		{syscall.ECONNREFUSED, loop.Envelope{Peer: receiverA}},
		{syscall.EPROTO, loop.Envelope{Peer: receiverA}},
	}
	for _, errno := range passing {
		all = append(all, failure{errno, loop.Envelope{Peer: receiverA}},
			failure{errno, loop.Envelope{Peer: receiverA, Remote: true, Quote: []byte(quote)}},
			failure{errno, loop.Envelope{Peer: receiverA, Remote: true}})
	}
	for _, f := range all {
		log, text := logged()
		b := start(t, 300, Config{Balance: BalanceEqual, Logger: log})
		b.flush(t0)
		b.in(t0, orchestrator, captured)
		b.flush(t0)
		for n := range 3 {
			b.s.Fail(ms(float64(n)), &f.e, f.errno)
		}
		if got := b.flush(ms(3)); got != nil {
			t.Errorf("%v, remote %t: it draws %v", f.errno, f.e.Remote, got)
		}
		b.s.Expire(ms(3002))
		if got := b.flush(ms(3002)); len(got) != 3 {
			t.Errorf("%v, remote %t: after the timeout %d segments are sent", f.errno, f.e.Remote, len(got))
		}
		b.s.refresh(ms(3002))
		if r := b.s.report.Receivers[0]; r.Err != nil || r.Soft != 3 {
			t.Errorf("%v, remote %t: %v after %d errors", f.errno, f.e.Remote, r.Err, r.Soft)
		}
		if n := strings.Count(text.String(), "cannot be reached now"); n != 1 || !strings.Contains(text.String(), f.errno.Error()) {
			t.Errorf("%v, remote %t: told %d times: %s", f.errno, f.e.Remote, n, text)
		}
	}
}

// TestSoftTries: a receiver that is never reached is dead after its tries, as one that is
// silent. Those that did not leave are not among the few that it gets at first.
func TestSoftTries(t *testing.T) {
	for _, errno := range []syscall.Errno{0, syscall.EPERM} {
		b := start(t, 100, Config{Balance: BalanceNone})
		b.flush(t0)
		b.in(t0, orchestrator, captured)
		sent, now := 0, t0
		for b.s.phase == PhaseSending {
			for range b.flush(now) {
				if sent++; errno != 0 {
					b.s.Fail(now, &loop.Envelope{Peer: receiverA}, errno)
				}
			}
			if at, ok := b.s.Next(); ok {
				now = at
				b.s.Expire(now)
			}
		}
		want := map[syscall.Errno]int{0: 3, syscall.EPERM: 8}[errno]
		if err := b.ended(); !errors.Is(err, sched.ErrTries) && !errors.Is(err, ErrAllDead) || sent != want {
			t.Errorf("%v: %v after %d transmissions, want %d", errno, err, sent, want)
		}
		// 3 s, then seven times 6 s, each rounded up to a tick.
		if d := now.Sub(t0); d < 45*time.Second || d > 45*time.Second+20*time.Millisecond {
			t.Errorf("%v: dead after %v", errno, d)
		}
	}
}

// TestSoftIntent: an intent that fails is sent again, at growing intervals, and an offer is
// still taken.
func TestSoftIntent(t *testing.T) {
	for _, errno := range passing {
		for _, remote := range []bool{false, true} {
			for _, retry := range []time.Duration{0, time.Hour} {
				log, text := logged()
				b := start(t, 100, Config{Balance: BalanceEqual, IntentRetry: retry, Logger: log})
				b.flush(t0)
				now := t0
				for _, wait := range []time.Duration{1, 2, 4, 8, 8} {
					b.s.Fail(now, &loop.Envelope{Peer: orchestrator, Remote: remote}, errno)
					b.s.Expire(now.Add(wait*time.Second - time.Millisecond))
					if got := b.flush(now.Add(wait*time.Second - time.Millisecond)); got != nil {
						t.Errorf("%v: it is sent again before %d s", errno, wait)
					}
					now = now.Add(wait*time.Second + 2*time.Millisecond)
					b.s.Expire(now)
					if got := b.flush(now); len(got) != 1 || got[0].Data != "Type:0;" {
						t.Fatalf("%v: after %d s it sends %v", errno, wait, got)
					}
				}
				b.in(now, orchestrator, captured)
				if b.s.phase != PhaseSending {
					t.Errorf("%v: while %v the offer is not taken", errno, b.s.phase)
				}
				if n := strings.Count(text.String(), "cannot be reached now"); n != 1 {
					t.Errorf("%v: told %d times: %s", errno, n, text)
				}
			}
		}
	}
}

// TestSoftIntentEnds: who bounds nothing is told after a while; who bounds the wait waits, and
// is told why.
func TestSoftIntentEnds(t *testing.T) {
	for _, c := range []struct {
		name    string
		cfg     Config
		remote  bool
		want    error
		noOffer bool // else this host is to blame, or the deadline
		at      time.Duration
	}{
		{"nothing", Config{}, false, syscall.ENETUNREACH, false, notSent},
		{"nothing, remote", Config{}, true, syscall.ENETUNREACH, true, notSent},
		{"intent timeout", Config{IntentTimeout: 90 * time.Second}, false, ErrIntentTimeout, true, 90 * time.Second},
		{"deadline", Config{Deadline: 90 * time.Second}, false, ErrDeadline, false, 90 * time.Second},
	} {
		b := start(t, 100, c.cfg)
		now := t0
		for b.s.phase != PhaseFinished && now.Sub(t0) < time.Hour {
			for range b.flush(now) {
				b.s.Fail(now, &loop.Envelope{Peer: orchestrator, Remote: c.remote}, syscall.ENETUNREACH)
			}
			if at, ok := b.s.Next(); ok {
				now = at
				b.s.Expire(now)
			}
		}
		err := b.ended()
		if !errors.Is(err, c.want) || errors.Is(err, ErrNoOffer) != c.noOffer || !errors.Is(err, syscall.ENETUNREACH) {
			t.Errorf("%s: error %v", c.name, err)
		}
		if d := now.Sub(t0); d < c.at || d > c.at+againMost+time.Second {
			t.Errorf("%s: it ends after %v, want %v", c.name, d, c.at)
		}
	}
}

// TestSoftEcho: an error of one echo costs that echo.
func TestSoftEcho(t *testing.T) {
	b := start(t, 300, Config{Echoes: 2})
	b.flush(t0)
	b.in(t0, orchestrator, captured)
	echoes := b.flush(t0)
	b.s.Fail(t0, &loop.Envelope{Sock: sockICMP4, Peer: echoPeer(receiverA)}, syscall.EPERM)
	b.s.Fail(t0, &loop.Envelope{Sock: sockICMP4, Peer: echoPeer(receiverB), Remote: true}, syscall.EHOSTUNREACH)
	b.s.Fail(t0, &loop.Envelope{Sock: sockICMP4, Peer: echoPeer(receiverC), Remote: true}, syscall.ENOPROTOOPT)
	echoes = append(echoes, b.flush(ms(1))...)
	if len(echoes) != 5 {
		t.Fatalf("%d echoes, want two for two hosts and one for that which refuses", len(echoes))
	}
	for _, e := range echoes[3:] {
		b.s.Receive(ms(9), &loop.Envelope{Sock: sockICMP4, Peer: mustPeer(e.To), At: ms(9)}, answer([]byte(e.Data)))
	}
	// What was lost is not waited for.
	if b.s.phase != PhaseSending {
		t.Fatalf("it is still %v", b.s.phase)
	}
	for i, want := range []int{1, 1, 0} {
		if r := b.s.report.Receivers[i]; r.Echoes.Received != want || r.Guessed != (want == 0) {
			t.Errorf("receiver %d: %+v", i, r)
		}
	}
}

// TestForgedErrors: an error that quotes what is not out changes nothing, and one that quotes
// too little makes the next try come sooner, once for each transmission.
func TestForgedErrors(t *testing.T) {
	for _, quote := range []string{
		"Type:2;TID:3740;SEQ:1;DATA:", "Type:2;TID:3740;SEQ:00;", "Type:2;TID:374;SEQ:0;DATA:", "Type:2;TID:3741;SEQ:0;",
		"Type:3;TID:3740;SEQ:0;", "Type:0;", "Type:2;TID:4", "\x00", "Type:2;TID:37400;SEQ:0;",
	} {
		b := start(t, 300, Config{Balance: BalanceEqual})
		b.flush(t0)
		b.in(t0, orchestrator, captured)
		b.flush(t0)
		b.s.Fail(ms(1), refusal(receiverA, quote), syscall.ECONNREFUSED)
		b.s.Expire(ms(2999))
		if got := b.flush(ms(2999)); got != nil || b.s.report.Receivers[0].Soft != 0 {
			t.Errorf("%q draws %v", quote, got)
		}
	}
	for _, quote := range []string{"", "Type:2;", "Type:2;TID:3740;SEQ:0"} {
		b := start(t, 300, Config{Balance: BalanceEqual})
		b.flush(t0)
		b.in(t0, orchestrator, captured)
		b.flush(t0)
		for range 1000 {
			b.s.Fail(ms(1), refusal(receiverA, quote), syscall.ECONNREFUSED)
		}
		// A quarter of 3 s, and then of 6 s, counted from each transmission.
		for _, at := range []float64{750, 754 + 1500} {
			b.s.Expire(ms(at - 1))
			if got := b.flush(ms(at - 1)); got != nil {
				t.Fatalf("%q: before %v ms it sends %v", quote, at, got)
			}
			b.s.Expire(ms(at + 4))
			if got := b.flush(ms(at + 4)); len(got) != 1 || !strings.HasPrefix(got[0].Data, "Type:2;TID:3740;SEQ:0;") {
				t.Fatalf("%q: after %v ms it sends %v", quote, at, got)
			}
			for range 1000 {
				b.s.Fail(ms(at+5), refusal(receiverA, quote), syscall.ECONNREFUSED)
			}
		}
		b.in(ms(2300), receiverA, "Type:3;TID:3740;SEQ:0;")
		b.s.refresh(ms(2300))
		if r := b.s.report.Receivers[0]; r.Err != nil || r.Acked != 1 {
			t.Errorf("%q: %+v", quote, r)
		}
	}
}
