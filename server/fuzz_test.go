package server

import (
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"mdalp/loop"
	"mdalp/wire"
)

// textLog is a log without time.
func textLog(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

// FuzzReceive plays a script of steps: 1 byte of operation, 1 byte of length or
// amount, and that many bytes of datagram. Time passes, datagrams come from and to
// some addresses, and what the server sends is held against what it stored.
func FuzzReceive(f *testing.F) {
	step := func(op byte, b string) string { return string(append([]byte{op, byte(len(b))}, b...)) }
	wait := func(quarters byte) string { return string([]byte{7, quarters}) }
	f.Add([]byte(step(0, "Type:0;") + step(1, "Type:2;TID:1;SEQ:0;DATA:x") + step(2, "Type:2;TID:1;SEQ:1;DATA:yy") + wait(60) +
		step(1, "Type:2;TID:1;SEQ:0;DATA:x") + wait(255) + wait(255) + step(0, "Type:0;")))
	f.Add([]byte(step(0, "Type:0;") + step(8, "Type:0;") + step(16, "Type:0;") + step(24, "Type:0") + step(24, "Type:0;") + wait(255) + wait(255)))
	f.Add([]byte(step(0, "Type:0;") + step(3, "Type:2;TID:1;SEQ:3;DATA:abc") + step(1, "Type:2;TID:1;SEQ:9223372036854775807;DATA:a") +
		step(1, "Type:2;TID:1;SEQ:1;DATA:abcdefghijklmnopq") + step(4, "Type:2;TID:1;SEQ:1;DATA:a") + wait(40) + wait(255) + wait(255)))
	f.Add([]byte(step(0, "Type:0;") + step(1, "Type:2;TID:1;SEQ:0;DATA:abcdefghijklmnop") + step(1, "Type:2;TID:1;SEQ:60;DATA:abc") + step(1, "Type:2;TID:1;SEQ:1;DATA:") + string([]byte{6, 0}) + step(0, "Type:0;")))
	f.Add([]byte(step(5, "Type:0;") + step(5, "Type:2;TID:1;SEQ:0;DATA:x") + step(0, "Type:3;TID:1;SEQ:0;") + step(0, "\xff;") + wait(1)))
	f.Add([]byte(step(0, "Type:0;") + step(8, "Type:0;") + step(16, "Type:0;") + step(24, asksCookie) + step(24+64, asksCookie) +
		step(24, asksCookie) + wait(30) + step(24+64, asksCookie) + step(24+64, asksCookie) + wait(255) + wait(255)))
	f.Fuzz(func(t *testing.T, script []byte) {
		// A small server, so that every bound is met. Its memory is full soon.
		r := newRig(t, Config{FirstTID: 1, Concurrent: 2, Queue: 1, Remember: 2, SegmentLimit: 16, MaxBytes: 1000, IntentBurst: 5,
			Store: &Memory{Limit: 24 << 10}, RoomPerOffer: -1, KeepPartial: true})
		var began []time.Time // by TID
		stored := make(map[[2]int64]string)
		offers := make(map[string]int64) // the last of each client
		cookies := make(map[netip.AddrPort]string)
		for len(script) >= 2 && len(began) < 50 {
			op, n := script[0], int(script[1])
			script = script[2:]
			switch op & 7 {
			case 7:
				r.now = r.now.Add(time.Duration(n) * 250 * time.Millisecond)
				if n&1 == 0 { // a loop that is late does not call this
					r.s.Expire(r.now)
				}
			case 6:
				if n == 0 {
					r.s.Close(r.now)
				}
				r.s.Fail(r.now, &loop.Envelope{Peer: client}, io.EOF)
			default:
				n = min(n, len(script))
				b := script[:n]
				script = script[n:]
				e := loop.Envelope{Sock: int(op >> 7), Peer: port(1 + int(op>>3&7)), At: r.now}
				switch op & 7 {
				case 0:
					e.Local = orch
				case 1, 2, 3:
					e.Local = three[op&7-1].Addr
				}
				// It shows the cookie that it has.
				if c := cookies[e.Peer]; op&64 != 0 && c != "" && string(b) == asksCookie {
					b = wire.AppendCookieIntent(nil, c)
				}
				before := r.s.Stats()
				r.s.Receive(r.now, &e, b)
				after := r.s.Stats()
				m, err := wire.Parse(b)
				switch {
				case after.Stored == before.Stored+1:
					if err != nil || m.Type != wire.Data || len(m.Data) < 1 || len(m.Data) > 16 {
						t.Fatalf("stored %q", b)
					}
					k := [2]int64{m.TID, m.Seq}
					if stored[k] != "" {
						t.Fatalf("stored %v twice", k)
					}
					stored[k] = string(m.Data)
				case after.Duplicates == before.Duplicates+1:
					if stored[[2]int64{m.TID, m.Seq}] != string(m.Data) {
						t.Fatalf("%q is a duplicate of nothing", b)
					}
				}
			}
			for {
				var e loop.Envelope
				out, ok := r.s.Transmit(r.now, &e, nil)
				if !ok {
					break
				}
				m, err := wire.Parse(out)
				if err != nil || !e.Peer.IsValid() {
					t.Fatalf("sent %q to %v: %v", out, e.Peer, err)
				}
				switch m.Type {
				case wire.Offer:
					if m.TID == wire.Absent {
						c, ok := wire.ParseCookie(m.Data)
						if cookies[e.Peer] = c; !ok {
							t.Fatalf("sent %q", out)
						}
						break
					}
					key := fmt.Sprint(e.Peer)
					if m.TID > int64(len(began)) {
						began = append(began, r.now)
						offers[key] = m.TID
					}
					if offers[key] != m.TID || r.now.Sub(began[m.TID-1]) >= DefaultLimit {
						t.Fatalf("%s has %d, was offered %d", key, offers[key], m.TID)
					}
				case wire.Ack:
					if stored[[2]int64{m.TID, m.Seq}] == "" {
						t.Fatalf("acknowledged %q without a segment", out)
					}
					if r.now.Sub(began[m.TID-1]) >= DefaultLimit {
						t.Fatalf("acknowledged %q after the limit", out)
					}
				default:
					t.Fatalf("sent %q", out)
				}
			}
			if r.s.placed.len() > 4 || r.s.Waiting() > 2 || r.s.remembered > 2 || len(r.s.byTID) != r.s.Open()+r.s.remembered || len(r.s.byClient) > len(r.s.byTID) {
				t.Fatalf("%d open, %d waiting, %d remembered, %d live", r.s.Open(), r.s.Waiting(), r.s.remembered, len(r.s.byTID))
			}
			if at, ok := r.s.Next(); ok && r.s.Open() > 0 && at.After(r.now.Add(DefaultLimit+time.Second)) {
				t.Fatalf("a transaction is open and nothing is due before %v", at)
			}
			r.addsUp()
		}
		r.s.Close(r.now)
		r.drain()
		st, bytes := r.s.Stats(), int64(0)
		for _, res := range r.results {
			bytes += res.Bytes
			if res.Complete && (res.Missing != nil || res.Bytes == 0 || res.Err != nil && res.Segments == 0) {
				t.Fatalf("%+v", res)
			}
			if res.Status != (res.Comment == Completed) {
				t.Fatalf("%+v", res)
			}
		}
		if st.Stored != uint64(len(stored)) || st.Bytes != uint64(bytes) || st.Settled != uint64(len(r.results)) || len(r.results) != len(began) {
			t.Fatalf("%+v, %d results, %d offers", st, len(r.results), len(began))
		}
		if r.s.Open() != 0 || r.s.used != 0 || r.s.placed.len() != 0 || len(r.s.origins) != 0 || r.s.wheel.Len() > r.s.remembered+timers {
			t.Fatalf("%d open, %d used, %d places, %d origins, %d timers for %d transactions", r.s.Open(), r.s.used, r.s.placed.len(), len(r.s.origins), r.s.wheel.Len(), r.s.remembered)
		}
	})
}
