package server

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"mdalp/loop"
	"mdalp/wire"
)

// crowded is a server with open transactions of which each has n segments.
func crowded(tb testing.TB, open, n int) (*Server, time.Time) {
	tb.Helper()
	rs := make([]Receiver, 3)
	for i := range rs {
		rs[i] = Receiver{
			Addr: netip.MustParseAddrPort(fmt.Sprintf("192.0.2.%d:4650", i+1)),
			Name: fmt.Sprint(i),
			Sock: i,
		}
	}
	s, err := New(
		Config{
			Receivers:        rs,
			Concurrent:       open + 1,
			SourceConcurrent: open + 1,
			IntentRate:       -1,
			OfferRate:        -1,
			FirstTID:         1,
			RoomPerOffer:     -1,
		},
	)
	if err != nil {
		tb.Fatal(err)
	}
	now := time.Unix(1, 0)
	var e loop.Envelope
	b := make([]byte, 0, 65536)
	for k := range open {
		e = loop.Envelope{
			Peer:  netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, 1}), uint16(k+1000)),
			Local: rs[0].Addr,
		}
		s.Receive(now, &e, wire.AppendIntent(nil))
		if _, ok := s.Transmit(now, new(loop.Envelope), b); !ok {
			tb.Fatal("no offer")
		}
		for seq := range n {
			e.Local = rs[seq%len(rs)].Addr
			e.Sock = seq % len(rs)
			s.Receive(now, &e, wire.AppendData(nil, int64(k+1), int64(seq), []byte("0123456789")))
			s.Transmit(now, new(loop.Envelope), b)
		}
		now = now.Add(time.Millisecond)
	}
	return s, now
}

// A snapshot tells the oldest transactions, with what each receiver took, and does not change
// with the server.
func TestSnapshot(t *testing.T) {
	const open = MostShown + 5
	s, now := crowded(t, open, 4)
	e := loop.Envelope{Peer: netip.MustParseAddrPort("198.51.100.2:1"), Local: s.cfg.Receivers[1].Addr, Sock: 1}
	again := wire.AppendData(nil, 1, 1, []byte("0123456789"))
	s.Receive(now, &e, again)
	n := s.Snapshot(now)
	if n.Open != open || n.Placed != open || n.Places != open+1 || n.Offered != 3 ||
		len(n.Transactions) != MostShown ||
		n.At != now ||
		n.Draining {
		t.Errorf("%+v", n)
	}
	first := n.Transactions[0]
	if first.TID != 1 || first.Bytes != 40 || first.Segments != 4 || first.Stage != StageReceiving ||
		first.Lost != -1 ||
		first.Begun != time.Unix(1, 0) {
		t.Errorf("%+v", first)
	}
	if r := first.Receivers; r[0].Bytes != 20 || r[1].Bytes != 10 || r[1].Duplicates != 1 ||
		r[2].Segments != 1 ||
		r[0].Receiver.Name != "0" {
		t.Errorf("%+v", r)
	}
	// All that are open count, shown or not.
	if r := n.Receivers; r[0].Bytes != 20*open || r[1].Duplicates != 1 || r[2].Segments != open {
		t.Errorf("%+v", r)
	}
	s.Receive(now, &e, again)
	if n.Transactions[0].Receivers[1].Duplicates != 1 {
		t.Error("it has changed")
	}
	s.Drain(now)
	if n := s.Snapshot(now); !n.Draining {
		t.Errorf("%+v", n)
	}
}

// What has no segment stands behind all that has, however early it was offered.
func TestSnapshotOrder(t *testing.T) {
	s, now := crowded(t, 3, 1)
	e := loop.Envelope{Peer: netip.MustParseAddrPort("198.51.100.2:1"), Local: s.cfg.Receivers[0].Addr}
	s.byTID[1].used = false
	s.Receive(now, &e, wire.AppendIntent(nil))
	n := s.Snapshot(now)
	var got []string
	for _, t := range n.Transactions {
		got = append(got, fmt.Sprint(t.TID, " ", t.Stage))
	}
	if want := "[2 receiving 3 receiving 1 offered 4 offered]"; fmt.Sprint(got) != want {
		t.Errorf("%v instead of %s", got, want)
	}
	if !n.Transactions[3].Begun.IsZero() {
		t.Error("it was not offered yet")
	}
}

// BenchmarkSnapshot is what the loop does at most twice a second for those who look.
func BenchmarkSnapshot(b *testing.B) {
	for _, open := range []int{1, 50, 4000} {
		b.Run(fmt.Sprint(open), func(b *testing.B) {
			s, now := crowded(b, open, 100)
			b.ReportAllocs()
			for b.Loop() {
				s.Snapshot(now)
			}
		})
	}
}
