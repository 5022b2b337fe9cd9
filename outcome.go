package mdalp

import (
	"fmt"
	"time"

	"mdalp/wire"
)

// enter goes on to the next phase.
func (s *session) enter(now time.Time, p Phase) {
	s.phase, s.entered = p, now
	s.progress(now)
}

// progress shows the caller how far things are.
func (s *session) progress(now time.Time) {
	if s.cfg.Progress == nil {
		return
	}
	s.refresh(now)
	s.cfg.Progress(&s.report)
}

// refresh brings the report up to date.
func (s *session) refresh(now time.Time) {
	r := &s.report
	r.Phase = s.phase
	r.Elapsed = now.Sub(s.began)
	switch s.phase {
	case PhaseWaiting:
		r.Wait = r.Elapsed
	case PhasePinging:
		r.Probe = now.Sub(s.entered)
	case PhaseSending:
		r.Transfer = now.Sub(s.entered)
	case PhaseFinishing:
		r.Verdict = now.Sub(s.entered)
	}
	t := s.transfer()
	if t == nil {
		return
	}
	r.Acked, r.Left = 0, t.Left()
	if r.Extended {
		r.Acked = r.Resumed - t.Reopened() // a byte counts once, however often it is acknowledged
	}
	for i := range r.Receivers {
		rr, st := &r.Receivers[i], t.Stats(i)
		rr.Bytes, rr.Acked = st.Bytes, st.Acked
		rr.Sent, rr.Resent, rr.Timeouts, rr.Duplicate = st.Sent, st.Resent, st.Timeouts, st.Duplicate
		rr.Took, rr.Gave = st.Took, st.Gave
		rr.AckMin, rr.AckMean, rr.AckMax = st.AckMin, st.AckMean(), st.AckMax
		rr.Err = st.Err
		if d := st.Last.Sub(st.First); st.Acked > 0 && d > 0 {
			rr.Rate = float64(st.Bytes) / d.Seconds()
		}
		r.Acked += st.Bytes
		if r.Extended {
			f := t.Flow(i)
			rr.Window, rr.InFlight, rr.Pace = f.Window, f.InFlight, f.Pace
			if st.Acked > 0 {
				rr.RTT = f.RTT // before it is a guess
			}
			rr.Lost, rr.Spurious = st.Lost, st.Spurious
		}
	}
}

// complete ends a transfer that has nothing more to do.
func (s *session) complete(now time.Time) {
	t := s.transfer()
	switch {
	case t.Left() == 0:
		s.finish(now, nil)
	case t.Living() == 0:
		s.incomplete(now, ErrAllDead)
	default:
		s.incomplete(now, ErrNoTakeover)
	}
}

// incomplete ends the session because of err before all is acknowledged.
func (s *session) incomplete(now time.Time, err error) {
	t := s.transfer()
	if t == nil {
		err = fmt.Errorf("%w: %w while %v", ErrIncomplete, err, s.phase)
		if s.phase == PhaseWaiting {
			err = s.waiting.because(err)
		}
		s.finish(now, err)
		return
	}
	// The last acknowledgement may have come at the same wake-up. And while the server tells what it
	// has lost, some of that may be out again.
	if t.Left() == 0 {
		if s.report.Extended && !s.cfg.NoVerify {
			err = fmt.Errorf("%w: %w", ErrUnverified, err)
		} else {
			err = nil
		}
		s.finish(now, err)
		return
	}
	s.finish(now, fmt.Errorf("%w: %d of %d segments are not acknowledged: %w", ErrIncomplete, t.Left(),
		t.Total(), err))
}

// finish ends the session. After it, nothing changes any more.
func (s *session) finish(now time.Time, err error) {
	if s.phase == PhaseFinished {
		return
	}
	s.refresh(now)
	s.stage = over{}
	s.phase, s.report.Phase = PhaseFinished, PhaseFinished
	s.err = err
	if t := s.transfer(); t != nil {
		for _, m := range t.Missing() {
			s.report.Missing = append(s.report.Missing, wire.Range{First: m.Seq, Last: m.End - 1})
		}
	}
	if s.cfg.Progress != nil {
		s.cfg.Progress(&s.report)
	}
}
