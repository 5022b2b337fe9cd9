package mdalp

import (
	"encoding/hex"
	"fmt"
	"time"

	"mdalp/sched"
	"mdalp/wire"
)

// conclude is called when the transfer has nothing more to do: it asks for the verdict
// when all is acknowledged and the digest is there.
func (x *blocks) conclude(now time.Time) {
	s := x.s
	switch {
	case x.transfer.Left() > 0:
		if x.transfer.Living() > 0 || !s.revive(now, "no receiver answers") {
			s.complete(now)
		}
	case s.cfg.NoVerify:
		s.finish(now, nil)
	case x.asking:
	case x.digest != "":
		x.asking, x.told = true, true
		if s.phase == PhaseSending {
			s.report.Transfer = now.Sub(s.entered)
			s.enter(now, PhaseFinishing)
		}
		s.dialog.manifest.SHA256, s.dialog.manifest.From = x.digest, 0
		s.dialog.ask(now)
		if x.lacked > 1 { // a server that forgets what it takes is not driven by its own answers
			s.dialog.later(now, askFirst<<min(x.lacked-2, 3))
		}
	case s.phase == PhaseSending:
		s.report.Transfer = now.Sub(s.entered)
		s.enter(now, PhaseFinishing) // the digest is not there yet
	}
}

// hash has the digest computed beside the sending, by reading the payload once more.
func (x *blocks) hash(now time.Time) {
	s := x.s
	if s.cfg.NoVerify || s.hashing {
		return
	}
	s.hashing = true
	reader, size, compute := s.reader, s.size, s.cfg.hash
	s.beside(now, func() func(time.Time) {
		sum, took, err := compute(reader, size)
		return func(now time.Time) {
			if s.phase == PhaseFinished {
				return
			}
			if err != nil {
				s.finish(now, fmt.Errorf("%w: %w", ErrPayload, err))
				return
			}
			x.digest = hex.EncodeToString(sum[:])
			s.report.SHA256, s.report.Hashing = x.digest, took
			if s.stage == stage(x) && x.transfer.Done() {
				x.conclude(now)
			}
		}
	})
}

// stands takes how the payload stands: the answer to a question in the midst of sending,
// or the verdict. One that answers an earlier question may lack what was acknowledged since.
func (x *blocks) stands(now time.Time, st *wire.State, earlier bool) {
	s := x.s
	switch st.Standing {
	case wire.Complete:
		// It may come while segments are sent again that the server lacked: it has them now.
		if x.told {
			x.transfer.Have([]sched.Range{{First: 0, Last: x.transfer.Total() - 1}})
			s.report.Verified = true
			s.finish(now, nil)
		}
	case wire.Busy:
		s.timers.Arm(timerManifest, now.Add(time.Duration(st.Wait)*time.Millisecond))
		s.dialog.wait = s.dialog.patience()
	case wire.Open:
		if !x.asking {
			s.dialog.stop()
		}
	case wire.Incomplete:
		if x.asking && !earlier {
			x.again(now, st)
		}
	}
}

// again sends what the server lacks, though it was acknowledged.
func (x *blocks) again(now time.Time, st *wire.State) {
	s := x.s
	upto := x.transfer.Total()
	if st.Upto > s.dialog.manifest.From {
		upto = min(upto, st.Upto)
	}
	stored := make([]sched.Range, len(st.Have))
	for k, r := range st.Have {
		stored[k] = sched.Range(r)
	}
	living := x.transfer.Living()
	n := x.transfer.Reopen(s.dialog.manifest.From, upto, stored)
	if x.transfer.Living() < living {
		x.mourn(now)
	}
	if upto < x.transfer.Total() {
		s.dialog.manifest.From = upto
		s.dialog.ask(now)
		return
	}
	s.log.Warn("the server lacks what it had acknowledged: it is sent again", "segments", n)
	s.dialog.stop()
	x.lacked++
	x.asking, s.dialog.manifest.SHA256 = false, ""
	if x.transfer.Left() > 0 {
		// Both times of sending count, and what lies between them does not.
		s.phase, s.entered = PhaseSending, now.Add(-s.report.Transfer)
		s.progress(now)
		return
	}
	x.conclude(now)
}
