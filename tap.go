package mdalp

import (
	"errors"
	"io"
	"net/netip"
	"strconv"
	"time"

	"mdalp/internal/pcapng"
	"mdalp/loop"
	"mdalp/wire"
)

// flushEvery bounds how much of a capture is lost when the process is killed.
const flushEvery = time.Second

// A tap is a session that writes down what passes it: every datagram that it takes from
// its driver or gives to it, as a capture with comments. It is a loop.Handler around
// the session, which knows nothing of it, so that a session without one does nothing
// for it.
//
// A socket's owner sees no IP headers. What a tap writes has headers made up around the
// bytes, and the instants of the loop: those of the wake-ups, on ICMP sockets those of
// the kernel's stamps.
type tap struct {
	s   *session
	h   loop.Handler   // the session, or what seals it: what is captured is what is sent
	out *pcapng.Writer // nil once it could not be written
	// full says that there is no room now for another packet; there always is if nil.
	full func() bool
	lost int64 // packets for which there was none
	// local is this end of each socket. The port of an ICMP socket is the identifier of
	// its echoes where that is the kernel's choice, else 0.
	local   [3]netip.AddrPort
	source  func(to netip.Addr) netip.Addr // the address that the kernel sends from
	known   map[netip.Addr]netip.Addr      // what source said
	hosts   map[netip.Addr]int             // the first receiver of each host
	named   int                            // receivers that hosts is of: names may come late
	flushed time.Time
	phase   Phase
	d       pcapng.Datagram
	note    []byte // of the datagram, by the session's trace
	offered bool   // it is an offer
	echo    []byte // a copy of an echo whose identifier is not ours to choose
	came    []byte // a copy of what came sealed
}

// newTap begins a capture of s to w.
func newTap(s *session, w io.Writer, local [3]netip.AddrPort, source func(netip.Addr) netip.Addr) *tap {
	t := &tap{
		s: s, h: s, out: pcapng.NewWriter(w, "mdalp "+Version), local: local, source: source,
		known: make(map[netip.Addr]netip.Addr), flushed: s.began,
	}
	s.observe(t.trace())
	return t
}

// Receive implements loop.Handler.
func (t *tap) Receive(now time.Time, e *loop.Envelope, b []byte) {
	t.note, t.offered = t.note[:0], false
	came := b
	if t.s.sealed() && t.out != nil {
		t.came = append(t.came[:0], b...) // b is opened in place
		came = t.came
	}
	t.h.Receive(now, e, b)
	if t.out == nil {
		return
	}
	t.d = pcapng.Datagram{At: e.At, Proto: pcapng.UDP, Src: e.Peer, Dst: e.Local, Data: came, Dir: pcapng.In}
	if e.Sock == sockUDP {
		if t.offered && errors.Is(t.s.err, ErrBadOffer) {
			t.note = append(t.note[:0], "bad offer"...)
		}
	} else {
		t.answer(e)
	}
	if !t.d.Dst.Addr().IsValid() {
		t.d.Dst = t.here(e.Sock, e.Peer)
	}
	t.write(now)
}

// Fail implements loop.Handler. The ICMP message behind it is the kernel's: it never
// reaches the program as a datagram.
func (t *tap) Fail(now time.Time, e *loop.Envelope, err error) { t.h.Fail(now, e, err) }

// Expire implements loop.Handler.
func (t *tap) Expire(now time.Time) { t.h.Expire(now) }

// Next implements loop.Handler.
func (t *tap) Next() (time.Time, bool) { return t.h.Next() }

// Transmit implements loop.Handler.
func (t *tap) Transmit(now time.Time, e *loop.Envelope, b []byte) ([]byte, bool) {
	t.note = t.note[:0]
	out, ok := t.h.Transmit(now, e, b)
	if !ok || t.out == nil {
		return out, ok
	}
	t.d = pcapng.Datagram{At: now, Proto: pcapng.UDP, Src: e.Local, Dst: e.Peer, Data: out, Dir: pcapng.Out}
	if !t.d.Src.Addr().IsValid() {
		t.d.Src = t.here(e.Sock, e.Peer)
	}
	if e.Sock != sockUDP {
		t.request(e)
	}
	t.write(now)
	return out, true
}

