package nats

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"mdalp/fleet/engine"
	"mdalp/fleet/internal/engines"
)

// A registry that a server made that was too old for a time to live gets it where the server is new enough;
// who only looks says so. A server whose messages are too small is told of, and none that is too old is
// taken for ready, as it would be full one day.
func TestUnfit(t *testing.T) {
	t.Parallel()
	c := engines.Start(t, 1, engines.Options{})
	e := dial(t, c, Options{})
	if err := e.Say(short(t, patience), someone()); err != nil {
		t.Fatal(err)
	}
	name := "KV_old_parties"
	for _, s := range (&Engine{options: Options{Fleet: "old", Replicas: 1, LedgerBytes: 1 << 20, SettledBytes: 1 << 20}}).streams() {
		s.AllowMsgTTL, s.SubjectDeleteMarkerTTL = false, 0 // what an old server leaves out
		if _, err := e.js.CreateStream(short(t, patience), s); err != nil {
			t.Fatal(err)
		}
	}
	look, err := Dial(Options{URL: c.URL(), Fleet: "old", Replicas: 1, Look: true})
	if err != nil {
		t.Fatal(err)
	}
	defer look.Close()
	const want = "its messages have no time to live; it takes nats-server 2.14 or later, and this is 2."
	for ctx := short(t, patience); ; {
		_, err = look.Living(short(t, 3*time.Second))
		if err != nil && strings.Contains(err.Error(), name) && strings.Contains(err.Error(), want) {
			break
		}
		if err == nil || ctx.Err() != nil {
			t.Fatalf("who looks is told %v", err)
		}
	}
	part := dial(t, c, Options{Fleet: "old"})
	if err := part.Say(short(t, patience), someone()); err != nil {
		t.Fatal(err)
	}
	s, err := e.js.Stream(short(t, patience), name)
	if err != nil || !s.CachedInfo().Config.AllowMsgTTL {
		t.Errorf("%+v, %v", s, err)
	}
	small := engines.Start(t, 1, engines.Options{Extra: func(string) string { return "max_payload: 60000\n" }})
	d := dial(t, small, Options{})
	for ctx := short(t, patience); ; pass(pause) {
		if err := d.noted(&d.why); errors.Is(err, errUnfit) && strings.Contains(err.Error(), "messages of 60000 bytes") {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("a server with small messages: %v", d.noted(&d.why))
		}
	}
}

// What differs in numbers alone is told once.
func TestAlike(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"certificate has expired: current time 2026-11-28T07:10:01Z is after 2025-02-01T00:00:00Z",
			"certificate has expired: current time 2026-11-28T07:10:02Z is after 2025-02-01T00:00:00Z", true},
		{"lookup n: read udp 192.0.2.1:40111->192.0.2.53:53: i/o timeout",
			"lookup n: read udp 192.0.2.1:39999->192.0.2.53:53: i/o timeout", true},
		{"connection refused", "i/o timeout", false},
	} {
		if (alike(errors.New(c.a)) == alike(errors.New(c.b))) != c.same {
			t.Errorf("%q, %q", c.a, c.b)
		}
	}
	e := new(Engine)
	for i, want := range []bool{true, false, false} {
		if e.fresh(fmt.Errorf("number %d", i)) != want {
			t.Errorf("time %d", i)
		}
	}
	e.reached()
	if !e.fresh(errors.New("number 1")) {
		t.Error("what is told on another connection is not told")
	}
}

// That the oldest of what has settled goes is told where somebody takes it, and no matter where nobody does.
func TestUntaken(t *testing.T) {
	t.Parallel()
	c := engines.Start(t, 1, engines.Options{})
	e := dial(t, c, Options{SettledBytes: 4096})
	ctx := short(t, patience)
	for range 20 {
		r := record()
		r.State = engine.Complete
		if err := e.Publish(ctx, r); err != nil {
			t.Fatal(err)
		}
	}
	full := func() bool {
		s := e.look(ctx, e.settledName())
		for s.Problem != "" && ctx.Err() == nil { // a busy machine may not answer in time
			s = e.look(ctx, e.settledName())
		}
		if s.Bytes < uint64(s.MaxBytes)/10*8 || s.Messages >= 20 {
			t.Fatalf("%+v", s)
		}
		return slices.ContainsFunc(s.Warnings, func(w string) bool { return strings.Contains(w, "the oldest go") })
	}
	if full() {
		t.Error("nobody takes them, and that is told")
	}
	if _, err := e.js.CreateConsumer(ctx, e.settledName(), jetstream.ConsumerConfig{Durable: "work",
		AckPolicy: jetstream.AckExplicitPolicy}); err != nil {
		t.Fatal(err)
	}
	if !full() {
		t.Error("who takes them is behind, and that is not told")
	}
}
