package mdalp

import (
	"bytes"
	"errors"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"mdalp/icmp"
	"mdalp/loop"
)

// A talk is a session of the extended protocol that is handed one datagram after the other.
type talk struct {
	t   *testing.T
	s   *session
	now time.Time
}

// newTalk begins one: three segments, the first acknowledged, to one receiver that takes segments of 2,000 bytes.
func newTalk(t *testing.T) *talk {
	c, err := newRun(&Config{Orchestrator: orchestrator, Balance: BalanceEqual, Segment: 2000})
	if err != nil {
		t.Fatal(err)
	}
	p := payload(5000)
	x := &talk{t, newSession(t0, bytes.NewReader(p), int64(len(p)), c, icmp.Off, icmp.Off, 0), t0}
	x.sends("Type:0;")
	x.gets(orchestrator, "Type:1;TID:7;DATA:[{'ip_address': '"+receiverA.Addr().String()+"', 'seg': 2000, 'win': 9}];")
	x.sends("Type:4;TID:7;SEQ:0;DATA:{'bytes': 5000, 'seg': 2000};")
	x.gets(orchestrator, "Type:5;TID:7;SEQ:0;DATA:{'state': 'open', 'have': ''};")
	x.sends("Type:2;TID:7;SEQ:0;NUM:00;", "Type:2;TID:7;SEQ:1;NUM:01;")
	x.gets(receiverA, "Type:3;TID:7;SEQ:0;NUM:0;DATA:0;") // before that it gets no more
	x.sends("Type:2;TID:7;SEQ:2;NUM:02;")
	return x
}

// gets hands over a datagram.
func (x *talk) gets(from netip.AddrPort, b string) {
	e := loop.Envelope{Peer: from, At: x.now}
	x.s.Receive(x.now, &e, []byte(b))
}

// sends compares the beginnings of what is sent now.
func (x *talk) sends(want ...string) {
	x.t.Helper()
	if at, ok := x.s.Next(); ok && !at.After(x.now) {
		x.s.Expire(x.now)
	}
	for k := 0; ; k++ {
		var e loop.Envelope
		b, ok := x.s.Transmit(x.now, &e, nil)
		switch {
		case !ok && k < len(want):
			x.t.Fatalf("nothing is sent, want %q", want[k])
		case !ok:
			return
		case k >= len(want) || !bytes.HasPrefix(b, []byte(want[k])):
			x.t.Fatalf("datagram %d is %.80q, want %q", k, b, want)
		}
	}
}

// TestCompleteWhileSending: what the server lacks is sent again. Should it say meanwhile
// that all is there, as it may to a question that was asked twice, that is the end, and a
// byte counts once.
func TestCompleteWhileSending(t *testing.T) {
	x := newTalk(t)
	x.now = x.now.Add(time.Millisecond)
	x.gets(receiverA, "Type:3;TID:7;SEQ:0;NUM:2;DATA:0-2;")
	x.sends("Type:4;TID:7;SEQ:1;DATA:{'bytes': 5000, 'seg': 2000, 'sha256': '")
	x.now = x.now.Add(askFirst + 2*time.Millisecond)
	x.sends("Type:4;TID:7;SEQ:2;DATA:{'bytes': 5000, 'seg': 2000, 'sha256': '")
	x.gets(orchestrator, "Type:5;TID:7;SEQ:1;DATA:{'state': 'incomplete', 'have': '0,2'};")
	x.sends("Type:2;TID:7;SEQ:1;NUM:03;")
	if x.s.refresh(x.now); x.s.report.Acked != 3000 || x.s.report.Left != 1 {
		t.Errorf("%d bytes are acknowledged, %d segments left", x.s.report.Acked, x.s.report.Left)
	}
	x.gets(orchestrator, "Type:5;TID:7;SEQ:2;DATA:{'state': 'complete'};")
	if r := &x.s.report; x.s.phase != PhaseFinished || x.s.err != nil || r.Left != 0 || len(r.Missing) > 0 {
		t.Errorf("%v, error %v, %d left, missing %v", x.s.phase, x.s.err, r.Left, r.Missing)
	}
}

