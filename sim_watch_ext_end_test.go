package mdalp

import (
	"bytes"
	"errors"
	"net/netip"
	"syscall"
	"time"

	"mdalp/internal/sim"
	"mdalp/loop"
	"mdalp/wire"
)

// throw lets a datagram come to the client before any answer can.
func (w *bulkWatch) throw(now time.Time, from netip.AddrPort, b []byte) {
	to := w.addr4
	if from.Addr().Is6() {
		to = w.addr6
	}
	w.sc.world.Inject(now.Sub(sim.Epoch), from, to, b)
}

// forgeAcks draws hostile datagrams against a client that has just sent NUM num to receiver
// i. None may change anything.
func (w *bulkWatch) forgeAcks(now time.Time, i int, num int64) {
	r, sc := w.rng, w.sc
	if r.Float64() >= sc.hostile {
		return
	}
	peer, all := w.lanes[i].addr, []wire.Range{{First: 0, Last: num}}
	ack := func(tid, seq int64, rs ...wire.Range) []byte { return wire.AppendAckRanges(nil, tid, seq, rs) }
	switch r.IntN(11) {
	case 0:
		w.throw(now, stranger, ack(w.tid, 0, all...))
	case 1:
		w.throw(now, netip.AddrPortFrom(peer.Addr(), peer.Port()+1), ack(w.tid, 0, all...))
	case 2:
		w.throw(now, peer, ack(w.tid^(1+r.Int64N(7)), 0, all...))
	case 3: // NUMs that were never sent
		w.throw(now, peer, ack(w.tid, 0, wire.Range{First: 0, Last: num + 1<<40 + r.Int64N(5)}))
	case 4:
		w.throw(now, peer, ack(w.tid, 0, wire.Range{First: wire.MaxNumber - 1, Last: wire.MaxNumber}, wire.Range{First: 0, Last: num}))
	case 5: // ranges that overlap, or rise
		w.throw(now, peer, ack(w.tid, 0, wire.Range{First: 0, Last: num}, wire.Range{First: 0, Last: num}))
	case 6:
		w.throw(now, peer, ack(w.tid, 0, wire.Range{First: 0, Last: num / 2}, wire.Range{First: num/2 + 2, Last: num + 2}))
	case 7: // as the base protocol has it
		w.throw(now, peer, wire.AppendAck(nil, w.tid, num))
	case 8:
		b := make([]byte, r.IntN(80))
		for k := range b {
			b[k] = byte(r.Uint32())
		}
		w.throw(now, peer, b)
	case 9: // an error of the network that somebody made up who can only guess
		quote := [][]byte{nil, []byte("Type:2;TID:"), wire.AppendSegmentHeader(nil, w.tid^(1+r.Int64N(7)), 0, num, 1, 1)}[r.IntN(3)]
		err := []error{syscall.ECONNREFUSED, syscall.EPROTO, syscall.EMSGSIZE}[r.IntN(3)]
		w.sc.world.At(now.Sub(sim.Epoch), func(time.Time) {
			w.node.Post(func(now time.Time) { w.forgeError(now, peer, err, quote) })
		})
	case 10: // for the server
		at := now.Sub(sim.Epoch)
		m := wire.Manifest{Bytes: 1 + r.Int64N(1000), Seg: 100, Resume: wire.Absent}
		sc.world.Inject(at, stranger, sc.home, wire.AppendManifest(nil, w.tid, 1000, &m))
		sc.world.Inject(at, stranger, peer, append(wire.AppendSegmentHeader(nil, w.tid+1+r.Int64N(9), 0, 0, 1, 1), "garbage"...))
		sc.world.Inject(at, stranger, peer, append(wire.AppendSegmentHeader(nil, w.tid, 1<<40, num, 1, 1), "garbage"...))
		if n := len(w.manifests) - 2; n >= 0 { // an old one, late
			sc.world.Inject(at, netip.AddrPortFrom(w.own(sc.home.Addr()), 5000), sc.home, wire.AppendManifest(nil, w.tid, int64(n), &w.manifests[n]))
		}
		if len(w.payload) > 2 {
			sc.world.Inject(at, stranger, peer, append(wire.AppendSegmentHeader(nil, w.tid, 0, num+1, 1, 1), 'x'))
		}
	}
}

// forgeError hands over an error that quotes nothing that was sent.
func (w *bulkWatch) forgeError(now time.Time, peer netip.AddrPort, err error, quote []byte) {
	i, ok := w.place[peer]
	dead := ok && w.lanes[i].dead
	e := &loop.Envelope{Peer: peer, At: now, Remote: true, Quote: quote}
	was := w.anew
	w.Fail(now, e, err)
	if ok && w.lanes != nil && !dead && w.lanes[i].dead || w.anew != was {
		w.fail("receiver %d: %v, which quotes %q, is believed", i, err, quote)
	}
}

