package mdalp

import (
	"errors"
	"syscall"
	"time"

	"mdalp/loop"
	"mdalp/wire"
)

// A refused is the first refusal that came after the last acknowledgement.
type refused struct {
	at            time.Time // zero: there is none
	sent, answers int64     // datagrams and acknowledgements until then
}

// stands reports whether there was no acknowledgement since.
func (r *refused) stands(answers int64) bool { return !r.at.IsZero() && r.answers == answers }

// ends reports whether a refusal ends a receiver: one that never acknowledged anything, or
// that refuses another datagram while a receiver that refuses nothing has acknowledged.
func (w *watch) ends(now time.Time, i int) bool {
	d := &w.to[i]
	r := &d.refused
	if !d.heard {
		return true
	}
	if !r.stands(d.answers) {
		*r = refused{now, d.datagrams, d.answers}
		return false
	}
	if w.s.cfg.NoFailover || w.s.cfg.Balance == BalanceNone || d.datagrams == r.sent {
		return false
	}
	for j := range w.to {
		o := &w.to[j]
		if j != i && !o.dead && !o.refused.stands(o.answers) && o.when.After(r.at) {
			return true
		}
	}
	return false
}

// ends reports whether an error ends receiver i, of which another datagram is one that was
// sent after the first refusal, when a probe timeout has passed, too.
func (w *bulkWatch) ends(now time.Time, i int, e *loop.Envelope, err error) bool {
	d := &w.lanes[i]
	r := &d.refused
	m, bad := wire.Parse(e.Quote)
	switch {
	case !e.Remote || !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.ENOPROTOOPT) && !errors.Is(err, syscall.EPROTO):
		return false
	case bad != nil || m.Data == nil || m.TID != w.tid || m.Num < 0 || m.Seq >= int64(len(w.delivered)):
		return false
	case d.answers == 0:
		return true
	case !r.stands(d.answers):
		*r = refused{now, int64(len(d.shots)), d.answers}
		return false
	case w.cfg.NoFailover || w.cfg.Balance == BalanceNone || m.Num < r.sent || d.timeouts == d.waits:
		return false
	}
	for j := range w.lanes {
		o := &w.lanes[j]
		if j != i && !o.dead && !o.refused.stands(o.answers) && o.when.After(r.at) {
			return true
		}
	}
	return false
}

// Fail implements loop.Handler.
func (w *bulkWatch) Fail(now time.Time, e *loop.Envelope, err error) {
	w.clock(now)
	i, ok := w.place[e.Peer]
	ok = ok && w.lanes != nil && e.Sock == sockUDP && w.phase < PhaseFinished && !w.lanes[i].dead
	ends := ok && w.ends(now, i, e, err)
	if ok {
		w.lanes[i].astray++
	}
	w.s.Fail(now, e, err)
	w.observe(now)
	if ok && w.lanes != nil && w.lanes[i].dead != ends {
		w.fail("receiver %d is dead: %t, and not %t, after %v that quotes %.60q", i, !ends, ends, err, e.Quote)
	}
}
