package mdalp

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mdalp/loop"
	"mdalp/wire"
)

// recorded is a trace that writes every event as a line.
func recorded(all *[]string) *Trace {
	say := func(format string, args ...any) { *all = append(*all, fmt.Sprintf(format, args...)) }
	return &Trace{
		Intent: func(x TraceIntent) { say("intent to %v, try %d", x.Orchestrator, x.Try) },
		Offer:  func(x TraceOffer) { say("offer %d of %d, bad: %v", x.TID, x.Receivers, errors.Is(x.Err, ErrBadOffer)) },
		Share:  func(x TraceShare) { say("share of %d: %d bytes, %d segments", x.Receiver, x.Bytes, x.Segments) },
		Segment: func(x TraceSegment) {
			say("segment %d to %d, bytes %d+%d, try %d", x.Seq, x.Receiver, x.Off, x.Len, x.Try)
		},
		Repeat: func(x TraceSegment) { say("repeat %d to %d, try %d", x.Seq, x.Receiver, x.Try) },
		Ack: func(x TraceAck) {
			say("ack %d of %d, duplicate %v, unsent %v", x.Seq, x.Receiver, x.Duplicate, x.Unsent)
		},
		Manifest: func(x TraceManifest) { say("manifest %d, verdict %v", x.Number, x.Verdict) },
		State:    func(x TraceState) { say("state %v", x.Standing) },
		Drop:     func(x TraceDrop) { say("drop %v from %v: %q", x.Cause, x.Peer, x.Data) },
		Death:    func(x TraceDeath) { say("death of %d: %v", x.Receiver, errors.Is(x.Err, syscall.ECONNREFUSED)) },
	}
}

// TestTrace tells everything that happens in a transfer, in its order.
func TestTrace(t *testing.T) {
	var got []string
	b := start(t, 250, Config{Trace: recorded(&got), IntentRetry: 5 * time.Millisecond, Balance: BalanceEqual, RTO: RTO(time.Second)})
	receive := func(at float64, from loop.Envelope, text string) { b.s.Receive(ms(at), &from, []byte(text)) }
	home, a, bb, c := loop.Envelope{Peer: orchestrator}, loop.Envelope{Peer: receiverA}, loop.Envelope{Peer: receiverB}, loop.Envelope{Peer: receiverC}
	drain(b.s, ms(0))
	b.s.Expire(ms(7))
	drain(b.s, ms(7))
	receive(9, home, "what")
	receive(10, home, captured)
	drain(b.s, ms(10))
	receive(20, a, "Type:3;TID:3740;SEQ:0;")
	receive(21, a, "Type:3;TID:3740;SEQ:0;")
	receive(22, bb, "Type:3;TID:3740;SEQ:7;")
	receive(23, bb, "Type:3;TID:3740;SEQ:1;")
	b.s.Expire(ms(1012))
	drain(b.s, ms(1012))
	quote := wire.AppendDataHeader(nil, 3740, 2)
	c.Remote, c.Quote = true, quote
	b.s.Fail(ms(1013), &c, syscall.ECONNREFUSED)
	drain(b.s, ms(1013))
	for _, e := range []loop.Envelope{a, bb} { // whoever has taken it over
		receive(1020, e, "Type:3;TID:3740;SEQ:2;")
	}
	drain(b.s, ms(1021))
	if err := b.ended(); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"intent to 18.139.29.142:4650, try 1",
		"intent to 18.139.29.142:4650, try 2",
		`drop malformed from 18.139.29.142:4650: "what"`,
		"offer 3740 of 3, bad: false",
		"share of 0: 83 bytes, 1 segments",
		"share of 1: 83 bytes, 1 segments",
		"share of 2: 84 bytes, 1 segments",
		"segment 0 to 0, bytes 0+83, try 1",
		"segment 1 to 1, bytes 83+83, try 1",
		"segment 2 to 2, bytes 166+84, try 1",
		"ack 0 of 0, duplicate false, unsent false",
		"ack 0 of 0, duplicate true, unsent false",
		`drop duplicate from 177.71.168.45:4650: "Type:3;TID:3740;SEQ:0;"`,
		"ack 7 of 1, duplicate false, unsent true",
		`drop unsent from 54.200.52.112:4650: "Type:3;TID:3740;SEQ:7;"`,
		"ack 1 of 1, duplicate false, unsent false",
		"repeat 2 to 2, try 2",
		"segment 2 to 2, bytes 166+84, try 2",
		"death of 2: true",
	}
	if diff := cmp.Diff(want, got[:min(len(got), len(want))]); diff != "" {
		t.Error(diff)
	}
}

// TestTraceBadOffer tells what came in place of an offer.
func TestTraceBadOffer(t *testing.T) {
	var got []string
	b := start(t, 250, Config{Trace: recorded(&got)})
	drain(b.s, ms(0))
	b.s.Receive(ms(1), &loop.Envelope{Peer: orchestrator}, []byte("Type:1;TID:1;DATA:[evil()]"))
	if want := "offer 1 of 0, bad: true"; len(got) != 2 || got[1] != want {
		t.Errorf("%q, want %q at the end", got, want)
	}
}

// TestTraceUnlogged has the log without what the trace has a function for, and only that.
func TestTraceUnlogged(t *testing.T) {
	for _, unlogged := range []bool{false, true} {
		var text bytes.Buffer
		log := slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug}))
		intents := 0
		b := start(t, 250, Config{Logger: log, Balance: BalanceEqual,
			Trace: &Trace{Unlogged: unlogged, Intent: func(TraceIntent) { intents++ }}})
		drain(b.s, ms(0))
		b.s.Receive(ms(1), &loop.Envelope{Peer: orchestrator}, []byte(captured))
		if logged := bytes.Contains(text.Bytes(), []byte("msg=intent")); intents != 1 || logged == unlogged {
			t.Errorf("unlogged %v: %d intents, logged: %v", unlogged, intents, logged)
		}
		if !bytes.Contains(text.Bytes(), []byte("msg=offer")) {
			t.Errorf("unlogged %v: the offer is not logged:\n%s", unlogged, text.String())
		}
	}
}

// TestTraceAllocations: a segment and its acknowledgement allocate nothing, watched or not.
func TestTraceAllocations(t *testing.T) {
	var segments, acks int64
	for name, trace := range map[string]*Trace{
		"none":  nil,
		"other": {Intent: func(TraceIntent) {}, Drop: func(TraceDrop) {}},
		"all":   {Segment: func(x TraceSegment) { segments++ }, Ack: func(x TraceAck) { acks++ }},
	} {
		b := start(t, 1<<20, Config{Trace: trace, Balance: BalanceNone})
		drain(b.s, ms(0))
		b.s.Receive(ms(1), &loop.Envelope{Peer: orchestrator}, []byte(captured))
		buf, ack, seq := make([]byte, 0, 2048), make([]byte, 0, 64), int64(0)
		to, e := loop.Envelope{}, loop.Envelope{Peer: receiverA}
		n := testing.AllocsPerRun(1000, func() {
			if _, ok := b.s.Transmit(ms(2), &to, buf); !ok {
				t.Fatalf("%s: segment %d is not sent", name, seq)
			}
			b.s.Receive(ms(2), &e, wire.AppendAck(ack, 3740, seq))
			seq++
		})
		if n != 0 {
			t.Errorf("%s: %v allocations a segment", name, n)
		}
	}
	if segments == 0 || segments != acks {
		t.Errorf("%d segments and %d acknowledgements were told", segments, acks)
	}
}
