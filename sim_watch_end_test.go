package mdalp

import (
	"bytes"
	"errors"
	"slices"
	"syscall"
	"time"

	"mdalp/sched"
	"mdalp/wire"
)

// stalled checks that something goes forward. In each phase there is a bound:
//
//   - waiting ends at IntentTimeout or Deadline, where they are set;
//   - echoes are sent within (Echoes-1) gaps of 1 ms, and the last is waited for
//     EchoTimeout;
//   - while sending, something is out at some receiver as long as the session goes
//     on (Audit), and is sent at most Tries times, each for one timeout and a tick of
//     the wheel; then there is an acknowledgement or a death, and without an
//     acknowledgement a receiver dies twice at most. A timeout is at most
//     the fixed one, or 6 s, or 1.25 of the longest round trip and 200 ms. Where a
//     small receive buffer lets only b of n receivers have a segment out, each try
//     may wait for n/b others to time out.
func (w *watch) stalled(now time.Time) {
	if w.phase == PhaseFinished || w.err != nil || w.killed {
		return
	}
	bound := time.Duration(1<<63 - 1)
	switch w.phase {
	case PhaseWaiting:
		if w.cfg.IntentTimeout > 0 {
			bound = w.cfg.IntentTimeout + sched.Tick
		}
	case PhasePinging:
		bound = time.Duration(w.cfg.Echoes-1)*time.Millisecond + w.cfg.EchoTimeout
		if w.names != nil { // which are waited for, and pinged then
			bound = 2*bound + namesLimit + sched.Tick
		}
	case PhaseSending:
		rto := max(6*time.Second, w.longest+w.longest/4+200*time.Millisecond)
		if w.cfg.RTO > 0 {
			rto = time.Duration(w.cfg.RTO)
		}
		bound = time.Duration(w.cfg.Tries) * (rto + 2*sched.Tick)
		if w.capped && w.s.bufferAcks > 0 {
			bound *= time.Duration(len(w.to)/w.s.bufferAcks + 1)
		}
	}
	if bound += w.sc.paused; bound < 0 {
		bound = 1<<63 - 1
	}
	switch {
	case now.Sub(w.progress) > bound:
		w.fail("nothing goes forward for %v while %v", now.Sub(w.progress), w.phase)
	case w.cfg.Deadline > 0 && now.Sub(w.s.began) > w.cfg.Deadline+sched.Tick+w.sc.paused:
		w.fail("the deadline passed %v ago", now.Sub(w.s.began)-w.cfg.Deadline)
	}
}

// end checks how the transfer ended.
func (w *watch) end() error {
	r, err := &w.s.report, w.s.err
	var missing []wire.Range
	for k, ok := range w.acked {
		if ok {
			continue
		}
		if n := len(missing); n > 0 && missing[n-1].Last == int64(k)-1 {
			missing[n-1].Last++
		} else {
			missing = append(missing, wire.Range{First: int64(k), Last: int64(k)})
		}
	}
	var sent, resent int64
	for i := range w.to {
		sent += w.to[i].datagrams
		resent += w.to[i].resent
		if st := &r.Receivers[i]; st.Bytes != w.to[i].bytes || st.Acked != w.to[i].acked {
			w.fail("the report gives receiver %d %d bytes, %d are acknowledged", i, st.Bytes, w.to[i].bytes)
		}
	}
	switch {
	case w.err != nil:
	case r.Phase != PhaseFinished || r.Acked != w.bytes || r.Left != w.left || !slices.Equal(r.Missing, missing):
		w.fail("the report says %d bytes, %d left, missing %v; it is %d, %d, %v", r.Acked, r.Left, r.Missing, w.bytes, w.left, missing)
	case errors.Is(err, ErrPayload): // it counts the segment that could not be read
	case r.Sent() != sent || r.Resent() != resent:
		w.fail("the report says %d datagrams, %d of them repetitions; it is %d, %d", r.Sent(), r.Resent(), sent, resent)
	case err == nil && w.bytes != int64(len(w.payload)):
		w.fail("success with %d of %d bytes acknowledged", w.bytes, len(w.payload))
	case err != nil && !errors.Is(err, ErrConfig) && !errors.Is(err, ErrBadOffer) && w.sc.calm(max(1, int64(len(w.off)))):
		w.fail("nothing is wrong enough for: %w", err)
	case !w.sc.lossy && !w.sc.faults && !w.sc.lies && !w.sc.varies && w.hints == 0 && w.sc.trip < w.patience() && r.Resent() > 0:
		w.fail("%d repetitions, and nothing was lost or late", r.Resent())
	}
	if w.sc.world != nil {
		w.cause(err)
	}
	if err == nil && !w.sc.lies && !w.fooled {
		w.arrived()
	}
	return w.err
}

