package fleet

import (
	"fmt"
	"time"

	"mdalp/fleet/engine"
	"mdalp/loop"
	"mdalp/seal"
	"mdalp/server"
	"mdalp/wire"
)

// A state is what a receiver knows of a transaction.
type state uint8

const (
	unknown  state = iota // the engine is being asked, or did not know
	extended              // its segments have places
	base                  // its segments go to a spool
	over                  // nothing of it is taken any more
)

// A stand is how a transaction stands at a receiver.
type stand struct {
	tid   int64
	state state
	shut  bool // an orchestrator is settling it, and nothing new is taken
	term  int  // that of the lease when the engine was asked, see lease

	asking  bool
	again   time.Time // when the engine may be asked again
	waiting []waiting
	// numbered says that one of them is an extended segment.
	numbered bool

	flow    *server.Flow
	channel *seal.Channel // of a sealed transaction, and its flow; they stay when it is let go of
	sealed  *server.Flow
	part    *server.Part
	spool   *server.Writer
	size    int64
	segment int64
	total   int64

	used     time.Time // a segment came, or an ask
	last     time.Time // a new one was taken; zero when none was in this process
	dirty    bool      // it stands in Receiver.dirty
	unsynced bool      // something came since the last flush began
	stable   bool      // what had come by then is flushed, since this process has it open
	syncing  bool
	bare     bool    // it was flushed, and its journal does not say so
	asks     []asked // of orchestrators, to be answered
	newest   engine.Ask
	problem  string
}

// A waiting is a datagram that waits.
type waiting struct {
	e loop.Envelope
	b []byte
}

// An asked is an orchestrator's ask.
type asked struct {
	engine.Ask
	answer func(engine.Answer)
}

// stand makes the stand of a transaction; nil when there are too many.
func (r *Receiver) stand(now time.Time, tid int64) *stand {
	if len(r.stands) >= mostStands {
		r.forget(now, 0)
		if len(r.stands) >= mostStands {
			return nil
		}
	}
	s := &stand{tid: tid, used: now}
	r.stands[tid] = s
	return s
}

// opened takes what was said, and the datagrams that waited for it.
func (r *Receiver) opened(now time.Time, s *stand, o *opened) {
	s.asking, s.stable = false, false
	s.again = now.Add(againAfter)
	switch {
	case r.stands[s.tid] != s || r.left:
		if o.part != nil {
			o.part.Close()
		}
		return
	case o.err != nil:
		if !o.missing {
			r.cfg.Log.Warn("segments of it cannot be taken now", "tid", s.tid, "err", o.err)
		}
	case o.rec.State.Ended():
		s.state = over
	case o.rec.Sealed() && !r.unlock(s, o.rec):
		o.part.Close()
		o.missing, o.err = true, errSealed
	case o.part != nil:
		s.state, s.part = extended, o.part
		s.size, s.segment = o.rec.Bytes, o.rec.Segment
		s.total = (s.size-1)/s.segment + 1
		s.flow = s.newFlow(now)
	default:
		s.state, s.spool, s.term = base, o.spool, o.term
		// An orchestrator may have given up asking for what is here. What came from now on would
		// be acknowledged, and be no part of the payload.
		s.shut = o.rec.State == engine.Settling
		s.flow = server.NewFlow(s.tid, now.Add(r.cfg.Limit), 1, false)
	}
	if o.rec != nil {
		s.outdate(o.rec.Epoch)
	}
	for _, w := range s.waiting {
		r.held -= len(w.b)
	}
	held := s.waiting
	s.waiting = nil
	if s.state != unknown {
		for i := range held {
			r.Receive(now, &held[i].e, held[i].b)
		}
	}
	r.answer(now, s, o)
}

