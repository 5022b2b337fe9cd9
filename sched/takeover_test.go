package sched

import (
	"errors"
	"testing"
	"time"
)

// TestReviveOnce: late acks bring a dead receiver back once. Only a new one gives it
// another life, or a stream of old ones could keep a transfer from its end.
func TestReviveOnce(t *testing.T) {
	tr := NewTransfer(epoch, []int64{300, 300}, TransferConfig{})
	drain(tr, at(0))
	tr.Ack(at(1), 0, 0)
	refused := errors.New("refused")
	tr.Kill(at(2), 0, refused)
	tr.Ack(at(3), 0, 0)
	if tr.Living() != 2 {
		t.Fatal("a late ack does not bring it back")
	}
	tr.Kill(at(4), 0, refused)
	for range 10 {
		tr.Ack(at(5), 0, 0)
	}
	if tr.Living() != 1 {
		t.Error("it came back a second time without acknowledging anything new")
	}
	if err := tr.Audit(); err != nil {
		t.Error(err)
	}
}

// TestKarnOverTakeover: a segment that was out at a receiver, was taken away and
// came back measures nothing there. Its ack may belong to the first transmission.
func TestKarnOverTakeover(t *testing.T) {
	tr := NewTransfer(epoch, []int64{100, 100}, TransferConfig{})
	drain(tr, at(0)) // SEQ 0 is out at receiver 0
	tr.Kill(at(1), 0, ErrTries)
	tr.Ack(at(2), 1, 1)
	drain(tr, at(2))            // now at receiver 1
	tr.Ack(at(3), 0, 0)         // receiver 0 is alive again
	tr.Kill(at(4), 1, ErrTries) // and gets it back
	if got := drain(tr, at(4)); got[0].Seq != 0 || got[0].Len != 100 {
		t.Fatalf("sent %v, want SEQ 0 to receiver 0", got)
	}
	if tr.Ack(at(5), 0, 0) != Fresh || tr.Left() != 0 {
		t.Fatal("its ack does not count")
	}
	if n := tr.Stats(0).Samples; n != 0 {
		t.Errorf("%d round trips are measured, want none", n)
	}
}

// TestForgive: one ack that measures nothing ends the back-off, and of several in a
// row only the first does.
func TestForgive(t *testing.T) {
	const ms = time.Millisecond
	var r RTT
	r.Sample(100 * ms)
	base := r.RTO()
	for k, want := range []time.Duration{base, 2 * base, 4 * base} {
		r.Backoff()
		r.Forgive()
		if got := r.RTO(); got != want {
			t.Errorf("after %d losses in a row: %v, want %v", k+1, got, want)
		}
	}
	r.Sample(100 * ms)
	r.Backoff()
	if r.Forgive(); r.RTO() > base {
		t.Errorf("a sample does not renew it: %v", r.RTO())
	}
}

// TestStealLeavesWhatIsOut: the tail goes to who runs dry, the segment that is out
// stays, and a receiver that is too slow for what is left takes nothing.
func TestStealLeavesWhatIsOut(t *testing.T) {
	tr := NewTransfer(epoch, []int64{100, 1000}, TransferConfig{Adaptive: true})
	drain(tr, at(0))
	tr.Ack(at(10), 0, 0)
	if took, gave := tr.Stats(0).Took, tr.Stats(1).Gave; took == 0 || took > 9 || gave != took {
		t.Errorf("it took %d segments and was given %d", took, gave)
	}
	if tr.Ack(at(20), 1, 1) != Fresh {
		t.Error("the segment that was out was taken away")
	}
	if err := tr.Audit(); err != nil {
		t.Error(err)
	}

	// SEQ 0 takes 1 s; then one segment is left at a receiver that needs 10 ms.
	tr = NewTransfer(epoch, []int64{100, 10_000}, TransferConfig{Adaptive: true})
	for k := int64(0); k < 98; k++ {
		drain(tr, at(10*k))
		tr.Ack(at(10*k+10), 1, 1+k)
	}
	drain(tr, at(980))
	tr.Ack(at(1000), 0, 0)
	if took := tr.Stats(0).Took; took != 0 {
		t.Errorf("the slow one took %d segments", took)
	}
}

// TestReviveLast: all are dead, and then a late ack comes before anybody has asked
// whether the transfer is done. Who sent it carries everything.
func TestReviveLast(t *testing.T) {
	t.Run("failover", func(t *testing.T) {
		tr := NewTransfer(epoch, []int64{300, 300}, TransferConfig{})
		drain(tr, at(0))
		tr.Ack(at(1), 0, 0)
		drain(tr, at(1))
		tr.Kill(at(2), 0, ErrTries)
		tr.Kill(at(2), 1, ErrTries)
		if !tr.Done() || tr.Left() != 5 {
			t.Fatalf("done %t, left %d", tr.Done(), tr.Left())
		}
		tr.Ack(at(3), 0, 0)
		if err := tr.Audit(); err != nil {
			t.Fatal(err)
		}
		for !tr.Done() {
			for i, s := range drain(tr, at(4)) {
				if i != 0 || tr.Ack(at(4), i, s.Seq) != Fresh {
					t.Fatalf("receiver %d was sent SEQ %d", i, s.Seq)
				}
			}
		}
		if tr.Left() != 0 {
			t.Errorf("%d segments are left", tr.Left())
		}
	})
	t.Run("no failover", func(t *testing.T) {
		tr := NewTransfer(epoch, []int64{300}, TransferConfig{NoFailover: true})
		drain(tr, at(0))
		tr.Ack(at(1), 0, 0)
		drain(tr, at(1))
		tr.Kill(at(2), 0, ErrTries)
		tr.Ack(at(3), 0, 0)
		if got := drain(tr, at(3)); got[0].Seq != 1 || got[0].Try != 1 {
			t.Fatalf("sent %v, want SEQ 1 anew", got)
		}
		// SEQ 1 has been out before: its ack measures nothing.
		if tr.Ack(at(4), 0, 1) != Fresh || tr.Stats(0).Samples != 1 {
			t.Errorf("samples %d, want that of SEQ 0 alone", tr.Stats(0).Samples)
		}
	})
}

// TestShareBeforeAnyAck: when a receiver refuses at once, the split is all that is
// known of the others, and a far one does not get as much as a near one.
func TestShareBeforeAnyAck(t *testing.T) {
	tr := NewTransfer(epoch, []int64{1000, 2000, 2100}, TransferConfig{})
	drain(tr, at(0))
	tr.Kill(at(1), 1, ErrTries)
	if far, near := tr.Stats(0).Took, tr.Stats(2).Took; far+near != 20 || near < 12 {
		t.Errorf("the far one takes %d segments over, the near one %d", far, near)
	}
}