// TestEarlierQuestion: a verdict that answers an earlier question may lack what was
// acknowledged since, and takes nothing back.
func TestEarlierQuestion(t *testing.T) {
	x := newTalk(t)
	x.now = x.now.Add(time.Millisecond)
	x.gets(receiverA, "Type:3;TID:7;SEQ:0;NUM:2;DATA:0-2;")
	x.sends("Type:4;TID:7;SEQ:1;")
	x.now = x.now.Add(askFirst + 2*time.Millisecond)
	x.sends("Type:4;TID:7;SEQ:2;")
	x.gets(orchestrator, "Type:5;TID:7;SEQ:1;DATA:{'state': 'incomplete', 'have': '0,2'};")
	x.sends("Type:2;TID:7;SEQ:1;NUM:03;")
	x.gets(receiverA, "Type:3;TID:7;SEQ:1;NUM:3;DATA:0-3;")
	x.sends("Type:4;TID:7;SEQ:3;")
	x.gets(orchestrator, "Type:5;TID:7;SEQ:2;DATA:{'state': 'incomplete', 'have': '0,2'};")
	x.sends()
	x.gets(orchestrator, "Type:5;TID:7;SEQ:3;DATA:{'state': 'complete'};")
	if x.s.phase != PhaseFinished || x.s.err != nil {
		t.Errorf("%v, error %v", x.s.phase, x.s.err)
	}
}

// TestPatience: a round trip of a minute, as of a client that was stopped, does not hold
// the next question up for minutes.
func TestPatience(t *testing.T) {
	x := newTalk(t)
	x.now = x.now.Add(time.Minute)
	x.gets(receiverA, "Type:3;TID:7;SEQ:0;NUM:2;DATA:0-2;")
	x.sends("Type:4;TID:7;SEQ:1;")
	x.now = x.now.Add(askMost + 2*time.Millisecond)
	x.sends("Type:4;TID:7;SEQ:2;")
}

// TestAnew: a packet that is too long for the path begins the transfer anew, and what the
// report says of the one before is gone.
func TestAnew(t *testing.T) {
	x := newTalk(t)
	x.s.Fail(x.now, &loop.Envelope{Peer: receiverA, At: x.now}, syscall.EMSGSIZE)
	if r := &x.s.report; x.s.phase != PhaseWaiting || r.Extended || r.Segment != 0 || r.Segments != 0 {
		t.Errorf("%v, extended %t, %d segments of %d bytes", x.s.phase, r.Extended, r.Segments, r.Segment)
	}
	x.sends("Type:0;")
	x.gets(orchestrator, "Type:1;TID:7;DATA:[{'ip_address': '"+receiverA.Addr().String()+"', 'seg': 2000, 'win': 9}];") // a copy
	x.sends()
	x.gets(orchestrator, "Type:1;TID:8;DATA:[{'ip_address': '"+receiverA.Addr().String()+"', 'seg': 2000, 'win': 9}];")
	x.sends("Type:4;TID:8;SEQ:0;DATA:{'bytes': 5000, 'seg': 1200};")
}

// TestIncompleteWhileFinishing: what the server had lost is out again while it tells of the
// rest. Whoever is stopped then has not had everything acknowledged.
func TestIncompleteWhileFinishing(t *testing.T) {
	x := newTalk(t)
	x.now = x.now.Add(time.Millisecond)
	x.gets(receiverA, "Type:3;TID:7;SEQ:0;NUM:2;DATA:0-2;")
	x.sends("Type:4;TID:7;SEQ:1;DATA:{'bytes': 5000, 'seg': 2000, 'sha256': '")
	x.gets(orchestrator, "Type:5;TID:7;SEQ:1;DATA:{'state': 'incomplete', 'have': '', 'upto': 1};")
	if x.s.phase != PhaseFinishing || x.s.blocks.transfer.Left() != 1 {
		t.Fatalf("%v, %d segments left", x.s.phase, x.s.blocks.transfer.Left())
	}
	x.s.incomplete(x.now, ErrDeadline)
	if !errors.Is(x.s.err, ErrIncomplete) || errors.Is(x.s.err, ErrUnverified) {
		t.Errorf("it ends with: %v", x.s.err)
	}
}