// patience is the shortest first timeout.
func (w *watch) patience() time.Duration {
	if w.cfg.RTO > 0 {
		return time.Duration(w.cfg.RTO)
	}
	return sched.FirstRTO
}

// cause checks that an error is one that could have happened.
func (w *watch) cause(err error) {
	var ok bool
	c := w.cfg
	if c.IntentRetry > 0 && len(w.payload) > 0 {
		wait := w.s.report.Elapsed
		if w.s.tid != 0 {
			wait = w.s.report.Wait
		}
		if least := (wait - w.sc.paused) / (c.IntentRetry + sched.Tick); w.intents < int(least) {
			w.fail("%d intents in %v, one is due every %v", w.intents, wait, c.IntentRetry)
		}
	}
	switch {
	case err == nil:
		ok = true
	case errors.Is(err, ErrConfig):
		ok = c.Balance == BalanceNone && c.Receiver > len(w.sc.receivers)
	case errors.Is(err, ErrPayload):
		ok = w.sc.reader > 0 && errors.Is(err, errRead)
	case errors.Is(err, ErrBadOffer): // nobody's name was found
		ok = len(w.names) > 0 && len(w.s.peers) == 0
	case w.soft > 0 && !errors.Is(err, ErrNoOffer) && !errors.Is(err, ErrIncomplete): // this host refused for long
		ok = c.IntentRetry == 0 && c.IntentTimeout == 0 && c.Deadline == 0 && w.s.report.Elapsed >= notSent
	case errors.Is(err, ErrNoOffer):
		ok = errors.Is(err, ErrIntentTimeout) && c.IntentTimeout > 0 && w.s.report.Elapsed >= c.IntentTimeout ||
			errors.Is(err, syscall.ECONNREFUSED) && c.IntentRetry == 0
	case errors.Is(err, ErrDeadline):
		ok = errors.Is(err, ErrIncomplete) && c.Deadline > 0 && w.s.report.Elapsed >= c.Deadline
	case errors.Is(err, ErrAllDead), errors.Is(err, ErrNoTakeover):
		ok = errors.Is(err, ErrIncomplete) && w.left > 0
		for i := range w.to {
			ok = ok && (w.to[i].dead || errors.Is(err, ErrNoTakeover))
		}
	}
	if !ok {
		w.fail("it ended with %v", err)
	}
}

// arrived compares what the server has with the payload: a transfer that ended well is a
// payload that is published, or kept where publishing failed or time was short.
func (w *watch) arrived() {
	r := w.sc.server
	t := r.of(w.s.tid)
	switch {
	case len(w.payload) == 0:
		if t != nil || w.intents > 0 {
			w.fail("an empty payload made a transaction")
		}
	case t == nil || t.client != w:
		w.fail("success without a transaction")
	case t.payload == nil && (!t.alive || t.bytes != int64(len(w.payload))):
		w.fail("success, and the server has %d of %d bytes; the verdict is %+v", t.bytes, len(w.payload), t.result)
	case t.payload != nil && !bytes.Equal(t.payload, w.payload):
		w.fail("%d bytes arrived, not those of the payload of %d", len(t.payload), len(w.payload))
	case w.sc.faults || r.unable > 0:
	case t.result == nil || !t.result.Complete:
		w.fail("success, and the verdict is %+v", t.result)
	case w.cfg.Balance == BalanceLatency && !t.result.Balanced && w.sc.quiet:
		w.fail("the verdict on a balanced transfer is %s", t.result.Comment)
	}
}
