package server

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// What is whole and silent is settled at the end; what is cut off is kept, and is not
// complete, however whole it looks.
func TestClose(t *testing.T) {
	m := new(Memory)
	r := newRig(t, Config{FirstTID: 1, Concurrent: 2, Store: m})
	other := netip.MustParseAddrPort("203.0.113.9:1")
	r.to(orch, client, "Type:0;")
	r.to(sao, client, "Type:2;TID:1;SEQ:0;DATA:x")
	r.pass(DefaultIdle / 2)
	r.to(orch, stranger, "Type:0;")
	r.to(sao, stranger, "Type:2;TID:2;SEQ:0;DATA:x")
	r.to(orch, port(5), "Type:0;") // the first is whole and silent, and holds no place
	r.want(r.to(orch, other, "Type:0;"))
	r.s.Close(r.now.Add(DefaultIdle/2 + 1))
	want := []struct{ complete, cut bool }{{true, false}, {false, true}, {false, false}}
	if len(r.results) != len(want) {
		t.Fatalf("%+v", r.results)
	}
	for _, res := range r.results {
		if w := want[res.TID-1]; res.Complete != w.complete || res.Cut != w.cut {
			t.Errorf("%+v", res)
		}
	}
	if _, ok := r.s.Next(); ok || !r.s.Drained() {
		t.Error("the program goes on")
	}
	if r.s.Waiting() != 0 || r.s.Open() != 0 {
		t.Error("something is left")
	}
	r.now = r.now.Add(DefaultIdle)
	r.want(r.to(orch, other, "Type:0;"))
	r.want(r.to(sao, client, "Type:2;TID:1;SEQ:0;DATA:x"))
	r.s.Close(r.now)
	if st := r.s.Stats(); st.AfterClose != 2 || st.Settled != 3 {
		t.Errorf("%+v", st)
	}
	r.addsUp()

	// An offer that was never sent is no transaction.
	r = newRig(t, Config{OfferDelay: time.Second})
	r.to(orch, client, "Type:0;")
	r.s.Close(r.now)
	r.want(texts(r.drain()))
	if len(r.results) != 0 || r.s.Open() != 0 {
		t.Errorf("%+v", r.results)
	}
}

// Unsettled tells who would lose by an end now: what is whole and not silent yet.
func TestUnsettled(t *testing.T) {
	r := newRig(t, Config{Receivers: one, FirstTID: 1})
	at := r.now.Add(DefaultIdle)
	for k, segments := range [][]int{{0}, {1}, nil, {0, 1}} {
		r.to(orch, port(k+1), "Type:0;")
		for _, seq := range segments {
			r.to(sao, port(k+1), fmt.Sprintf("Type:2;TID:%d;SEQ:%d;DATA:x", k+1, seq))
		}
	}
	if n, until := r.s.Unsettled(); n != 2 || !until.Equal(at) {
		t.Errorf("%d until %v", n, until)
	}
	r.s.Drain(r.now)
	r.pass(DefaultIdle + 10*time.Millisecond)
	if n, _ := r.s.Unsettled(); n != 0 || r.s.Stats().Completed != 2 {
		t.Errorf("%d, %+v", n, r.s.Stats())
	}
}

// A drained server answers no intent, and ends when the last transaction has.
func TestDrain(t *testing.T) {
	r := newRig(t, Config{Receivers: one, FirstTID: 1, Concurrent: 2})
	r.want(r.to(orch, port(1), "Type:0;"), offerOf(1))
	r.want(r.to(orch, port(2), "Type:0;"), offerOf(2))
	r.want(r.to(orch, port(3), "Type:0;"))
	r.to(sao, port(1), "Type:2;TID:1;SEQ:0;DATA:x")
	if r.s.Drained() {
		t.Error("drained before it was asked to")
	}
	r.s.Drain(r.now)
	r.want(r.to(orch, port(4), "Type:0;"))
	if st := r.s.Stats(); st.Draining != 1 || r.s.Waiting() != 0 {
		t.Errorf("%+v", st)
	}
	// Who was offered one may still come; who does not is not waited for.
	r.want(texts(r.pass(DefaultUnused + 2*time.Second)))
	if r.s.Drained() || r.s.Open() != 1 {
		t.Errorf("%d open", r.s.Open())
	}
	r.want(r.to(sao, port(1), "Type:2;TID:1;SEQ:1;DATA:y"), "Type:3;TID:1;SEQ:1;")
	r.pass(DefaultIdle + time.Second)
	if _, ok := r.s.Next(); ok || !r.s.Drained() || len(r.results) != 2 || !r.results[1].Complete {
		t.Errorf("%+v", r.results)
	}
	r.addsUp()
}
