package server

import (
	"testing"
	"time"
)

// Who has an offer and has sent nothing, and who waits for one, is served by the next server.
func TestHandover(t *testing.T) {
	path := t.TempDir()
	m := newDir(t, path)
	r := newRig(t, Config{Receivers: one, FirstTID: 1, Concurrent: 2, SourceConcurrent: 2, Store: m})
	r.want(r.to(orch, port(1), "Type:0;"), offerOf(1))
	r.want(r.to(orch, port(2), "Type:0;"), offerOf(2))
	r.want(r.to(sao, port(2), "Type:2;TID:2;SEQ:0;DATA:x"), "Type:3;TID:2;SEQ:0;")
	r.want(r.to(orch, port(3), "Type:0;"))
	r.want(r.to(orch, port(4), "Type:0;"))
	h := r.s.Handover()
	if len(h.Offers) != 1 || h.Offers[0].TID != 1 || h.Offers[0].Client != port(1) || h.Offers[0].Local != orch ||
		len(h.Intents) != 2 || h.Intents[0].Client != port(3) || h.Intents[1].Client != port(4) {
		t.Fatalf("%+v", h)
	}
	r.s.Close(r.now)
	m.Close()

	// Two who are nobody, and an offer that is too old.
	h.Offers = append(h.Offers, Offered{TID: 9, At: r.now}, Offered{Asked{port(9), orch, 0}, 8, r.now.Add(-DefaultLimit)})
	h.Intents = append(h.Intents, Asked{})
	next := newRigAt(t, r.now.Add(time.Second), Config{Receivers: one, FirstTID: 5, Store: newDir(t, path)})
	next.s.TakeOver(next.now, h)
	next.want(texts(next.drain()), offerOf(5), offerOf(6))
	if n := next.s.Open(); n != 4 { // with that of which a segment is in the store
		t.Errorf("%d open", n)
	}
	next.want(next.to(sao, port(1), "Type:2;TID:1;SEQ:0;DATA:x"), "Type:3;TID:1;SEQ:0;")
	next.want(next.to(sao, port(9), "Type:2;TID:8;SEQ:0;DATA:x"))
	next.want(next.to(sao, port(2), "Type:2;TID:2;SEQ:1;DATA:x"), "Type:3;TID:2;SEQ:1;")
	next.addsUp()
	// Taken over twice, or with its limit over, it changes nothing.
	next.s.TakeOver(next.now, Handover{Offers: h.Offers})
	if n := next.s.Open(); n != 4 {
		t.Errorf("%d open", n)
	}
	next.pass(DefaultLimit + time.Minute)
	if n := next.s.Open(); n != 0 {
		t.Errorf("%d open after their limit", n)
	}
}