// forgeStates draws states that are none, when manifest n was just sent.
func (w *bulkWatch) forgeStates(now time.Time, n int64) {
	r, sc := w.rng, w.sc
	if r.Float64() >= sc.hostile {
		return
	}
	st := wire.NewState([]wire.Standing{wire.Open, wire.Busy, wire.Complete, wire.Incomplete, wire.Damaged, wire.Refused}[r.IntN(6)])
	st.Wait, st.Told = 10, st.Standing == wire.Open || st.Standing == wire.Incomplete
	b := wire.AppendState(nil, w.tid, n, &st)
	switch r.IntN(7) {
	case 6:
		if len(w.lanes) > 0 && w.lanes[0].addr != sc.home {
			w.throw(now, w.lanes[0].addr, b)
		}
	case 0:
		w.throw(now, stranger, b)
	case 1:
		w.throw(now, netip.AddrPortFrom(sc.home.Addr(), sc.home.Port()+1), b)
	case 2: // an answer to what was not asked yet
		w.throw(now, sc.home, wire.AppendState(nil, w.tid, n+1+r.Int64N(3), &st))
	case 3:
		w.throw(now, sc.home, wire.AppendState(nil, w.tid^(1+r.Int64N(7)), n, &st))
	case 4: // an old one
		if w.newest >= 0 {
			w.throw(now, sc.home, wire.AppendState(nil, w.tid, w.newest, &st))
		}
	case 5:
		w.throw(now, sc.home, bytes.Replace(b, []byte("'state'"), []byte("'states'"), 1))
	}
}

// end checks how the transfer ended.
func (w *bulkWatch) end() error {
	r, err := &w.s.report, w.s.err
	if w.lanes != nil && w.err == nil {
		var sent, timeouts, lost int64
		for i := range w.lanes {
			sent += int64(len(w.lanes[i].shots))
			timeouts += w.lanes[i].timeouts
			lost += w.s.blocks.transfer.Stats(i).Lost
		}
		total := int64(len(w.delivered))
		missing := int64(0)
		for _, m := range r.Missing {
			missing += m.Last - m.First + 1
		}
		switch {
		case r.Phase != PhaseFinished || r.Left != w.left || missing != w.left:
			w.fail("the report says %d left, %d missing; it is %d", r.Left, missing, w.left)
		case r.Sent() != sent && !errors.Is(err, ErrPayload): // it counts the segment that could not be read
			w.fail("the report says %d datagrams; it is %d", r.Sent(), sent)
		case err == nil && w.left > 0:
			w.fail("success with %d segments left", w.left)
		case !w.sc.lossy && !w.sc.faults && w.again == 0 && w.sc.trip < 300*time.Millisecond && r.Resent() > total/100+timeouts+lost:
			w.fail("%d repetitions of %d segments, and %d were lost", r.Resent(), total, lost)
		case !w.sc.lossy && !w.sc.faults && w.sc.trip < 300*time.Millisecond && (lost > 0 || timeouts > 0):
			w.fail("%d transmissions are said to be lost, and %d timeouts, and nothing was lost or late", lost, timeouts)
		}
	}
	if err != nil && !w.sc.faults && !w.unheard() {
		w.fail("nothing is wrong enough for: %w", err)
	}
	w.cause(err)
	if err == nil {
		w.arrived()
	}
	return w.err
}

// cause checks that an error is one that could have happened.
func (w *bulkWatch) cause(err error) {
	ok, c, v := false, w.cfg, w.sc.server
	var peer *PeerError
	switch {
	case err == nil:
		r := &w.s.report
		ok = r.Verified == (r.Extended && !c.NoVerify)
	case errors.Is(err, ErrPayload):
		ok = w.sc.reader > 0 && errors.Is(err, errRead)
	case errors.Is(err, ErrConfig):
		ok = c.Balance == BalanceNone && c.Receiver > len(w.sc.receivers)
	case errors.Is(err, ErrRefused):
		ok = errors.As(err, &peer) && peer.Peer == c.Orchestrator && w.told == wire.Refused
	case errors.Is(err, ErrDamaged): // receivers took what was none of the payload's
		ok = false
	case errors.Is(err, ErrNoAnswer):
		ok = w.sc.faults && w.now.Sub(w.s.began) >= askGiveUp
	case errors.Is(err, ErrNoOffer):
		ok = v.runs > 1 || w.sc.faults
	case errors.Is(err, ErrDeadline):
		ok = c.Deadline > 0 && w.s.report.Elapsed >= c.Deadline
	case errors.Is(err, ErrAllDead), errors.Is(err, ErrNoTakeover):
		ok = errors.Is(err, ErrIncomplete)
		for i := range w.lanes {
			ok = ok && (w.lanes[i].dead || errors.Is(err, ErrNoTakeover))
		}
	}
	if !ok {
		w.fail("it ended with %v", err)
	}
}

// arrived compares what the server has with the payload: who was told that it is complete
// finds it published, and all that was acknowledged is stored.
func (w *bulkWatch) arrived() {
	t := w.sc.server.tx[w.tid]
	switch {
	case len(w.payload) == 0:
		if w.intents > 0 {
			w.fail("an empty payload is announced")
		}
	case t == nil || t.client != w:
		w.fail("success without a transaction")
	case w.base:
		b, _ := w.sc.server.mem.Payload(w.tid)
		if !bytes.Equal(b, w.payload) && !w.sc.faults {
			w.fail("%d bytes arrived, not those of the payload of %d", len(b), len(w.payload))
		}
	case w.cfg.NoVerify:
		if (t.taken.n != int64(len(w.delivered)) || !bytes.Equal(t.data, w.payload)) && !w.sc.lies && !t.failed {
			w.fail("success, and the server has %d of %d segments", t.taken.n, len(w.delivered))
		}
	case w.told != wire.Complete || !bytes.Equal(t.published, w.payload):
		w.fail("success, the last answer is %v, and %d of %d bytes are published", w.told, len(t.published), len(w.payload))
	}
}

// unheard reports whether a receiver is dead of which nothing was ever heard: the three
// transmissions that such a one gets may all be lost without a fault.
func (w *bulkWatch) unheard() bool {
	for i := range w.lanes {
		if d := &w.lanes[i]; d.dead && d.answers == 0 && len(d.shots) >= 3 {
			return true
		}
	}
	return false
}