// block takes a segment of an extended payload.
func (r *Receiver) block(now time.Time, s *stand, m *wire.Message) (*server.Flow, bool) {
	if m.Seq >= s.total || int64(len(m.Data)) != min(s.segment, s.size-m.Seq*s.segment) || s.problem != "" {
		r.counts.Dropped++
		return nil, false
	}
	if s.shut && !s.part.Has(m.Seq) {
		r.counts.Dropped++
		return nil, false
	}
	taken, known := s.part.Take(m.Seq, m.Data)
	if !taken && !known {
		r.counts.Dropped++
		return nil, false
	}
	if taken {
		s.last, s.unsynced = now, true
		if !s.dirty {
			s.dirty = true
			r.dirty = append(r.dirty, s)
		}
	}
	return s.flow, known
}

// asked takes an ask of an orchestrator.
func (r *Receiver) asked(now time.Time, a engine.Ask, answer func(engine.Answer)) {
	r.now = now
	s := r.stands[a.TID]
	if s == nil {
		if s = r.stand(now, a.TID); s == nil {
			answer(engine.Answer{Idle: -1, Problem: "too many transactions"})
			return
		}
	}
	if a.Before(&s.newest) {
		answer(engine.Answer{Idle: -1, Problem: laterAsked})
		return
	}
	s.used, s.newest = now, a
	if s.state == extended && a.File != 0 && a.File != s.part.File() { // it is another transaction's now
		if r.end(now, s, unknown); s.state == extended {
			answer(engine.Answer{Idle: -1, Problem: "it has another file"})
			return
		}
	}
	s.asks = append(s.asks, asked{a, answer})
	switch {
	case s.state == unknown:
		r.ask(now, s)
	case s.state == over:
		r.answer(now, s, nil)
	default:
		r.flush(now, s)
	}
}

// answer answers those who ask about a transaction that the engine was asked about: o is nil
// where it was not.
func (r *Receiver) answer(now time.Time, s *stand, o *opened) {
	if s.state == extended || s.state == base {
		if len(s.asks) > 0 { // else what came is flushed with what comes, a little later
			r.flush(now, s)
		}
		return
	}
	// Who asks all the same reads what is there by itself.
	a := engine.Answer{Idle: -1, Problem: "it is over here"}
	if o != nil && o.err != nil {
		a.Problem = fmt.Sprint("it is not known here: ", o.err)
	}
	asks := s.asks
	s.asks = nil
	for _, k := range asks {
		r.counts.Answered++
		k.answer(a)
	}
}

// flush answers the asks of an open transaction, those behind a flush that need one.
func (r *Receiver) flush(now time.Time, s *stand) {
	if !s.live() || s.syncing || len(s.asks) == 0 && !s.unsynced {
		return
	}
	r.Burst(now)
	asks := s.asks
	s.asks = nil
	sync := len(asks) == 0
	for _, k := range asks {
		s.shut = k.Close
		// A second flush of the same would let nobody know in time whose first took too long.
		sync = sync || k.Flush && (s.unsynced || !s.stable)
	}
	if s.bare && !s.shut { // it was not whole
		s.bare, s.unsynced = false, true
	}
	a := r.have(now, s)
	if !sync {
		r.reply(asks, a)
		return
	}
	s.syncing, s.unsynced, s.stable = true, false, false
	f := func() (noted bool, err error) { return true, s.part.Sync() }
	switch {
	case s.state == base:
		f = func() (noted bool, err error) { return true, s.spool.Sync() }
	case s.shut:
		f = s.part.Flush
	}
	began := now
	r.cfg.Beside(func() func(time.Time) {
		noted, err := f()
		return func(now time.Time) {
			r.slow.took(r.cfg.Log, began, now)
			s.bare = !noted
			r.flushed(now, s, asks, a, err)
		}
	})
}

func (r *Receiver) reply(asks []asked, a engine.Answer) {
	for _, k := range asks {
		r.counts.Answered++
		k.answer(a)
	}
}

// flushed tells what is there, now that it is flushed.
func (r *Receiver) flushed(now time.Time, s *stand, asks []asked, a engine.Answer, err error) {
	s.syncing, s.stable = false, err == nil
	if err != nil {
		r.broken(s, err)
		if s.part != nil {
			s.part.Broken(err)
		}
		high := a.High
		a = r.have(now, s)
		a.High = max(a.High, high)
	}
	r.reply(asks, a)
	if len(s.asks) > 0 {
		r.flush(now, s)
	}
}
