package mdalp

import (
	"time"
)

// An estimator is RFC 6298 with the bounds that package sched documents, written
// a second time, in floating point.
type estimator struct {
	fixed        time.Duration
	srtt, rttvar float64
	known        bool
	expired      int
	forgiven     bool // an ack that measured nothing has ended the back-off
}

func (e *estimator) sample(d time.Duration) {
	x := max(float64(d), 1)
	e.expired, e.forgiven = 0, false
	if !e.known {
		e.known, e.srtt, e.rttvar = true, x, x/2
		return
	}
	e.rttvar = 0.75*e.rttvar + 0.25*max(e.srtt-x, x-e.srtt)
	e.srtt = 0.875*e.srtt + 0.125*x
}

func (e *estimator) rto() time.Duration {
	if e.fixed > 0 {
		return e.fixed
	}
	x := 3e9
	if e.known {
		x = min(e.srtt+max(200e6, 4*e.rttvar), max(3e9, 1.25*e.srtt+200e6))
	}
	top := max(6e9, x)
	for range e.expired {
		x = min(2*x, top)
	}
	return time.Duration(x)
}

// slack is what integer and floating point may differ by.
const slack = time.Microsecond