// here is this end of a socket towards a peer. A socket that is bound to no address has
// the one that the kernel would choose.
func (t *tap) here(sock int, peer netip.AddrPort) netip.AddrPort {
	local, to := t.local[sock], peer.Addr()
	a := local.Addr()
	if !a.IsValid() || a.IsUnspecified() || a.Is4() != to.Is4() {
		var ok bool
		if a, ok = t.known[to]; !ok {
			a = t.source(to)
			t.known[to] = a
		}
	}
	return netip.AddrPortFrom(a, local.Port())
}

// write adds the datagram with its note. The first error is the last: a capture is
// worth less than the transfer.
func (t *tap) write(now time.Time) {
	if t.full != nil && t.full() {
		t.lost++
		return
	}
	t.d.Comment = string(t.note)
	err := t.out.Write(&t.d)
	if errors.Is(err, pcapng.ErrDatagram) {
		t.s.log.Debug("left out of the capture", "peer", t.d.Dst, "bytes", len(t.d.Data))
		err = nil
	}
	if t.s.phase != t.phase || now.Sub(t.flushed) >= flushEvery {
		t.phase, t.flushed = t.s.phase, now
		if err == nil {
			err = t.out.Flush()
		}
	}
	t.failed(err)
}

// failed ends the capture because of err, unless it is nil.
func (t *tap) failed(err error) {
	if err != nil {
		t.out = nil
		t.s.log.Warn("the capture ends here: it cannot be written; the transfer goes on", "err", err)
	}
}

// close writes what is left.
func (t *tap) close() {
	if t.out != nil {
		t.failed(t.out.Flush())
	}
}

// end tells what the capture lacks: late says that its writer has not written all of it yet,
// and err that it could not.
func (t *tap) end(late bool, err error) {
	if t.out != nil {
		t.failed(err)
	}
	if t.lost > 0 || late {
		t.s.log.Warn("the capture is not whole: it was written too slowly",
			"left out", t.lost, "end missing", late)
	}
}

// receiver appends "receiver 2, ", the place in the offer.
func (t *tap) receiver(note []byte, i int) []byte {
	if t.s.cfg.Balance == BalanceNone {
		i += t.s.cfg.Receiver - 1 // the others of the offer were left out
	}
	note = append(note, "receiver "...)
	return append(strconv.AppendInt(note, int64(i+1), 10), ", "...)
}

// trace has the session say what a datagram is, and what it made of it.
func (t *tap) trace() *Trace {
	return &Trace{
		Intent: func(x TraceIntent) { t.note = again(append(t.note, "intent"...), x.Try) },
		Offer:  func(TraceOffer) { t.note, t.offered = append(t.note, "offer"...), true },
		Segment: func(x TraceSegment) {
			t.note = append(t.receiver(t.note, x.Receiver), "SEQ "...)
			t.note = strconv.AppendInt(t.note, x.Seq, 10)
			if x.Num == wire.Absent {
				t.note = again(t.note, x.Try)
			} else if x.Try > 1 { // nobody counts further there
				t.note = append(t.note, ", again"...)
			}
		},
		Ack:      t.acknowledged,
		Manifest: func(TraceManifest) { t.note = append(t.note, wire.ManifestType.String()...) },
		State:    func(TraceState) { t.note = append(t.note, wire.StateType.String()...) },
		Drop:     t.dropped,
	}
}

// again notes which time it is, from the second on.
func again(note []byte, try int) []byte {
	if try > 1 {
		note = append(note, ", try "...)
		note = strconv.AppendInt(note, int64(try), 10)
	}
	return note
}

// acknowledged notes an acknowledgement.
func (t *tap) acknowledged(x TraceAck) {
	note := t.receiver(t.note, x.Receiver)
	if x.Duplicate {
		note = append(note, "duplicate "...)
	}
	note = append(note, "ack of SEQ "...)
	note = strconv.AppendInt(note, x.Seq, 10)
	if x.Unsent {
		note = append(note, ", which was not sent to it"...)
	}
	t.note = note
}

// dropped notes why a datagram changes nothing, and whose acknowledgement it would be.
func (t *tap) dropped(x TraceDrop) {
	why := ""
	switch x.Cause {
	case DropMalformed:
		why = "dropped: malformed"
	case DropForeign:
		why = "dropped: from a stranger"
	case DropUnwanted:
		why = "dropped: not awaited"
	case DropUnopened, DropReplayed:
		why = "dropped: " + x.Why
	default:
		return // acknowledged has said it
	}
	if i, known := t.s.place[x.Peer]; known {
		if m, err := wire.Parse(x.Data); err == nil && m.Type == wire.Ack {
			t.note = t.receiver(t.note, i)
		}
	}
	t.note = append(t.note, why...)
}
